package executor

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// The frames between agent and supervisor: the agent sends one start and, when
// the step is over, one release; the supervisor answers with started or failed,
// then with exited.
const (
	frameStart   = "start"   // program, directory, user, number of arguments, arguments…, environment…
	frameStarted = "started" // pid, start in ticks
	frameFailed  = "failed"  // errno or 0, text
	frameExited  = "exited"  // wait status as the kernel gives it
	frameRelease = "release" // leave what lives
)

// superviseArg is the supervisor's first argument; ps shows the step's ID after
// it.
const superviseArg = "executor-supervisor"

// supervisorStartWait bounds the start of a supervisor: it is this program, and
// one that never answers is a wrong SelfExe.
const supervisorStartWait = 20 * time.Second

// supervisedTree is a tree below a supervising process.
type supervisedTree struct {
	h     Handle
	sup   *os.Process
	ctl   *os.File
	exits chan exit
	gone  chan struct{} // closed when the supervisor has ended and was waited for
	// killed says that we end the supervisor, so that its end without a word is no
	// failure.
	killed atomic.Bool
}

func (e *Executor) startSupervised(l launch) (_ tree, err error) {
	ctl, theirs, err := controlPair()
	if err != nil {
		return nil, fmt.Errorf("start supervisor: %w", err)
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		_ = theirs.Close()
		_ = ctl.Close()
		return nil, fmt.Errorf("start supervisor: %w", err)
	}
	defer func() { _ = null.Close() }()
	sup, err := os.StartProcess(e.selfExe, []string{"ssmrun", superviseArg, l.id}, &os.ProcAttr{
		Dir: "/",
		// One running thread is all it needs, and it starts faster so.
		Env:   []string{"GOMAXPROCS=1"},
		Files: []*os.File{null, null, null, theirs, l.files[0], l.files[1], l.files[2]},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	_ = theirs.Close() // now, so that a supervisor's death is an end of file
	if err != nil {
		_ = ctl.Close()
		return nil, fmt.Errorf("start supervisor: %w", err)
	}
	t := &supervisedTree{
		sup: sup, ctl: ctl, exits: make(chan exit, 1), gone: make(chan struct{}),
		h: Handle{BootID: e.platform.boot, SupervisorPID: sup.Pid},
	}
	if st, err := readProc(sup.Pid); err == nil {
		t.h.SupervisorStartTicks = st.start
	}
	var state *os.ProcessState
	go func() {
		state, _ = sup.Wait()
		close(t.gone)
	}()
	defer func() {
		if err != nil {
			// Whatever stage it failed at, nothing may be left to run.
			_ = killSupervised(t.supervisor(), time.Now().Add(e.killWait))
			_ = sup.Kill()
			<-t.gone
			_ = ctl.Close()
		}
	}()
	if err := l.beforeStart(t.h); err != nil {
		return nil, fmt.Errorf("prepare start: %w", err)
	}
	if err := t.order(l); err != nil {
		return nil, err
	}
	go t.watch(func() string {
		<-t.gone
		return state.String()
	})
	return t, nil
}

// controlPair makes the two ends of the control connection: ours for the
// runtime's poller, theirs an ordinary blocking descriptor.
func controlPair() (ours, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	if err := unix.SetNonblock(fds[0], true); err != nil {
		return nil, nil, errors.Join(err, unix.Close(fds[0]), unix.Close(fds[1]))
	}
	return os.NewFile(uintptr(fds[0]), "control"), os.NewFile(uintptr(fds[1]), "control"), nil
}

// order sends the start and waits for its answer.
func (t *supervisedTree) order(l launch) error {
	_ = t.ctl.SetDeadline(time.Now().Add(supervisorStartWait))
	fields := append([]string{frameStart, l.path, l.dir, l.user.String(), strconv.Itoa(len(l.argv))}, l.argv...)
	err := writeFrame(t.ctl, append(fields, l.env...)...)
	var answer []string
	if err == nil {
		answer, err = readFrame(t.ctl)
	}
	_ = t.ctl.SetDeadline(time.Time{})
	switch {
	case err != nil:
		return fmt.Errorf("start under supervisor: no answer from it, the script may have begun (is the IsSupervisor dispatch the first thing in main?): %w", err)
	case len(answer) == 3 && answer[0] == frameFailed:
		if n, _ := strconv.Atoi(answer[1]); n != 0 {
			return &os.PathError{Op: "fork/exec", Path: l.path, Err: syscall.Errno(n)}
		}
		return fmt.Errorf("start under supervisor: %s", answer[2])
	case len(answer) == 3 && answer[0] == frameStarted:
		var perr, terr error
		t.h.PID, perr = strconv.Atoi(answer[1])
		t.h.StartTicks, terr = strconv.ParseUint(answer[2], 10, 64)
		return errors.Join(perr, terr)
	}
	return fmt.Errorf("start under supervisor: unknown answer %q", answer[0])
}

// watch receives the end of the script. stateOf waits for the supervisor's own
// end and describes it.
func (t *supervisedTree) watch(stateOf func() string) {
	f, err := readFrame(t.ctl)
	if err == nil && len(f) == 2 && f[0] == frameExited {
		if ws, perr := strconv.ParseUint(f[1], 10, 32); perr == nil {
			t.exits <- exitOf(syscall.WaitStatus(ws))
			return
		}
	}
	if t.killed.Load() {
		t.exits <- exit{code: killedExitCode, signal: int(unix.SIGKILL)}
		return
	}
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, unix.ECONNRESET) && !errors.Is(err, os.ErrClosed) {
		t.exits <- exit{code: -1, err: fmt.Errorf("wait for script: %w", err)}
		return
	}
	t.exits <- exit{code: -1, err: fmt.Errorf("wait for script: its supervising process %d has ended (%s)", t.h.SupervisorPID, stateOf())}
}

func (t *supervisedTree) handle() Handle      { return t.h }
func (t *supervisedTree) exited() <-chan exit { return t.exits }

func (t *supervisedTree) supervisor() proc {
	return proc{pid: t.h.SupervisorPID, start: t.h.SupervisorStartTicks}
}

func (t *supervisedTree) kill(wait time.Duration) error {
	deadline := time.Now().Add(wait)
	t.killed.Store(true)
	// The first is the rule; the second finds something only if the script has
	// killed its supervisor.
	err := errors.Join(
		killSupervised(t.supervisor(), deadline),
		killBelow(proc{pid: t.h.PID, start: t.h.StartTicks}, deadline))
	_ = t.sup.Kill() // for a system whose /proc does not show it
	<-t.gone
	return err
}

func (t *supervisedTree) release() {
	_ = writeFrame(t.ctl, frameRelease)
	_ = t.ctl.Close()
}
