//go:build linux

package executor

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestFindCgroupParent(t *testing.T) {
	t.Parallel()
	const (
		pure     = "36 23 0:30 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
		v1       = "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
		unified  = "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:9 master:3 - cgroup2 cgroup2 rw\n"
		readOnly = "36 23 0:30 / /sys/fs/cgroup ro,nosuid - cgroup2 cgroup2 rw\n"
		superRO  = "36 23 0:30 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 ro\n"
		bound    = `36 23 0:30 /box/a /mnt/my\040groups rw - cgroup2 cgroup2 rw` + "\n"
	)
	for name, c := range map[string]struct{ mounts, own, want string }{
		"pure":               {pure, "0::/system.slice/agent.service\n", "/sys/fs/cgroup/system.slice/agent.service"},
		"root":               {pure, "0::/\n", "/sys/fs/cgroup"},
		"hybrid":             {v1 + unified, "4:memory:/x\n1:cpu:/y\n0::/z\n", "/sys/fs/cgroup/unified/z"},
		"first read-only":    {readOnly + unified, "0::/\n", "/sys/fs/cgroup/unified"},
		"read-only":          {readOnly, "0::/\n", ""},
		"read-only super":    {superRO, "0::/\n", ""},
		"part of it mounted": {bound, "0::/box/a/b\n", "/mnt/my groups/b"},
		"that part itself":   {bound, "0::/box/a\n", "/mnt/my groups"},
		"another part":       {bound, "0::/box/ab\n", ""},
		"v1 only":            {v1, "1:cpu:/\n", ""},
		"outside namespace":  {pure, "0::/../../other\n", ""},
		"removed":            {pure, "0::/gone (deleted)\n", ""},
		"nothing":            {"", "", ""},
		"cut lines":          {"36 23\n- cgroup2\n36 23 0:30 / /x rw - cgroup2\n", "0::/\n", ""},
	} {
		got, err := findCgroupParent([]byte(c.mounts), []byte(c.own))
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%s: %q, %v, want %q", name, got, err, c.want)
		}
	}
}

func FuzzFindCgroupParent(f *testing.F) {
	f.Add([]byte(`36 23 0:30 /box /mnt/my\040groups rw - cgroup2 cgroup2 rw`), []byte("0::/box/a\n"))
	f.Fuzz(func(t *testing.T, mounts, own []byte) {
		if p, err := findCgroupParent(mounts, own); (p == "") == (err == nil) {
			t.Errorf("%q, %v", p, err)
		}
	})
}

func TestCgroupName(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]string{
		"565f326a-1.run_Shell": "565f326a-1.run_Shell",
		"../a/b\x00\nä":        ".._a_b___",
		"":                     "",
	} {
		if got := cgroupName(id); got != want {
			t.Errorf("%q gives %q, want %q", id, got, want)
		}
	}
	if got := cgroupName(strings.Repeat("x", 300)); len(got) != 100 {
		t.Errorf("%d bytes", len(got))
	}
}

// Where no cgroup can be made, or what is made is none, there is the supervisor.
func TestNoUsableCgroup(t *testing.T) {
	t.Parallel()
	for name, parent := range map[string]string{
		"plain folder": t.TempDir(),
		"missing":      "/no/such/folder",
		"not writable": "/proc/self",
	} {
		e := New(Config{CgroupParent: parent})
		if got := e.Method(); got != "supervisor" {
			t.Errorf("%s: method %q", name, got)
		}
		if res, _, _ := run(t, e, sh("exit 8")); res.ExitCode != 8 {
			t.Errorf("%s: %+v", name, res)
		}
	}
}

// Someone removes the cgroup between its making and its use: the step gets
// another; if that happens again and again, a supervisor, this once.
func TestCgroupLostBeforeUse(t *testing.T) {
	t.Parallel()
	for losses, supervised := range map[int]bool{1: false, 2: true} {
		for _, when := range []string{"before it is opened", "after"} {
			e := cgroupExecutor(t)
			n := 0
			s := sh("exit 8")
			s.BeforeStart = func(h Handle) error {
				if n++; n > losses {
					return nil
				}
				if when == "after" {
					// An open folder that is removed is as good as one that is
					// removed after its opening.
					dir, err := unix.Open(h.Cgroup, unix.O_DIRECTORY|unix.O_PATH|unix.O_CLOEXEC, 0)
					if err != nil {
						return err
					}
					defer func() { _ = unix.Close(dir) }()
				}
				return unix.Rmdir(h.Cgroup)
			}
			p := start(t, e, s)
			if res := wait(t, p); res.ExitCode != 8 || res.Err != nil {
				t.Errorf("%d losses: %+v", losses, res)
			}
			if got := p.Handle().SupervisorPID != 0; got != supervised || e.Method() != "cgroup" {
				t.Errorf("%d losses: supervised %v, method afterwards %q", losses, got, e.Method())
			}
		}
	}
}

