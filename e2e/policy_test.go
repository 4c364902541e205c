package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"ssmrun/internal/testenv"
)

// odd is a document whose content is easily changed on its way: another format,
// characters that some writers escape, numbers, the order of members.
const odd = `schemaVersion: "2.2"
description: "<a> & b \u2028 ü \t"
parameters:
  z: {type: String, default: "1.50"}
  a: {type: StringList, default: []}
mainSteps:
- name: say
  action: aws:runShellScript
  inputs:
    timeoutSeconds: 60
    runCommand: ["echo '<&>' 1e3"]
`

// TestHostPolicy: what `ssmrun documents hash` and `ssmrun agent policy hash` say
// is what the agent computes of what the service delivers, and a refusal is what
// GetCommandInvocation shows.
func TestHostPolicy(t *testing.T) {
	t.Parallel()
	s := testenv.Start(t, testenv.Options{})
	ctx := testenv.Context(t)
	client := s.SSM()
	_, err := client.CreateDocument(ctx, &ssm.CreateDocumentInput{
		Name: aws.String("Odd"), Content: aws.String(odd), DocumentFormat: types.DocumentFormatYaml, DocumentType: types.DocumentTypeCommand,
	})
	must(t, err)
	dir := t.TempDir()
	file := filepath.Join(dir, "odd.yaml")
	testenv.WriteFile(t, file, odd, 0o600)
	ssmrun := func(args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(ctx, testenv.Binary(t, "ssmrun"), args...)
		cmd.Env = s.Env()
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("ssmrun %q: %v\n%s", args, err, out)
		}
		return string(out)
	}
	lines := strings.Split(ssmrun("documents", "hash", "Odd", "AWS-RunShellScript"), "\n")
	oddHash, _, _ := strings.Cut(lines[0], " ")
	shellHash, _, _ := strings.Cut(lines[1], " ")
	if local := ssmrun("agent", "policy", "hash", file); !strings.HasPrefix(local, oddHash+"  ") {
		t.Errorf("the file's hash is %s, the service's %s", local, oddHash)
	}

	policy := filepath.Join(dir, "etc", "policy.yaml")
	must(t, os.Mkdir(filepath.Dir(policy), 0o755)) //nolint:gosec // as /etc is
	testenv.WriteFile(t, policy, "version: 1\ndocuments:\n- {name: Odd, sha256: "+oddHash+"}\n- {name: AWS-RunShellScript, sha256: "+shellHash+", parameters: []}\n", 0o600)
	activation, err := client.CreateActivation(ctx, &ssm.CreateActivationInput{IamRole: aws.String(testenv.DefaultRole)})
	must(t, err)
	b, err := json.Marshal(map[string]string{"activation_id": aws.ToString(activation.ActivationId), "activation_code": aws.ToString(activation.ActivationCode), "region": s.Region})
	must(t, err)
	testenv.WriteFile(t, filepath.Join(dir, "activation.json"), string(b), 0o600)
	line, err := firstLine(t, (*exec.Cmd).StderrPipe, `msg="connected to the service"`, testenv.Binary(t, "ssmrun-agent"),
		"--endpoint", s.Endpoint, "--state", filepath.Join(dir, "state"), "--activation-file", filepath.Join(dir, "activation.json"), "--policy", policy)
	must(t, err)
	_, id, _ := strings.Cut(strings.TrimSpace(line), "instance=")
	id, _, _ = strings.Cut(id, " ")

	run := func(document string, parameters map[string][]string) *ssm.GetCommandInvocationOutput {
		t.Helper()
		out, err := client.SendCommand(ctx, &ssm.SendCommandInput{DocumentName: aws.String(document), InstanceIds: []string{id}, Parameters: parameters})
		must(t, err)
		in := &ssm.GetCommandInvocationInput{CommandId: out.Command.CommandId, InstanceId: aws.String(id)}
		_ = ssm.NewCommandExecutedWaiter(client, func(o *ssm.CommandExecutedWaiterOptions) { o.MinDelay = 50 * time.Millisecond }).Wait(ctx, in, time.Minute)
		got, err := client.GetCommandInvocation(ctx, in)
		must(t, err)
		return got
	}
	if got := run("Odd", nil); got.Status != types.CommandInvocationStatusSuccess || aws.ToString(got.StandardOutputContent) != "<&> 1e3\n" {
		t.Errorf("%s: %s", got.Status, aws.ToString(got.StandardErrorContent))
	}
	got := run("AWS-RunShellScript", map[string][]string{"commands": {"echo secret-word"}})
	want := "refused by this host's policy " + policy + ": document AWS-RunShellScript may not be given the parameters commands (rule documents)"
	if got.Status != types.CommandInvocationStatusFailed || got.ResponseCode != 1 || aws.ToString(got.StandardErrorContent) != want || aws.ToString(got.StandardOutputContent) != "" {
		t.Errorf("%s %d: %q", got.Status, got.ResponseCode, aws.ToString(got.StandardErrorContent))
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
