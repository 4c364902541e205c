package agent

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"ssmrun"
	"ssmrun/internal/agentlink/linktest"
	"ssmrun/internal/document"
	"ssmrun/internal/wire"
)

// TestRunShellScript runs the document that everyone uses, as a service sends it.
func TestRunShellScript(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.cfg.Path, b.cfg.Home = "/usr/bin:/bin", "/home/nobody"
	b.start()
	builtin, ok := document.BuiltIn("AWS-RunShellScript")
	if !ok {
		t.Fatal("no AWS-RunShellScript")
	}
	work := t.TempDir()
	p := wire.SendCommandPayload{
		CommandID: uuid.NewString(), DocumentName: "AWS-RunShellScript", DocumentContent: builtin.Document.JSON(),
		Parameters: map[string]any{"commands": []string{"echo one", "echo two >&2", "pwd", "env | sort | grep -v '^_=' | grep -v '^PWD=' | grep -v SHLVL", `echo "$0"`}, "workingDirectory": work, "executionTimeout": "3600"},
	}
	jobID := b.srv.SendCommand(p)
	final, n := b.srv.WaitFinal(jobID, 0)
	if final.Reply.DocumentStatus != wire.StatusSuccess {
		t.Fatalf("final reply: %+v", final.Reply)
	}
	got := final.Reply.RuntimeStatus["aws:runShellScript"]
	lines := strings.Split(strings.TrimSpace(got.StandardOutput), "\n")
	want := []string{
		"one", work,
		"AWS_SSM_INSTANCE_ID=" + b.srv.InstanceID, "AWS_SSM_PLATFORM_NAME=Test GNU/Linux", "AWS_SSM_PLATFORM_VERSION=1",
		"AWS_SSM_REGION_NAME=us-east-1", "HOME=/home/nobody", "PATH=/usr/bin:/bin", "SSM_COMMAND_ID=" + p.CommandID,
		filepath.Join(b.dir, "orchestration", p.CommandID+".0", "_script.sh"),
	}
	if d := cmp.Diff(want, lines); d != "" {
		t.Errorf("stdout (-want +got):\n%s", d)
	}
	if got.StandardError != "two\n" || got.Code != 0 || got.Name != "aws:runShellScript" || got.Status != wire.StatusSuccess ||
		got.Output != got.StandardOutput+ssmrun.Separator+"two\n" || got.StartDateTime == "" || got.EndDateTime == "" {
		t.Errorf("plugin: %+v", got)
	}
	if c := final.Reply.AdditionalInfo.RuntimeStatusCounts; c["Success"] != 1 {
		t.Errorf("counts: %v", c)
	}
	var order []string
	for _, e := range b.srv.Events()[:n] {
		if e.JobID == jobID {
			order = append(order, e.Ack.StatusCode+e.Reply.DocumentStatus)
		}
	}
	if d := cmp.Diff([]string{"200", "InProgress", "Success"}, order); d != "" {
		t.Errorf("order of messages (-want +got):\n%s", d)
	}
	// Nothing is left: neither folder nor script.
	if left, err := os.ReadDir(filepath.Join(b.dir, "orchestration")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

func TestResultsOfScripts(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start()
	for _, tt := range []struct {
		name   string
		lines  []string
		status string
		code   int
		stdout string
		stderr []string
	}{
		{"failure", []string{"echo out", "echo oops >&2", "exit 7"}, wire.StatusFailed, 7, "out\n", []string{"oops\nfailed to run commands: exit status 7"}},
		{"no line end", []string{"printf oops >&2", "exit 3"}, wire.StatusFailed, 3, "", []string{"oops\nfailed to run commands: exit status 3"}},
		{"own interpreter", []string{"#!/bin/cat", "text"}, wire.StatusSuccess, 0, "#!/bin/cat\ntext\n", nil},
		{"exit 137", []string{"exit 137"}, wire.StatusFailed, 137, "", []string{"failed to run commands: exit status 137"}},
		{"killed itself", []string{"kill -9 $$"}, wire.StatusFailed, 137, "", []string{"failed to run commands: signal 9"}},
		{"command not found", []string{"no-such-command"}, wire.StatusFailed, 127, "", []string{"not found"}},
		{"stop with success", []string{"exit 168"}, wire.StatusSuccess, 168, "", nil},
		{"reboot", []string{"exit 194"}, wire.StatusFailed, 194, "", []string{"reboot"}},
		{"not UTF-8", []string{`printf 'a\377b'`}, wire.StatusSuccess, 0, "a\uFFFDb", nil},
		{"empty", nil, wire.StatusSuccess, 0, "", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := script(t, tt.lines...)
			e := b.run(p)
			got := e.Reply.RuntimeStatus["run"]
			if got.Status != tt.status || e.Reply.DocumentStatus != tt.status || got.Code != tt.code || got.StandardOutput != tt.stdout {
				t.Errorf("got %s/%s code %d stdout %q, want %s code %d stdout %q\nstderr: %s", e.Reply.DocumentStatus, got.Status, got.Code, got.StandardOutput, tt.status, tt.code, tt.stdout, got.StandardError)
			}
			contains(t, "stderr", got.StandardError, tt.stderr...)
			if tt.stderr == nil && got.StandardError != "" {
				t.Errorf("stderr: %q", got.StandardError)
			}
		})
	}
}

func TestInputsThatCannotRun(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start()
	for name, tt := range map[string]struct {
		inputs, extra map[string]any
		want          string
	}{
		"no working directory": {map[string]any{"runCommand": "true", "workingDirectory": "/no/such"}, nil, `working directory "/no/such"`},
		"file as directory":    {map[string]any{"runCommand": "true", "workingDirectory": "/etc/passwd"}, nil, `working directory "/etc/passwd"`},
		"unknown plugin":       {map[string]any{}, map[string]any{"action": "aws:noSuchPlugin"}, "aws:noSuchPlugin"},
		"stored parameter":     {map[string]any{"runCommand": "echo {{ssm:secret}}"}, nil, "{{ssm:secret}}"},
		"missing parameter":    {map[string]any{"runCommand": "{{ need }}"}, nil, "need"},
		"odd precondition":     {map[string]any{"runCommand": "true"}, map[string]any{"precondition": map[string]any{"NumericEquals": []string{"1", "1"}}}, "precondition"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := script(t)
			p.DocumentContent = document22(t, step{"run", tt.inputs, tt.extra})
			if name == "missing parameter" {
				var doc map[string]any
				must(t, json.Unmarshal(p.DocumentContent, &doc))
				doc["parameters"] = map[string]any{"need": map[string]any{"type": "String"}}
				p.DocumentContent, _ = json.Marshal(doc)
			}
			got := b.run(p).Reply.RuntimeStatus["run"]
			if got.Status != wire.StatusFailed || got.Code != 1 {
				t.Errorf("got %+v", got)
			}
			contains(t, "stderr", got.StandardError, tt.want)
		})
	}
}

