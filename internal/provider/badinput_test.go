package provider

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"ssmrun/internal/testenv"
)

// commandID finds the id of the command that was sent.
func commandID(t testing.TB, out string) string {
	t.Helper()
	m := regexp.MustCompile(`command ([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})`).FindStringSubmatch(out)
	if m == nil {
		t.Fatalf("no command was sent:\n%s", out)
	}
	return m[1]
}

// badInput is every kind of input that a user can get wrong: each is refused
// with the field, the value and what to do, and nothing is sent.
func badInput(t *testing.T, svc *testenv.Service) {
	id := svc.InstanceIDs[0]
	const document, script = `document_name = "AWS-RunShellScript"`, `parameters = { commands = ["true"] }`
	instance := fmt.Sprintf("instance_ids = [%q]", id)
	config := func(lines ...string) string { return actionBlock(strings.Join(lines, "\n")) }
	proxy := testenv.NewProxy(t, svc.Endpoint)
	throughProxy := "AWS_ENDPOINT_URL=" + proxy.URL
	// Where the environment is the same one provider serves all.
	attached := attach(t, append(svc.Env(), throughProxy))
	for _, test := range []struct {
		name   string
		config string
		env    []string
		want   []string
	}{
		{"no instance ids", config("instance_ids = []", document, script), nil, []string{"Invalid instance_ids", "No instance ids are given", "Name at least one instance"}},
		{"malformed id", config(`instance_ids = ["i-12"]`, document, script), nil, []string{"Invalid instance_ids", `"i-12" is no instance id`, "Ids look like i-0123456789abcdef0"}},
		{"an id twice", config(fmt.Sprintf("instance_ids = [%[1]q, %[1]q]", id), document, script), nil, []string{"Invalid instance_ids", `"` + id + `" is named more than once`, "Name each instance once"}},
		{"unknown id", config(`instance_ids = ["i-0123456789abcdef0"]`, document, script), nil, []string{"instance_ids: i-0123456789abcdef0 does not exist in us-east-1", "Check the id"}},
		{"unknown document", config(instance, `document_name = "AWS-RunShelScript"`, script), nil, []string{`document_name: document "AWS-RunShelScript" does not exist`, "Check the name"}},
		{"impossible document", config(instance, `document_name = "no such thing"`, script), nil, []string{"Invalid document_name", `"no such thing" cannot be the name of a document`, "3 to 128"}},
		{"Automation document", config(instance, `document_name = "restart-fleet"`), nil, []string{"restart-fleet", "Automation", "Run Command takes Command documents only"}},
		{"unknown parameter", config(instance, document, `parameters = { commands = ["true"], comands = ["false"] }`), nil, []string{"parameters:", "comands"}},
		{"missing parameter", config(instance, document), nil, []string{"parameters:", "commands"}},
		{"value not allowed", config(instance, `document_name = "choose"`, `parameters = { mode = "Sideways", number = "7" }`), nil, []string{"parameters:", "mode", "Forwards"}},
		{"value against the pattern", config(instance, `document_name = "choose"`, `parameters = { mode = "Forwards", number = "seven" }`), nil, []string{"parameters:", "number", "[0-9]+"}},
		{"parameters no object", config(instance, document, `parameters = "true"`), nil, []string{"Invalid parameters", "must be an object or a map", "not a string"}},
		{"nested list", config(instance, document, `parameters = { commands = [["true"]] }`), nil, []string{"Invalid parameters", "commands"}},
		{"timeout of 59", config(instance, document, script, "timeout = 59"), nil, []string{"Invalid timeout", "timeout is 59 seconds", "from 60 to 7200"}},
		{"timeout of 7201", config(instance, document, script, "timeout = 7201"), nil, []string{"Invalid timeout", "timeout is 7201 seconds", "from 60 to 7200"}},
		{"wait without a unit", config(instance, document, script, `wait_for_instances = "5"`), nil, []string{"Invalid wait_for_instances", `wait_for_instances is "5"`, "90s"}},
		{"negative wait", config(instance, document, script, `wait_for_instances = "-5m"`), nil, []string{"Invalid wait_for_instances", `"-5m"`}},
		{"impossible bucket", config(instance, document, script, `output_s3_bucket = "s3://Logs/x"`), nil, []string{"Invalid output_s3_bucket", "s3://Logs/x"}},
		{"empty bucket", config(instance, document, script, `output_s3_bucket = ""`), nil, []string{"Invalid output_s3_bucket", "output_s3_bucket is empty"}},
		{"impossible region", config(instance, document, script, `region = "US East"`), nil, []string{"Invalid region", `"US East"`, "us-east-1"}},
		{"no region", config(instance, document, script), []string{"AWS_REGION=", "AWS_DEFAULT_REGION="}, []string{"No region", "AWS_REGION", `region = "us-east-1"`}},
		{"no credentials", config(instance, document, script), []string{"AWS_ACCESS_KEY_ID=", "AWS_SECRET_ACCESS_KEY=", "HOME=/nonexistent"}, []string{"No credentials", "AWS_ACCESS_KEY_ID", "AWS_PROFILE"}},
		{"wrong secret", config(instance, document, script), []string{"AWS_SECRET_ACCESS_KEY=wrong"}, []string{"InvalidSignatureException", "Check the access key"}},
		{"no endpoint", config(instance, document, script), []string{"AWS_ENDPOINT_URL=http://127.0.0.1:1"}, []string{"http://127.0.0.1:1", "connection refused", "environment variable AWS_ENDPOINT_URL", "endpoints { ssm } of the provider"}},
		{"endpoint without a scheme", "provider \"aws\" {\n endpoints {\n ssm = \"localhost:8440\"\n }\n}\n" + config(instance, document, script), nil, []string{"Invalid endpoint", "localhost:8440", "http://127.0.0.1:8440"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			env := append(svc.Env(), throughProxy)
			if test.env == nil && !strings.HasPrefix(test.config, "provider") {
				env = append(env, attached)
			}
			w := newWorkspace(t, append(env, test.env...), inUse+test.config)
			out := w.applyFails(invoke)
			contains(t, out, test.want...)
			lacks(t, out, "Sent ")
		})
	}
	t.Cleanup(func() {
		if n := proxy.Seen("SendCommand"); n != 0 {
			t.Errorf("SendCommand was called %d times", n)
		}
	})
}

