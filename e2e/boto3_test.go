package e2e

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"ssmrun/internal/testenv"
)

// TestBoto3 runs testdata/boto3/*.py with Debian's boto3, all against one service
// with an agent and twelve simulated nodes.
func TestBoto3(t *testing.T) {
	t.Parallel()
	const python = "/usr/bin/python3"
	if exec.CommandContext(t.Context(), python, "-c", "import boto3").Run() != nil {
		testenv.NotRun(t, "boto3 against the service", "no boto3 in "+python, "apt-get install python3-boto3 (as root)")
	}
	file := filepath.Join(t.TempDir(), "ec2.json")
	testenv.WriteFile(t, file, ec2File, 0o600)
	s := testenv.Start(t, testenv.Options{Agents: 1, Roles: []string{"Paged", "Other"}, Args: []string{"--ec2-instances", file}})
	activation, nodes := simulate(t, s, 12)
	list, err := json.Marshal(nodes)
	if err != nil {
		t.Fatal(err)
	}
	scripts, err := filepath.Glob("testdata/boto3/*.py")
	if err != nil || len(scripts) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, script := range scripts {
		t.Run(strings.TrimSuffix(filepath.Base(script), ".py"), func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), python, script)
			cmd.Env = append(s.Env(), "AGENT="+s.InstanceIDs[0], "ACTIVATION="+activation, "NODES="+string(list))
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%s: %v\n%s", script, err, out)
			}
		})
	}
}