func TestStepsInOrder(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start()
	run := func(lines ...string) map[string]any { return map[string]any{"runCommand": lines} }
	with := func(m map[string]any, k string, v any) map[string]any { m[k] = v; return m }
	windows := map[string]any{"precondition": map[string]any{"StringEquals": []string{"platformType", "Windows"}}}
	for _, tt := range []struct {
		name  string
		steps []step
		doc   string
		want  []string
	}{
		{"go on after a failure", []step{{"a", run("exit 1"), nil}, {"b", run("true"), nil}}, wire.StatusFailed, []string{"Failed 1", "Success 0"}},
		{"exit on failure", []step{{"a", with(run("exit 4"), "onFailure", "exit"), nil}, {"b", run("true"), nil}}, wire.StatusFailed, []string{"Failed 4", "Skipped 0"}},
		{"exit on failure but finally", []step{{"a", with(run("exit 4"), "onFailure", "exit"), nil}, {"b", run("true"), nil}, {"c", with(run("true"), "finallyStep", "true"), nil}}, wire.StatusFailed, []string{"Failed 4", "Skipped 0", "Success 0"}},
		{"finally, but not the last", []step{{"a", with(run("exit 4"), "onFailure", "exit"), nil}, {"b", with(run("true"), "finallyStep", "true"), nil}, {"c", run("true"), nil}}, wire.StatusFailed, []string{"Failed 4", "Skipped 0", "Skipped 0"}},
		{"finally, after success", []step{{"a", run("true"), nil}, {"b", with(run("exit 2"), "finallyStep", "true"), nil}}, wire.StatusFailed, []string{"Success 0", "Failed 2"}},
		{"finally, after exit 168", []step{{"a", run("exit 168"), nil}, {"b", run("false"), nil}, {"c", with(run("true"), "finallyStep", "true"), nil}}, wire.StatusSuccess, []string{"Success 168", "Skipped 0", "Success 0"}},
		{"no exit on a timeout", []step{{"a", with(with(run("sleep 100"), "onFailure", "exit"), "timeoutSeconds", "5"), nil}, {"b", run("true"), nil}}, wire.StatusTimedOut, []string{"TimedOut 137", "Success 0"}},
		{"exit on success that did not come", []step{{"a", with(run("exit 4"), "onSuccess", "exit"), nil}, {"b", run("true"), nil}}, wire.StatusFailed, []string{"Failed 4", "Success 0"}},
		{"exit on failure that did not come", []step{{"a", with(run("true"), "onFailure", "exit"), nil}, {"b", run("true"), nil}}, wire.StatusSuccess, []string{"Success 0", "Success 0"}},
		{"an unknown word for onFailure", []step{{"a", with(run("exit 4"), "onFailure", "abort"), nil}, {"b", run("true"), nil}}, wire.StatusFailed, []string{"Failed 4", "Success 0"}},
		{"success and exit", []step{{"a", with(run("exit 4"), "onFailure", "successAndExit"), nil}, {"b", run("true"), nil}}, wire.StatusSuccess, []string{"Success 168", "Skipped 0"}},
		{"exit on success", []step{{"a", with(run("true"), "onSuccess", "exit"), nil}, {"b", run("false"), nil}}, wire.StatusSuccess, []string{"Success 0", "Skipped 0"}},
		{"exit 168", []step{{"a", run("exit 168"), nil}, {"b", run("false"), nil}}, wire.StatusSuccess, []string{"Success 168", "Skipped 0"}},
		{"exit 169", []step{{"a", run("exit 169"), nil}, {"b", run("true"), nil}}, wire.StatusFailed, []string{"Failed 169", "Skipped 0"}},
		{"precondition", []step{{"a", run("false"), windows}, {"b", run("true"), nil}}, wire.StatusSuccess, []string{"Skipped 0", "Success 0"}},
		{"is end", []step{{"a", with(run("true"), "isEnd", true), nil}, {"b", run("false"), nil}}, wire.StatusSuccess, []string{"Success 0", "Skipped 0"}},
		{"is end, of a step that fails", []step{{"a", with(run("exit 4"), "isEnd", "true"), nil}, {"b", run("true"), nil}, {"c", with(run("true"), "finallyStep", true), nil}}, wire.StatusFailed, []string{"Failed 4", "Skipped 0", "Success 0"}},
		{"is end, at step level", []step{{"a", run("true"), map[string]any{"isEnd": true}}, {"b", run("false"), nil}}, wire.StatusSuccess, []string{"Success 0", "Skipped 0"}},
		{"is end, of a step that does not run", []step{{"a", run("false"), map[string]any{"isEnd": "true", "precondition": windows["precondition"]}}, {"b", run("true"), nil}}, wire.StatusSuccess, []string{"Skipped 0", "Success 0"}},
		{"is not the end", []step{{"a", with(run("true"), "isEnd", false), map[string]any{"isEnd": "false"}}, {"b", run("true"), nil}}, wire.StatusSuccess, []string{"Success 0", "Success 0"}},
		{"step level is not looked at", []step{{"a", run("exit 1"), map[string]any{"onFailure": "exit"}}, {"b", run("true"), nil}}, wire.StatusFailed, []string{"Failed 1", "Success 0"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := script(t)
			p.DocumentContent = document22(t, tt.steps...)
			final := b.run(p)
			if final.Reply.DocumentStatus != tt.doc || final.Reply.RuntimeStatus == nil || len(final.Reply.RuntimeStatus) != 0 {
				t.Errorf("final: %s with %d plugins, want %s with {}", final.Reply.DocumentStatus, len(final.Reply.RuntimeStatus), tt.doc)
			}
			var order, got []string
			for _, e := range b.srv.Events() {
				for name, r := range e.Reply.RuntimeStatus {
					if e.JobID == final.JobID {
						order = append(order, name)
						got = append(got, r.Status+" "+jsonInt(r.Code))
						if e.Reply.DocumentStatus != wire.StatusInProgress {
							t.Errorf("step reply has document status %s", e.Reply.DocumentStatus)
						}
					}
				}
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("results (-want +got):\n%s", d)
			}
			if !slices.IsSorted(order) {
				t.Errorf("order of step replies: %v", order)
			}
		})
	}
}

