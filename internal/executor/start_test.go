//go:build linux

package executor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func TestExitCode(t *testing.T) {
	t.Parallel()
	eachMethod(t, func(t *testing.T, e *Executor) {
		for _, c := range []struct {
			script       string
			code, signal int
		}{
			{"exit 0", 0, 0},
			{"exit 3", 3, 0},
			{"exit 194", 194, 0},
			{"exit 255", 255, 0},
			{"exit 137", 137, 0},
			{"kill -9 $$", 137, 9},
			{"kill -TERM $$", 143, 15},
			{"exec >&- 2>&-; exit 4", 4, 0},
		} {
			res, _, _ := run(t, e, sh(c.script))
			if res.ExitCode != c.code || res.Signal != c.signal || res.TimedOut || res.Cancelled || res.Cause != nil {
				t.Errorf("%q: %+v", c.script, res)
			}
			if res.Started.IsZero() || res.Finished.Before(res.Started) {
				t.Errorf("%q: times %v, %v", c.script, res.Started, res.Finished)
			}
		}
	})
}

func TestOutputIsSeparateAndWhole(t *testing.T) {
	t.Parallel()
	eachMethod(t, func(t *testing.T, e *Executor) {
		_, out, errOut := run(t, e, sh(`echo one; echo two >&2; printf three`))
		if out != "one\nthree" || errOut != "two\n" {
			t.Errorf("stdout %q, stderr %q", out, errOut)
		}
	})
}

func TestNoSinks(t *testing.T) {
	t.Parallel()
	eachMethod(t, func(t *testing.T, e *Executor) {
		if res := wait(t, start(t, e, sh(`echo x; echo y >&2; exit 6`))); res.ExitCode != 6 || res.Err != nil {
			t.Errorf("%+v", res)
		}
	})
}

// The script sees what it was given and nothing of the agent: environment,
// arguments to the byte, descriptors, signals, limits, input, session.
func TestSurroundings(t *testing.T) {
	t.Parallel()
	eachMethod(t, func(t *testing.T, e *Executor) {
		env := testEnv("HOME=/nowhere", "BYTES=\xff\xfe\nline", "EMPTY=")
		_, out, _ := run(t, e, Spec{Path: "env", Args: []string{"-0"}, Env: env, ID: testMark})
		got := strings.Split(strings.TrimSuffix(out, "\x00"), "\x00")
		if diff := cmp.Diff(env, got); diff != "" {
			t.Errorf("environment (-given +seen):\n%s", diff)
		}
		if _, out, _ = run(t, e, Spec{Path: "/usr/bin/env", ID: testMark}); out != "" {
			t.Errorf("no environment given, seen %q", out)
		}
		args := []string{"plain", "", "\xff\x01", "with\nline", "$(date)"}
		if _, out, _ = run(t, e, sh(`printf '%s|' "$@"`, args...)); out != strings.Join(args, "|")+"|" {
			t.Errorf("arguments %q", out)
		}
		if res, out, _ := run(t, e, sh(`cat; readlink /proc/self/fd/0`)); out != "/dev/null\n" || res.ExitCode != 0 {
			t.Errorf("standard input %q", out)
		}
		if _, out, _ = run(t, e, sh(`read -r pid name state ppid pgrp sid rest </proc/$$/stat; echo $((sid - $$)) $((pgrp - $$))`)); out != "0 0\n" {
			t.Errorf("session and group differ from the process by %q", out)
		}
		const limits = `cd /proc/self/fd && echo *; cd /; grep -E '^Sig(Blk|Ign)' /proc/self/status; ulimit -n; umask`
		plain := exec.Command("sh", "-c", limits)
		want, err := plain.Output()
		if err != nil {
			t.Fatal(err)
		}
		if _, out, _ = run(t, e, sh(limits)); out != string(want) {
			t.Errorf("descriptors, signals and limits %q, with plain exec %q", out, want)
		}
	})
}

