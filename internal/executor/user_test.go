//go:build linux

package executor

import (
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"ssmrun/internal/testenv"
)

// nobody is a user of the host that owns nothing, with another's group added.
func nobody(t *testing.T) *User {
	t.Helper()
	u, err := user.Lookup("nobody")
	if err != nil || os.Geteuid() != 0 {
		testenv.NotRun(t, "the executor's starts as another user", "they need root and a user nobody", "sudo make test")
	}
	uid, _ := strconv.ParseUint(u.Uid, 10, 32)
	gid, _ := strconv.ParseUint(u.Gid, 10, 32)
	return &User{UID: uint32(uid), GID: uint32(gid), Groups: []uint32{uint32(gid), 1}}
}

// TestRunsAsAUser: the script is the user's with its groups and no right of
// root's, its streams can be opened anew, and the tree is killed all the same.
func TestRunsAsAUser(t *testing.T) {
	t.Parallel()
	eachMethod(t, func(t *testing.T, e *Executor) {
		u := nobody(t)
		var out, errs strings.Builder
		p, err := e.Start(t.Context(), Spec{
			Path: "/bin/sh", Dir: "/", Env: testEnv(), ID: testMark, User: u, Stdout: &out, Stderr: &errs,
			Args:    []string{"-c", `id -u; id -G; echo err >/dev/stderr; cat /etc/shadow 2>/dev/null || echo no; (setsid sleep 600 </dev/null >/dev/null 2>&1 &) ; kill -9 $PPID 2>/dev/null; sleep 600`},
			Timeout: time.Second,
		})
		if err != nil {
			t.Fatal(err)
		}
		if r := p.Wait(); !r.TimedOut || r.Err != nil {
			t.Errorf("%+v", r)
		}
		want := strconv.Itoa(int(u.UID)) + "\n" + strconv.Itoa(int(u.GID)) + " 1\nno\n"
		if out.String() != want || errs.String() != "err\n" {
			t.Errorf("stdout %q, want %q; stderr %q", out.String(), want, errs.String())
		}
	})
}

func TestUserCannotEnterTheFolder(t *testing.T) {
	t.Parallel()
	eachMethod(t, func(t *testing.T, e *Executor) {
		u := nobody(t)
		dir := filepath.Join(t.TempDir(), "own")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		_, err := e.Start(t.Context(), Spec{Path: "/bin/true", Dir: dir, Env: testEnv(), ID: testMark, User: u})
		if err == nil || !strings.Contains(err.Error(), "may not enter") {
			t.Errorf("got %v", err)
		}
	})
}

func TestUserText(t *testing.T) {
	t.Parallel()
	for _, u := range []*User{nil, {}, {UID: 1, GID: 2}, {UID: 65534, GID: 65534, Groups: []uint32{1, 4294967295}}} {
		got, err := parseUser(u.String())
		if err != nil || got.String() != u.String() {
			t.Errorf("%v became %v, %v", u, got, err)
		}
	}
	for _, bad := range []string{"root", "0", "0:0", ":0:", "0::", "-1:0:", "0:0:x", "0:0:,", "4294967296:0:"} {
		if u, err := parseUser(bad); err == nil {
			t.Errorf("%q is taken for %v", bad, u)
		}
	}
}