func jsonInt(n int) string { b, _ := json.Marshal(n); return string(b) }

func TestPropertiesOfOldSchemaShareAResult(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start()
	p := script(t)
	p.DocumentContent = json.RawMessage(`{"schemaVersion":"1.2","runtimeConfig":{"aws:runShellScript":{"properties":[
		{"id":"0.aws:runShellScript","runCommand":["echo one","exit 3"]},{"id":"1.aws:runShellScript","runCommand":["echo two"]}]}}}`)
	e := b.run(p)
	got := e.Reply.RuntimeStatus["aws:runShellScript"]
	if got.StandardOutput != "one\ntwo\n" || got.Status != wire.StatusFailed || got.Code != 3 {
		t.Errorf("got %+v", got)
	}
}

func TestParametersAsVariables(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start()
	p := script(t)
	p.DocumentContent = json.RawMessage(`{"schemaVersion":"2.2","parameters":{"Text":{"type":"String","interpolationType":"ENV_VAR"}},
		"mainSteps":[{"action":"aws:runShellScript","name":"run","inputs":{"runCommand":["printf %s \"$SSM_Text\""]}}]}`)
	p.Parameters = map[string]any{"Text": "$(reboot); `x` \"'"}
	if got := b.run(p).Reply.RuntimeStatus["run"]; got.StandardOutput != "$(reboot); `x` \"'" {
		t.Errorf("got %+v", got)
	}
}

