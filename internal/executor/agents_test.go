//go:build linux

package executor

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// What the test binary becomes when it is executed with one of these.
const (
	agentArg   = "executor-test-agent"
	cancelArg  = "executor-test-cancel"
	measureArg = "executor-test-measure"
)

// agentMain is an agent that starts a step and then waits to be killed. Its
// arguments: the cgroup parent or nothing, the mark, the script. It prints the
// journalled handle, the full one, and then what the script prints.
func agentMain() int {
	parent, mark, script := os.Args[2], os.Args[3], os.Args[4]
	e := New(Config{CgroupParent: parent, NoCgroup: parent == ""})
	show := json.NewEncoder(os.Stdout)
	_, err := e.Start(context.Background(), Spec{
		Path: "sh", Args: []string{"-c", script}, ID: mark,
		Env:         []string{"PATH=/usr/bin:/bin", "EXECUTOR_TEST=" + mark},
		BeforeStart: func(h Handle) error { return show.Encode(h) },
		Stdout:      os.Stdout, Stderr: os.Stderr,
	})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	select {}
}

// startAgent runs agentMain and returns it with its journalled handle and the
// lines that follow.
func startAgent(t *testing.T, parent, script string) (agent *exec.Cmd, journalled Handle, out *lines) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	agent = exec.Command(self, agentArg, parent, testMark, script)
	pipe, err := agent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := agent.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = agent.Process.Kill()
		_ = agent.Wait()
	})
	out = newLines()
	go func() {
		for s := bufio.NewScanner(pipe); s.Scan(); {
			_, _ = out.Write(append(s.Bytes(), '\n'))
		}
	}()
	line := out.next(t)
	if err := json.Unmarshal([]byte(line), &journalled); err != nil {
		t.Fatalf("agent printed %q: %v", line, err)
	}
	return agent, journalled, out
}

// The agent is killed; the script runs on until the next agent ends its tree
// with the handle from the journal, which was written before the script began.
func TestKillLeftover(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("setsid"); err != nil {
		t.Skip("no setsid command")
	}
	eachMethod(t, func(t *testing.T, e *Executor) {
		parent := testCgroup
		if e.Method() != "cgroup" {
			parent = ""
		}
		for _, ended := range []string{"wait", "exit 0"} { // open because its children hold the output
			agent, h, out := startAgent(t, parent, stubborn+ended)
			var procs []proc
			for range stubbornCount {
				procs = append(procs, out.nextProc(t))
			}
			if err := agent.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = agent.Wait()
			for _, p := range procs {
				if !p.running() {
					t.Errorf("%s: process %d ended with the agent", ended, p.pid)
				}
			}
			for _, again := range []string{"", "again"} {
				if err := e.KillLeftover(h); err != nil {
					t.Errorf("%s: kill leftover %s: %v", ended, again, err)
				}
			}
			mustBeGone(t, procs...)
			if h.Cgroup != "" {
				if _, err := os.Stat(h.Cgroup); !os.IsNotExist(err) {
					t.Errorf("%s: the cgroup is left: %v", ended, err)
				}
			}
		}
	})
}

// A leftover whose supervisor was killed too is found by its first process.
func TestKillLeftoverWithoutSupervisor(t *testing.T) {
	t.Parallel()
	e := supervisorExecutor(t)
	out := newLines()
	s := sh(`sh -c 'echo $$; exec sleep 1000' & echo $$; wait`)
	s.Stdout = out
	p := start(t, e, s)
	tree := []proc{out.nextProc(t), out.nextProc(t)}
	h := p.Handle()
	h.SupervisorPID, h.SupervisorStartTicks = 0, 0
	if err := e.KillLeftover(h); err != nil {
		t.Error(err)
	}
	mustBeGone(t, tree...)
	if res := wait(t, p); res.ExitCode != 137 || res.Signal != 9 || res.Cancelled || res.TimedOut {
		t.Errorf("%+v", res)
	}
}

