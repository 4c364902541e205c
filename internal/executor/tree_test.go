//go:build linux

package executor

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// stubborn starts every kind of child that survives a kill of the group, prints
// each one's id, and waits.
const stubborn = `
setsid sh -c 'echo setsid $$; exec sleep 1000' &
(setsid sh -c 'echo daemon $$; exec sleep 1000 >/dev/null 2>&1' &)
(setsid sh -c '(setsid sh -c "echo twice \$\$; exec sleep 1000 >/dev/null 2>&1" &)' &)
sh -c 'trap "" TERM HUP INT; echo trap $$; while :; do sleep 1000; done' &
sh -c 'echo stopped $$; kill -STOP $$' &
`

const stubbornCount = 5

// stubbornTree starts it and returns the children, script's process first.
func stubbornTree(t *testing.T, e *Executor, tail string, timeout time.Duration) (*Process, []proc) {
	t.Helper()
	if _, err := exec.LookPath("setsid"); err != nil {
		t.Skip("no setsid command")
	}
	out := newLines()
	s := sh(stubborn + tail)
	s.Stdout, s.Timeout = out, timeout
	p := start(t, e, s)
	var procs []proc
	for range stubbornCount {
		procs = append(procs, out.nextProc(t))
	}
	return p, procs
}

func TestKillEndsTheWholeTree(t *testing.T) {
	t.Parallel()
	eachKill(t, func(t *testing.T, e *Executor) {
		p, procs := stubbornTree(t, e, "wait", 0)
		cause := errors.New("cancel asked for")
		p.Kill(cause)
		p.Kill(errors.New("too late"))
		res := wait(t, p)
		mustBeGone(t, procs...)
		if !res.Cancelled || res.TimedOut || !errors.Is(res.Cause, cause) || res.ExitCode != 137 || res.Err != nil {
			t.Errorf("%+v", res)
		}
		if h := p.Handle(); h.SupervisorPID != 0 {
			mustBeGone(t, proc{pid: h.SupervisorPID, start: h.SupervisorStartTicks})
		} else if _, err := os.Stat(h.Cgroup); !os.IsNotExist(err) {
			t.Errorf("its cgroup is left: %v", err)
		}
	})
}

func TestTimeoutEndsTheWholeTree(t *testing.T) {
	t.Parallel()
	eachMethod(t, func(t *testing.T, e *Executor) {
		p, procs := stubbornTree(t, e, "wait", 2*time.Second)
		res := wait(t, p)
		mustBeGone(t, procs...)
		if !res.TimedOut || res.Cancelled || !errors.Is(res.Cause, ErrTimeout) || res.ExitCode != 137 || res.Err != nil {
			t.Errorf("%+v", res)
		}
		if d := res.Finished.Sub(res.Started); d < 2*time.Second || d > 10*time.Second {
			t.Errorf("took %v", d)
		}
	})
}

func TestContextEndsTheWholeTree(t *testing.T) {
	t.Parallel()
	eachMethod(t, func(t *testing.T, e *Executor) {
		ctx, cancel := context.WithCancelCause(t.Context())
		out := newLines()
		s := sh(`(setsid sh -c 'echo $$; exec sleep 1000' &) ; sleep 1000`)
		s.Stdout = out
		p, err := e.Start(ctx, s)
		if err != nil {
			t.Fatal(err)
		}
		child := out.nextProc(t)
		cause := errors.New("agent stops")
		cancel(cause)
		res := wait(t, p)
		mustBeGone(t, child)
		if !res.Cancelled || !errors.Is(res.Cause, cause) || res.Err != nil {
			t.Errorf("%+v", res)
		}
	})
}

// The script has ended, but a child holds its output: the step is open, and its
// timeout still ends the tree.
func TestTimeoutAfterTheScriptEnded(t *testing.T) {
	t.Parallel()
	eachMethod(t, func(t *testing.T, e *Executor) {
		p, procs := stubbornTree(t, e, "exit 0", 2*time.Second)
		res := wait(t, p)
		mustBeGone(t, procs...)
		if !res.TimedOut || res.ExitCode != 137 || res.Err != nil {
			t.Errorf("%+v", res)
		}
	})
}