func TestTimeoutKillsTheTree(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start()
	pid := fifo(t, "pid")
	p := script(t)
	// Five seconds are the least that agents take; "2" would count as 3600.
	p.DocumentContent = document22(t,
		step{"slow", map[string]any{"runCommand": "echo begun; (setsid sleep 1000 & echo $! > " + pid + "); sleep 1000", "timeoutSeconds": "5"}, nil},
		step{"next", map[string]any{"runCommand": "echo next"}, nil})
	jobID := b.srv.SendCommand(p)
	child := told(t, pid)
	final, _ := b.srv.WaitFinal(jobID, 0)
	got := b.results(jobID)
	if r := got["slow"]; r.Status != wire.StatusTimedOut || r.Code != 137 || r.StandardOutput != "begun\n" || r.StandardError != "" {
		t.Errorf("timed out step: %+v", r)
	}
	if r := got["next"]; r.Status != wire.StatusSuccess || r.StandardOutput != "next\n" {
		t.Errorf("step after it: %+v", r)
	}
	if final.Reply.DocumentStatus != wire.StatusTimedOut {
		t.Errorf("document: %s", final.Reply.DocumentStatus)
	}
	gone(t, child)
}

// gone checks that a process has ended; it may be a zombie of a foreign parent.
func gone(t *testing.T, pid string) {
	t.Helper()
	b, err := os.ReadFile("/proc/" + pid + "/stat")
	if err == nil && !strings.Contains(string(b), ") Z ") {
		t.Errorf("process %s is still there: %s", pid, b)
	}
}

