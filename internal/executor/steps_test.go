//go:build linux || windows

package executor

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"
)

func start(t *testing.T, e *Executor, s Spec) *Process {
	t.Helper()
	p, err := e.Start(t.Context(), s)
	if err != nil {
		t.Fatalf("start: %v", err)
	}
	t.Cleanup(func() {
		p.Kill(errors.New("test is over"))
		p.Wait()
	})
	return p
}

// wait is Wait with a deadline: a step that hangs fails its test, not the run.
func wait(t *testing.T, p *Process) Result {
	t.Helper()
	select {
	case <-p.Done():
		return p.Wait()
	case <-time.After(30 * time.Second):
		t.Fatal("the step is not over after 30 s")
		panic("unreachable")
	}
}

// run runs a step to its end and fails the test on a failure of the machinery.
func run(t *testing.T, e *Executor, s Spec) (res Result, stdout, stderr string) {
	t.Helper()
	out, errOut := NewCapture(1<<20), NewCapture(1<<20)
	s.Stdout, s.Stderr = out, errOut
	res = wait(t, start(t, e, s))
	if res.Err != nil {
		t.Fatalf("machinery: %v", res.Err)
	}
	return res, string(out.Head()), string(errOut.Head())
}

// lines is a sink that hands over each line as it comes.
type lines struct {
	ch   chan string
	mu   sync.Mutex
	rest []byte
}

func newLines() *lines { return &lines{ch: make(chan string, 4096)} }

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rest = append(l.rest, p...)
	for {
		line, rest, ok := bytes.Cut(l.rest, []byte("\n"))
		if !ok {
			return len(p), nil
		}
		l.rest = rest
		select {
		case l.ch <- strings.TrimSuffix(string(line), "\r"): // Windows' line end
		default: // a test that wants no more
		}
	}
}

func (l *lines) next(t *testing.T) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	select {
	case s := <-l.ch:
		return s
	case <-ctx.Done():
		t.Fatal("no line came")
		return ""
	}
}
