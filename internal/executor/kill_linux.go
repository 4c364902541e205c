package executor

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

func (t *cgroupTree) kill(wait time.Duration) error {
	return killCgroupTree(t.group, t.h, time.Now().Add(wait))
}

// killCgroupTree kills what is in the cgroup and, of what moved out of it, all
// that descends from the script's first process or is in its session. The latter
// must be found before anything dies: an orphan has no ancestors to be found by.
func killCgroupTree(g *cgroup, h Handle, deadline time.Time) error {
	found, ferr := freeze(membersOf(proc{pid: h.PID, start: h.StartTicks}))
	return errors.Join(ferr, g.kill(deadline), endAll(found, deadline))
}

// KillLeftover kills what is left of a step that an earlier run of the agent
// started, daemons included, and returns when it is gone. A zero handle, one of
// another boot or one whose processes are gone is nothing to do. A process that
// merely has the same id as one of the handle is not touched.
//
// It is for steps that the journal shows as not finished: the daemons of a step
// that ended by itself are meant to live.
func (e *Executor) KillLeftover(h Handle) error {
	boot, err := bootID()
	if err != nil {
		return fmt.Errorf("kill leftover of a step: %w", err)
	}
	if h.BootID != boot {
		return nil
	}
	deadline := time.Now().Add(e.killWait)
	var errs []error
	if h.Cgroup != "" {
		errs = append(errs, killLeftoverCgroup(h, deadline))
	}
	errs = append(errs, killSupervised(proc{pid: h.SupervisorPID, start: h.SupervisorStartTicks}, deadline))
	// What is left after a supervisor that was killed, or outside a cgroup that
	// this namespace does not show.
	errs = append(errs, killBelow(proc{pid: h.PID, start: h.StartTicks}, deadline))
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("kill leftover of a step: %w", err)
	}
	return nil
}

func killLeftoverCgroup(h Handle, deadline time.Time) error {
	var fs unix.Statfs_t
	err := unix.Statfs(h.Cgroup, &fs)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look at cgroup: %w", err)
	}
	if fs.Type != unix.CGROUP2_SUPER_MAGIC || !strings.HasPrefix(filepath.Base(h.Cgroup), cgroupPrefix) {
		return fmt.Errorf("the handle's %q is no cgroup of a step", h.Cgroup)
	}
	g := &cgroup{path: h.Cgroup}
	if err := killCgroupTree(g, h, deadline); err != nil {
		return err
	}
	return g.remove()
}

// killSupervised ends all that is below a supervisor, orphans included, and then
// the supervisor itself. It stays alive to the last, as the one process that what
// escapes a round becomes a child of.
func killSupervised(sup proc, deadline time.Time) error {
	below := func(all []proc) []proc {
		return slices.DeleteFunc(membersOf(sup)(all), func(p proc) bool { return p.pid == sup.pid })
	}
	for {
		found, err := freeze(below)
		if err == nil && len(found) > 0 {
			err = endAll(found, deadline)
		}
		if err != nil {
			return err
		}
		if len(found) == 0 {
			break
		}
	}
	return killBelow(sup, deadline)
}

// killBelow ends a process, everything below it and its session, if it still is
// the process that it was.
func killBelow(root proc, deadline time.Time) error {
	found, err := freeze(membersOf(root))
	return errors.Join(err, endAll(found, deadline))
}
