package agent

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ssmrun"
	"ssmrun/internal/agent/journal"
	"ssmrun/internal/agentlink/linktest"
	"ssmrun/internal/wire"
)

// host stands where the machine does: it takes requests to restart.
type host struct {
	asked chan struct{}
	boot  string
	err   error
}

// rebooting makes an agent's host one that is restarted by the test.
func (b *bench) rebooting() *host {
	h := &host{asked: make(chan struct{}, 10), boot: "boot-0"}
	b.cfg.Reboot = func(context.Context) error {
		h.asked <- struct{}{}
		return h.err
	}
	b.cfg.bootID = func() string { return h.boot }
	b.cfg.rebootWait = time.Hour
	return h
}

// wait waits until the host was asked to restart.
func (h *host) wait(t *testing.T) {
	t.Helper()
	select {
	case <-h.asked:
	case <-time.After(linktest.Deadline):
		t.Fatal("nobody asked for a reboot")
	}
}

// restart is the machine's restart: the agent is told to stop and starts anew.
func (b *bench) restart(r *running, h *host) *running {
	b.t.Helper()
	r.stop()
	h.boot += "x"
	return b.start()
}

// waitReboot waits for the reply that tells of a reboot.
func (b *bench) waitReboot(jobID string, from int) (linktest.Event, int) {
	b.t.Helper()
	return b.srv.Wait("SuccessAndReboot", from, func(e linktest.Event) bool {
		return e.JobID == jobID && e.Reply.DocumentStatus == wire.StatusSuccessAndReboot
	})
}

// rebooter is a script that asks for n reboots and then succeeds.
func rebooter(count, n string) string {
	return "echo x >> " + count + "; echo run $(wc -l < " + count + "); [ $(wc -l < " + count + ") -gt " + n + " ] || exit 194; echo after"
}

// TestReboot: a step that asks for a reboot is run again after it, its output
// goes on, the steps before are not run again, the rest follows; all in one job.
func TestReboot(t *testing.T) {
	t.Parallel()
	for _, bucket := range []string{"", "outputs"} {
		b := setup(t)
		h := b.rebooting()
		r := b.start()
		dir := t.TempDir()
		p := script(t)
		p.OutputS3BucketName = bucket
		p.DocumentContent = document22(t,
			step{"a", map[string]any{"runCommand": "echo first | tee -a " + dir + "/first"}, nil},
			step{"b", map[string]any{"runCommand": rebooter(dir+"/count", "2")}, nil},
			step{"c", map[string]any{"runCommand": "echo last"}, nil})
		jobID := b.srv.SendCommand(p)
		asked, n := b.waitReboot(jobID, 0)
		if s := asked.Reply.RuntimeStatus["b"]; s.Status != wire.StatusSuccessAndReboot || s.Code != 194 || s.StandardOutput != "run 1\n" {
			t.Errorf("told of the reboot: %+v", asked.Reply)
		}
		h.wait(t)
		// Until the host is down, nothing is begun.
		other := script(t, "true")
		if ack, _ := b.srv.WaitAck(b.srv.SendCommand(other), n); ack.Ack.StatusCode != wire.AckClosedProcessor || !strings.Contains(ack.Ack.ErrorMessage, "restart") {
			t.Errorf("another command meanwhile: %+v", ack.Ack)
		}
		r = b.restart(r, h)
		_, n = b.waitReboot(jobID, n)
		h.wait(t)
		b.restart(r, h)
		final, _ := b.srv.WaitFinal(jobID, n)
		got := b.results(jobID)
		if final.Reply.DocumentStatus != wire.StatusSuccess || got["a"].StandardOutput != "first\n" || got["c"].StandardOutput != "last\n" {
			t.Errorf("end: %s %+v", final.Reply.DocumentStatus, got)
		}
		if s := got["b"]; s.Status != wire.StatusSuccess || s.Code != 0 || s.StandardOutput != "run 1\nrun 2\nrun 3\nafter\n" {
			t.Errorf("step: %+v", s)
		}
		if first, _ := os.ReadFile(dir + "/first"); string(first) != "first\n" {
			t.Errorf("the step before it: %q", first)
		}
		if bucket != "" {
			s := got["b"]
			body, ok := b.srv.Object(bucket + "/" + s.OutputS3KeyPrefix + "/" + s.StepName + "/stdout")
			if !ok || string(body) != s.StandardOutput {
				t.Errorf("object: %q %v", body, ok)
			}
		}
		if left, _ := os.ReadDir(filepath.Join(b.dir, "reboot")); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
		if e := b.run(other); e.Reply.DocumentStatus != wire.StatusSuccess {
			t.Errorf("the other one, offered again: %+v", e.Reply)
		}
	}
}

