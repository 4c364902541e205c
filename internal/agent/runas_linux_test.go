package agent

import (
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"

	"ssmrun/internal/testenv"
	"ssmrun/internal/wire"
)

// asRoot is a bench whose folders other users may enter, on a host where scripts
// can run as nobody.
func asRoot(t *testing.T) *bench {
	t.Helper()
	if os.Geteuid() != 0 {
		testenv.NotRun(t, "scripts as another user", "the tests do not run as root", "sudo make test")
	}
	for _, name := range []string{"nobody", "daemon"} {
		if _, err := user.Lookup(name); err != nil {
			testenv.NotRun(t, "scripts as another user", err.Error(), "useradd --system "+name)
		}
	}
	b := setup(t)
	for _, dir := range []string{filepath.Dir(b.dir), filepath.Dir(filepath.Dir(b.dir))} {
		must(t, os.Chmod(dir, 0o755)) //nolint:gosec // as /var/lib is
	}
	return b
}

const whoami = `id -un; echo "$HOME $USER $LOGNAME"; stat -c '%U %a' "$0" .; id -G; cat "$REG" 2>/dev/null || echo closed; ls "$(dirname "$0")" 2>/dev/null || echo closed; echo e >/dev/stderr; touch mine && rm mine && echo writes`

func TestRunAs(t *testing.T) {
	t.Parallel()
	for _, method := range []bool{false, true} {
		b := asRoot(t)
		b.cfg.Executor.NoCgroup = method
		b.cfg.RunAs = "nobody"
		b.start()
		e := b.run(script(t, "REG="+filepath.Join(b.dir, "registration.json"), whoami))
		r := e.Reply.RuntimeStatus["run"]
		u, err := user.Lookup("nobody")
		must(t, err)
		groups, err := u.GroupIds()
		must(t, err)
		want := "nobody\n" + u.HomeDir + " nobody nobody\nnobody 500\nnobody 700\n" + strings.Join(groups, " ") + "\nclosed\nclosed\nwrites\n"
		if r.StandardOutput != want || r.StandardError != "e\n" {
			t.Errorf("without cgroups %v: status %s\n%s\nwant\n%s\nstderr %s", method, r.Status, r.StandardOutput, want, r.StandardError)
		}
		// The tree is the agent's to end, whoever it runs as.
		hold := filepath.Join(b.t.TempDir(), "pid")
		must(t, os.WriteFile(hold, nil, 0o666)) //nolint:gosec // nobody writes it
		must(t, os.Chmod(hold, 0o666))          //nolint:gosec // nobody writes it
		for _, dir := range []string{filepath.Dir(hold), filepath.Dir(filepath.Dir(hold))} {
			must(t, os.Chmod(dir, 0o755)) //nolint:gosec // nobody enters it
		}
		ready := filepath.Join(filepath.Dir(hold), "ready")
		must(t, mkfifo(ready))
		must(t, os.Chmod(ready, 0o666)) //nolint:gosec // nobody writes it
		p := script(t, "setsid sleep 600 & echo $! >"+hold+"; echo x >"+ready+"; wait")
		n := len(b.srv.Events())
		job := b.srv.SendCommand(p)
		told(t, ready)
		b.srv.Cancel(p.CommandID)
		if e, _ := b.srv.WaitFinal(job, n); e.Reply.DocumentStatus != wire.StatusCancelled {
			t.Errorf("%+v", e.Reply)
		}
		pid, err := os.ReadFile(hold)
		must(t, err)
		gone(t, strings.TrimSpace(string(pid)))
	}
}

// TestStepsChooseUsers: only where the policy names the user.
func TestStepsChooseUsers(t *testing.T) {
	t.Parallel()
	b := asRoot(t)
	b.cfg.RunAs = "nobody"
	as := func(name any) wire.SendCommandPayload {
		p := script(t)
		p.CommandID = uuid.NewString()
		p.DocumentContent = document22(t, step{name: "run", inputs: map[string]any{"runCommand": "id -un", "runAsUser": name}})
		return p
	}
	b.putPolicy("version: 1\nrun_as: [nobody, daemon, no-such-user]\n")
	b.start()
	for name, want := range map[string]string{"daemon": "daemon\n", "": "nobody\n", " nobody ": "nobody\n"} {
		if r := b.run(as(name)).Reply.RuntimeStatus["run"]; r.StandardOutput != want {
			t.Errorf("%q: %+v", name, r)
		}
	}
	for name, want := range map[any]string{
		"root":         "step run would run as user root, who is not in run_as (rule run_as)",
		"no-such-user": "this host has no user no-such-user",
		true:           "runAsUser is not a text",
	} {
		r := b.run(as(name)).Reply.RuntimeStatus["run"]
		if r.Status != wire.StatusFailed || r.StandardOutput != "" {
			t.Errorf("%v: %+v", name, r)
		}
		contains(t, "stderr", r.StandardError, want)
	}
	b.putPolicy("version: 1\n")
	contains(t, "stderr", b.run(as("daemon")).Reply.RuntimeStatus["run"].StandardError, "there is no run_as that names it")
	b.putPolicy("version: 1\nrun_as: [daemon]\n")
	contains(t, "stderr", b.run(as("")).Reply.RuntimeStatus["run"].StandardError, "user nobody, who is not in run_as")
}

func TestRunAsNeedsAUserAndAWay(t *testing.T) {
	t.Parallel()
	b := asRoot(t)
	b.cfg.RunAs = "no-such-user"
	if _, err := New(b.cfg); err == nil || !strings.Contains(err.Error(), "no user no-such-user") {
		t.Errorf("got %v", err)
	}
	b.cfg.RunAs = "nobody"
	must(t, os.Chmod(filepath.Dir(b.dir), 0o700)) //nolint:gosec // that is what is refused
	if _, err := New(b.cfg); err == nil || !strings.Contains(err.Error(), "may not enter "+filepath.Dir(b.dir)) {
		t.Errorf("got %v", err)
	}
}
