package agent

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"ssmrun/internal/agent/policy"
	"ssmrun/internal/wire"
)

// putPolicy gives the host a policy.
func (b *bench) putPolicy(text string) {
	b.t.Helper()
	if b.cfg.PolicyFile == "" {
		dir := filepath.Join(b.t.TempDir(), "etc")
		must(b.t, os.Mkdir(dir, 0o755)) //nolint:gosec // as /etc is
		b.cfg.PolicyFile, b.cfg.PolicyRequired = filepath.Join(dir, "policy.yaml"), true
	}
	must(b.t, os.WriteFile(b.cfg.PolicyFile+".new", []byte(text), 0o600))
	must(b.t, os.Rename(b.cfg.PolicyFile+".new", b.cfg.PolicyFile))
}

// touching is a command whose script leaves a file, which tells that it ran.
func touching(t *testing.T, document string) (p wire.SendCommandPayload, marker string) {
	t.Helper()
	marker = filepath.Join(t.TempDir(), "ran")
	p = script(t, "touch "+marker)
	p.DocumentName = document
	return p, marker
}

func ran(marker string) bool {
	_, err := os.Stat(marker)
	return err == nil
}

func TestPolicyRefuses(t *testing.T) {
	t.Parallel()
	b := setup(t)
	good, goodMarker := touching(t, "Good")
	b.putPolicy(`
version: 1
documents:
  - {name: Good, sha256: ` + policy.Hash(good.DocumentContent) + `, parameters: []}
  - name: Steps
plugins: [aws:runShellScript]
outputs: [{bucket: logs, prefix: rack}]
`)
	b.start()
	if e := b.run(good); e.Reply.DocumentStatus != wire.StatusSuccess || !ran(goodMarker) {
		t.Fatalf("what the policy lets through ended %+v", e.Reply)
	}
	for name, tt := range map[string]struct {
		change func(p *wire.SendCommandPayload)
		want   string
	}{
		"document": {func(p *wire.SendCommandPayload) { p.DocumentName = "Bad" }, "document Bad is not in documents (rule documents)"},
		"content":  {func(*wire.SendCommandPayload) {}, "has another content than documents names"},
		"bucket": {func(p *wire.SendCommandPayload) {
			p.DocumentContent, p.OutputS3BucketName = good.DocumentContent, "mine"
		}, "s3://mine/, which is not in outputs (rule outputs)"},
		"parameter": {func(p *wire.SendCommandPayload) {
			p.DocumentContent, p.Parameters = good.DocumentContent, map[string]any{"x": "secret-value"}
		}, "may not be given the parameters x (rule documents)"},
	} {
		t.Run(name, func(t *testing.T) {
			p, marker := touching(t, "Good")
			tt.change(&p)
			e := b.run(p)
			r := e.Reply.RuntimeStatus["run"]
			if e.Reply.DocumentStatus != wire.StatusFailed || r.Status != wire.StatusFailed || r.Code != 1 || ran(marker) {
				t.Errorf("%+v, script ran: %v", e.Reply, ran(marker))
			}
			for what, text := range map[string]string{"stderr": r.StandardError, "output": r.Output, "trace": e.Reply.DocumentTraceOutput} {
				contains(t, what, text, "refused by this host's policy "+b.cfg.PolicyFile+": ", tt.want)
				if strings.Contains(text, "secret-value") {
					t.Errorf("%s holds a value: %s", what, text)
				}
			}
		})
	}
	t.Run("no step of several runs", func(t *testing.T) {
		p, marker := touching(t, "Steps")
		p.DocumentContent = document22(t,
			step{name: "one", inputs: map[string]any{"runCommand": "touch " + marker}},
			step{name: "two", inputs: map[string]any{"runCommand": "true"}, extra: map[string]any{"action": "aws:other"}})
		e := b.run(p)
		for _, name := range []string{"one", "two"} {
			r := b.results(e.JobID)[name]
			contains(t, name, r.StandardError, "plugin aws:other of step two is not in plugins (rule plugins)")
		}
		if ran(marker) {
			t.Error("the first step ran")
		}
	})
	t.Run("a step for another system needs no leave", func(t *testing.T) {
		p, marker := touching(t, "Steps")
		p.DocumentContent = document22(t,
			step{name: "one", inputs: map[string]any{"runCommand": "true"}, extra: map[string]any{
				"action": "aws:runPowerShellScript", "precondition": map[string]any{"StringEquals": []string{"platformType", "Windows"}},
			}},
			step{name: "two", inputs: map[string]any{"runCommand": "touch " + marker}})
		if e := b.run(p); e.Reply.DocumentStatus != wire.StatusSuccess || !ran(marker) {
			t.Errorf("%+v", e.Reply)
		}
	})
}

// TestPolicyChanges: the file counts as it is when a command begins, and a broken
// one lets nothing through.
func TestPolicyChanges(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.putPolicy("version: 1\n")
	r := b.start()
	ends := func(want string) {
		t.Helper()
		p, marker := touching(t, "X")
		e := b.run(p)
		if want == "" {
			if e.Reply.DocumentStatus != wire.StatusSuccess {
				t.Errorf("%+v", e.Reply)
			}
			return
		}
		contains(t, "stderr", e.Reply.RuntimeStatus["run"].StandardError, want)
		if ran(marker) {
			t.Error("the script ran")
		}
	}
	ends("")
	b.putPolicy("version: 1\ndocuments: []\n")
	ends("document X is not in documents")
	b.putPolicy("version: 1\ndocuments:\n")
	ends("it cannot be used, and so nothing is let through: line 2: documents has no value")
	must(t, os.Remove(b.cfg.PolicyFile))
	ends("there is no such file")
	b.putPolicy("version: 1\n")
	r.agent.Reload()
	ends("")
}