func TestDir(t *testing.T) {
	t.Parallel()
	eachMethod(t, func(t *testing.T, e *Executor) {
		dir, err := filepath.EvalSymlinks(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		s := sh(`pwd -P`)
		s.Dir = dir
		if _, out, _ := run(t, e, s); out != dir+"\n" {
			t.Errorf("working directory %q", out)
		}
		own, _ := os.Getwd()
		if _, out, _ := run(t, e, sh(`pwd -P`)); out != own+"\n" {
			t.Errorf("without a directory %q, want the agent's %q", out, own)
		}
		file := filepath.Join(dir, "file")
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		for _, bad := range []string{filepath.Join(dir, "missing"), file, "relative"} {
			s.Dir = bad
			if _, err := e.Start(t.Context(), s); !errors.Is(err, ErrDir) || !strings.Contains(err.Error(), bad) {
				t.Errorf("directory %q: %v", bad, err)
			}
		}
	})
}

// A program is looked up in the step's PATH alone: it may be a folder of
// stand-ins that must not be bypassed.
func TestProgramLookup(t *testing.T) {
	t.Parallel()
	eachMethod(t, func(t *testing.T, e *Executor) {
		dir := t.TempDir()
		if err := WriteScript(filepath.Join(dir, "uname"), []byte("#!/bin/sh\necho stand-in\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		env := []string{"EXECUTOR_TEST=" + testMark, "PATH=.:relative:" + dir}
		if _, out, _ := run(t, e, Spec{Path: "uname", Env: env, ID: testMark}); out != "stand-in\n" {
			t.Errorf("ran %q", out)
		}
		if _, err := e.Start(t.Context(), Spec{Path: "cat", Env: env, ID: testMark}); !errors.Is(err, exec.ErrNotFound) {
			t.Errorf("a program outside PATH: %v", err)
		}
		if _, out, _ := run(t, e, Spec{Path: "./uname", Dir: dir, Env: env, ID: testMark}); out != "stand-in\n" {
			t.Errorf("relative program: %q", out)
		}
		if _, out, _ := run(t, e, Spec{Path: "sh", Args: []string{"-c", "echo found"}, ID: testMark}); out != "found\n" {
			t.Errorf("without PATH: %q", out)
		}
	})
}

func TestStartFailures(t *testing.T) {
	t.Parallel()
	eachMethod(t, func(t *testing.T, e *Executor) {
		dir := t.TempDir()
		plain, orphan := filepath.Join(dir, "plain"), filepath.Join(dir, "orphan")
		if err := os.WriteFile(plain, []byte("#!/bin/sh\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := WriteScript(orphan, []byte("#!/no/such/interpreter\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		over := context.Canceled
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(over)
		abort := errors.New("journal is full")
		for name, c := range map[string]struct {
			spec Spec
			ctx  context.Context
			want error
		}{
			"not executable":    {spec: Spec{Path: plain}, want: unix.EACCES},
			"missing":           {spec: Spec{Path: filepath.Join(dir, "no")}, want: unix.ENOENT},
			"interpreter":       {spec: Spec{Path: orphan}, want: unix.ENOENT},
			"empty path":        {spec: Spec{}, want: exec.ErrNotFound},
			"context over":      {spec: Spec{Path: "/bin/true"}, ctx: ctx, want: over},
			"journal":           {spec: Spec{Path: "/bin/true", BeforeStart: func(Handle) error { return abort }}, want: abort},
			"NUL in argument":   {spec: Spec{Path: "/bin/true", Args: []string{"a\x00b"}}},
			"NUL in env":        {spec: Spec{Path: "/bin/true", Env: []string{"A=\x00"}}},
			"negative timeout":  {spec: Spec{Path: "/bin/true", Timeout: -1}},
			"too big for a run": {spec: Spec{Path: "/bin/true", Args: []string{strings.Repeat("x", 1<<20)}}, want: unix.E2BIG},
		} {
			c.spec.ID = testMark
			if c.ctx == nil {
				c.ctx = t.Context()
			}
			p, err := e.Start(c.ctx, c.spec)
			if err == nil {
				p.Wait()
				t.Errorf("%s: started", name)
			} else if c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("%s: %v, want %v", name, err, c.want)
			}
		}
		method := e.Method()
		if res, _, _ := run(t, e, sh("exit 5")); res.ExitCode != 5 || e.Method() != method {
			t.Errorf("afterwards: %+v with method %q", res, e.Method())
		}
		if method == "cgroup" && e.platform.refused.Load() {
			t.Error("a program that cannot be executed was taken for a refusal of the cgroup")
		}
	})
}

// What is journalled before the start finds the tree.
func TestBeforeStart(t *testing.T) {
	t.Parallel()
	eachMethod(t, func(t *testing.T, e *Executor) {
		file := filepath.Join(t.TempDir(), "ran")
		s := sh(`echo ran >"$1"`, file)
		var handles []Handle
		s.BeforeStart = func(h Handle) error {
			if _, err := os.Stat(file); err == nil {
				t.Error("the script ran before it was journalled")
			}
			handles = append(handles, h)
			return nil
		}
		p := start(t, e, s)
		wait(t, p)
		if len(handles) != 1 {
			t.Fatalf("called %d times", len(handles))
		}
		before, after := handles[0], p.Handle()
		if before.BootID == "" || (before.Cgroup == "") == (before.SupervisorPID == 0) {
			t.Errorf("handle before the start cannot find the tree: %+v", before)
		}
		if after.PID == 0 || after.StartTicks == 0 || after.Cgroup != before.Cgroup || after.SupervisorPID != before.SupervisorPID {
			t.Errorf("handle after the start: %+v, before %+v", after, before)
		}
		b, err := json.Marshal(after)
		if err != nil {
			t.Fatal(err)
		}
		var back Handle
		if err := json.Unmarshal(b, &back); err != nil || back != after {
			t.Errorf("JSON %s gives %+v, %v", b, back, err)
		}
	})
}

// The supervisor is another program's main without the dispatch.
func TestWrongSelfExe(t *testing.T) {
	t.Parallel()
	e := New(Config{NoCgroup: true, SelfExe: "/bin/true"})
	if _, err := e.Start(t.Context(), sh("exit 0")); err == nil || !strings.Contains(err.Error(), "IsSupervisor") {
		t.Errorf("started without a supervisor: %v", err)
	}
	if SuperviseMain([]string{"agent"}) == 0 {
		t.Error("SuperviseMain took arguments that are not a supervisor's")
	}
}

// Config.Now is the report's clock and no timer's.
func TestClock(t *testing.T) {
	t.Parallel()
	times := []time.Time{time.Unix(2_000_000_000, 0), time.Unix(1_000_000_000, 0)} // set back meanwhile
	e := New(Config{NoCgroup: true, Now: func() time.Time {
		now := times[0]
		times = times[1:]
		return now
	}})
	want := slices.Clone(times)
	s := sh("exit 0")
	s.Timeout = time.Minute
	res, _, _ := run(t, e, s)
	if !res.Started.Equal(want[0]) || !res.Finished.Equal(want[1]) || res.TimedOut {
		t.Errorf("%+v", res)
	}
}

// A sink that fails does not stop the script, nor the other stream.
func TestSinkThatFails(t *testing.T) {
	t.Parallel()
	eachMethod(t, func(t *testing.T, e *Executor) {
		s := sh(`head -c 3000000 /dev/zero; echo end >&2; exit 9`)
		calls := 0
		errOut := NewCapture(100)
		s.Stdout, s.Stderr = sinkFunc(func([]byte) (int, error) {
			calls++
			return 0, fmt.Errorf("refused")
		}), errOut
		res := wait(t, start(t, e, s))
		if res.ExitCode != 9 || res.Err != nil || calls != 1 || string(errOut.Head()) != "end\n" {
			t.Errorf("%+v, %d calls, stderr %q", res, calls, errOut.Head())
		}
	})
}

type sinkFunc func(p []byte) (int, error)

func (f sinkFunc) Write(p []byte) (int, error) { return f(p) }
