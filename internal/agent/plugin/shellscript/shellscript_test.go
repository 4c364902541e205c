package shellscript

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"ssmrun/internal/agent/plugin"
	"ssmrun/internal/executor"
)

func TestMain(m *testing.M) {
	if executor.IsSupervisor(os.Args) {
		os.Exit(executor.SuperviseMain(os.Args))
	}
	os.Exit(m.Run())
}

// setup is a step in a folder whose name needs quoting.
func setup(t *testing.T, inputs map[string]any) (*Plugin, plugin.Input, *bytes.Buffer, *bytes.Buffer) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("no shell there: TestRefusedOnWindows")
	}
	folder := filepath.Join(t.TempDir(), `a 'b' "$HOME" c`)
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	return New(executor.New(executor.Config{})), plugin.Input{
		CommandID: "c", Name: "run", Action: Action, Inputs: inputs, Folder: folder, WorkDir: folder,
		Env: []string{"PATH=/usr/bin:/bin"}, Stdout: &out, Stderr: &errs,
		Begin: func(executor.Handle) error { return nil }, Running: func(executor.Handle) {},
	}, &out, &errs
}

func TestScript(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		inputs map[string]any
		want   plugin.Result
		stdout string
	}{
		"lines":              {map[string]any{"runCommand": []any{"A=1", []any{"echo $A", "echo b"}}}, plugin.Result{Status: plugin.Success}, "1\nb\n"},
		"relative directory": {map[string]any{"runCommand": "basename \"$PWD\"", "workingDirectory": "tmp"}, plugin.Result{Status: plugin.Success}, "a 'b' \"$HOME\" c\n"},
		"directory":          {map[string]any{"runCommand": "pwd", "workingDirectory": "/"}, plugin.Result{Status: plugin.Success}, "/\n"},
		"interpreter":        {map[string]any{"runCommand": []any{"#!/bin/echo interpreted by"}}, plugin.Result{Status: plugin.Success}, "interpreted by "},
		"exit code":          {map[string]any{"runCommand": "exit 9"}, plugin.Result{Status: plugin.Failed, Code: 9, Note: "failed to run commands: exit status 9"}, ""},
		"killed by others":   {map[string]any{"runCommand": "kill -9 $$"}, plugin.Result{Status: plugin.Failed, Code: 137, Note: "failed to run commands: signal 9 ended the script"}, ""},
		"stop with failure":  {map[string]any{"runCommand": "exit 169"}, plugin.Result{Status: plugin.Failed, Code: 169, Note: "failed to run commands: exit status 169", Next: plugin.SkipRest}, ""},
		"number as timeout":  {map[string]any{"runCommand": "true", "timeoutSeconds": json.Number("60")}, plugin.Result{Status: plugin.Success}, ""},
		"odd directory":      {map[string]any{"runCommand": "true", "workingDirectory": []any{"x"}}, plugin.Fail("workingDirectory is not a text"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, in, out, errs := setup(t, tt.inputs)
			got := p.Run(t.Context(), in)
			if got != tt.want || !strings.HasPrefix(out.String(), tt.stdout) {
				t.Errorf("got %+v, want %+v\nstdout %q\nstderr %q", got, tt.want, out, errs)
			}
		})
	}
}

func TestNothingStartsWithoutAJournal(t *testing.T) {
	t.Parallel()
	p, in, _, _ := setup(t, nil)
	marker := filepath.Join(t.TempDir(), "ran")
	in.Inputs = map[string]any{"runCommand": "touch " + marker}
	in.Begin = func(executor.Handle) error { return errors.New("no space left on device") }
	got := p.Run(t.Context(), in)
	if got.Status != plugin.Failed || got.Code != 1 || !strings.Contains(got.Note, "no space left on device") {
		t.Errorf("got %+v", got)
	}
	if _, err := os.Stat(marker); err == nil {
		t.Error("the script ran")
	}
}

func TestEndsBeforeTheStart(t *testing.T) {
	t.Parallel()
	for cause, want := range map[error]plugin.Result{
		plugin.ErrCancelled: {Status: plugin.Cancelled, Code: 137},
		plugin.ErrStopping:  {Status: plugin.Failed, Code: 137, Note: plugin.ErrStopping.Error()},
	} {
		p, in, _, _ := setup(t, map[string]any{"runCommand": "true"})
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(cause)
		if got := p.Run(ctx, in); got != want {
			t.Errorf("%v: got %+v, want %+v", cause, got, want)
		}
	}
}
