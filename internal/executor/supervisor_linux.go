package executor

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// The supervisor's descriptors beyond its own /dev/null ones.
const (
	controlFD = 3
	scriptFD  = 4 // stdin, stdout, stderr of the script: 4, 5, 6
)

// Exit codes of a supervisor; nobody but a reader of logs looks at them.
const (
	supervisorOK    = 0
	supervisorUsage = 2
	supervisorError = 3
)

// IsSupervisor reports whether a program with these arguments (os.Args) was
// started by an [Executor] to supervise a step. Each binary that runs steps asks
// it first thing in main:
//
//	if executor.IsSupervisor(os.Args) {
//		os.Exit(executor.SuperviseMain(os.Args))
//	}
func IsSupervisor(args []string) bool { return len(args) >= 2 && args[1] == superviseArg }

// SuperviseMain is the whole life of a supervising process; it returns the exit
// code for os.Exit.
//
// It makes itself the reaper of its descendants, starts the one program that the
// agent sends over the control connection, reports how it ended, and reaps all
// else. It ends when no descendant is left, or when the agent releases it after
// the step: the daemons that live on are then init's. It does not end because the
// agent did, and it kills nobody: whoever ends the tree finds it below this
// process (see KillLeftover), even if that is stopped.
//
// It is on the way of every start, so it does one thing after the other on one
// thread as long as the script runs.
func SuperviseMain(args []string) int {
	if !IsSupervisor(args) {
		return supervisorUsage
	}
	for fd := controlFD; fd <= scriptFD+2; fd++ {
		syscall.CloseOnExec(fd)
	}
	ctl := os.NewFile(controlFD, "control")
	script, err := startOrdered(ctl)
	if err != nil {
		var errno syscall.Errno
		_ = errors.As(err, &errno)
		_ = writeFrame(ctl, frameFailed, strconv.Itoa(int(errno)), err.Error())
		return supervisorError
	}
	// Only now, for what is ignored at the start stays ignored in the script. A
	// script that signals its parent must not lose itself.
	signal.Ignore(unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGQUIT)
	started, _ := readProc(script) // not yet waited for, so it is there, dead or alive
	// An agent that has died reads no frame; the script is to run on.
	_ = writeFrame(ctl, frameStarted, strconv.Itoa(script), strconv.FormatUint(started.start, 10))
	return reap(ctl, script)
}

// startOrdered receives the order and starts the script, in a session of its own
// so that nothing aimed at it hits the supervisor.
func startOrdered(ctl io.Reader) (pid int, err error) {
	f, err := readFrame(ctl)
	if err != nil {
		return 0, fmt.Errorf("receive order: %w", err)
	}
	if len(f) < 5 || f[0] != frameStart {
		return 0, fmt.Errorf("receive order: unknown %q", f[0])
	}
	user, err := parseUser(f[3])
	if err != nil {
		return 0, fmt.Errorf("receive order: %w", err)
	}
	nargs, err := strconv.Atoi(f[4])
	if err != nil || nargs < 1 || nargs > len(f)-5 {
		return 0, fmt.Errorf("receive order: bad number of arguments %q", f[4])
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return 0, fmt.Errorf("become reaper: %w", err)
	}
	pid, err = syscall.ForkExec(f[1], f[5:5+nargs], &syscall.ProcAttr{
		Dir: f[2], Env: f[5+nargs:],
		Files: []uintptr{scriptFD, scriptFD + 1, scriptFD + 2},
		Sys:   &syscall.SysProcAttr{Setsid: true, Credential: user.credential()},
	})
	if err != nil {
		return 0, fmt.Errorf("start script: %w", err)
	}
	// Else the output would stay open as long as we live.
	for fd := scriptFD; fd <= scriptFD+2; fd++ {
		_ = unix.Close(fd)
	}
	return pid, nil
}

// reap waits for every descendant until none is left. The agent says nothing
// before it knows that the script has ended.
func reap(ctl *os.File, script int) int {
	for {
		var ws syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &ws, 0, nil)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.ECHILD):
			return supervisorOK
		case err != nil:
			return supervisorError
		}
		if pid == script {
			_ = writeFrame(ctl, frameExited, strconv.FormatUint(uint64(ws), 10))
			go func() {
				if f, err := readFrame(ctl); err == nil && f[0] == frameRelease {
					os.Exit(supervisorOK)
				}
			}()
		}
	}
}
