package daemon_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"ssmrun/internal/agent/state"
	"ssmrun/internal/agentlink"
	"ssmrun/internal/sigv4"
	"ssmrun/internal/testenv"
)

const usesStored = `schemaVersion: "2.2"
parameters:
  greeting: {type: String, default: "{{ssm:/app/greeting}}"}
  name: {type: String, default: world, allowedPattern: "[a-z]+"}
  token: {type: String, default: "", interpolationType: ENV_VAR}
mainSteps:
  - action: aws:runShellScript
    name: greet
    inputs:
      runCommand:
        - echo "{{ greeting }}, {{ name }}; {{ssm:/app/greeting:1}}"
        - printf %s "$SSM_token" | tr a-z A-Z
`

const secretInText = `schemaVersion: "2.2"
mainSteps:
  - action: aws:runShellScript
    name: leak
    inputs: {runCommand: ["echo {{ssm-secure:/app/token}}"]}
`

// TestStoredParametersEndToEnd sends documents that name stored parameters to a
// real agent.
func TestStoredParametersEndToEnd(t *testing.T) {
	t.Parallel()
	s := testenv.Start(t, testenv.Options{Agents: 1, Documents: map[string]string{"Greet.yaml": usesStored, "Leak.yaml": secretInText}})
	const secret = "correct-horse-battery-staple"
	putParameter(t, s, "/app/greeting", "hi", types.ParameterTypeString)
	putParameter(t, s, "/app/greeting", "hello $(echo {{ssm:none}} {{ name }})", "", overwrite)
	putParameter(t, s, "/app/name", "ann", types.ParameterTypeString)
	putParameter(t, s, "/app/Name", "ANN", types.ParameterTypeString)
	putParameter(t, s, "/app/token", secret, types.ParameterTypeSecureString)
	look := func(t *testing.T) {
		t.Helper()
		for _, c := range []struct {
			name, document string
			parameters     map[string][]string
			stdout, note   string
		}{
			{"a default and a version", "Greet", nil, "hello {{ssm:none}} {{ name }}, world; hi\n", ""},
			{"a given value", "Greet", map[string][]string{"name": {"{{ssm:/app/name}}"}, "greeting": {"a {{ ssm:/app/greeting:1 }} b"}}, "a hi b, ann; hi\n", ""},
			{"a secret by variable", "Greet", map[string][]string{"greeting": {"x"}, "token": {"<{{ssm-secure:/app/token}}>"}}, "x, world; hi\n<" + strings.ToUpper(secret) + ">", ""},
			{"in a command", "AWS-RunShellScript", shell("echo [{{ssm:/app/name}}]"), "[ann]\n", ""},
			{"a missing name", "AWS-RunShellScript", shell("echo x {{ssm:/app/none}}"), "", "{{ssm:/app/none}}"},
			{"against the pattern", "Greet", map[string][]string{"name": {"{{ssm:/app/Name}}"}}, "", `parameter "name"`},
			{"a secret as a plain one", "AWS-RunShellScript", shell("echo {{ssm:/app/token}}"), "", "SecureString"},
			{"a secret in the script's text", "Leak", nil, "", "ENV_VAR"},
			{"a secret given for text", "AWS-RunShellScript", shell("echo {{ssm-secure:/app/token}}"), "", "$SSM_"},
		} {
			got := run(t, s, c.document, c.parameters, 0)
			out, note := aws.ToString(got.StandardOutputContent), aws.ToString(got.StandardErrorContent)
			if c.note == "" && (got.Status != "Success" || out != c.stdout) {
				t.Errorf("%s: %s %q %q, want %q", c.name, got.Status, out, note, c.stdout)
			}
			if c.note != "" && (got.Status != "Failed" || out != "" || !strings.Contains(note, "the step was not run") || !strings.Contains(note, c.note)) {
				t.Errorf("%s: %s %q %q, want %q", c.name, got.Status, out, note, c.note)
			}
			if strings.Contains(out+note, secret) || strings.Contains(note, "ANN") {
				t.Errorf("%s: a value is in %q or %q", c.name, out, note)
			}
		}
	}
	look(t)
	// The history shows the reference. (The upper case is what the script said.)
	list, err := s.SSM().ListCommands(testenv.Context(t), &ssm.ListCommandsInput{})
	if err != nil {
		t.Fatal(err)
	}
	if text := fmt.Sprint(list.Commands); strings.Contains(text, secret) {
		t.Error("the history holds the secret")
	}
	s.Stop()
	for _, file := range []string{"ssmrun.db", "ssmrun.db-wal", "audit.log"} {
		b, err := os.ReadFile(filepath.Join(s.Data, file))
		if errors.Is(err, os.ErrNotExist) && file == "ssmrun.db-wal" {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(b, []byte(secret)) {
			t.Errorf("%s holds the secret", file)
		}
		if file == "audit.log" && (!bytes.Contains(b, []byte(`"parameters":["/app/token"]`)) || bytes.Contains(b, []byte("hello"))) {
			t.Error("the audit log lacks a name or holds a value")
		}
	}
	if strings.Contains(s.Log(), secret) {
		t.Error("the log holds the secret")
	}
	for _, id := range s.InstanceIDs {
		err := filepath.WalkDir(filepath.Join(s.Data, "agents", id), func(path string, d os.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			b, err := os.ReadFile(path)
			if bytes.Contains(b, []byte(secret)) {
				t.Errorf("%s holds the secret", path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	s.Restart()
	look(t)
}

// TestSecretsAreSealedWhileTheServiceRuns looks at the files that are open.
func TestSecretsAreSealedWhileTheServiceRuns(t *testing.T) {
	t.Parallel()
	s := testenv.Start(t, testenv.Options{})
	const secret, plain = "correct-horse-battery-staple", "this-one-is-plain-to-see"
	putParameter(t, s, "secret", secret, types.ParameterTypeSecureString)
	putParameter(t, s, "plain", plain, types.ParameterTypeString)
	s.Kill()
	var all []byte
	for _, file := range []string{"ssmrun.db", "ssmrun.db-wal"} {
		b, err := os.ReadFile(filepath.Join(s.Data, file))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b...)
	}
	if !bytes.Contains(all, []byte(plain)) || bytes.Contains(all, []byte(secret)) {
		t.Errorf("plain is there: %v; the secret is there: %v", bytes.Contains(all, []byte(plain)), bytes.Contains(all, []byte(secret)))
	}
	s.Restart()
	out, err := s.SSM().GetParameter(testenv.Context(t), &ssm.GetParameterInput{Name: aws.String("secret"), WithDecryption: aws.Bool(true)})
	if err != nil || aws.ToString(out.Parameter.Value) != secret {
		t.Errorf("after the restart: %v", err)
	}
}

// agentOf gives a link with the identity of a local agent.
func agentOf(t *testing.T, s *testenv.Service, agent int) *agentlink.Link {
	t.Helper()
	var id agentlink.Identity
	if err := state.Read(filepath.Join(s.Data, "agents", s.InstanceIDs[agent], "registration.json"), &id); err != nil {
		t.Fatal(err)
	}
	return agentlink.New(agentlink.Config{Identity: id, Endpoint: func() (string, error) { return s.Endpoint, nil }})
}

// TestAgentsReadWhatTheirCommandsName calls as an agent that was taken over
// would.
func TestAgentsReadWhatTheirCommandsName(t *testing.T) {
	t.Parallel()
	s := testenv.Start(t, testenv.Options{Agents: 2, Regions: []string{"us-east-1", "eu-west-1"}})
	for _, name := range []string{"named", "other"} {
		putParameter(t, s, name, "value of "+name, types.ParameterTypeString)
	}
	putParameter(t, s, "secret", "value of secret", types.ParameterTypeSecureString)
	ctx, link := testenv.Context(t), agentOf(t, s, 0)
	denied := func(when, names string, decrypt bool) {
		t.Helper()
		_, err := link.Parameters(ctx, strings.Split(names, ","), decrypt)
		var refused *agentlink.APIError
		if !errors.As(err, &refused) || refused.Code != "AccessDeniedException" {
			t.Errorf("%s, %s: %v", when, names, err)
		} else if last := names[strings.LastIndex(names, ",")+1:]; !strings.Contains(refused.Message, " "+last+":") {
			t.Errorf("%s, %s: the parameter is not named: %s", when, names, refused.Message)
		}
	}
	denied("without a command", "named", false)

	// A command waits while the test looks.
	dir := t.TempDir()
	begun, end := filepath.Join(dir, "begun"), filepath.Join(dir, "end")
	if err := errors.Join(syscall.Mkfifo(begun, 0o600), syscall.Mkfifo(end, 0o600)); err != nil {
		t.Fatal(err)
	}
	id := send(t, s, "AWS-RunShellScript", shell("echo x >"+begun, "read x <"+end, ": {{ssm:named}}"), 0)
	if _, err := os.ReadFile(begun); err != nil {
		t.Fatal(err)
	}
	out, err := link.Parameters(ctx, []string{"named"}, false)
	if err != nil || len(out.Parameters) != 1 || out.Parameters[0].Value != "value of named" {
		t.Errorf("named: %v, %v", out, err)
	}
	denied("not named", "other", false)
	denied("one of two", "named,other", false)
	denied("in the clear", "named", true)
	denied("a version", "named:1", false)
	denied("an ARN", "arn:aws:ssm:us-east-1:000000000000:parameter/other", false)
	denied("a secret", "secret", true)
	if _, err := agentOf(t, s, 1).Parameters(ctx, []string{"named"}, false); err == nil {
		t.Error("another agent read what it has no command for")
	}
	keys, err := link.Credentials(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ operation, body string }{
		{"PutParameter", `{"Name":"named","Value":"x","Overwrite":true}`},
		{"DeleteParameter", `{"Name":"named"}`},
		{"DescribeParameters", `{}`},
		{"GetParametersByPath", `{"Path":"/"}`},
		{"GetParameter", `{"Name":"other"}`},
		// What is decided about has to be what is read.
		{"GetParameters", `{"Names":["other"],"names":["named"]}`},
		{"GetParameters", `{"names":["named"],"Names":["other"]}`},
		{"GetParameters", `{"Names":["named"],"Names":["other"]}`},
		{"GetParameter", `{"Name":"other","name":"named"}`},
	} {
		status, answer := asAgent(t, s, keys.Keys, s.Region, c.operation, c.body)
		refused := strings.Contains(answer, "AccessDeniedException") || strings.Contains(answer, "comes twice")
		if status != http.StatusBadRequest || !refused || strings.Contains(answer, "value of") {
			t.Errorf("%s %s: %d %s", c.operation, c.body, status, answer)
		}
	}
	if status, answer := asAgent(t, s, keys.Keys, s.Region, "GetParameter", `{"Name":"named"}`); status != http.StatusOK || !strings.Contains(answer, "value of named") {
		t.Errorf("GetParameter: %d %s", status, answer)
	}
	if status, answer := asAgent(t, s, keys.Keys, "eu-west-1", "GetParameter", `{"Name":"named"}`); status == http.StatusOK {
		t.Errorf("in another region: %s", answer)
	}
	if err := os.WriteFile(end, []byte("x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	wait(t, s, id)
	denied("after the end", "named", false)
}

// asAgent makes a raw call with an agent's keys.
func asAgent(t *testing.T, s *testenv.Service, keys sigv4.Keys, region, operation, body string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(testenv.Context(t), http.MethodPost, s.Endpoint+"/", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Target", "AmazonSSM."+operation)
	sigv4.Sign(r, []byte(body), keys, "ssm", region, time.Now())
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}
