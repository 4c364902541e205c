package executor

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// The states of kinfo_proc, as the letters of /proc.
var states = [...]byte{1: 'R', 2: 'R', 3: 'S', 4: 'T', 5: 'Z'}

func procOf(k *unix.KinfoProc) proc {
	p := proc{pid: int(k.Proc.P_pid), ppid: int(k.Eproc.Ppid), state: 'R'}
	if i := int(k.Proc.P_stat); i > 0 && i < len(states) {
		p.state = states[i]
	}
	t := k.Proc.P_starttime
	p.start = uint64(t.Sec)*1_000_000 + uint64(t.Usec)
	// The list has the group; the session is the wider of the two.
	if sid, err := unix.Getsid(p.pid); err == nil {
		p.session = sid
	} else {
		p.session = int(k.Eproc.Pgid)
	}
	return p
}

func readProc(pid int) (proc, error) {
	k, err := unix.SysctlKinfoProc("kern.proc.pid", pid)
	if err != nil {
		return proc{}, fmt.Errorf("look up process %d: %w", pid, err)
	}
	return procOf(k), nil
}

// listProcs reads all processes.
func listProcs() ([]proc, error) {
	list, err := unix.SysctlKinfoProcSlice("kern.proc.all")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	all := make([]proc, len(list))
	for i := range list {
		all[i] = procOf(&list[i])
	}
	return all, nil
}

// running reports whether this very process still runs.
func (p proc) running() bool {
	now, err := readProc(p.pid)
	return err == nil && now.start == p.start && !now.dead()
}

// signal sends to this process, after a look whether it is the same still. The id
// would have to be given to another between the look and the signal to hit it;
// macOS gives ids in turn, and has no descriptor of a process.
func (p proc) signal(sig syscall.Signal) error {
	if !p.running() {
		return nil
	}
	if err := unix.Kill(p.pid, sig); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("signal process %d: %w", p.pid, err)
	}
	return nil
}

// waitGone waits until the process runs no more; false if it still does at the
// deadline.
func (p proc) waitGone(deadline time.Time) bool {
	for pause := time.Millisecond; p.running(); pause = min(2*pause, 10*time.Millisecond) {
		if time.Now().After(deadline) {
			return false
		}
		time.Sleep(pause)
	}
	return true
}