func TestCancelRunning(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start()
	pid := fifo(t, "pid")
	p := script(t)
	p.DocumentContent = document22(t,
		step{"a", map[string]any{"runCommand": "echo begun; (setsid sleep 1000 & echo $! > " + pid + "); sleep 1000"}, nil},
		step{"b", map[string]any{"runCommand": "true", "finallyStep": true}, nil})
	jobID := b.srv.SendCommand(p)
	child := told(t, pid)
	n := len(b.srv.Events())
	cancelID := b.srv.Cancel(p.CommandID)
	if ack, _ := b.srv.WaitAck(cancelID, n); ack.Ack.StatusCode != wire.AckOK {
		t.Errorf("ack of the cancel: %+v", ack.Ack)
	}
	reply, _ := b.srv.Wait("reply to the cancel", n, func(e linktest.Event) bool { return e.Kind == wire.TypeAgentJobReply && e.JobID == cancelID })
	if reply.Topic != wire.TopicCancelCommand || reply.Reply.DocumentStatus != wire.StatusInProgress || reply.Reply.RuntimeStatus != nil {
		t.Errorf("reply to the cancel: %+v", reply)
	}
	final, _ := b.srv.WaitFinal(jobID, n)
	got := b.results(jobID)
	if r := got["a"]; r.Status != wire.StatusCancelled || r.Code != 137 || r.StandardOutput != "begun\n" || r.StandardError != "" {
		t.Errorf("cancelled step: %+v", r)
	}
	if r := got["b"]; r.Status != wire.StatusCancelled || r.Code != 1 {
		t.Errorf("step after it: %+v", r)
	}
	if final.Reply.DocumentStatus != wire.StatusCancelled {
		t.Errorf("document: %s", final.Reply.DocumentStatus)
	}
	gone(t, child)
	// A cancel of what is over changes nothing.
	n = len(b.srv.Events())
	b.srv.WaitAck(b.srv.Cancel(p.CommandID), n)
}

func TestQueueFullAndCancelOfQueued(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.cfg.Workers, b.cfg.Queue = 1, 1
	b.start()
	begun, release := fifo(t, "begun"), fifo(t, "release")
	first := b.srv.SendCommand(script(t, "echo > "+begun, "read x < "+release))
	told(t, begun)
	marker := filepath.Join(t.TempDir(), "ran")
	queued := script(t, "touch "+marker)
	queuedID := b.srv.SendCommand(queued)
	if ack, _ := b.srv.WaitAck(queuedID, 0); ack.Ack.StatusCode != wire.AckOK {
		t.Fatalf("queued: %+v", ack.Ack)
	}
	third := script(t, "echo third")
	thirdID := b.srv.SendCommand(third)
	if ack, _ := b.srv.WaitAck(thirdID, 0); ack.Ack.StatusCode != wire.AckBufferFull {
		t.Fatalf("third: %+v", ack.Ack)
	}
	b.srv.Cancel(queued.CommandID)
	final, n := b.srv.WaitFinal(queuedID, 0)
	if r := final.Reply.RuntimeStatus["run"]; final.Reply.DocumentStatus != wire.StatusCancelled || r.Status != wire.StatusCancelled || r.Code != -1 || r.StartDateTime != "" {
		t.Errorf("queued and cancelled: %+v", final.Reply)
	}
	// There is room again: the third is offered again under the same id.
	b.srv.SendCommand(third)
	if ack, _ := b.srv.WaitAck(thirdID, n); ack.Ack.StatusCode != wire.AckOK {
		t.Errorf("third again: %+v", ack.Ack)
	}
	tell(t, release)
	b.srv.WaitFinal(first, 0)
	if e, _ := b.srv.WaitFinal(thirdID, 0); e.Reply.RuntimeStatus["run"].StandardOutput != "third\n" {
		t.Errorf("third: %+v", e.Reply)
	}
	if _, err := os.Stat(marker); err == nil {
		t.Error("a cancelled command ran")
	}
}

