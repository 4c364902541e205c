package executor

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
)

// jobPrefix begins the name of every step's job object; random letters follow.
// Global: the next agent may run in another session of the machine.
const jobPrefix = `Global\ssmrun-step-`

// job is a Windows job object: a set of processes that each child of a member
// belongs to and none can leave.
type job struct{ handle windows.Handle }

// openJob opens the job of this name, or makes it.
func openJob(name string) (*job, error) {
	p, err := windows.UTF16PtrFromString(name)
	if err != nil {
		return nil, fmt.Errorf("open job object: %w", err)
	}
	h, err := windows.CreateJobObject(nil, p)
	if err != nil {
		return nil, fmt.Errorf("open job object: %w", err)
	}
	return &job{h}, nil
}

func (j *job) close() { _ = windows.CloseHandle(j.handle) }

// killOnClose says whether the job's processes end with its last handle.
func (j *job) killOnClose(on bool) error {
	var limits windows.JOBOBJECT_EXTENDED_LIMIT_INFORMATION
	if on {
		limits.BasicLimitInformation.LimitFlags = windows.JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE
	}
	// Package windows takes the address as a number, which keeps nothing in place.
	var pin runtime.Pinner
	pin.Pin(&limits)
	defer pin.Unpin()
	_, err := windows.SetInformationJobObject(j.handle, windows.JobObjectExtendedLimitInformation,
		uintptr(unsafe.Pointer(&limits)), uint32(unsafe.Sizeof(limits)))
	if err != nil {
		return fmt.Errorf("set limits of job object: %w", err)
	}
	return nil
}

// accounting is what the system tells of a job (JOBOBJECT_BASIC_ACCOUNTING_INFORMATION).
type accounting struct {
	userTime, kernelTime, periodUser, periodKernel int64
	pageFaults, total, active, terminated          uint32
}

// active is how many processes of the job live.
func (j *job) active() (int, error) {
	var a accounting
	var pin runtime.Pinner
	pin.Pin(&a)
	defer pin.Unpin()
	err := windows.QueryInformationJobObject(j.handle, windows.JobObjectBasicAccountingInformation,
		uintptr(unsafe.Pointer(&a)), uint32(unsafe.Sizeof(a)), nil)
	if err != nil {
		return 0, fmt.Errorf("count processes of job object: %w", err)
	}
	return int(a.active), nil
}

// kill ends every process of the job and returns when they are gone. It looks
// itself, at first after a millisecond: the messages about a job's processes that
// a completion port gets may be lost, and a job has one port at most.
func (j *job) kill(deadline time.Time) error {
	for pause := time.Millisecond; ; pause = min(2*pause, 20*time.Millisecond) {
		// Again each time: a process that was just being made may come late.
		terr := windows.TerminateJobObject(j.handle, killedExitCode)
		n, err := j.active()
		switch {
		case err != nil:
			return errors.Join(terr, err)
		case n == 0:
			return nil
		case time.Now().After(deadline):
			return errors.Join(fmt.Errorf("%d processes of the job object are still alive", n), terr)
		}
		time.Sleep(pause)
	}
}

func milliseconds(d time.Duration) uint32 { return uint32(max(d, 0).Milliseconds()) }

// killLeftoverJob ends the job of this name. Where there is none any more an
// empty one is made for the moment, which comes to the same.
func killLeftoverJob(name string, deadline time.Time) error {
	if name == "" {
		return nil
	}
	if !strings.HasPrefix(name, jobPrefix) {
		return fmt.Errorf("the handle's %q is no job object of a step", name)
	}
	j, err := openJob(name)
	if err != nil {
		return err
	}
	defer j.close()
	return j.kill(deadline)
}