func TestHeldOutputKeepsTheStepOpen(t *testing.T) {
	t.Parallel()
	eachMethod(t, func(t *testing.T, e *Executor) {
		fifo := filepath.Join(t.TempDir(), "fifo")
		if err := unix.Mkfifo(fifo, 0o600); err != nil {
			t.Fatal(err)
		}
		out := newLines()
		s := sh(`(read x <"$1"; echo late) & echo early; exit 3`, fifo)
		s.Stdout = out
		p := start(t, e, s)
		if got := out.next(t); got != "early" {
			t.Fatalf("first line %q", got)
		}
		script := proc{pid: p.Handle().PID, start: p.Handle().StartTicks}
		if !script.waitGone(time.Now().Add(10 * time.Second)) {
			t.Fatal("the script does not end")
		}
		select {
		case <-p.Done():
			t.Fatal("the step was over while a child held its output")
		default:
		}
		if err := os.WriteFile(fifo, []byte("go\n"), 0); err != nil {
			t.Fatal(err)
		}
		res := wait(t, p)
		if got := out.next(t); got != "late" || res.ExitCode != 3 || res.TimedOut || res.Cancelled {
			t.Errorf("then %q, %+v", got, res)
		}
	})
}

func TestDaemonsLiveOnAfterTheScriptEnded(t *testing.T) {
	t.Parallel()
	eachMethod(t, func(t *testing.T, e *Executor) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		out := newLines()
		s := sh(`(setsid sh -c 'echo $$; exec sleep 1000 >/dev/null 2>&1' &); sh -c 'echo $$; exec sleep 1000 >/dev/null 2>&1' &`)
		s.Stdout = out
		p, err := e.Start(ctx, s)
		if err != nil {
			t.Fatal(err)
		}
		daemons := []proc{out.nextProc(t), out.nextProc(t)}
		for _, d := range daemons {
			killLater(t, d)
		}
		res := wait(t, p)
		if res.ExitCode != 0 || res.Err != nil || res.Cause != nil {
			t.Errorf("%+v", res)
		}
		p.Kill(errors.New("after the end"))
		cancel()
		h := p.Handle()
		if h.SupervisorPID != 0 {
			if !(proc{pid: h.SupervisorPID, start: h.SupervisorStartTicks}).waitGone(time.Now().Add(10 * time.Second)) {
				t.Error("the supervisor stays although the step is over")
			}
		}
		for _, d := range daemons {
			if !d.running() {
				t.Errorf("daemon %d was killed", d.pid)
			}
		}
		if h.Cgroup == "" {
			return
		}
		// The cgroup stays while a daemon does, and goes with a later start.
		if pids := (&cgroup{path: h.Cgroup}).pids(); len(pids) != 2 {
			t.Errorf("in the cgroup: %v", pids)
		}
		run(t, e, sh("exit 0"))
		if _, err := os.Stat(h.Cgroup); err != nil {
			t.Errorf("the cgroup of a daemon: %v", err)
		}
		for _, d := range daemons {
			_ = d.signal(unix.SIGKILL)
			d.waitGone(time.Now().Add(10 * time.Second))
		}
		run(t, e, sh("exit 0"))
		if _, err := os.Stat(h.Cgroup); !os.IsNotExist(err) {
			t.Errorf("the empty cgroup is left: %v", err)
		}
	})
}

// Processes that appear while the tree is killed are killed too.
func TestKillOfATreeThatForks(t *testing.T) {
	t.Parallel()
	eachKill(t, func(t *testing.T, e *Executor) {
		out := newLines()
		mark := testMark + "-" + t.Name() + "."
		s := sh(`
			breed() { n=0; while [ $n -lt 300 ]; do (sleep 1000 >/dev/null &); echo x; n=$((n + 1)); done; wait; }
			breed & breed & breed & wait; sleep 1000`)
		s.Env = testEnv("FORKS=" + mark)
		s.Stdout = out
		p := start(t, e, s)
		for range 40 {
			out.next(t)
		}
		if n := len(markedProcesses(mark)); n < 40 {
			t.Fatalf("only %d processes to kill", n)
		}
		p.Kill(nil)
		res := wait(t, p)
		if left := markedProcesses(mark); len(left) > 0 || !res.Cancelled || res.Err != nil {
			t.Errorf("left %v, %+v", left, res)
		}
	})
}