func TestCancelBeforeItsCommand(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start()
	marker := filepath.Join(t.TempDir(), "ran")
	p := script(t, "touch "+marker)
	b.srv.WaitAck(b.srv.Cancel(p.CommandID), 0)
	if e := b.run(p); e.Reply.DocumentStatus != wire.StatusCancelled {
		t.Errorf("got %+v", e.Reply)
	}
	if _, err := os.Stat(marker); err == nil {
		t.Error("a cancelled command ran")
	}
}

func TestDuplicates(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := b.start()
	begun, release := fifo(t, "begun"), fifo(t, "release")
	count := filepath.Join(t.TempDir(), "count")
	p := script(t, "echo x >> "+count, "echo > "+begun, "read x < "+release)
	jobID := b.srv.SendCommand(p)
	_, n := b.srv.WaitAck(jobID, 0)
	told(t, begun)
	b.srv.SendCommand(p)
	ack, n := b.srv.WaitAck(jobID, n)
	if ack.Ack.StatusCode != wire.AckDuplicateCommand {
		t.Errorf("while it runs: %+v", ack.Ack)
	}
	tell(t, release)
	first, n := b.srv.WaitFinal(jobID, n)
	// What still waits for its acknowledgement would not go out a second time.
	if left := r.agent.link.Flush(t.Context()); left > 0 {
		t.Fatalf("%d replies wait", left)
	}
	b.srv.SendCommand(p)
	ack, n = b.srv.WaitAck(jobID, n)
	again, n := b.srv.WaitFinal(jobID, n)
	if ack.Ack.StatusCode != wire.AckDuplicateCommand || again.MessageID != first.MessageID {
		t.Errorf("after its end: %+v, final %s, first was %s", ack.Ack, again.MessageID, first.MessageID)
	}
	// The next agent on the folder knows it too.
	r.stop()
	b.start()
	b.srv.SendCommand(p)
	ack, n = b.srv.WaitAck(jobID, n)
	again, _ = b.srv.WaitFinal(jobID, n)
	if ack.Ack.StatusCode != wire.AckDuplicateCommand || again.Reply.DocumentStatus != wire.StatusSuccess {
		t.Errorf("after a restart: %+v %+v", ack.Ack, again.Reply)
	}
	if got, _ := os.ReadFile(count); string(got) != "x\n" {
		t.Errorf("the script ran %d times", strings.Count(string(got), "x"))
	}
}

