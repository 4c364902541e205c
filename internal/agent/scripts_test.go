package agent

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"

	"ssmrun/internal/wire"
)

// TestScriptsAsTheyCome sends scripts that were not written with a shell in mind,
// over the wire as any other.
func TestScriptsAsTheyCome(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start()
	long := strings.Repeat("# "+strings.Repeat("x", 97)+"\n", 10_000)
	for name, tt := range map[string]struct {
		script string
		status string
		code   int
		stdout string
		stderr []string
	}{
		"CRLF that does no harm":   {"echo a\r\necho b\r\n", wire.StatusSuccess, 0, "a\r\nb\r\n", nil},
		"CRLF":                     {"if true; then\r\n  echo a\r\nfi\r\n", wire.StatusFailed, 2, "", []string{"3 lines of the script", "CRLF"}},
		"CRLF after #!":            {"#!/bin/sh\r\necho a\r\n", wire.StatusFailed, 127, "", []string{"2 lines of the script", "CRLF"}},
		"missing interpreter":      {"#!/no/such/python -u\nprint()\n", wire.StatusFailed, 127, "", []string{`interpreter "/no/such/python", which this instance does not have`}},
		"interpreter is a file":    {"#!/etc/passwd\nx\n", wire.StatusFailed, 126, "", []string{`interpreter "/etc/passwd", which is not a program`}},
		"NUL bytes":                {"echo a\x00b; exit 3\n", wire.StatusFailed, 126, "", []string{"1 NUL bytes"}},
		"only comments":            {"# nothing\n  # to do\n", wire.StatusSuccess, 0, "", nil},
		"only blank lines":         {"\n\n \n", wire.StatusSuccess, 0, "", nil},
		"no end of the last quote": {"echo 'a\n", wire.StatusFailed, 2, "", []string{"nterminated"}},
		"a megabyte":               {long + "echo end", wire.StatusSuccess, 0, "end\n", nil},
		"one line of a megabyte":   {"echo " + strings.Repeat("x", 1_000_000) + " | wc -c", wire.StatusSuccess, 0, "1000001\n", nil},
		"not ASCII":                {"echo 'grüße ✓ 🙂'", wire.StatusSuccess, 0, "grüße ✓ 🙂\n", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := script(t, "{{ commands }}")
			var doc map[string]any
			must(t, json.Unmarshal(p.DocumentContent, &doc))
			doc["parameters"] = map[string]any{"commands": map[string]any{"type": "StringList"}}
			var err error
			p.DocumentContent, err = json.Marshal(doc)
			must(t, err)
			p.Parameters = map[string]any{"commands": []string{tt.script}}
			e := b.run(p)
			got := e.Reply.RuntimeStatus["run"]
			if got.Status != tt.status || got.Code != tt.code || got.StandardOutput != tt.stdout {
				t.Errorf("got %s %d %q %q, want %s %d %q", got.Status, got.Code, got.StandardOutput, got.StandardError, tt.status, tt.code, tt.stdout)
			}
			contains(t, "stderr", got.StandardError, tt.stderr...)
			if tt.stderr == nil && got.StandardError != "" {
				t.Errorf("stderr: %q", got.StandardError)
			}
		})
	}
}

// TestInvalidUTF8 sends bytes that no JSON may have: they become U+FFFD, in the
// script as in what it writes.
func TestInvalidUTF8(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start()
	p := script(t, "printf 'a@b'")
	content, err := wire.Marshal(p)
	must(t, err)
	b.srv.Send(wire.TypeAgentJob, wire.AgentJob{
		SchemaVersion: 1, JobID: b.srv.JobID(p.CommandID), Topic: wire.JobTopic(wire.TopicSendCommand, "us-east-1", b.srv.InstanceID),
		Content: strings.Replace(string(content), "a@b", "a\xff\xfeb", 1),
	})
	final, _ := b.srv.WaitFinal(b.srv.JobID(p.CommandID), 0)
	if s := final.Reply.RuntimeStatus["run"]; s.StandardOutput != "a\uFFFD\uFFFDb" {
		t.Errorf("got %+v", s)
	}
}

