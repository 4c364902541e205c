//go:build linux

package executor

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestMain lets the test binary stand for the agent's: it is re-executed as the
// supervisor, as an agent that is killed, and as one whose memory is measured.
// In the end it fails if any test left a process or a cgroup.
func TestMain(m *testing.M) {
	if IsSupervisor(os.Args) {
		os.Exit(SuperviseMain(os.Args))
	}
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case agentArg:
			os.Exit(agentMain())
		case cancelArg:
			os.Exit(cancelMain())
		case measureArg:
			os.Exit(measureMain())
		}
	}
	makeTestCgroup()
	code := m.Run()
	if err := errors.Join(leftProcesses(), removeTestCgroup()); err != nil {
		fmt.Fprintln(os.Stderr, "FAIL: left behind:", err)
		code = 1
	}
	os.Exit(code)
}

// testMark is in the environment of every script and the ID of every step.
var testMark = fmt.Sprintf("executor-test-%d-%d", os.Getpid(), time.Now().UnixNano())

// testCgroup is the parent of all tests' cgroups, so that what they leave is
// seen; empty where cgroups cannot be used, for the reason in testCgroupErr.
var (
	testCgroup    string
	testCgroupErr error
)

func makeTestCgroup() {
	mounts, _ := os.ReadFile("/proc/self/mountinfo")
	own, _ := os.ReadFile("/proc/self/cgroup")
	parent, err := findCgroupParent(mounts, own)
	if err == nil {
		testCgroup = filepath.Join(parent, testMark)
		err = os.Mkdir(testCgroup, 0o755)
	}
	if err != nil {
		testCgroup, testCgroupErr = "", err
	}
}

func removeTestCgroup() error {
	if testCgroup == "" {
		return nil
	}
	left, _ := filepath.Glob(testCgroup + "/" + cgroupPrefix + "*")
	if err := removeCgroups(testCgroup); err != nil || len(left) > 0 {
		return errors.Join(fmt.Errorf("cgroups: %v", left), err)
	}
	return nil
}

// leftProcesses finds scripts by their environment and supervisors by their
// arguments. Some may be just ending.
func leftProcesses() error {
	var errs []error
	for _, p := range markedProcesses(testMark) {
		if !p.waitGone(time.Now().Add(5 * time.Second)) {
			cmd, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.pid))
			errs = append(errs, fmt.Errorf("process %d %q", p.pid, cmd))
			_ = p.signal(unix.SIGKILL)
		}
	}
	return errors.Join(errs...)
}

func markedProcesses(mark string) []proc {
	all, _ := listProcs()
	var found []proc
	for _, p := range all {
		env, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", p.pid))
		cmd, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.pid))
		if p.pid != os.Getpid() && !p.dead() && (bytes.Contains(env, []byte(mark)) || bytes.Contains(cmd, []byte(mark))) {
			found = append(found, p)
		}
	}
	return found
}

// eachMethod runs a test with each way of holding a tree.
func eachMethod(t *testing.T, test func(t *testing.T, e *Executor)) {
	t.Helper()
	t.Run("cgroup", func(t *testing.T) {
		t.Parallel()
		test(t, cgroupExecutor(t))
	})
	t.Run("supervisor", func(t *testing.T) {
		t.Parallel()
		test(t, supervisorExecutor(t))
	})
}

// eachKill adds the way of kernels that have no cgroup.kill.
func eachKill(t *testing.T, test func(t *testing.T, e *Executor)) {
	t.Helper()
	eachMethod(t, test)
	t.Run("cgroup before 5.14", func(t *testing.T) {
		t.Parallel()
		e := cgroupExecutor(t)
		e.platform.groups.noKillFile = true
		test(t, e)
	})
}

func cgroupExecutor(t testing.TB) *Executor {
	t.Helper()
	if testCgroup == "" {
		t.Skipf("no cgroup v2 to write: %v", testCgroupErr)
	}
	e := New(Config{CgroupParent: testCgroup, Logger: testLogger(t)})
	if got := e.Method(); got != "cgroup" {
		t.Fatalf("method %q although %s could be made", got, testCgroup)
	}
	t.Cleanup(func() { sweepWhenEmpty(t, e.platform.groups) })
	return e
}

// sweepWhenEmpty gives children that have closed their output, but not quite
// ended when their step was over, the time to do so.
func sweepWhenEmpty(t testing.TB, c *cgroups) {
	for dir := range c.lingering {
		f, err := os.Open(filepath.Join(dir, "cgroup.events"))
		if err != nil {
			continue
		}
		defer func() { _ = f.Close() }()
		for deadline := time.Now().Add(10 * time.Second); ; {
			if live, err := populatedIn(f); err != nil || !live {
				break
			}
			if time.Now().After(deadline) {
				t.Errorf("processes live in %s: %v", dir, (&cgroup{path: dir}).pids())
				break
			}
			pollFD(int(f.Fd()), unix.POLLPRI, time.Second)
		}
	}
	c.sweep()
}

func supervisorExecutor(t testing.TB) *Executor {
	t.Helper()
	e := New(Config{NoCgroup: true, Logger: testLogger(t)})
	if got := e.Method(); got != "supervisor" {
		t.Fatalf("method %q without cgroups", got)
	}
	return e
}

func testLogger(t testing.TB) *slog.Logger {
	if _, bench := t.(*testing.B); bench {
		return nil
	}
	return slog.New(slog.NewTextHandler(t.Output(), nil))
}

// testEnv is a script's environment: the system's commands and the test's mark.
func testEnv(more ...string) []string {
	return append([]string{"PATH=/usr/bin:/bin:/usr/sbin:/sbin", "EXECUTOR_TEST=" + testMark}, more...)
}

// sh is the step that runs the text as a shell script.
func sh(text string, args ...string) Spec {
	return Spec{
		Path: "sh", Args: append([]string{"-c", text, "sh"}, args...),
		Env: testEnv(), ID: testMark,
	}
}

// nextProc reads a line with a process id and looks the process up.
func (l *lines) nextProc(t *testing.T) proc {
	t.Helper()
	line := l.next(t)
	fields := strings.Fields(line)
	pid, err := strconv.Atoi(fields[len(fields)-1])
	if err != nil {
		t.Fatalf("line %q has no process id", line)
	}
	p, err := readProc(pid)
	if err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	return p
}

func mustBeGone(t *testing.T, procs ...proc) {
	t.Helper()
	for _, p := range procs {
		if p.running() {
			t.Errorf("process %d of the tree is alive", p.pid)
			_ = p.signal(unix.SIGKILL)
		}
	}
}

// killLater ends a daemon that a test leaves alive on purpose.
func killLater(t *testing.T, p proc) {
	t.Cleanup(func() {
		_ = p.signal(unix.SIGKILL)
		p.waitGone(time.Now().Add(10 * time.Second))
	})
}
