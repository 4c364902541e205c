package e2e

import (
	"bytes"
	"context"
	"errors"
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

// winePackages are the packages whose tests run under Wine, by their names; of
// agent's, most need a Unix shell.
var winePackages = map[string]struct{ dir, run string }{
	"executor":    {dir: "internal/executor"},
	"state":       {dir: "internal/agent/state"},
	"journal":     {dir: "internal/agent/journal"},
	"output":      {dir: "internal/agent/output"},
	"shellscript": {dir: "internal/agent/plugin/shellscript"},
	"agentlink":   {dir: "internal/agentlink"},
	"wire":        {dir: "internal/wire"},
	"agent": {dir: "internal/agent", run: "TestRegistrationThatCannotBe|TestFlags|TestPlatform|TestLoneliness|TestCancelBeforeItsCommand|" +
		"TestDamagedJournal|TestUnacknowledgedFinal|TestInterruptedSteps|TestOneAgentPerFolder"},
}

// TestWindows runs what is for Windows: the tests of the agent's packages, and a
// whole agent. It stands in for a Windows, which nobody here has.
func TestWindows(t *testing.T) {
	t.Parallel()
	folder, wine := os.Getenv("SSMRUN_TEST_WINE"), os.Getenv("SSMRUN_TEST_WINE_BIN")
	if folder == "" || wine == "" {
		testenv.NotRun(t, "the agent's Windows code", "no Wine is made ready", "apt-get install --no-install-recommends wine64 (as root); make test")
	}
	run := func(ctx context.Context, dir, program string, args ...string) *exec.Cmd {
		cmd := exec.CommandContext(ctx, wine, append([]string{program}, args...)...)
		cmd.Dir = dir
		cmd.Env = append(testenv.CleanEnv(), "HOME="+os.Getenv("HOME"), "WINEPREFIX="+filepath.Join(folder, "prefix"), "WINEDEBUG=-all")
		return cmd
	}
	for name, p := range winePackages {
		t.Run(name, func(t *testing.T) {
			// Into a file: Wine's own processes keep what they inherit open.
			log, err := os.Create(filepath.Join(t.TempDir(), "log"))
			if err != nil {
				t.Fatal(err)
			}
			defer log.Close()
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute) // for Wine itself
			defer cancel()
			cmd := run(ctx, filepath.Join(testenv.Root(t), p.dir), filepath.Join(folder, name+".test.exe"), "-test.timeout=2m", "-test.run="+p.run)
			cmd.Stdout, cmd.Stderr = log, log
			if err := cmd.Run(); err != nil {
				b, _ := os.ReadFile(log.Name())
				t.Errorf("%v\n%s", err, b)
			}
		})
	}
	t.Run("whole agent", func(t *testing.T) {
		windowsAgent(t, func(ctx context.Context, args ...string) *exec.Cmd {
			return run(ctx, t.TempDir(), filepath.Join(folder, "ssmrun-agent.exe"), args...)
		})
	})
}

// anywhere is a document for every platform by its plugins, whose steps have no
// precondition: so it gets to the agent, which has no plugin for its second step.
const anywhere = `{"schemaVersion":"2.2","mainSteps":[
	{"action":"aws:runShellScript","name":"shell","inputs":{"runCommand":["echo x"]}},
	{"action":"aws:runPowerShellScript","name":"power","inputs":{"runCommand":["echo x"]}}]}`

func windowsAgent(t *testing.T, program func(ctx context.Context, args ...string) *exec.Cmd) {
	s := testenv.Start(t, testenv.Options{Documents: map[string]string{"Anywhere.json": anywhere}})
	ctx := testenv.Context(t)
	a, err := s.SSM().CreateActivation(ctx, &ssm.CreateActivationInput{IamRole: aws.String(testenv.DefaultRole)})
	if err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	agent, stop := context.WithCancel(t.Context())
	cmd := program(agent, "--endpoint", s.Endpoint, "--region", s.Region, "--state", "Z:"+filepath.Join(t.TempDir(), "state"), // Z: is /
		"--activation-id", aws.ToString(a.ActivationId), "--activation-code", aws.ToString(a.ActivationCode))
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		stop()
		_ = cmd.Wait()
		if b, _ := os.ReadFile(log.Name()); t.Failed() || !bytes.Contains(b, []byte("process_trees=job")) {
			t.Errorf("the agent's log:\n%s", b)
		}
	}()

	var node types.InstanceInformation
	for poll := time.NewTicker(100 * time.Millisecond); node.PingStatus != types.PingStatusOnline; {
		select {
		case <-poll.C:
		case <-ctx.Done():
			t.Fatal("the agent does not come online")
		}
		out, err := s.SSM().DescribeInstanceInformation(ctx, &ssm.DescribeInstanceInformationInput{})
		if err != nil {
			t.Fatal(err)
		}
		if len(out.InstanceInformationList) > 0 {
			node = out.InstanceInformationList[0]
		}
	}
	if node.PlatformType != types.PlatformTypeWindows || !strings.HasPrefix(aws.ToString(node.PlatformVersion), "10.") {
		t.Errorf("platform %s %s %s", node.PlatformType, aws.ToString(node.PlatformName), aws.ToString(node.PlatformVersion))
	}
	id := aws.ToString(node.InstanceId)
	var refused *types.UnsupportedPlatformType
	if _, err := s.SSM().SendCommand(ctx, &ssm.SendCommandInput{
		DocumentName: aws.String("AWS-RunShellScript"), InstanceIds: []string{id}, Parameters: map[string][]string{"commands": {"true"}},
	}); !errors.As(err, &refused) {
		t.Errorf("AWS-RunShellScript: %v", err)
	}
	sent, err := s.SSM().SendCommand(ctx, &ssm.SendCommandInput{DocumentName: aws.String("Anywhere"), InstanceIds: []string{id}})
	if err != nil {
		t.Fatal(err)
	}
	in := &ssm.GetCommandInvocationInput{CommandId: sent.Command.CommandId, InstanceId: &id, PluginName: aws.String("power")}
	_ = ssm.NewCommandExecutedWaiter(s.SSM()).Wait(ctx, in, time.Minute) // it fails, as it shall
	got, err := s.SSM().GetCommandInvocation(ctx, in)
	if err != nil {
		t.Fatal(err)
	}
	if text := aws.ToString(got.StandardErrorContent); got.Status != types.CommandInvocationStatusFailed || got.ResponseCode != 1 || !strings.Contains(text, "aws:runPowerShellScript is not one that this agent runs") {
		t.Errorf("%s, code %d, stderr %q", got.Status, got.ResponseCode, text)
	}
}
