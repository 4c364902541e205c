package daemon_test

import (
	"bufio"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"ssmrun/internal/testenv"
)

// TestActivationNeedsARole: an activation, and a change of a node's role, need one
// that is there and trusts Systems Manager.
func TestActivationNeedsARole(t *testing.T) {
	t.Parallel()
	s := testenv.Start(t, testenv.Options{Args: []string{"--other-account", "111111111111"}})
	ctx, client, roles := testenv.Context(t), s.SSM(), s.IAM()
	if _, err := roles.CreateRole(ctx, &iam.CreateRoleInput{RoleName: aws.String("Web"), AssumeRolePolicyDocument: trust("ec2.amazonaws.com")}); err != nil {
		t.Fatal(err)
	}
	activation, secret := activate(t, client, &ssm.CreateActivationInput{})
	r := startRemote(t, s, client, activation, secret)
	const known = "Nonexistent role or missing ssm service principal in trust policy: "
	for role, says := range map[string][]string{
		"None":                               {known + "arn:aws:iam::000000000000:role/None. ", "aws iam create-role --role-name None --assume-role-policy-document"},
		"Web":                                {known + "arn:aws:iam::000000000000:role/Web. ", "aws iam update-assume-role-policy --role-name Web --policy-document"},
		"path/Web":                           {known + "arn:aws:iam::000000000000:role/path/Web. ", "The role of this name is arn:aws:iam::000000000000:role/Web."},
		"arn:aws:iam::111111111111:role/Web": {known + "arn:aws:iam::111111111111:role/Web. ", "account 000000000000"},
	} {
		_, err := client.CreateActivation(ctx, &ssm.CreateActivationInput{IamRole: &role})
		_, err2 := client.UpdateManagedInstanceRole(ctx, &ssm.UpdateManagedInstanceRoleInput{InstanceId: &r.id, IamRole: &role})
		for _, text := range says {
			if !isCode(t, err, "ValidationException", text) || !isCode(t, err2, "ValidationException", text) {
				t.Errorf("%s: %v\n%v\nwant %s", role, err, err2, text)
			}
		}
	}
	if _, err := roles.UpdateAssumeRolePolicy(ctx, &iam.UpdateAssumeRolePolicyInput{RoleName: aws.String("Web"), PolicyDocument: trust("ssm.amazonaws.com")}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.CreateActivation(ctx, &ssm.CreateActivationInput{IamRole: aws.String("Web")}); err != nil {
		t.Error(err)
	}
}

// startAgent runs an agent and gives its log, a line at a time; it ends with the
// test, or by itself.
func startAgent(t *testing.T, s *testenv.Service, state string, args ...string) (lines <-chan string) {
	t.Helper()
	cmd := exec.Command(testenv.Binary(t, "ssmrun-agent"), append([]string{"--endpoint-file", filepath.Join(s.Data, "endpoint.json"), "--state", state}, args...)...)
	cmd.Env = testenv.CleanEnv()
	stderr, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	all := make(chan string, 1000) // so that nobody need read to the end
	go func() {
		defer close(all)
		for in := bufio.NewScanner(stderr); in.Scan(); {
			all <- in.Text()
		}
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	return all
}

// activationFile writes an agent's activation.
func activationFile(t *testing.T, s *testenv.Service, id, code string) string {
	t.Helper()
	b, err := json.Marshal(map[string]string{"activation_id": id, "activation_code": code, "region": s.Region})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "activation.json")
	testenv.WriteFile(t, file, string(b), 0o600)
	return file
}

// awaitLine waits for a line of a log that has all of the texts.
func awaitLine(t *testing.T, lines <-chan string, texts ...string) {
	t.Helper()
	var seen []string
	late := time.After(testenv.StartTimeout)
	for {
		select {
		case line, ok := <-lines:
			if !ok {
				t.Fatalf("the agent ended without %q:\n%s", texts, strings.Join(seen, "\n"))
			}
			seen = append(seen, line)
			all := true
			for _, text := range texts {
				all = all && strings.Contains(line, text)
			}
			if all {
				return
			}
		case <-late:
			t.Fatalf("the agent did not say %q:\n%s", texts, strings.Join(seen, "\n"))
		}
	}
}

// TestPolicyIsNeeded: without AmazonSSMManagedInstanceCore an agent does not
// register; when it is taken away from a registered one, what is open goes on, and
// a new connection waits until it is attached again.
func TestPolicyIsNeeded(t *testing.T) {
	t.Parallel()
	s := testenv.Start(t, testenv.Options{})
	ctx, client, roles := testenv.Context(t), s.SSM(), s.IAM()
	makeRole(t, roles, "Rack")
	const mend = "aws iam attach-role-policy --role-name Rack --policy-arn " + corePolicy
	policy := func(attach bool) {
		t.Helper()
		var err error
		if attach {
			_, err = roles.AttachRolePolicy(ctx, &iam.AttachRolePolicyInput{RoleName: aws.String("Rack"), PolicyArn: aws.String(corePolicy)})
		} else {
			_, err = roles.DetachRolePolicy(ctx, &iam.DetachRolePolicyInput{RoleName: aws.String("Rack"), PolicyArn: aws.String(corePolicy)})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	activation, secret := activate(t, client, &ssm.CreateActivationInput{IamRole: aws.String("Rack")})
	file, state := activationFile(t, s, activation, secret), filepath.Join(t.TempDir(), "state")
	awaitLine(t, startAgent(t, s, state, "--activation-file", file), "AccessDeniedException", "role Rack does not carry the managed policy AmazonSSMManagedInstanceCore", mend)

	policy(true)
	log := startAgent(t, s, state, "--activation-file", file)
	awaitLine(t, log, "connected to the service")
	id := infoIDs(describe(t, client))[0]
	run := func() {
		t.Helper()
		out, err := client.SendCommand(ctx, &ssm.SendCommandInput{DocumentName: aws.String("AWS-RunShellScript"), InstanceIds: []string{id}, Parameters: shell("true")})
		if err != nil {
			t.Fatal(err)
		}
		if c := waitBy(t, client, aws.ToString(out.Command.CommandId)); c.Status != "Success" {
			t.Errorf("a command: %s/%s", c.Status, aws.ToString(c.StatusDetails))
		}
	}
	policy(false)
	run() // over the channel that is open
	s.Stop()
	s.Restart()
	if !strings.Contains(s.Log(), "registration refused") || strings.Contains(s.Log(), secret) {
		t.Error("the service's log does not tell of the refusal, or tells too much")
	}
	client, roles = s.SSM(), s.IAM()
	awaitLine(t, log, "no connection to the service", "AccessDeniedException", "ssmmessages:CreateControlChannel", mend)
	policy(true)
	awaitLine(t, log, "connected to the service")
	run()

	policy(false)
	if _, err := roles.DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: aws.String("Rack")}); err != nil {
		t.Fatal(err)
	}
	run()
}

// TestRegistrationErrors: each refusal says at the agent what is wrong, and ends
// it.
func TestRegistrationErrors(t *testing.T) {
	t.Parallel()
	s := testenv.Start(t, testenv.Options{Agents: 1})
	ctx, client := testenv.Context(t), s.SSM()
	used, usedSecret := activate(t, client, &ssm.CreateActivationInput{})
	startRemote(t, s, client, used, usedSecret)
	late, lateSecret := activate(t, client, &ssm.CreateActivationInput{ExpirationDate: aws.Time(time.Now().Add(1500 * time.Millisecond))})
	for expired := false; !expired; {
		out, err := client.DescribeActivations(ctx, &ssm.DescribeActivationsInput{})
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range out.ActivationList {
			expired = expired || aws.ToString(a.ActivationId) == late && a.Expired
		}
	}
	good, goodSecret := activate(t, client, &ssm.CreateActivationInput{})
	held, heldSecret := activate(t, client, &ssm.CreateActivationInput{RegistrationMetadata: metadata(s.InstanceIDs[0])})
	for name, c := range map[string]struct {
		id, secret string
		want       []string
	}{
		"used up":      {used, usedSecret, []string{"InvalidActivation", used, "is used up: its limit of registrations, 1, is reached"}},
		"expired":      {late, lateSecret, []string{"InvalidActivation", late, "expired at 20"}},
		"a wrong code": {good, goodSecret[1:] + "A", []string{"InvalidActivation", "do not belong to an activation of this service"}},
		"a wrong id":   {"11111111-1111-4111-8111-111111111111", goodSecret, []string{"InvalidActivation", "do not belong to an activation of this service"}},
		"a held id":    {held, heldSecret, []string{"InstanceAlreadyRegistered", s.InstanceIDs[0], "another machine", "Stop that agent first"}},
	} {
		t.Run(name, func(t *testing.T) {
			lines := startAgent(t, s, filepath.Join(t.TempDir(), "state"), "--activation-file", activationFile(t, s, c.id, c.secret))
			awaitLine(t, lines, append(c.want, "ssmrun-agent: ")...)
			for line := range lines { // until it has ended
				if strings.Contains(line, c.secret) {
					t.Errorf("the code is in the log: %s", line)
				}
			}
		})
	}
	for body, want := range map[string]string{
		`"PublicKey":"x","PublicKeyType":"Rsa"`:    "PublicKey is not base64",
		`"PublicKey":"AAAA","PublicKeyType":"Rsa"`: "PublicKey is not a DER encoded SubjectPublicKeyInfo",
		`"PublicKey":"AAAA","PublicKeyType":"Dsa"`: "PublicKeyType must be Rsa",
	} {
		_, got, message, _ := wireCall{
			target: "AmazonSSM.RegisterManagedInstance",
			body:   `{"ActivationId":"` + good + `","ActivationCode":"` + goodSecret + `","Fingerprint":"f",` + body + `}`,
		}.send(t, s)
		if got != "ValidationException" || !strings.Contains(message, want) {
			t.Errorf("%s: %s %s", body, got, message)
		}
	}
	lines := startAgent(t, s, filepath.Join(t.TempDir(), "state"), "--activation-id", good, "--activation-code", goodSecret, "--region", "eu-north-1")
	awaitLine(t, lines, "ssmrun-agent: ", "the agent is set up for eu-north-1", "Set it up for "+s.Region)
	// None of it was used up.
	startRemote(t, s, client, good, goodSecret)
}

// TestDeregisteredAgentSaysSo: an agent whose key is gone is told why, and asks
// with ever longer pauses.
func TestDeregisteredAgentSaysSo(t *testing.T) {
	t.Parallel()
	s := testenv.Start(t, testenv.Options{})
	ctx, client := testenv.Context(t), s.SSM()
	activation, secret := activate(t, client, &ssm.CreateActivationInput{})
	log := startAgent(t, s, filepath.Join(t.TempDir(), "state"), "--activation-file", activationFile(t, s, activation, secret))
	awaitLine(t, log, "connected to the service")
	id := infoIDs(describe(t, client))[0]
	if _, err := client.DeregisterManagedInstance(ctx, &ssm.DeregisterManagedInstanceInput{InstanceId: &id}); err != nil {
		t.Fatal(err)
	}
	awaitLine(t, log, "no connection to the service", "retry_in", "AccessDeniedException", id+" is not registered with this service", "new activation")
}
