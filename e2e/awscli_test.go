package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"ssmrun/internal/awsapi"
	"ssmrun/internal/testenv"
)

// awsCLI is Debian's AWS CLI: another one may come first on PATH.
const awsCLI = "/usr/bin/aws"

// ec2File tells the service of EC2 instances without agents.
const ec2File = `[
	{"InstanceId": "i-00000001", "Tags": {"env": "prod"}},
	{"InstanceId": "i-00000002", "State": "stopped", "Tags": {"env": "test"}},
	{"InstanceId": "i-00000003", "Tags": {"env": "test"}},
	{"InstanceId": "i-00000004", "State": "pending"},
	{"InstanceId": "i-00000005", "State": "stopping"},
	{"InstanceId": "i-00000006", "State": "terminated"}
]`

// TestAWSCLI runs testdata/awscli/*.txtar, command lines as a user types them,
// all against one service with two agents and twelve simulated nodes. Debian
// 12's CLI does not read AWS_ENDPOINT_URL, so that aws is what the README
// advises there: `aws --endpoint-url $AWS_ENDPOINT_URL`. Beside testscript's own
// commands there are
//
//	capture NAME...         sets variables to the words of the last output; - for none
//	agent NAME ID CODE      runs an agent with an activation, NAME is its id
//	[knows:OPERATION]       whether this CLI's model has an operation of SSM
func TestAWSCLI(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat(awsCLI); err != nil {
		testenv.NotRun(t, "the AWS CLI against the service", "no "+awsCLI, "apt-get install awscli (as root)")
	}
	dir := t.TempDir()
	testenv.WriteFile(t, filepath.Join(dir, "ec2.json"), ec2File, 0o600)
	testenv.WriteFile(t, filepath.Join(dir, "aws"), "#!/bin/sh\nexec "+awsCLI+" --endpoint-url \"$AWS_ENDPOINT_URL\" \"$@\"\n", 0o700)
	s := testenv.Start(t, testenv.Options{
		Agents: 2, Buckets: []string{"logs"}, Roles: []string{"service-role/Hybrid", "Other"}, Args: []string{"--ec2-instances", filepath.Join(dir, "ec2.json")},
	})
	activation, _ := simulate(t, s, 12)
	var known sync.Map // operation: whether the CLI knows it
	testscript.Run(t, testscript.Params{
		Dir: "testdata/awscli",
		Setup: func(e *testscript.Env) error {
			for _, v := range s.Env() {
				if name, value, _ := strings.Cut(v, "="); strings.HasPrefix(name, "AWS_") {
					e.Setenv(name, value)
				}
			}
			e.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
			e.Setenv("ID1", s.InstanceIDs[0])
			e.Setenv("ID2", s.InstanceIDs[1])
			e.Setenv("ACTIVATION", activation)
			return nil
		},
		Condition: func(cond string) (bool, error) {
			operation, ok := strings.CutPrefix(cond, "knows:")
			if !ok {
				return false, fmt.Errorf("unknown condition %q", cond)
			}
			if answer, ok := known.Load(operation); ok {
				return answer.(bool), nil
			}
			// Writes an empty input, and asks nobody.
			cmd := exec.CommandContext(testenv.Context(t), awsCLI, "ssm", operation, "--generate-cli-skeleton")
			cmd.Env = s.Env()
			answer := cmd.Run() == nil
			known.Store(operation, answer)
			return answer, nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"capture": func(ts *testscript.TestScript, _ bool, names []string) {
				words := strings.Fields(ts.ReadFile("stdout"))
				if len(words) != len(names) {
					ts.Fatalf("%d words for %v", len(words), names)
				}
				for i, name := range names {
					if name != "-" {
						ts.Setenv(name, strings.Trim(words[i], `"`))
					}
				}
			},
			"agent": func(ts *testscript.TestScript, _ bool, args []string) {
				id, err := startNode(t, s, ts.MkAbs("node"), args[1], args[2])
				ts.Check(err)
				ts.Setenv(args[0], id)
			},
		},
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
	})
}

// TestAWSCLIMissesNothing: the scripts call every operation that is served.
func TestAWSCLIMissesNothing(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/awscli/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	called := map[string]bool{}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?m)^(?:\[.*\] )?exec aws (\w+ [a-z0-9-]+) `).FindAllSubmatch(b, -1) {
			called[string(m[1])] = true
		}
	}
	word := regexp.MustCompile(`[A-Z][a-z]+`)
	served := []string{"sts get-caller-identity", "sts assume-role", "ec2 describe-instances"}
	for _, name := range awsapi.New(awsapi.Config{}).Operations() {
		served = append(served, "ssm "+strings.ToLower(strings.Join(word.FindAllString(name, -1), "-")))
	}
	for _, operation := range served {
		if !called[operation] {
			t.Errorf("no script in testdata/awscli calls aws %s", operation)
		}
	}
	if len(served) < 30 || slices.Contains(served, "ssm ") {
		t.Errorf("served are only %q", served)
	}
}
