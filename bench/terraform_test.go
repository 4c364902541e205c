package bench

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"ssmrun/internal/testenv"
)

// action measures the Terraform action's share of an apply: from action_start
// to action_complete as -json tells them.
func action(t *testing.T, out *table) {
	terraform := os.Getenv("SSMRUN_TEST_TERRAFORM")
	s := testenv.Start(t, testenv.Options{Agents: 1})
	dir := t.TempDir()
	testenv.WriteFile(t, filepath.Join(dir, "terraform.rc"), fmt.Sprintf("provider_installation {\n  dev_overrides {\n    \"ssmrun/ssmrun\" = %q\n  }\n  direct {}\n}\n", filepath.Dir(testenv.Binary(t, "terraform-provider-ssmrun"))), 0o600)
	testenv.WriteFile(t, filepath.Join(dir, "main.tf"), fmt.Sprintf(`
terraform {
  required_providers {
    aws = { source = "ssmrun/ssmrun" }
  }
}
action "aws_ssm_send_command" "bench" {
  config {
    instance_ids  = [%q]
    document_name = "AWS-RunShellScript"
    parameters    = { commands = ["true"] }
  }
}
`, s.InstanceIDs[0]), 0o600)
	var share, whole []time.Duration
	for range 11 {
		started := time.Now()
		cmd := exec.Command(terraform, "apply", "-json", "-auto-approve", "-invoke=action.aws_ssm_send_command.bench")
		cmd.Dir, cmd.Env = dir, append(s.Env(), "TF_CLI_CONFIG_FILE="+filepath.Join(dir, "terraform.rc"))
		b, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, b)
		}
		whole = append(whole, time.Since(started))
		share = append(share, between(t, b, "action_start", "action_complete"))
	}
	out.times("Terraform: action_start to action_complete", share[1:], "< 150 ms")
	out.times("Terraform: the whole apply -invoke", whole[1:], "")
	s.Stop()
}

func between(t *testing.T, log []byte, from, to string) time.Duration {
	t.Helper()
	at := map[string]time.Time{}
	for line := range bytes.Lines(log) {
		var e struct {
			Type string    `json:"type"`
			At   time.Time `json:"@timestamp"`
		}
		if json.Unmarshal(line, &e) == nil {
			at[e.Type] = e.At
		}
	}
	if at[from].IsZero() || at[to].IsZero() {
		t.Fatalf("no %s and %s in:\n%s", from, to, log)
	}
	return at[to].Sub(at[from])
}