func TestUnreadableJobs(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start()
	good := script(t, "true")
	content := func(change func(map[string]any)) string {
		raw, _ := wire.Marshal(good)
		var m map[string]any
		must(t, json.Unmarshal(raw, &m))
		change(m)
		raw, _ = json.Marshal(m)
		return string(raw)
	}
	topic := wire.JobTopic(wire.TopicSendCommand, "us-east-1", b.srv.InstanceID)
	doc := func(text string) string {
		return content(func(m map[string]any) { m["DocumentContent"] = json.RawMessage(text) })
	}
	for name, tt := range map[string]struct {
		job  wire.AgentJob
		want string // of the reason
	}{
		"no JSON":              {wire.AgentJob{JobID: b.srv.JobID("c1"), Topic: topic, Content: "{"}, "the JSON value ends early"},
		"no document":          {wire.AgentJob{JobID: b.srv.JobID("c2"), Topic: topic, Content: `{"CommandId":"c2"}`}, "field DocumentContent is missing"},
		"unknown schema":       {wire.AgentJob{JobID: b.srv.JobID("c3"), Topic: topic, Content: doc(`{"schemaVersion":"9.9"}`)}, `the document test cannot be read: Schema version "9.9" is not one of a Command document: use 2.2, 2.0 or 1.2`},
		"no schema":            {wire.AgentJob{JobID: b.srv.JobID("c7"), Topic: topic, Content: doc(`{}`)}, `the document test cannot be read: Missing "schemaVersion"`},
		"a list as a document": {wire.AgentJob{JobID: b.srv.JobID("c8"), Topic: topic, Content: doc(`[]`)}, "the document test cannot be read: The document must be an object"},
		"a text as a document": {wire.AgentJob{JobID: b.srv.JobID("c9"), Topic: topic, Content: doc(`"{}"`)}, "the document test cannot be read: The document must be an object"},
		"steps that are none":  {wire.AgentJob{JobID: b.srv.JobID("c10"), Topic: topic, Content: doc(`{"schemaVersion":"2.2","mainSteps":"x"}`)}, `the document test cannot be read: "mainSteps" must be a list`},
		"a step of nothing":    {wire.AgentJob{JobID: b.srv.JobID("c11"), Topic: topic, Content: doc(`{"schemaVersion":"2.2","mainSteps":[{}]}`)}, `the document test cannot be read: Missing "action" in step 1`},
		"unknown topic":        {wire.AgentJob{JobID: b.srv.JobID("c4"), Topic: "aws.ssm.other", Content: content(func(map[string]any) {})}, "neither a command nor a cancel"},
		"another instance":     {wire.AgentJob{JobID: wire.JobID("c5", "i-00000000000000000"), Topic: topic, Content: content(func(map[string]any) {})}, "not one of this instance: " + b.srv.InstanceID},
		"no job id":            {wire.AgentJob{JobID: "nonsense", Topic: topic, Content: content(func(map[string]any) {})}, "not one of this instance: " + b.srv.InstanceID},
		"cancel of nothing":    {wire.AgentJob{JobID: b.srv.JobID("c6"), Topic: wire.TopicCancelCommand, Content: `{"CancelMessageId":"x"}`}, "does not name a command of this instance: " + b.srv.InstanceID},
		"cancel that is none":  {wire.AgentJob{JobID: b.srv.JobID("c12"), Topic: wire.TopicCancelCommand, Content: `{`}, "the cancel cannot be read"},
	} {
		n := len(b.srv.Events())
		b.srv.Send(wire.TypeAgentJob, tt.job)
		ack, _ := b.srv.WaitAck(tt.job.JobID, n)
		if ack.Ack.StatusCode != wire.AckParseError || !strings.Contains(ack.Ack.ErrorMessage, tt.want) {
			t.Errorf("%s: ack %+v", name, ack.Ack)
		}
		if final, _ := b.srv.WaitFinal(tt.job.JobID, n); final.Reply.DocumentStatus != wire.StatusFailed || final.Reply.RuntimeStatus != nil || !strings.Contains(final.Reply.DocumentTraceOutput, tt.want) {
			t.Errorf("%s: reply %+v", name, final.Reply)
		}
	}
	// The agent is well.
	if e := b.run(good); e.Reply.DocumentStatus != wire.StatusSuccess {
		t.Errorf("afterwards: %+v", e.Reply)
	}
}