// TestRebootWithinAPlugin: of several properties of one plugin those before the
// one that asked are not run again.
func TestRebootWithinAPlugin(t *testing.T) {
	t.Parallel()
	b := setup(t)
	h := b.rebooting()
	r := b.start()
	count := filepath.Join(t.TempDir(), "count")
	p := script(t)
	p.DocumentContent = []byte(`{"schemaVersion":"1.2","runtimeConfig":{"aws:runShellScript":{"properties":[
		{"id":"0.aws:runShellScript","runCommand":["echo one","exit 3"]},
		{"id":"1.aws:runShellScript","runCommand":["` + rebooter(count, "1") + `"]},
		{"id":"2.aws:runShellScript","runCommand":["echo three"]}]}}}`)
	jobID := b.srv.SendCommand(p)
	_, n := b.waitReboot(jobID, 0)
	h.wait(t)
	b.restart(r, h)
	final, _ := b.srv.WaitFinal(jobID, n)
	if s := final.Reply.RuntimeStatus["aws:runShellScript"]; s.Status != wire.StatusFailed || s.Code != 3 || s.StandardOutput != "one\nrun 1\nrun 2\nafter\nthree\n" {
		t.Errorf("got %+v", s)
	}
}

func TestRebootThatDoesNotCome(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change func(*bench, *host)
		want   string
	}{
		"not allowed":     {func(b *bench, _ *host) { b.cfg.Reboot = nil }, "does not restart its host"},
		"refused":         {func(_ *bench, h *host) { h.err = errors.New("shutdown: must be root") }, "could not be restarted: shutdown: must be root"},
		"called off":      {func(b *bench, _ *host) { b.cfg.rebootWait = 20 * time.Millisecond }, "has not done so in 20ms"},
		"no room to keep": {func(b *bench, _ *host) { must(b.t, os.WriteFile(filepath.Join(b.dir, "reboot"), nil, 0o600)) }, "not a directory"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			tt.change(b, b.rebooting())
			b.startAlone()
			p := script(t)
			if name == "no room to keep" {
				p.OutputS3BucketName = "outputs"
				b.cfg.rebootWait = time.Hour
			}
			p.DocumentContent = document22(t,
				step{"a", map[string]any{"runCommand": "echo before; exit 194"}, nil},
				step{"b", map[string]any{"runCommand": "echo b"}, nil},
				step{"c", map[string]any{"runCommand": "echo finally", "finallyStep": "true"}, nil})
			b.srv.WaitKind("open", 0)
			final := b.run(p)
			got := b.results(final.JobID)
			if s := got["a"]; s.Status != wire.StatusFailed || s.Code != 194 || s.StandardOutput != "before\n" {
				t.Errorf("step: %+v", s)
			}
			contains(t, "stderr", got["a"].StandardError, "asked for a reboot (exit 194)", "not run again", tt.want)
			if got["b"].Status != wire.StatusSkipped || got["c"].StandardOutput != "finally\n" || final.Reply.DocumentStatus != wire.StatusFailed {
				t.Errorf("rest: %s %+v", final.Reply.DocumentStatus, got)
			}
			// The agent takes commands again.
			if e := b.run(script(t, "true")); e.Reply.DocumentStatus != wire.StatusSuccess {
				t.Errorf("afterwards: %+v", e.Reply)
			}
		})
	}
}

