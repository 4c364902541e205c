//go:build unix && !linux && !darwin

package executor

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// platform is the side of an Executor on Unix systems other than Linux and macOS,
// where a tree is the process group that the program leads. Children that made a group or
// session of their own survive a kill: holding them would take what each system
// has (procctl's reaper on FreeBSD).
type platform struct{}

func (platform) init(*Executor, Config) {}
func (platform) method() string         { return "group" }

type groupTree struct {
	pid   int
	exits chan exit
}

func (e *Executor) startTree(l launch) (tree, error) {
	if err := l.beforeStart(Handle{}); err != nil {
		return nil, fmt.Errorf("prepare start: %w", err)
	}
	child, err := os.StartProcess(l.path, l.argv, &os.ProcAttr{
		Dir: l.dir, Env: l.env, Files: l.files[:],
		Sys: &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return nil, err
	}
	t := &groupTree{pid: child.Pid, exits: make(chan exit, 1)}
	go func() { t.exits <- waitProcess(child) }()
	return t, nil
}

func (t *groupTree) handle() Handle      { return Handle{PID: t.pid} }
func (t *groupTree) exited() <-chan exit { return t.exits }
func (t *groupTree) release()            {}

// kill ends the group. Its id is not given to another process while a member
// lives, and a group without members is an ESRCH.
func (t *groupTree) kill(time.Duration) error {
	if err := syscall.Kill(-t.pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("kill process group %d: %w", t.pid, err)
	}
	return nil
}

// KillLeftover cannot tell a leftover process from a later one with its id on
// this system, so it kills nothing: a handle with a process is an error that
// wraps errors.ErrUnsupported.
func (e *Executor) KillLeftover(h Handle) error {
	if h.PID == 0 {
		return nil
	}
	return fmt.Errorf("kill leftover process %d of a step: %w on this system; look for it by hand", h.PID, errors.ErrUnsupported)
}

// IsSupervisor is false: supervisors are for Linux.
func IsSupervisor([]string) bool { return false }

// SuperviseMain does nothing here.
func SuperviseMain([]string) int { return 2 }