// documents are for tests that need others than AWS's.
var documents = map[string]string{
	"restart-fleet.yaml": "schemaVersion: '0.3'\ndescription: no Command document\nmainSteps:\n  - name: wait\n    action: aws:sleep\n    inputs:\n      Duration: PT1S\n",
	"elsewhere.json": `{
  "schemaVersion": "2.2", "description": "for another platform",
  "mainSteps": [{"action": "aws:runShellScript", "name": "run", "precondition": {"StringEquals": ["platformType", "Windows"]}, "inputs": {"runCommand": ["true"]}}]
}`,
	"choose.json": `{
  "schemaVersion": "2.2", "description": "takes few values",
  "parameters": {
    "mode": {"type": "String", "description": "which way", "allowedValues": ["Forwards", "Backwards"]},
    "number": {"type": "String", "description": "how many", "allowedPattern": "^[0-9]+$"}},
  "mainSteps": [{"action": "aws:runShellScript", "name": "run", "inputs": {"runCommand": ["echo {{ mode }} {{ number }}"]}}]
}`,
}

// TestInstanceOffline refuses an instance whose agent has lost its connection.
func TestInstanceOffline(t *testing.T) {
	t.Parallel()
	terraform(t)
	data := filepath.Join(t.TempDir(), "data")
	svc := testenv.Start(t, testenv.Options{Agents: 1, Data: data})
	id := svc.InstanceIDs[0]
	svc.Stop()
	// The same service without its agent, which has stopped in good order.
	svc = testenv.Start(t, testenv.Options{Data: data})
	w := newWorkspace(t, svc.Env(), inUse+actionBlock(fmt.Sprintf("instance_ids = [%q]\ndocument_name = \"AWS-RunShellScript\"\nparameters = { commands = [\"true\"] }\nwait_for_instances = \"0s\"", id)))
	out := w.applyFails(invoke)
	contains(t, out, "instance_ids: "+id+" is offline")
	if n := len(commands(t, svc.SSM(), id)); n != 0 {
		t.Errorf("%d commands were sent", n)
	}
	// With time it is waited for, at most for that long.
	w.write(inUse + actionBlock(fmt.Sprintf("instance_ids = [%q]\ndocument_name = \"AWS-RunShellScript\"\nparameters = { commands = [\"true\"] }\nwait_for_instances = \"1s\"", id)))
	contains(t, w.applyFails(invoke), "Waiting for 1 instance, 0s of 1s", "instance_ids: "+id)
}

// awaitFile waits until a script has written a file.
func awaitFile(t testing.TB, path string) {
	t.Helper()
	ctx := testenv.Context(t)
	for !exists(path) {
		select {
		case <-ctx.Done():
			t.Fatalf("%s was not written", path)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
