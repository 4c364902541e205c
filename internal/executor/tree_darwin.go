package executor

import (
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// platform is the macOS side of an Executor: a tree is what leads to its first
// process when it is killed.
type platform struct{ boot string }

func (p *platform) init(e *Executor, _ Config) {
	boot, err := bootID()
	if err != nil {
		e.log.Warn("leftovers will not be recognized after a restart", "err", err)
	}
	p.boot = boot
}

func (*platform) method() string { return "descendants" }

type descendantTree struct {
	h     Handle
	exits chan exit
}

func (e *Executor) startTree(l launch) (tree, error) {
	t := &descendantTree{h: Handle{BootID: e.platform.boot}, exits: make(chan exit, 1)}
	if err := l.beforeStart(t.h); err != nil {
		return nil, fmt.Errorf("prepare start: %w", err)
	}
	child, err := os.StartProcess(l.path, l.argv, &os.ProcAttr{
		Dir: l.dir, Env: l.env, Files: l.files[:],
		Sys: &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return nil, err
	}
	t.h.PID = child.Pid
	// Not yet waited for, so the id is still this child's, dead or alive.
	if p, err := readProc(child.Pid); err == nil {
		t.h.StartTicks = p.start
	}
	go func() { t.exits <- waitProcess(child) }()
	return t, nil
}

func (t *descendantTree) handle() Handle      { return t.h }
func (t *descendantTree) exited() <-chan exit { return t.exits }
func (t *descendantTree) release()            {}

func (t *descendantTree) kill(wait time.Duration) error {
	return killTree(t.h, time.Now().Add(wait))
}

// killTree ends the first process, its descendants and the session that it led.
// Its session is found after it has ended too: the id is given to no other
// process while one is in it.
func killTree(h Handle, deadline time.Time) error {
	root := proc{pid: h.PID, start: h.StartTicks}
	found, err := freeze(func(all []proc) []proc {
		if found := membersOf(root)(all); found != nil {
			return found
		}
		return sessionOf(root, all)
	})
	if eerr := endAll(found, deadline); eerr != nil {
		return eerr
	}
	return err
}

// sessionOf selects the session of a first process that has ended, and what
// descends from its members. Where another process has its id the session is that
// one's.
func sessionOf(root proc, all []proc) (found []proc) {
	if root.pid <= 1 || root.start == 0 {
		return nil
	}
	for _, p := range all {
		if p.pid == root.pid {
			return nil
		}
	}
	for _, p := range all {
		if p.session == root.pid && !p.dead() {
			found = append(append(found, p), descendantsOf(p.pid)(all)...)
		}
	}
	return found
}

// KillLeftover kills what is left of a step that an earlier run of the agent
// started, and returns when it is gone. A handle of another boot is nothing to do,
// and a process that merely has the same id as the handle's is not touched.
func (e *Executor) KillLeftover(h Handle) error {
	boot, err := bootID()
	if err != nil {
		return fmt.Errorf("kill leftover of a step: %w", err)
	}
	if h.BootID != boot || h.PID == 0 {
		return nil
	}
	if err := killTree(h, time.Now().Add(e.killWait)); err != nil {
		return fmt.Errorf("kill leftover of a step: %w", err)
	}
	return nil
}

// IsSupervisor is false: supervisors are for Linux.
func IsSupervisor([]string) bool { return false }

// SuperviseMain does nothing here.
func SuperviseMain([]string) int { return 2 }

func bootID() (string, error) {
	id, err := unix.Sysctl("kern.bootsessionuuid")
	if err != nil {
		return "", fmt.Errorf("read boot id: %w", err)
	}
	return id, nil
}