// Process ids come round again: whoever has one of the handle's now is spared.
func TestKillLeftoverSparesOthers(t *testing.T) {
	t.Parallel()
	e := supervisorExecutor(t)
	other := exec.Command("sleep", "1000")
	other.Env = testEnv()
	other.SysProcAttr = &unix.SysProcAttr{Setsid: true}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = other.Process.Kill()
		_ = other.Wait()
	})
	p, err := readProc(other.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	boot, err := bootID()
	if err != nil {
		t.Fatal(err)
	}
	for name, h := range map[string]Handle{
		"nothing":        {},
		"another boot":   {BootID: "another", PID: p.pid, StartTicks: p.start, SupervisorPID: p.pid, SupervisorStartTicks: p.start, Cgroup: "/"},
		"another start":  {BootID: boot, PID: p.pid, StartTicks: p.start - 1, SupervisorPID: p.pid, SupervisorStartTicks: p.start + 1},
		"process one":    {BootID: boot, PID: 1},
		"missing cgroup": {BootID: boot, Cgroup: "/no/such/" + cgroupPrefix + "x"},
	} {
		if err := e.KillLeftover(h); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := e.KillLeftover(Handle{BootID: boot, Cgroup: t.TempDir()}); err == nil {
		t.Error("a folder that is no step's cgroup was accepted")
	}
	if !p.running() {
		t.Error("a process that is not the handle's was killed")
	}
}

// cancelMain starts a step, waits until its script has printed all ids, kills it
// and prints what failed. Its arguments: number of ids, mark, script.
func cancelMain() int {
	n, _ := strconv.Atoi(os.Args[2])
	out := newLines()
	e := New(Config{NoCgroup: true, KillWait: 500 * time.Millisecond})
	e.strayWait = 100 * time.Millisecond
	p, err := e.Start(context.Background(), Spec{
		Path: "sh", Args: []string{"-c", os.Args[4]}, ID: os.Args[3],
		Env: []string{"PATH=/usr/bin:/bin", "EXECUTOR_TEST=" + os.Args[3]}, Stdout: out,
	})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	var ids []string
	for range n {
		ids = append(ids, <-out.ch)
	}
	p.Kill(nil)
	fmt.Println(strings.Join(ids, " "))
	fmt.Println(strings.ReplaceAll(fmt.Sprint(p.Wait().Err), "\n", "; "))
	return 0
}

// An agent that is not root cannot kill what sudo made root's. It kills all else,
// says which one is left, and the step ends.
func TestKillOfWhatMayNotBeKilled(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("only root can make a program that becomes root's")
	}
	setpriv, err := exec.LookPath("setpriv")
	if err != nil {
		t.Skip("no setpriv command")
	}
	//nolint:usetesting // another user cannot enter t.TempDir
	dir, err := os.MkdirTemp("", "executor-test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for name, from := range map[string]string{"agent": self, "become-root": setpriv} {
		b, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := WriteScript(filepath.Join(dir, name), b, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Chmod(dir, 0o755), os.Chmod(filepath.Join(dir, "become-root"), 0o755|os.ModeSetuid)); err != nil {
		t.Fatal(err)
	}
	agent := exec.Command(filepath.Join(dir, "agent"), cancelArg, "4", testMark,
		dir+`/become-root --reuid 0 sh -c 'grep Uid: /proc/$$/status; echo $$; exec sleep 1000' &
		(setsid sh -c 'echo $$; exec sleep 1000' &)
		echo $$; wait`)
	agent.Dir = "/"
	agent.SysProcAttr = &unix.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	b, err := agent.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, b)
	}
	ids, failure, _ := strings.Cut(string(b), "\n")
	if !strings.Contains(ids, "Uid:\t0\t0\t0") {
		t.Skipf("nothing becomes root's here (a mount without suid?): %q", ids)
	}
	left := 0
	for _, p := range markedProcesses(testMark) {
		if strings.Contains(" "+ids+" ", fmt.Sprintf(" %d ", p.pid)) {
			left++
			killLater(t, p)
			if !strings.Contains(failure, fmt.Sprintf("process %d is still alive", p.pid)) {
				t.Errorf("process %d is left, told: %s", p.pid, failure)
			}
		}
	}
	if left != 1 {
		t.Errorf("%d processes of %q are left, told: %s", left, ids, failure)
	}
}

// measured is what one process says about reading a script's output.
type measured struct {
	Total, Written    int64
	Head              int
	Exit              int
	Seconds           float64
	HeapGrowth        uint64 // bytes in use after it, above those before
	PeakRSS, StartRSS int64  // KiB
}

const gibibyte = 1 << 30

// measureMain runs a script that writes 1 GiB, in a process of its own so that
// nothing else is in its memory. Its argument is a spool file.
func measureMain() int {
	e := New(Config{NoCgroup: true})
	out := NewCapture(24_000)
	file, err := os.OpenFile(os.Args[2], os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	m := measured{StartRSS: peakRSS()}
	p, err := e.Start(context.Background(), Spec{
		Path: "head", Args: []string{"-c", strconv.Itoa(gibibyte), "/dev/zero"},
		Env: []string{"PATH=/usr/bin:/bin"}, Stdout: io.MultiWriter(out, &firstBytes{file, 10 << 20}),
	})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	res := p.Wait()
	runtime.ReadMemStats(&after)
	info, err := file.Stat()
	if err := errors.Join(res.Err, err, file.Close()); err != nil {
		fmt.Println(err)
		return 1
	}
	m.Total, m.Head, m.Exit = out.Total(), len(out.Head()), res.ExitCode
	m.Written = info.Size()
	m.Seconds = res.Finished.Sub(res.Started).Seconds()
	m.HeapGrowth = max(after.HeapAlloc, before.HeapAlloc) - before.HeapAlloc
	m.PeakRSS = peakRSS()
	return map[bool]int{true: 0, false: 1}[json.NewEncoder(os.Stdout).Encode(m) == nil]
}

// firstBytes writes the first bytes of a stream on.
type firstBytes struct {
	to   io.Writer
	left int
}

func (w *firstBytes) Write(p []byte) (int, error) {
	n, err := w.to.Write(p[:min(w.left, len(p))])
	w.left -= n
	return len(p), err
}

// peakRSS is VmHWM in KiB.
func peakRSS() int64 {
	b, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			n, _ := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(v), "kB")), 10, 64)
			return n
		}
	}
	return 0
}

func TestAGibibyteOfOutput(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	spool := filepath.Join(t.TempDir(), "stdout")
	b, err := exec.Command(self, measureArg, spool).Output()
	if err != nil {
		t.Fatalf("%v: %s", err, b)
	}
	var m measured
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatalf("%s: %v", b, err)
	}
	t.Logf("%+v: %.0f MiB/s", m, 1024/m.Seconds)
	if m.Total != gibibyte || m.Exit != 0 || m.Head != 24_000 || m.Written != 10<<20 {
		t.Errorf("captured %+v", m)
	}
	fi, err := os.Stat(spool)
	if err != nil || fi.Size() != 10<<20 || fi.Mode().Perm() != 0o600 {
		t.Errorf("spool %v, %v", fi, err)
	}
	if m.HeapGrowth > 4<<20 || m.PeakRSS-m.StartRSS > 16<<10 {
		t.Errorf("memory is not bounded: %+v", m)
	}
}
