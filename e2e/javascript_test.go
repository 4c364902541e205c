package e2e

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"ssmrun/internal/testenv"
)

// TestJavaScript runs testdata/javascript/run.mjs with AWS's SDK for JavaScript,
// at the versions of package-lock.json there. Where it is installed is told by
// tools/javascript.sh; make test calls it.
func TestJavaScript(t *testing.T) {
	t.Parallel()
	modules := os.Getenv("SSMRUN_TEST_JAVASCRIPT")
	if modules == "" {
		testenv.NotRun(t, "AWS's SDK for JavaScript against the service", "SSMRUN_TEST_JAVASCRIPT names no folder",
			"make test where there are node (18 or newer) and npm: apt-get install nodejs npm (as root); alone: SSMRUN_TEST_JAVASCRIPT=$(sh tools/javascript.sh)")
	}
	// Modules are looked for beside the script.
	dir := t.TempDir()
	script, err := os.ReadFile("testdata/javascript/run.mjs")
	if err = errors.Join(err, os.Symlink(modules, filepath.Join(dir, "node_modules"))); err != nil {
		t.Fatal(err)
	}
	testenv.WriteFile(t, filepath.Join(dir, "run.mjs"), string(script), 0o600)
	s := testenv.Start(t, testenv.Options{Agents: 1})
	activation, nodes := simulate(t, s, 12)
	list, err := json.Marshal(nodes)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "node", "run.mjs")
	cmd.Dir = dir
	cmd.Env = append(s.Env(), "AGENT="+s.InstanceIDs[0], "ACTIVATION="+activation, "NODES="+string(list))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("run.mjs: %v\n%s", err, out)
	}
}