// The parent itself goes (a login session ends): steps still start.
func TestCgroupParentLost(t *testing.T) {
	t.Parallel()
	cgroupExecutor(t) // skips
	parent := filepath.Join(testCgroup, "parent-lost")
	if err := os.Mkdir(parent, 0o755); err != nil {
		t.Fatal(err)
	}
	e := New(Config{CgroupParent: parent})
	if err := unix.Rmdir(parent); err != nil {
		t.Fatal(err)
	}
	if res, _, _ := run(t, e, sh("exit 8")); res.ExitCode != 8 {
		t.Errorf("%+v", res)
	}
}

// A new agent removes what an old one left, and nothing that is in use or may be
// just about to be.
func TestNewRemovesOldCgroups(t *testing.T) {
	t.Parallel()
	cgroupExecutor(t) // skips
	parent := filepath.Join(testCgroup, "old")
	foreign, empty, nested := filepath.Join(parent, "foreign"), filepath.Join(parent, cgroupPrefix+"empty"), filepath.Join(parent, cgroupPrefix+"nested")
	for _, dir := range []string{parent, foreign, empty, nested, filepath.Join(nested, "inner")} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		if err := errors.Join(unix.Rmdir(foreign), unix.Rmdir(parent)); err != nil {
			t.Error(err)
		}
	})
	out := newLines()
	s := sh(`echo $$; sleep 1000`)
	s.Stdout = out
	used := start(t, New(Config{CgroupParent: parent}), s)
	out.next(t)

	exists := func(dir string) bool { _, err := os.Stat(dir); return err == nil }
	New(Config{CgroupParent: parent})
	if !exists(empty) || !exists(nested) {
		t.Error("fresh cgroups, perhaps another agent's, were removed")
	}
	later := New(Config{CgroupParent: parent, Now: func() time.Time { return time.Now().Add(2 * freshCgroup) }})
	if exists(empty) || exists(nested) {
		t.Error("old empty cgroups are left")
	}
	if !exists(foreign) || !exists(used.Handle().Cgroup) {
		t.Error("a cgroup in use, or not ours, was removed")
	}
	// The old agent dies here, as it were: its cgroup goes when it is empty.
	used.Kill(nil)
	wait(t, used)
	later.platform.groups.sweep()
	if exists(used.Handle().Cgroup) {
		t.Error("the cgroup of the ended step is left")
	}
}

// As su does through pam_systemd: a session's cgroup takes the process away.
func TestKillFindsWhatLeftTheCgroup(t *testing.T) {
	t.Parallel()
	e := cgroupExecutor(t)
	other := filepath.Join(testCgroup, "session")
	if err := os.Mkdir(other, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Rmdir(other) })
	out := newLines()
	s := sh(`
		sh -c 'echo $$ >"$1/cgroup.procs"; setsid sh -c "echo \$\$; exec sleep 1000" & echo $$; wait' sh "$1" &
		wait`, other)
	s.Stdout = out
	p := start(t, e, s)
	moved := []proc{out.nextProc(t), out.nextProc(t)}
	if pids := (&cgroup{path: other}).pids(); len(pids) != 2 {
		t.Fatalf("moved: %v", pids)
	}
	p.Kill(nil)
	res := wait(t, p)
	mustBeGone(t, moved...)
	if res.Err != nil || !res.Cancelled {
		t.Errorf("%+v", res)
	}
}

// What left the cgroup and forks while it is killed: a child that nobody saw
// would lose its parent, and with it the way to be found.
func TestKillOfWhatForksOutsideTheCgroup(t *testing.T) {
	t.Parallel()
	e := cgroupExecutor(t)
	other := filepath.Join(testCgroup, "forking-session")
	if err := os.Mkdir(other, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Rmdir(other) })
	mark := testMark + "-" + t.Name() + "."
	out := newLines()
	s := sh(`setsid sh -c '
		echo $$ >"$1/cgroup.procs"
		n=0; while [ $n -lt 1500 ]; do sleep 1000 >/dev/null & echo x; n=$((n + 1)); done; wait' sh "$1"`, other)
	s.Env = testEnv("FORKS=" + mark)
	s.Stdout = out
	p := start(t, e, s)
	for range 20 {
		out.next(t)
	}
	p.Kill(nil)
	res := wait(t, p)
	if left := markedProcesses(mark); len(left) > 0 || !res.Cancelled || res.Err != nil {
		t.Errorf("left %v, %+v", left, res)
	}
}

// A script as root may make cgroups below its own.
func TestCgroupsOfTheScriptAreRemoved(t *testing.T) {
	t.Parallel()
	e := cgroupExecutor(t)
	for name, end := range map[string]string{"end": "", "kill": "sleep 1000"} {
		out := newLines()
		var own string
		s := sh(`mkdir -p "$(echo "$1"/`+cgroupPrefix+`*`+name+`*)/a/b"; echo made; `+end, testCgroup)
		s.ID += name
		s.BeforeStart = func(h Handle) error { own = h.Cgroup; return nil }
		s.Stdout = out
		p := start(t, e, s)
		out.next(t)
		if name == "kill" {
			if _, err := os.Stat(filepath.Join(own, "a", "b")); err != nil {
				t.Fatal(err)
			}
			p.Kill(nil)
		}
		wait(t, p)
		if _, err := os.Stat(own); !os.IsNotExist(err) {
			t.Errorf("%s: the cgroup is left: %v", name, err)
		}
	}
}
