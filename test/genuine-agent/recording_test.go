package genuineagent

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"ssmrun/internal/testenv"
)

// envRecord names a folder that records go into.
const envRecord = "SSMRUN_GENUINE_RECORD"

// invocationLine is what the service made of a command, at the end of a record.
type invocationLine struct {
	Command, Step, Details, Stdout, Stderr string
	Code                                   int32
}

// TestRecord lets amazon-ssm-agent run a few commands behind a recorder. Its
// records lie in testdata, so that TestReplay can ask of the service what that
// agent asks, without having it.
func TestRecord(t *testing.T) {
	t.Parallel()
	dir, programs := os.Getenv(envRecord), os.Getenv(testenv.EnvGenuine)
	if dir == "" || programs == "" {
		t.Skip("nothing is to be recorded: " + envRecord + " and " + testenv.EnvGenuine + " are not set")
	}
	for _, longPoll := range []bool{false, true} {
		s := subject{"amazon-ssm-agent", longPoll, true, func(t *testing.T, s *testenv.Service, o testenv.HostOptions) testenv.HostAgent {
			return testenv.GenuineAgent(t, s, o, programs)
		}}
		t.Run(s.channel(), func(t *testing.T) {
			t.Parallel()
			var r *recorder
			h := newHost(t, s, func(h *host, o *testenv.HostOptions) {
				r = newRecorder(t, h.Service)
				o.TLS, o.CA, o.Endpoint = r.tap.TLS, r.tap.CA, r.tap.Plain
			})
			r.results(h, record(h))
			h.agent.Stop()
			r.write(filepath.Join(dir, s.channel()+".jsonl"))
		})
	}
}

// record gives the steps of the commands that it ran.
func record(h *host) (steps [][2]string) {
	step := func(c string, names ...string) {
		h.ended(c)
		for _, n := range names {
			steps = append(steps, [2]string{c, n})
		}
	}
	step(h.send("echo out", "echo err >&2"), "")
	step(h.send("echo before", "exit 7"), "")
	arg := sleeper()
	c := h.send("sleep " + arg)
	testenv.WaitFor(h.context(), h.T, "the script", func() (bool, error) { return running(arg), nil })
	h.cancel(c)
	step(c, "")
	step(h.sendDocument(shell, map[string][]string{"commands": {"echo slow", "sleep 300"}, "executionTimeout": {"5"}}), "")
	name := h.document(h.unique("Steps"), `{"schemaVersion":"2.2","description":"steps","mainSteps":[
		{"action":"aws:runShellScript","name":"first","inputs":{"runCommand":["echo 1"]}},
		{"action":"aws:runShellScript","name":"other","precondition":{"StringEquals":["platformType","Windows"]},"inputs":{"runCommand":["echo never"]}},
		{"action":"aws:runShellScript","name":"fails","inputs":{"runCommand":["echo 2; exit 4"]}},
		{"action":"aws:configureDocker","name":"unknown","inputs":{"action":"Install"}}]}`)
	step(h.sendDocument(name, nil), "first", "other", "fails", "unknown")
	return steps
}

// results adds what became of commands.
func (r *recorder) results(h *host, steps [][2]string) {
	for _, s := range steps {
		in := &ssm.GetCommandInvocationInput{CommandId: &s[0], InstanceId: &h.id}
		if s[1] != "" {
			in.PluginName = &s[1]
		}
		out, err := h.SSM().GetCommandInvocation(h.context(), in)
		if err != nil {
			h.Fatal(err)
		}
		b, err := json.Marshal(invocationLine{s[0], s[1], *out.StatusDetails, *out.StandardOutputContent, *out.StandardErrorContent, out.ResponseCode})
		if err != nil {
			h.Fatal(err)
		}
		r.note(exchange{From: "test", Kind: "invocation", Text: string(b)})
	}
}