func TestWithoutJournalNothingRuns(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start()
	marker := filepath.Join(t.TempDir(), "ran")
	must(t, os.RemoveAll(filepath.Join(b.dir, "journal")))
	jobID := b.srv.SendCommand(script(t, "touch "+marker))
	if ack, _ := b.srv.WaitAck(jobID, 0); ack.Ack.StatusCode != wire.AckUnexpected || !strings.Contains(ack.Ack.ErrorMessage, "journal") {
		t.Errorf("ack: %+v", ack.Ack)
	}
	if _, err := os.Stat(marker); err == nil {
		t.Error("a command ran that the journal does not know")
	}
}

func TestStopReportsWhatRan(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.cfg.Workers, b.cfg.Queue = 1, 1
	r := b.start()
	pid := fifo(t, "pid")
	first := script(t)
	first.DocumentContent = document22(t,
		step{"a", map[string]any{"runCommand": "echo begun; (setsid sleep 1000 & echo $! > " + pid + "); sleep 1000"}, nil},
		step{"b", map[string]any{"runCommand": "true"}, nil})
	firstID := b.srv.SendCommand(first)
	child := told(t, pid)
	waiting := script(t, "echo later")
	waitingID := b.srv.SendCommand(waiting)
	_, n := b.srv.WaitAck(waitingID, 0)
	r.stop()
	final, n := b.srv.WaitFinal(firstID, n)
	got := b.results(firstID)
	if a := got["a"]; a.Status != wire.StatusFailed || a.Code != 137 || a.StandardOutput != "begun\n" {
		t.Errorf("step that ran: %+v", a)
	}
	contains(t, "stderr", got["a"].StandardError, "the agent was stopped")
	if s := got["b"]; s.Status != wire.StatusFailed || s.Code != -1 {
		t.Errorf("step that did not: %+v", s)
	}
	if final.Reply.DocumentStatus != wire.StatusFailed {
		t.Errorf("document: %s", final.Reply.DocumentStatus)
	}
	gone(t, child)
	if end, _ := b.srv.WaitKind("close", n); end.Close != websocket.StatusNormalClosure {
		t.Errorf("closed with %v", end.Close)
	}
	// What waited its turn is not lost.
	b.start()
	if e, _ := b.srv.WaitFinal(waitingID, 0); e.Reply.RuntimeStatus["run"].StandardOutput != "later\n" {
		t.Errorf("command that had waited: %+v", e.Reply)
	}
}

func TestCancelOfRecoveredCommandWins(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.cfg.Workers = 1
	r := b.start()
	begun := fifo(t, "begun")
	b.srv.SendCommand(script(t, "echo > "+begun, "sleep 1000"))
	told(t, begun)
	marker := filepath.Join(t.TempDir(), "ran")
	p := script(t, "touch "+marker)
	jobID := b.srv.SendCommand(p)
	b.srv.WaitAck(jobID, 0)
	r.stop()
	b.cfg.resumeDelay = time.Hour
	b.start()
	b.srv.Cancel(p.CommandID)
	if e, _ := b.srv.WaitFinal(jobID, 0); e.Reply.DocumentStatus != wire.StatusCancelled {
		t.Errorf("got %+v", e.Reply)
	}
	if _, err := os.Stat(marker); err == nil {
		t.Error("it ran")
	}
}

func TestOldRecoveredCommandDoesNotBegin(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.cfg.Workers = 1
	r := b.start()
	begun := fifo(t, "begun")
	b.srv.SendCommand(script(t, "echo > "+begun, "sleep 1000"))
	told(t, begun)
	jobID := b.srv.SendCommand(script(t, "echo late"))
	b.srv.WaitAck(jobID, 0)
	r.stop()
	b.srv.Set(func(s *linktest.Settings) { s.ClockOffset = 2 * time.Hour })
	b.cfg.Now = func() time.Time { return time.Now().Add(2 * time.Hour) }
	b.start()
	e, _ := b.srv.WaitFinal(jobID, 0)
	if s := e.Reply.RuntimeStatus["run"]; s.Status != wire.StatusFailed || s.Code != -1 || !strings.Contains(s.StandardError, "not run") {
		t.Errorf("got %+v", e.Reply)
	}
}
