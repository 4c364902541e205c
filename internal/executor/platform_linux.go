package executor

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// platform is the Linux side of an Executor.
type platform struct {
	groups  *cgroups    // nil without a usable cgroup v2
	refused atomic.Bool // the system lets us make cgroups but not start in them
	boot    string
}

func (p *platform) init(e *Executor, cfg Config) {
	if e.selfExe == "" {
		e.selfExe = "/proc/self/exe"
	}
	boot, err := bootID()
	if err != nil {
		e.log.Warn("leftovers will not be recognized after a restart", "err", err)
	}
	p.boot = boot
	if cfg.NoCgroup {
		return
	}
	if p.groups, err = openCgroups(cfg.CgroupParent, e.now()); err != nil {
		e.log.Info("no usable cgroup v2, each step gets a supervising process", "reason", err)
		return
	}
	e.log.Info("each step gets a cgroup", "parent", p.groups.parent)
}

func openCgroups(parent string, now time.Time) (*cgroups, error) {
	if parent == "" {
		mounts, err := os.ReadFile("/proc/self/mountinfo")
		if err != nil {
			return nil, fmt.Errorf("find cgroup: %w", err)
		}
		own, err := os.ReadFile("/proc/self/cgroup")
		if err != nil {
			return nil, fmt.Errorf("find cgroup: %w", err)
		}
		if parent, err = findCgroupParent(mounts, own); err != nil {
			return nil, err
		}
	}
	return newCgroups(parent, now)
}

func (p *platform) method() string {
	if p.groups != nil && !p.refused.Load() {
		return "cgroup"
	}
	return "supervisor"
}

// startTree starts the program in a cgroup, or under a supervisor where there is
// none. A start in a cgroup can be refused for reasons that only the try shows
// (seccomp, delegation, an old kernel), with the very errors that a program
// without execute permission has; the supervisor's try tells them apart.
func (e *Executor) startTree(l launch) (tree, error) {
	p := &e.platform
	if p.method() != "cgroup" {
		return e.startSupervised(l)
	}
	p.groups.sweep()
	t, err := e.startInCgroup(l)
	if errors.Is(err, errCgroupLost) {
		t, err = e.startInCgroup(l)
	}
	if err == nil {
		return t, nil
	}
	refused := isRefusal(err)
	if !refused && !errors.Is(err, errNoCgroup) {
		return nil, err
	}
	s, serr := e.startSupervised(l)
	if serr != nil {
		return nil, serr
	}
	if refused && p.refused.CompareAndSwap(false, true) {
		e.log.Warn("the system refuses starts in a cgroup, each step gets a supervising process from now on", "err", err)
	}
	return s, nil
}

var (
	// errNoCgroup means that no cgroup could be made or opened for this start.
	errNoCgroup = errors.New("no cgroup for the step")
	// errCgroupLost is one that was removed between its making and its use.
	errCgroupLost = fmt.Errorf("%w: removed before its use", errNoCgroup)
)

// isRefusal reports whether the start failed in a way that a refused birth into
// a cgroup has.
func isRefusal(err error) bool {
	var perr *os.PathError
	if !errors.As(err, &perr) || perr.Op != "fork/exec" {
		return false
	}
	for _, errno := range []error{unix.EPERM, unix.EACCES, unix.ENOSYS, unix.EINVAL, unix.EOPNOTSUPP, unix.EBUSY, unix.E2BIG} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}

// cgroupTree is a tree in a cgroup of its own.
type cgroupTree struct {
	groups *cgroups
	group  *cgroup
	h      Handle
	exits  chan exit
}

func (e *Executor) startInCgroup(l launch) (_ tree, err error) {
	p := &e.platform
	g, err := p.groups.create(l.id)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNoCgroup, err)
	}
	defer func() {
		if err != nil {
			p.groups.retire(g)
		}
	}()
	t := &cgroupTree{
		groups: p.groups, group: g, exits: make(chan exit, 1),
		h: Handle{BootID: p.boot, Cgroup: g.path},
	}
	if err := l.beforeStart(t.h); err != nil {
		return nil, fmt.Errorf("prepare start: %w", err)
	}
	dir, err := unix.Open(g.path, unix.O_DIRECTORY|unix.O_CLOEXEC|unix.O_PATH, 0)
	if errors.Is(err, unix.ENOENT) {
		return nil, errCgroupLost
	}
	if err != nil {
		return nil, fmt.Errorf("%w: open: %w", errNoCgroup, err)
	}
	defer func() { _ = unix.Close(dir) }()
	child, err := os.StartProcess(l.path, l.argv, &os.ProcAttr{
		Dir: l.dir, Env: l.env, Files: l.files[:],
		Sys: &syscall.SysProcAttr{Setsid: true, UseCgroupFD: true, CgroupFD: dir, Credential: l.user.credential()},
	})
	if err != nil {
		// The error of a start in a removed cgroup is that of a missing program.
		if _, lost := os.Lstat(g.path); lost != nil {
			return nil, errCgroupLost
		}
		return nil, err
	}
	t.h.PID = child.Pid
	// Not yet waited for, so the id is still this child's, dead or alive.
	if st, err := readProc(child.Pid); err == nil {
		t.h.StartTicks = st.start
	}
	go func() { t.exits <- waitProcess(child) }()
	return t, nil
}

func (t *cgroupTree) handle() Handle      { return t.h }
func (t *cgroupTree) exited() <-chan exit { return t.exits }
func (t *cgroupTree) release()            { t.groups.retire(t.group) }
