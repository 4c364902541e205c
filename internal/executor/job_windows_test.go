package executor

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/windows"
)

func TestExitCode(t *testing.T) {
	t.Parallel()
	e := New(Config{})
	if e.Method() != "job" {
		t.Errorf("method %q", e.Method())
	}
	for text, want := range map[string]int{"0": 0, "3": 3, "194": 194, "255": 255, "3010": 3010, "0xC0000005": -1073741819} {
		res, _, _ := run(t, e, program("exit", text))
		if res.ExitCode != want || res.Signal != 0 || res.TimedOut || res.Cancelled || res.Cause != nil {
			t.Errorf("exit %s: %+v", text, res)
		}
	}
}

// The program sees what it was given and nothing of the agent.
func TestSurroundings(t *testing.T) {
	t.Parallel()
	e := New(Config{})
	s := program("surroundings", "", `a "quoted" word\`, "über €😀")
	s.Dir = t.TempDir()
	s.Env = append(s.Env, "EMPTY=", "UNICODE=é€😀")
	res, out, errOut := run(t, e, s)
	var got surroundings
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatalf("%q: %v", out, err)
	}
	// The system adds a few of its own: SystemRoot, SystemDrive, Wine's.
	got.Env = slices.DeleteFunc(got.Env, func(kv string) bool { return !slices.Contains(s.Env, kv) && !strings.HasPrefix(kv, agentsOwn) })
	want := surroundings{Args: s.Args[2:], Env: s.Env, Dir: s.Dir}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-given +seen):\n%s", diff)
	}
	if errOut != "on stderr" || res.ExitCode != 0 {
		t.Errorf("stderr %q, %+v", errOut, res)
	}
}

func TestStartFailures(t *testing.T) {
	t.Parallel()
	e := New(Config{})
	self, _ := os.Executable()
	abort := errors.New("journal is full")
	for name, c := range map[string]struct {
		spec Spec
		want error
	}{
		"missing":      {Spec{Path: `C:\no\such.exe`}, os.ErrNotExist},
		"empty path":   {Spec{}, exec.ErrNotFound},
		"outside PATH": {Spec{Path: filepath.Base(self), Env: []string{`Path=C:\no;relative`}}, exec.ErrNotFound},
		"no folder":    {Spec{Path: self, Dir: `C:\no\folder`}, ErrDir},
		"journal":      {Spec{Path: self, BeforeStart: func(Handle) error { return abort }}, abort},
	} {
		if p, err := e.Start(t.Context(), c.spec); err == nil {
			p.Wait()
			t.Errorf("%s: started", name)
		} else if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	s := program("exit", "4")
	s.Path, s.Env = filepath.Base(self), append(s.Env, "PATH=relative;"+filepath.Dir(self))
	if res, _, _ := run(t, e, s); res.ExitCode != 4 {
		t.Errorf("found in PATH: %+v", res)
	}
}

func TestKillEndsTheWholeTree(t *testing.T) {
	t.Parallel()
	out := newLines()
	s := program("tree", "stay")
	s.Stdout = out
	p := start(t, New(Config{}), s)
	procs := out.tree(t)
	cause := errors.New("cancel asked for")
	p.Kill(cause)
	res := wait(t, p)
	mustBeGone(t, procs)
	if !res.Cancelled || res.TimedOut || !errors.Is(res.Cause, cause) || res.ExitCode != 137 || res.Err != nil {
		t.Errorf("%+v", res)
	}
}

// The program has ended, but children hold its output: the step is open, and its
// timeout still ends the tree.
func TestTimeoutAfterTheProgramEnded(t *testing.T) {
	t.Parallel()
	out := newLines()
	s := program("tree", "end")
	s.Stdout, s.Timeout = out, 3*time.Second
	p := start(t, New(Config{}), s)
	procs := out.tree(t)
	res := wait(t, p)
	mustBeGone(t, procs)
	if !res.TimedOut || !errors.Is(res.Cause, ErrTimeout) || res.ExitCode != 137 || res.Err != nil {
		t.Errorf("%+v", res)
	}
}

func TestDaemonsLiveOnAfterTheProgramEnded(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	out := newLines()
	s := program("daemon")
	s.Stdout = out
	p, err := New(Config{}).Start(ctx, s)
	if err != nil {
		t.Fatal(err)
	}
	daemon := out.process(t)
	defer func() { _ = windows.TerminateProcess(daemon, 1) }()
	res := wait(t, p)
	p.Kill(errors.New("after the end"))
	cancel()
	if res.ExitCode != 0 || res.Err != nil || res.Cause != nil {
		t.Errorf("%+v", res)
	}
	if gone(daemon) {
		t.Error("the daemon was killed")
	}
}

// The agent is killed: the system ends the tree, and the next agent finds nothing
// or its end.
func TestTreeEndsWithTheAgent(t *testing.T) {
	t.Parallel()
	self, _ := os.Executable()
	agent := exec.Command(self, helperArg, "agent")
	pipe, err := agent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := agent.Start(); err != nil {
		t.Fatal(err)
	}
	out := newLines()
	go func() {
		for s := bufio.NewScanner(pipe); s.Scan(); {
			_, _ = out.Write(append(s.Bytes(), '\n'))
		}
	}()
	var h Handle
	if err := json.Unmarshal([]byte(out.next(t)), &h); err != nil || h.Job == "" {
		t.Fatalf("journalled %+v, %v", h, err)
	}
	procs := out.tree(t)
	if err := agent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = agent.Wait()
	for range 2 {
		if err := New(Config{}).KillLeftover(h); err != nil {
			t.Errorf("kill leftover: %v", err)
		}
	}
	for _, p := range procs {
		if event, _ := windows.WaitForSingleObject(p, 10_000); event != windows.WAIT_OBJECT_0 {
			t.Error("a process of the tree outlived the agent")
		}
	}
}

func TestKillLeftover(t *testing.T) {
	t.Parallel()
	e := New(Config{})
	out := newLines()
	s := program("tree", "stay")
	s.Stdout = out
	p := start(t, e, s)
	procs := out.tree(t)
	h := p.Handle()
	for name, other := range map[string]Handle{
		"a later process of this id": {PID: h.PID, StartTicks: h.StartTicks + 1},
		"a handle without a start":   {PID: h.PID},
		"nothing":                    {},
		"another step's job":         {Job: h.Job + "x"},
	} {
		if err := e.KillLeftover(other); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := e.KillLeftover(Handle{Job: "something"}); err == nil {
		t.Error("any object was taken for a step's")
	}
	for _, p := range procs {
		if gone(p) {
			t.Fatal("the wrong process was killed")
		}
	}
	if err := e.KillLeftover(h); err != nil {
		t.Error(err)
	}
	mustBeGone(t, procs)
	if res := wait(t, p); res.ExitCode != 137 || res.Cancelled {
		t.Errorf("%+v", res)
	}
}

// The first process alone is found by its id and start.
func TestKillLeftoverProcess(t *testing.T) {
	t.Parallel()
	e := New(Config{})
	p := start(t, e, program("sleep"))
	h := p.Handle()
	h.Job = ""
	if h.StartTicks == 0 {
		t.Fatal("no start")
	}
	if err := e.KillLeftover(h); err != nil {
		t.Error(err)
	}
	wait(t, p)
}

// Nobody can end a holder of the output that is outside the tree: the reading is
// given up.
func TestOutputHeldOutsideTheTree(t *testing.T) {
	t.Parallel()
	out, err := openStreams(NewCapture(10), nil)
	if err != nil {
		t.Fatal(err)
	}
	held, err := inheritable(out.child)
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll(held[:])
	out.closeChild()
	d := out.drain()
	d.abort()
	select {
	case <-d.done:
	case <-time.After(20 * time.Second):
		t.Error("the reading does not end")
	}
}

// helperArg makes the test binary one of the programs that the tests run.
const helperArg = "executor-test-program"

func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == helperArg {
		os.Exit(helper(os.Args[2], os.Args[3:]))
	}
	os.Setenv(agentsOwn, "secret")
	os.Exit(m.Run())
}

// agentsOwn is a variable of the agent that no program may see.
const agentsOwn = "EXECUTOR_AGENTS_OWN"

type surroundings struct {
	Args, Env []string
	Dir       string
}

func helper(verb string, args []string) int {
	switch verb {
	case "exit":
		code, _ := strconv.ParseUint(args[0], 0, 32)
		windows.ExitProcess(uint32(code))
	case "surroundings":
		dir, _ := os.Getwd()
		_ = json.NewEncoder(os.Stdout).Encode(surroundings{Args: args, Env: os.Environ(), Dir: dir})
		fmt.Fprint(os.Stderr, "on stderr")
	case "sleep":
		if len(args) > 0 {
			fmt.Println(os.Getpid())
		}
		time.Sleep(time.Hour) // until it is killed
	case "daemon":
		c := exec.Command(os.Args[0], helperArg, "sleep") // without the output
		c.SysProcAttr = &syscall.SysProcAttr{CreationFlags: windows.DETACHED_PROCESS}
		if err := c.Start(); err != nil {
			return 1
		}
		fmt.Println(c.Process.Pid)
	case "tree", "deeper":
		for _, flags := range []uint32{0, windows.DETACHED_PROCESS | windows.CREATE_NEW_PROCESS_GROUP, windows.CREATE_NEW_CONSOLE} {
			c := exec.Command(os.Args[0], helperArg, "sleep", "print")
			if verb == "tree" && flags != 0 {
				c = exec.Command(os.Args[0], helperArg, "deeper", "end")
			}
			c.Stdout = os.Stdout
			c.SysProcAttr = &syscall.SysProcAttr{CreationFlags: flags}
			if err := c.Start(); err != nil {
				fmt.Println(err)
			}
		}
		if args[0] == "stay" {
			time.Sleep(time.Hour)
		}
	case "agent":
		s := program("tree", "stay")
		s.Stdout = os.Stdout
		s.BeforeStart = func(h Handle) error { return json.NewEncoder(os.Stdout).Encode(h) }
		if _, err := New(Config{}).Start(context.Background(), s); err != nil {
			fmt.Println(err)
			return 1
		}
		time.Sleep(time.Hour)
	}
	return 0
}

// treeSize is how many processes "tree" leaves sleeping: one child, and three
// children of each of two children that have ended.
const treeSize = 1 + 2*3

func program(verb string, args ...string) Spec {
	self, _ := os.Executable()
	return Spec{
		Path: self, Args: append([]string{helperArg, verb}, args...), ID: "test",
		Env: []string{"EXECUTOR_TEST=yes"},
	}
}

// process opens the process whose id is the next line.
func (l *lines) process(t *testing.T) windows.Handle {
	t.Helper()
	line := l.next(t)
	pid, err := strconv.Atoi(line)
	if err != nil {
		t.Fatalf("line %q has no process id", line)
	}
	h, err := windows.OpenProcess(windows.SYNCHRONIZE|windows.PROCESS_TERMINATE, false, uint32(pid))
	if err != nil {
		t.Fatalf("open process %d: %v", pid, err)
	}
	t.Cleanup(func() { _ = windows.CloseHandle(h) })
	return h
}

func (l *lines) tree(t *testing.T) (procs []windows.Handle) {
	t.Helper()
	for range treeSize {
		procs = append(procs, l.process(t))
	}
	return procs
}

func gone(process windows.Handle) bool {
	event, err := windows.WaitForSingleObject(process, 0)
	return err == nil && event == windows.WAIT_OBJECT_0
}

func mustBeGone(t *testing.T, procs []windows.Handle) {
	t.Helper()
	for _, p := range procs {
		if !gone(p) {
			t.Error("a process of the tree is alive")
			_ = windows.TerminateProcess(p, 1)
		}
	}
}