// TestRebootsAreBounded: a script that always asks for one more ends.
func TestRebootsAreBounded(t *testing.T) {
	t.Parallel()
	b := setup(t)
	h := b.rebooting()
	r := b.start()
	jobID := b.srv.SendCommand(script(t, "echo x", "exit 194"))
	n := 0
	for range ssmrun.MaxReboots {
		_, n = b.waitReboot(jobID, n)
		h.wait(t)
		r = b.restart(r, h)
	}
	final, _ := b.srv.WaitFinal(jobID, n)
	s := final.Reply.RuntimeStatus["run"]
	if s.Status != wire.StatusFailed || s.StandardOutput != strings.Repeat("x\n", ssmrun.MaxReboots+1) {
		t.Errorf("got %+v", s)
	}
	contains(t, "stderr", s.StandardError, "15 reboots")
}

// TestRebootWaitsForOthers: what runs may end before the host goes down; what has
// not ended by then is reported as failed.
func TestRebootWaitsForOthers(t *testing.T) {
	t.Parallel()
	for _, patient := range []bool{true, false} {
		b := setup(t)
		h := b.rebooting()
		if !patient {
			b.cfg.rebootPatience = 10 * time.Millisecond
		}
		r := b.start()
		begun, release := fifo(t, "begun"), fifo(t, "release")
		otherID := b.srv.SendCommand(script(t, "echo > "+begun, "read x < "+release))
		told(t, begun)
		count := filepath.Join(t.TempDir(), "count")
		jobID := b.srv.SendCommand(script(t, rebooter(count, "1")))
		_, n := b.waitReboot(jobID, 0)
		want := wire.StatusFailed
		if patient {
			select {
			case <-h.asked:
				t.Error("the host was asked while another command ran")
			default:
			}
			tell(t, release)
			want = wire.StatusSuccess
		}
		h.wait(t)
		b.restart(r, h)
		if final, _ := b.srv.WaitFinal(otherID, 0); final.Reply.DocumentStatus != want {
			t.Errorf("patient %v: the other one: %+v", patient, final.Reply)
		}
		if final, _ := b.srv.WaitFinal(jobID, n); final.Reply.DocumentStatus != wire.StatusSuccess {
			t.Errorf("patient %v: %+v", patient, final.Reply)
		}
	}
}

// TestCancelWhileItReboots: before the host is down the cancel counts at once;
// one that comes later is the first thing that the next agent hears.
func TestCancelWhileItReboots(t *testing.T) {
	t.Parallel()
	for _, later := range []bool{false, true} {
		b := setup(t)
		h := b.rebooting()
		r := b.start()
		marker := filepath.Join(t.TempDir(), "ran")
		p := script(t)
		p.DocumentContent = document22(t,
			step{"a", map[string]any{"runCommand": "echo x >> " + marker + "; echo before; exit 194"}, nil},
			step{"b", map[string]any{"runCommand": "true"}, nil})
		jobID := b.srv.SendCommand(p)
		_, n := b.waitReboot(jobID, 0)
		h.wait(t)
		if later {
			b.cfg.resumeDelay = time.Hour
			r.stop()
			h.boot += "x"
			b.start()
			b.srv.Cancel(p.CommandID)
		} else {
			b.srv.Cancel(p.CommandID)
		}
		final, n := b.srv.WaitFinal(jobID, n)
		got := b.results(jobID)
		if s := got["a"]; s.Status != wire.StatusCancelled || s.Code != 137 || s.StandardOutput != "before\n" {
			t.Errorf("later %v: %+v", later, s)
		}
		if s := got["b"]; s.Status != wire.StatusCancelled || s.Code != 1 || final.Reply.DocumentStatus != wire.StatusCancelled {
			t.Errorf("later %v: %s %+v", later, final.Reply.DocumentStatus, s)
		}
		if !later {
			b.restart(r, h)
		}
		if ran, _ := os.ReadFile(marker); string(ran) != "x\n" {
			t.Errorf("later %v: ran %q", later, ran)
		}
		if slices.ContainsFunc(b.srv.Events()[n:], func(e linktest.Event) bool { return e.JobID == jobID && e.Final() }) {
			t.Errorf("later %v: ended twice", later)
		}
	}
}

