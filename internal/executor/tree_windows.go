package executor

import (
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/windows"
)

// platform is the Windows side of an Executor: each step is a job object.
type platform struct{}

func (platform) init(*Executor, Config) {}
func (platform) method() string         { return "job" }

// jobTree is a tree in a job object of its own. The system ends it when the last
// handle of the job is closed, so it does not outlive an agent that dies; release
// takes that back for what a script that ended by itself left running.
type jobTree struct {
	job   *job
	h     Handle
	exits chan exit
}

func (e *Executor) startTree(l launch) (tree, error) {
	name := jobPrefix + rand.Text()
	j, err := openJob(name)
	if err != nil {
		return nil, err
	}
	t := &jobTree{job: j, exits: make(chan exit, 1), h: Handle{Job: name}}
	if err := j.killOnClose(true); err != nil {
		j.close()
		return nil, err
	}
	if err := l.beforeStart(t.h); err != nil {
		j.close()
		return nil, fmt.Errorf("prepare start: %w", err)
	}
	pid, process, err := startInJob(l, j)
	if err != nil {
		j.close()
		return nil, err
	}
	t.h.PID = pid
	t.h.StartTicks, _ = creationTime(process) // for KillLeftover, which then relies on the job alone
	go func() { t.exits <- waitProcess(pid, process) }()
	return t, nil
}

func (t *jobTree) handle() Handle      { return t.h }
func (t *jobTree) exited() <-chan exit { return t.exits }

func (t *jobTree) kill(wait time.Duration) error { return t.job.kill(time.Now().Add(wait)) }

// release lets daemons live on. Where the system does not take the limit back the
// handle stays open, and they live as long as the agent does.
func (t *jobTree) release() {
	if t.job.killOnClose(false) == nil {
		t.job.close()
	}
}

// waitProcess waits for the process and closes its handle.
func waitProcess(pid int, process windows.Handle) exit {
	defer func() { _ = windows.CloseHandle(process) }()
	_, err := windows.WaitForSingleObject(process, windows.INFINITE)
	var code uint32
	if err == nil {
		err = windows.GetExitCodeProcess(process, &code)
	}
	if err != nil {
		return exit{code: -1, err: fmt.Errorf("wait for process %d: %w", pid, err)}
	}
	// An exit code is 32 bits with a sign here as for AWS: 0xC0000005, an access
	// violation, is -1073741819.
	return exit{code: int(int32(code))}
}

// creationTime is when a process began, in 100 ns since 1601.
func creationTime(process windows.Handle) (uint64, error) {
	var created, exited, kernel, user windows.Filetime
	if err := windows.GetProcessTimes(process, &created, &exited, &kernel, &user); err != nil {
		return 0, err
	}
	return uint64(created.HighDateTime)<<32 | uint64(created.LowDateTime), nil
}

// KillLeftover kills what is left of a step that an earlier run of the agent
// started, and returns when it is gone. Mostly there is nothing: the system ended
// the tree when the agent ended. A process that merely has the same id as the
// handle's is not touched.
func (e *Executor) KillLeftover(h Handle) error {
	deadline := time.Now().Add(e.killWait)
	err := errors.Join(killLeftoverJob(h.Job, deadline), killLeftoverProcess(h, deadline))
	if err != nil {
		return fmt.Errorf("kill leftover of a step: %w", err)
	}
	return nil
}

// killLeftoverProcess ends the step's first process, or waits for its end that
// has begun with the agent's.
func killLeftoverProcess(h Handle, deadline time.Time) error {
	if h.PID <= 0 || h.StartTicks == 0 {
		return nil
	}
	process, err := windows.OpenProcess(windows.PROCESS_TERMINATE|windows.PROCESS_QUERY_LIMITED_INFORMATION|windows.SYNCHRONIZE, false, uint32(h.PID))
	if errors.Is(err, windows.ERROR_INVALID_PARAMETER) {
		return nil // there is none of this id
	}
	if err != nil {
		return fmt.Errorf("open process %d: %w", h.PID, err)
	}
	defer func() { _ = windows.CloseHandle(process) }()
	if began, err := creationTime(process); err != nil || began != h.StartTicks {
		return err
	}
	// What is ending already refuses to be ended; the wait tells.
	err = windows.TerminateProcess(process, killedExitCode)
	event, werr := windows.WaitForSingleObject(process, milliseconds(time.Until(deadline)))
	if werr == nil && event == windows.WAIT_OBJECT_0 {
		return nil
	}
	return errors.Join(fmt.Errorf("process %d is still alive", h.PID), err, werr)
}

// IsSupervisor is false: supervisors are for Linux.
func IsSupervisor([]string) bool { return false }

// SuperviseMain does nothing here.
func SuperviseMain([]string) int { return 2 }
