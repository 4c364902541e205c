package executor

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"
)

// platform is the Windows side of an Executor. A step is one process: a kill
// ends the program alone, not its children. Whole trees come with job objects.
type platform struct{}

func (platform) init(*Executor, Config) {}
func (platform) method() string         { return "process" }

type processTree struct {
	proc  *os.Process
	exits chan exit
}

func (e *Executor) startTree(l launch) (tree, error) {
	if err := l.beforeStart(Handle{}); err != nil {
		return nil, fmt.Errorf("prepare start: %w", err)
	}
	child, err := os.StartProcess(l.path, l.argv, &os.ProcAttr{Dir: l.dir, Env: l.env, Files: l.files[:]})
	if err != nil {
		return nil, err
	}
	t := &processTree{proc: child, exits: make(chan exit, 1)}
	go func() {
		state, err := child.Wait()
		if err != nil {
			t.exits <- exit{code: -1, err: fmt.Errorf("wait for process %d: %w", child.Pid, err)}
			return
		}
		t.exits <- exit{code: state.ExitCode()}
	}()
	return t, nil
}

func (t *processTree) handle() Handle      { return Handle{PID: t.proc.Pid} }
func (t *processTree) exited() <-chan exit { return t.exits }
func (t *processTree) release()            {}

func (t *processTree) kill(time.Duration) error {
	if err := t.proc.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill process %d: %w", t.proc.Pid, err)
	}
	return nil
}

// KillLeftover cannot tell a leftover process from a later one with its id here,
// so it kills nothing: a handle with a process is an error that wraps
// errors.ErrUnsupported.
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

// resolveProgram finds the program by the system's own rules (PATHEXT and the
// agent's PATH): the environment of the step has no part in them.
func resolveProgram(path, _ string, _ []string) (string, error) {
	file, err := exec.LookPath(path)
	if err != nil {
		return "", fmt.Errorf("find program: %w", err)
	}
	return file, nil
}

func checkDir(dir string) error {
	fi, err := os.Stat(dir)
	if err == nil && !fi.IsDir() {
		err = fmt.Errorf("%q is no directory", dir)
	}
	return err
}
