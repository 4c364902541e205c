//go:build linux

package executor

import (
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// 300 steps beside 300 uses of os/exec in the same process: every exit code
// reaches its owner. (A wait for any child would steal some.)
func TestNoExitCodeIsLost(t *testing.T) {
	t.Parallel()
	eachMethod(t, func(t *testing.T, e *Executor) {
		const runs, workers = 300, 8
		var wg sync.WaitGroup
		for w := range workers {
			wg.Go(func() {
				for i := w; i < runs; i += workers {
					if err := stepExits(t, e, i, i%126); err != nil {
						t.Errorf("step %d: %v", i, err)
					}
				}
			})
			wg.Go(func() {
				for i := w; i < runs; i += workers {
					if err := commandExits(i % 126); err != nil {
						t.Errorf("os/exec %d: %v", i, err)
					}
				}
			})
		}
		wg.Wait()
	})
}

func commandExits(want int) error {
	err := exec.Command("sh", "-c", fmt.Sprintf("exit %d", want)).Run()
	got := 0
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		got = exit.ExitCode()
	} else if err != nil {
		return err
	}
	if got != want {
		return fmt.Errorf("exit code %d, want %d", got, want)
	}
	return nil
}

func stepExits(t *testing.T, e *Executor, i, want int) error {
	out := NewCapture(100)
	s := sh(fmt.Sprintf("(exit 77) & echo %d; exit %d", i, want))
	s.Stdout = out
	p, err := e.Start(t.Context(), s)
	if err != nil {
		return err
	}
	res := p.Wait()
	if text := strings.TrimSpace(string(out.Head())); res.ExitCode != want || res.Err != nil || text != fmt.Sprint(i) {
		return fmt.Errorf("%+v, output %q, want exit code %d", res, text, want)
	}
	return nil
}

// A script is written while other steps start, and executed at once: with the
// descriptor inherited by one of them this is "text file busy".
func TestWriteScriptBesideStarts(t *testing.T) {
	t.Parallel()
	eachMethod(t, func(t *testing.T, e *Executor) {
		dir := t.TempDir()
		var wg sync.WaitGroup
		for w := range 8 {
			wg.Go(func() {
				for i := range 25 {
					file := filepath.Join(dir, fmt.Sprintf("script%d", w))
					if err := WriteScript(file, fmt.Appendf(nil, "#!/bin/sh\nexit %d\n", i), 0o700); err != nil {
						t.Error(err)
						return
					}
					errOut := NewCapture(1000)
					s := sh(file)
					s.Stderr = errOut
					p, err := e.Start(t.Context(), s)
					if err != nil {
						t.Error(err)
						return
					}
					if res := p.Wait(); res.ExitCode != i {
						t.Errorf("exit code %d, want %d; stderr %q", res.ExitCode, i, errOut.Head())
					}
				}
			})
		}
		wg.Wait()
	})
}
