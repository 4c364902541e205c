//go:build linux || darwin

package executor

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// proc is one process as the system's list shows it.
type proc struct {
	pid, ppid, session int
	state              byte   // R, S, D, T, Z, X, …
	start              uint64 // as in Handle.StartTicks
}

// dead says that the process runs no more; a zombie only waits for its parent.
func (p proc) dead() bool { return p.state == 'Z' || p.state == 'X' }

// members selects the processes of a tree out of all.
type members func(all []proc) []proc

// descendantsOf selects the live descendants of a process.
func descendantsOf(root int) members {
	return func(all []proc) []proc {
		children := make(map[int][]proc)
		for _, p := range all {
			children[p.ppid] = append(children[p.ppid], p)
		}
		var found []proc
		seen := map[int]bool{root: true}
		for queue := []int{root}; len(queue) > 0; queue = queue[1:] {
			for _, c := range children[queue[0]] {
				if !seen[c.pid] {
					seen[c.pid] = true
					found = append(found, c)
					queue = append(queue, c.pid)
				}
			}
		}
		return slices.DeleteFunc(found, proc.dead)
	}
}

// membersOf selects a process, its descendants and the session that it leads,
// as long as it is the process that it was.
func membersOf(root proc) members {
	return func(all []proc) []proc {
		i := slices.IndexFunc(all, func(p proc) bool { return p.pid == root.pid && p.start == root.start })
		if root.pid <= 1 || i < 0 {
			return nil
		}
		found := descendantsOf(root.pid)(all)
		for _, p := range all {
			if (p.pid == root.pid || p.session == root.pid) && !p.dead() && !slices.Contains(found, p) {
				found = append(found, p)
			}
		}
		return found
	}
}

// mayFork says that the process runs, sleeps, or waits inside a call, which may
// be a fork.
func (p proc) mayFork() bool { return p.state == 'R' || p.state == 'S' || p.state == 'D' }

// freezeRounds bounds the hunt for processes that fork while they are stopped;
// the callers repeat it as long as something is left.
const freezeRounds = 100

// freeze stops all members, so that none can fork away or lose its parent, and
// returns them. One that may not be stopped (sudo's, under an agent that is not
// root) is among them: its end will tell.
func freeze(of members) ([]proc, error) {
	type id struct {
		pid   int
		start uint64
	}
	stopped := make(map[id]proc)
	refused := make(map[id]bool)
	still := false // in the round before all were seen to have stopped
	for range freezeRounds {
		all, err := listProcs()
		if err != nil {
			return nil, err
		}
		fresh, moving := false, false
		for _, p := range of(all) {
			k := id{p.pid, p.start}
			if p.pid == os.Getpid() {
				continue
			}
			if _, ok := stopped[k]; ok {
				moving = moving || p.mayFork() && !refused[k]
				continue
			}
			fresh = true
			stopped[k] = p
			refused[k] = p.signal(unix.SIGSTOP) != nil
		}
		// The signal is no stop yet: a fork that is under way comes to its end.
		// What it made is seen in the round after all have stopped.
		if still && !fresh {
			break
		}
		still = !fresh && !moving
	}
	found := make([]proc, 0, len(stopped))
	for _, p := range stopped {
		found = append(found, p)
	}
	return found, nil
}

// killAll sends SIGKILL to each.
func killAll(procs []proc) error {
	var errs []error
	for _, p := range procs {
		errs = append(errs, p.signal(unix.SIGKILL))
	}
	return errors.Join(errs...)
}

// endAll kills the processes and waits until each is gone.
func endAll(procs []proc, deadline time.Time) error {
	err := killAll(procs)
	for _, p := range procs {
		if !p.waitGone(deadline) {
			err = errors.Join(err, fmt.Errorf("process %d is still alive", p.pid))
		}
	}
	return err
}
