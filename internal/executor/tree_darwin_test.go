package executor

import (
	"bufio"
	"errors"
	"io"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// brood starts children of each kind that a kill can find, prints their ids and
// waits: a plain one, an orphan of the session, one in a group of its own, and one
// in a session of its own.
const brood = `
sleep 1000 & echo $!
(sleep 1000 & echo $!)
set -m; sleep 1000 & echo $!
perl -MPOSIX -e 'POSIX::setsid(); $| = 1; print "$$\n"; sleep 1000' &
wait`

func startBrood(t *testing.T, e *Executor) (*Process, []proc) {
	t.Helper()
	r, w := io.Pipe()
	p, err := e.Start(t.Context(), Spec{Path: "/bin/sh", Args: []string{"-c", brood}, Env: []string{"PATH=/usr/bin:/bin"}, Stdout: w})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Kill(nil); p.Wait(); _ = r.Close() })
	var procs []proc
	lines := bufio.NewScanner(r)
	for range 4 {
		if !lines.Scan() {
			t.Fatal(lines.Err())
		}
		pid, err := strconv.Atoi(lines.Text())
		if err != nil {
			t.Fatal(err)
		}
		child, err := readProc(pid)
		if err != nil {
			t.Fatal(err)
		}
		procs = append(procs, child)
	}
	go func() { _, _ = io.Copy(io.Discard, r) }()
	return p, procs
}

func TestKillEndsTheTree(t *testing.T) {
	t.Parallel()
	p, procs := startBrood(t, New(Config{}))
	p.Kill(errors.New("cancel asked for"))
	res := p.Wait()
	for _, child := range procs {
		if child.running() {
			t.Errorf("process %d is alive", child.pid)
		}
	}
	if !res.Cancelled || res.ExitCode != 137 || res.Err != nil {
		t.Errorf("%+v", res)
	}
}

func TestKillLeftover(t *testing.T) {
	t.Parallel()
	e := New(Config{})
	p, procs := startBrood(t, e)
	h := p.Handle()
	other := h
	other.StartTicks++
	if err := e.KillLeftover(other); err != nil || !procs[0].running() {
		t.Errorf("a later process with this id: %v", err)
	}
	if err := e.KillLeftover(h); err != nil {
		t.Error(err)
	}
	for _, child := range procs {
		if !child.waitGone(time.Now().Add(5 * time.Second)) {
			t.Errorf("process %d is alive", child.pid)
			_ = child.signal(unix.SIGKILL)
		}
	}
}

func TestSessionOfAnEndedProcess(t *testing.T) {
	t.Parallel()
	all := []proc{
		{pid: 20, ppid: 1, session: 10, state: 'S'},
		{pid: 30, ppid: 20, session: 30, state: 'S'},
		{pid: 40, ppid: 1, session: 40, state: 'S'},
		{pid: 50, ppid: 1, session: 10, state: 'Z'},
	}
	root := proc{pid: 10, start: 7}
	if diff := cmp.Diff(all[:2], sessionOf(root, all), cmp.AllowUnexported(proc{})); diff != "" {
		t.Error(diff)
	}
	if got := sessionOf(root, append(all, proc{pid: 10, start: 9})); got != nil {
		t.Errorf("the session of a later process: %v", got)
	}
}