// TestPolicyForbidsTheStart: an agent whose policy cannot be used does not begin.
func TestPolicyForbidsTheStart(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.putPolicy("version: 1\nevrything: forbidden\n")
	if a, err := New(b.cfg); err == nil || !strings.Contains(err.Error(), "evrything") {
		t.Errorf("got %v, %v", a, err)
	}
	b.putPolicy("version: 1\n")
	must(t, os.Chmod(b.cfg.PolicyFile, 0o666)) //nolint:gosec // that is what is refused
	if a, err := New(b.cfg); err == nil || !strings.Contains(err.Error(), "chmod go-w") {
		t.Errorf("got %v, %v", a, err)
	}
	must(t, os.Remove(b.cfg.PolicyFile))
	if a, err := New(b.cfg); err == nil {
		t.Errorf("got %v", a)
	}
	b.cfg.PolicyRequired = false
	b.start()
}

// TestPolicyAfterARestart: what waited while the agent was away is asked about
// when it begins.
func TestPolicyAfterARestart(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.cfg.Workers = 1
	b.putPolicy("version: 1\n")
	r := b.start()
	hold := fifo(t, "hold")
	n := len(b.srv.Events())
	b.srv.WaitAck(b.srv.SendCommand(script(t, "echo x >"+hold, "sleep 600")), n)
	told(t, hold)
	p, marker := touching(t, "X")
	waits := b.srv.SendCommand(p)
	b.srv.WaitAck(waits, n)
	r.stop()
	b.putPolicy("version: 1\ndocuments: []\n")
	b.start()
	e, _ := b.srv.WaitFinal(waits, n)
	contains(t, "stderr", e.Reply.RuntimeStatus["run"].StandardError, "(rule documents)")
	if ran(marker) {
		t.Error("the script ran")
	}
}

// TestHashOfAFile: the file's layout makes no difference.
func TestHashOfAFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	compact, indented, yaml := filepath.Join(dir, "c.json"), filepath.Join(dir, "i.json"), filepath.Join(dir, "y.yaml")
	content := []byte(`{"schemaVersion":"2.2","mainSteps":[{"action":"aws:runShellScript","name":"run","inputs":{"runCommand":["echo <&>"]}}]}`)
	must(t, os.WriteFile(compact, content, 0o600))
	var v any
	must(t, json.Unmarshal(content, &v))
	must(t, os.WriteFile(yaml, []byte("schemaVersion: '2.2'\nmainSteps:\n- action: aws:runShellScript\n  name: run\n  inputs:\n    runCommand: ['echo <&>']\n"), 0o600))
	must(t, os.WriteFile(indented, []byte(strings.ReplaceAll(string(content), ",", ",\n  ")), 0o600))
	var out, errs strings.Builder
	if code := policyMain([]string{"hash", compact, indented, yaml}, &out, &errs); code != ExitOK {
		t.Fatalf("code %d: %s", code, &errs)
	}
	sum := policy.Hash(content)
	if want := sum + "  " + compact + "\n" + sum + "  " + indented + "\n" + sum + "  " + yaml + "\n"; out.String() != want {
		t.Errorf("got\n%swant\n%s", &out, want)
	}
	pol := filepath.Join(dir, "etc", "policy.yaml")
	must(t, os.Mkdir(filepath.Dir(pol), 0o755)) //nolint:gosec // as /etc is
	must(t, os.WriteFile(pol, []byte("version: 1\ndocuments: [{name: c, sha256: "+sum+"}]\n"), 0o600))
	for _, tt := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"check", pol}, ExitOK, "documents  c, sha256 " + sum},
		{[]string{"check", pol, "--document", compact}, ExitOK, "accepted"},
		{[]string{"check", "--document", yaml, pol, "--name", "c"}, ExitOK, "accepted"},
		{[]string{"check", pol, "--document", yaml}, ExitFailed, "document y is not in documents (rule documents)"},
		{[]string{"check", compact}, ExitFailed, "unknown"},
		{[]string{"check"}, ExitUsage, "name one policy"},
		{[]string{"hash"}, ExitUsage, "name the documents"},
		{[]string{"frob"}, ExitUsage, "no \"frob\""},
		{[]string{"--help"}, ExitOK, "policy check FILE"},
	} {
		var out strings.Builder
		if code := policyMain(tt.args, &out, &out); code != tt.code {
			t.Errorf("%q: code %d, want %d\n%s", tt.args, code, tt.code, &out)
		} else if tt.want != "unknown" {
			contains(t, strings.Join(tt.args, " "), out.String(), tt.want)
		}
	}
}

// TestReloadBySignal: SIGHUP reads the policy anew, and does not end the agent.
func TestReloadBySignal(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.putPolicy("version: 1\n")
	p := b.spawn("yes", "--policy", b.cfg.PolicyFile)
	before := b.statusWhen("connected", func(r report) bool { return r.Connected && r.Policy != nil && r.Policy.SHA256 != "" })
	b.putPolicy("version: 1\ndocuments: []\n")
	must(t, p.cmd.Process.Signal(syscall.SIGHUP))
	b.statusWhen("the new policy", func(r report) bool { return r.Alive && r.Policy.SHA256 != before.Policy.SHA256 })
	e := b.run(script(t, "true"))
	contains(t, "stderr", e.Reply.RuntimeStatus["run"].StandardError, "(rule documents)")
}