// TestAgentThatStartsBeforeTheReboot asks again, and gives up when it is too late.
func TestAgentThatStartsBeforeTheReboot(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		later time.Duration
		boot  string
		want  string
	}{
		"at once":               {0, "", ""},
		"the next day":          {24 * time.Hour, "", "has not done so"},
		"after a long absence":  {24 * time.Hour, "x", "away for so long"},
		"after a short absence": {30 * time.Minute, "x", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			h := b.rebooting()
			r := b.start()
			count := filepath.Join(t.TempDir(), "count")
			jobID := b.srv.SendCommand(script(t, rebooter(count, "1")))
			_, n := b.waitReboot(jobID, 0)
			h.wait(t)
			r.stop()
			h.boot += tt.boot
			b.srv.Set(func(s *linktest.Settings) { s.ClockOffset = tt.later })
			b.cfg.Now = func() time.Time { return time.Now().Add(tt.later) }
			r = b.start()
			if name == "at once" {
				h.wait(t)
				b.restart(r, h)
			}
			final, _ := b.srv.WaitFinal(jobID, n)
			s := final.Reply.RuntimeStatus["run"]
			if tt.want == "" {
				if s.Status != wire.StatusSuccess || s.StandardOutput != "run 1\nrun 2\nafter\n" {
					t.Errorf("got %+v", s)
				}
				return
			}
			if s.Status != wire.StatusFailed || s.Code != 194 || s.StandardOutput != "run 1\n" {
				t.Errorf("got %+v", s)
			}
			contains(t, "stderr", s.StandardError, tt.want)
		})
	}
}

// TestKilledAfterTheReboot: the step that was begun again is no different from any
// other: it is not begun a third time.
func TestKilledAfterTheReboot(t *testing.T) {
	t.Parallel()
	b := setup(t)
	h := b.rebooting()
	r := b.start()
	count := filepath.Join(t.TempDir(), "count")
	p := script(t, rebooter(count, "1"))
	jobID := b.srv.SendCommand(p)
	_, n := b.waitReboot(jobID, 0)
	h.wait(t)
	r.stop()
	// The next agent begins the step again, and dies.
	j, err := journal.Open(filepath.Join(b.dir, "journal"), journal.Options{})
	must(t, err)
	e, ok := j.Lookup(p.CommandID)
	if !ok {
		t.Fatal("the journal does not know the command")
	}
	if asked, times := e.Reboot(); asked == nil || times != 1 || string(asked.Stdout) != "run 1\n" {
		t.Errorf("the journal: %+v %d", asked, times)
	}
	must(t, e.Begin(0, "run", "aws:runShellScript", []byte("{}")))
	must(t, j.Close())
	h.boot += "x"
	b.start()
	final, _ := b.srv.WaitFinal(jobID, n)
	if s := final.Reply.RuntimeStatus["run"]; s.Status != wire.StatusFailed || s.Code != 137 || final.Reply.DocumentStatus != wire.StatusFailed {
		t.Errorf("got %s %+v", final.Reply.DocumentStatus, s)
	}
	if ran, _ := os.ReadFile(count); string(ran) != "x\n" {
		t.Errorf("ran %q", ran)
	}
}

func TestRebootCommand(t *testing.T) {
	t.Parallel()
	marker := filepath.Join(t.TempDir(), "asked")
	must(t, rebootBy("/bin/cp /dev/null "+marker)(t.Context()))
	if _, err := os.Stat(marker); err != nil {
		t.Error(err)
	}
	err := rebootBy("/bin/ls /no/such")(t.Context())
	if err == nil || !strings.Contains(err.Error(), "/bin/ls /no/such: exit status") || !strings.Contains(err.Error(), "No such file") {
		t.Errorf("got %v", err)
	}
	if rebootBy("") != nil {
		t.Error("something reboots")
	}
	for args, want := range map[string]bool{"": true, "--local": false, "--reboot-command=": false, "--local --reboot-command=/bin/true": true} {
		cfg, err := parseFlags(append(strings.Fields(args), "--endpoint", "http://127.0.0.1:1"), nil, nil)
		if err != nil || (cfg.Reboot != nil) != want {
			t.Errorf("%q: %v, reboots: %v", args, err, cfg.Reboot != nil)
		}
	}
}
