// Package e2e shows what a user types and sees: the command line, AWS's own
// clients and Terraform against a real service with real agents.
package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"ssmrun/internal/testenv"
)

func TestMain(m *testing.M) {
	code := m.Run()
	testenv.Cleanup()
	os.Exit(code)
}

// TestScripts runs testdata/*.txtar. Each sees a service of its own with three
// agents through AWS's environment variables, and the ids as $ID1 to $ID3.
func TestScripts(t *testing.T) {
	t.Parallel()
	bin := filepath.Dir(testenv.Binary(t, "ssmrun"))
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(e *testscript.Env) error {
			s := testenv.Start(t, testenv.Options{Agents: 3, Buckets: []string{"logs"}})
			e.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
			e.Setenv("DATA", s.Data)
			for i, id := range s.InstanceIDs {
				e.Setenv("ID"+string(rune('1'+i)), id)
			}
			for _, v := range s.Env() {
				if name, value, _ := strings.Cut(v, "="); strings.HasPrefix(name, "AWS_") {
					e.Setenv(name, value)
				}
			}
			return nil
		},
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
	})
}

// TestAWSCLI sends a command with Debian's AWS CLI and reads its output, as a
// user would.
func TestAWSCLI(t *testing.T) {
	t.Parallel()
	const cli = "/usr/bin/aws"
	if _, err := os.Stat(cli); err != nil {
		testenv.NotRun(t, "the AWS CLI against the service", "no "+cli, "apt-get install awscli (as root)")
	}
	s := testenv.Start(t, testenv.Options{Agents: 1, Buckets: []string{"logs"}})
	id := s.InstanceIDs[0]
	aws := func(args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(testenv.Context(t), cli, append([]string{"--endpoint-url", s.Endpoint, "--output", "text"}, args...)...)
		cmd.Env = s.Env()
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("aws %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return strings.TrimSpace(string(out))
	}
	if got := aws("ssm", "describe-instance-information", "--query", "InstanceInformationList[].[InstanceId,PingStatus]"); got != id+"\tOnline" {
		t.Errorf("instances: %q", got)
	}
	command := aws("ssm", "send-command", "--document-name", "AWS-RunShellScript", "--instance-ids", id, "--parameters", `{"commands":["echo from the cli","echo oops >&2"]}`,
		"--output-s3-bucket-name", "logs", "--query", "Command.CommandId")
	aws("ssm", "wait", "command-executed", "--command-id", command, "--instance-id", id)
	if got := aws("ssm", "get-command-invocation", "--command-id", command, "--instance-id", id, "--query", "[Status,ResponseCode,StandardOutputContent,StandardErrorContent]"); got != "Success\t0\tfrom the cli\n\toops" {
		t.Errorf("invocation: %q", got)
	}
	if got := aws("ssm", "list-command-invocations", "--command-id", command, "--details", "--query", "CommandInvocations[].CommandPlugins[].Name"); got != "aws:runShellScript" {
		t.Errorf("plugins: %q", got)
	}
	key := command + "/" + id + "/awsrunShellScript/0.awsrunShellScript/stdout"
	if got := aws("s3", "ls", "--recursive", "s3://logs/"+command+"/"); !strings.Contains(got, key) {
		t.Errorf("bucket: %q", got)
	}
	if got := aws("s3", "cp", "s3://logs/"+key, "-"); got != "from the cli" {
		t.Errorf("object: %q", got)
	}
	if got := aws("sts", "get-caller-identity", "--query", "Account"); got != "000000000000" {
		t.Errorf("account: %q", got)
	}
}

// TestBoto3 does the same with Python's SDK.
func TestBoto3(t *testing.T) {
	t.Parallel()
	const python = "/usr/bin/python3"
	if exec.CommandContext(t.Context(), python, "-c", "import boto3").Run() != nil {
		testenv.NotRun(t, "boto3 against the service", "no boto3 in "+python, "apt-get install python3-boto3 (as root)")
	}
	s := testenv.Start(t, testenv.Options{Agents: 1})
	script := filepath.Join(t.TempDir(), "run.py")
	testenv.WriteFile(t, script, `
import boto3, sys
endpoint, instance = sys.argv[1:]
ssm = boto3.client("ssm", endpoint_url=endpoint)
sent = ssm.send_command(InstanceIds=[instance], DocumentName="AWS-RunShellScript", Parameters={"commands": ["echo from boto3; exit 4"]})
command = sent["Command"]["CommandId"]
try:
    ssm.get_waiter("command_executed").wait(CommandId=command, InstanceId=instance, WaiterConfig={"Delay": 1, "MaxAttempts": 30})
    sys.exit("a failed command was waited for without an error")
except boto3.exceptions.botocore.exceptions.WaiterError:
    pass
got = ssm.get_command_invocation(CommandId=command, InstanceId=instance)
print(got["Status"], got["ResponseCode"], got["StandardOutputContent"].strip())
try:
    ssm.send_command(InstanceIds=["i-0123456789abcdef0"], DocumentName="AWS-RunShellScript", Parameters={"commands": ["true"]})
except ssm.exceptions.InvalidInstanceId as e:
    print(type(e).__name__)
`, 0o600)
	cmd := exec.CommandContext(testenv.Context(t), python, script, s.Endpoint, s.InstanceIDs[0])
	cmd.Env = s.Env()
	out, err := cmd.CombinedOutput()
	if want := "Failed 4 from boto3\nInvalidInstanceId\n"; err != nil || string(out) != want {
		t.Errorf("got %v: %s", err, out)
	}
}