// A frozen tree has no process that the freeze did not see.
func TestFreeze(t *testing.T) {
	t.Parallel()
	e := supervisorExecutor(t)
	out := newLines()
	s := sh(`breed() { n=0; while [ $n -lt 500 ]; do sleep 1000 >/dev/null & echo x; n=$((n + 1)); done; wait; }
		breed & breed & breed & breed & wait`)
	s.Stdout = out
	p := start(t, e, s)
	for range 20 {
		out.next(t)
	}
	tree := membersOf(proc{pid: p.Handle().PID, start: p.Handle().StartTicks})
	frozen, err := freeze(tree)
	if err != nil || len(frozen) < 20 {
		t.Fatalf("%d processes, %v", len(frozen), err)
	}
	seen := make(map[int]bool)
	for _, f := range frozen {
		seen[f.pid] = true
	}
	for range 20 {
		all, err := listProcs()
		if err != nil {
			t.Fatal(err)
		}
		for _, now := range tree(all) {
			if !seen[now.pid] {
				t.Fatalf("process %d is new in a frozen tree of %d", now.pid, len(frozen))
			}
		}
	}
}

// Nobody can end a holder of the output that is outside the tree.
func TestOutputHeldOutsideTheTree(t *testing.T) {
	t.Parallel()
	eachMethod(t, func(t *testing.T, e *Executor) {
		e.strayWait = 50 * time.Millisecond
		out := newLines()
		s := sh(`echo ready; sleep 1000`)
		s.Stdout = out
		p := start(t, e, s)
		out.next(t)
		holder, err := os.OpenFile("/proc/"+strconv.Itoa(p.Handle().PID)+"/fd/1", os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = holder.Close() }()
		p.Kill(nil)
		res := wait(t, p)
		if !res.Cancelled || res.ExitCode != 137 || res.Err == nil || !strings.Contains(res.Err.Error(), "holds it open") {
			t.Errorf("%+v", res)
		}
	})
}

// A script can hurt its supervisor; the step must neither hang nor be lost.
func TestSupervisorKilledByItsScript(t *testing.T) {
	t.Parallel()
	e := supervisorExecutor(t)
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	out := newLines()
	s := sh(`sh -c 'echo $$; exec sleep 1000' & echo $$; read x <"$1"; kill $PPID; kill -KILL $PPID; sleep 1000`, fifo)
	s.Stdout = out
	p := start(t, e, s)
	tree := []proc{out.nextProc(t), out.nextProc(t)}
	if err := os.WriteFile(fifo, []byte("go\n"), 0); err != nil {
		t.Fatal(err)
	}
	res := wait(t, p)
	mustBeGone(t, tree...)
	if res.Err == nil || res.ExitCode != -1 || res.Cancelled || res.TimedOut || res.Cause != nil || !strings.Contains(res.Err.Error(), "signal: killed") {
		t.Errorf("%+v", res)
	}
}

func TestSupervisorStoppedByItsScript(t *testing.T) {
	t.Parallel()
	e := supervisorExecutor(t)
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	out := newLines()
	s := sh(`read x <"$1"; kill -STOP $PPID; (setsid sh -c 'echo $$; exec sleep 1000' &); sleep 1000`, fifo)
	s.Stdout = out
	p := start(t, e, s)
	if err := os.WriteFile(fifo, []byte("go\n"), 0); err != nil {
		t.Fatal(err)
	}
	child := out.nextProc(t)
	p.Kill(nil)
	res := wait(t, p)
	mustBeGone(t, child)
	if res.Err != nil || !res.Cancelled {
		t.Errorf("%+v", res)
	}
}
