package shellscript

import (
	"os"
	"testing"

	"ssmrun/internal/agent/plugin"
	"ssmrun/internal/executor"
)

func TestRefusedOnWindows(t *testing.T) {
	t.Parallel()
	in := plugin.Input{Action: Action, Inputs: map[string]any{"runCommand": "true"}, Folder: t.TempDir()}
	got := New(executor.New(executor.Config{})).Run(t.Context(), in)
	if got != plugin.Fail(noShell) {
		t.Errorf("got %+v", got)
	}
	if files, err := os.ReadDir(in.Folder); len(files) > 0 || err != nil {
		t.Errorf("a script was written: %v, %v", files, err)
	}
}