// TestUnknownPluginStopsTheWhole: a document of which a part could not be run is
// not begun, unless that part is for other platforms.
func TestUnknownPluginStopsTheWhole(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start()
	marker := filepath.Join(t.TempDir(), "ran")
	steps := func(extra map[string]any) []step {
		extra["action"] = "aws:runSpreadsheet"
		return []step{
			{"a", map[string]any{"runCommand": "echo x >> " + marker}, nil},
			{"b", map[string]any{}, extra},
			{"c", map[string]any{"runCommand": "true", "finallyStep": "true"}, nil},
		}
	}
	p := script(t)
	p.DocumentContent = document22(t, steps(map[string]any{})...)
	final := b.run(p)
	got := b.results(final.JobID)
	if final.Reply.DocumentStatus != wire.StatusFailed || got["b"].Code != 1 || got["a"].Code != -1 || got["c"].Code != -1 {
		t.Errorf("got %s %+v", final.Reply.DocumentStatus, got)
	}
	contains(t, "the step", got["b"].StandardError, "aws:runSpreadsheet", "aws:runShellScript")
	contains(t, "the others", got["a"].StandardError+got["c"].StandardError, "the step b of the document needs the plugin aws:runSpreadsheet")
	if _, err := os.Stat(marker); err == nil {
		t.Error("a part of it ran")
	}
	p.CommandID = uuid.NewString()
	p.DocumentContent = document22(t, steps(map[string]any{"precondition": map[string]any{"StringEquals": []string{"platformType", "Windows"}}})...)
	final = b.run(p)
	if got := b.results(final.JobID); final.Reply.DocumentStatus != wire.StatusSuccess || got["b"].Status != wire.StatusSkipped {
		t.Errorf("for another platform: %s %+v", final.Reply.DocumentStatus, got)
	}
}

// TestBoundsOfACommand: what is too large is refused with its size.
func TestBoundsOfACommand(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start()
	many := make([]step, maxSteps+1)
	for i := range many {
		many[i] = step{"s" + jsonInt(i), map[string]any{"runCommand": "true"}, nil}
	}
	steps, large := script(t), script(t)
	steps.DocumentContent = document22(t, many...)
	large.Parameters = map[string]any{"x": strings.Repeat("x", maxContent)}
	for _, tt := range []struct {
		p    wire.SendCommandPayload
		want string
	}{{steps, "1001 steps"}, {large, "at most 2097152"}} {
		jobID := b.srv.SendCommand(tt.p)
		if ack, _ := b.srv.WaitAck(jobID, 0); ack.Ack.StatusCode != wire.AckParseError || !strings.Contains(ack.Ack.ErrorMessage, tt.want) {
			t.Errorf("want %q, got %+v", tt.want, ack.Ack)
		}
		if final, _ := b.srv.WaitFinal(jobID, 0); !strings.Contains(final.Reply.DocumentTraceOutput, tt.want) {
			t.Errorf("want %q, got %+v", tt.want, final.Reply)
		}
	}
}

// TestStepsHaveTimeAndPlaceOfTheirOwn: timeoutSeconds and workingDirectory hold
// for their own step, also where they are parameters.
func TestStepsHaveTimeAndPlaceOfTheirOwn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start()
	one, two := t.TempDir(), t.TempDir()
	p := script(t)
	p.DocumentContent = document22(t,
		step{"slow", map[string]any{"runCommand": "pwd; sleep 1000", "timeoutSeconds": "{{ Seconds }}", "workingDirectory": one}, nil},
		step{"place", map[string]any{"runCommand": "pwd", "workingDirectory": "{{ Place }}"}, nil},
		step{"none", map[string]any{"runCommand": "pwd", "workingDirectory": ""}, nil},
		step{"level", map[string]any{"runCommand": "sleep 6; echo done"}, map[string]any{"timeoutSeconds": 5}}) // not read there
	var doc map[string]any
	must(t, json.Unmarshal(p.DocumentContent, &doc))
	doc["parameters"] = map[string]any{"Seconds": map[string]any{"type": "String"}, "Place": map[string]any{"type": "String", "default": two}}
	var err error
	p.DocumentContent, err = json.Marshal(doc)
	must(t, err)
	p.Parameters = map[string]any{"Seconds": "5"}
	got := b.results(b.run(p).JobID)
	for name, want := range map[string]string{"slow": one, "place": two, "none": filepath.Join(b.dir, "work"), "level": "done"} {
		if s := got[name]; s.StandardOutput != want+"\n" || (s.Status == wire.StatusTimedOut) != (name == "slow") {
			t.Errorf("%s: %+v", name, s)
		}
	}
}
