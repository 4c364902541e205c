package executor

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// readProc avoids package os, which would register each file with the poller: a
// kill reads every process of the machine, at least twice.
func readProc(pid int) (proc, error) {
	name := "/proc/" + strconv.Itoa(pid) + "/stat"
	fd, err := retry(func() (int, error) { return unix.Open(name, unix.O_RDONLY|unix.O_CLOEXEC, 0) })
	if err != nil {
		return proc{}, &os.PathError{Op: "open", Path: name, Err: err}
	}
	defer func() { _ = unix.Close(fd) }()
	var b [1024]byte // some 50 numbers
	n, err := retry(func() (int, error) { return unix.Read(fd, b[:]) })
	if err != nil {
		return proc{}, &os.PathError{Op: "read", Path: name, Err: err}
	}
	return parseStat(b[:n])
}

func retry(call func() (int, error)) (int, error) {
	for {
		if n, err := call(); !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}

// parseStat reads "PID (NAME) STATE PPID PGRP SESSION … START …". A name may
// hold anything, spaces and brackets included, so the fields begin after the
// last closing one.
func parseStat(b []byte) (proc, error) {
	open, end := bytes.IndexByte(b, '('), bytes.LastIndexByte(b, ')')
	if open < 0 || end < open {
		return proc{}, fmt.Errorf("parse process status %q: no name", b)
	}
	f := bytes.Fields(b[end+1:])
	if len(f) < 20 || len(f[0]) != 1 {
		return proc{}, fmt.Errorf("parse process status %q: %d fields after the name", b, len(f))
	}
	p := proc{state: f[0][0]}
	var errs [4]error
	p.pid, errs[0] = strconv.Atoi(string(bytes.TrimSpace(b[:open])))
	p.ppid, errs[1] = strconv.Atoi(string(f[1]))
	p.session, errs[2] = strconv.Atoi(string(f[3]))
	p.start, errs[3] = strconv.ParseUint(string(f[19]), 10, 64)
	if err := errors.Join(errs[:]...); err != nil {
		return proc{}, fmt.Errorf("parse process status: %w", err)
	}
	return p, nil
}

// listProcs reads all processes; those that end meanwhile are left out.
func listProcs() ([]proc, error) {
	d, err := os.Open("/proc")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	defer func() { _ = d.Close() }()
	names, err := d.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	all := make([]proc, 0, len(names))
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		if p, err := readProc(pid); err == nil {
			all = append(all, p)
		}
	}
	return all, nil
}

func bootID() (string, error) {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("read boot id: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}

// running reports whether this very process still runs.
func (p proc) running() bool {
	now, err := readProc(p.pid)
	return err == nil && now.start == p.start && !now.dead()
}

// signal sends to this very process, never to a later one of the same id: the
// descriptor is taken first and its identity is checked afterwards.
func (p proc) signal(sig syscall.Signal) error {
	fd, err := unix.PidfdOpen(p.pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err == nil {
		defer func() { _ = unix.Close(fd) }()
	}
	if !p.running() {
		return nil
	}
	if err == nil {
		err = unix.PidfdSendSignal(fd, sig, nil, 0)
	} else {
		err = unix.Kill(p.pid, sig) // before Linux 5.3 there is no descriptor
	}
	if err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("signal process %d: %w", p.pid, err)
	}
	return nil
}

// waitGone waits until the process runs no more; false if it still does at the
// deadline.
func (p proc) waitGone(deadline time.Time) bool {
	fd, err := unix.PidfdOpen(p.pid, 0)
	if err == nil {
		defer func() { _ = unix.Close(fd) }()
	}
	for p.running() {
		left := time.Until(deadline)
		if left <= 0 {
			return false
		}
		if err != nil {
			fd = -1 // poll ignores it: a plain pause
			left = min(left, 5*time.Millisecond)
		}
		pollFD(fd, unix.POLLIN, left)
	}
	return true
}

// pollFD waits for an event, at most for d; errors count as an event, because
// every caller looks for itself afterwards.
func pollFD(fd int, events int16, d time.Duration) {
	ms := int(min(d, time.Second).Milliseconds()) + 1
	_, _ = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: events}}, ms)
}
