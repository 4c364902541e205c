package agent

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ssmrun/internal/agentlink/linktest"
	"ssmrun/internal/wire"
)

// polled is a bench whose service has no control channel to offer.
func polled(t *testing.T) *bench {
	t.Helper()
	b := setup(t)
	b.srv.Channel, b.srv.Visibility = linktest.ChannelBlocked, 20*time.Millisecond
	b.cfg.Timing.Poll = 10 * time.Millisecond
	return b
}

// startPolling runs an agent and waits until it polls.
func (b *bench) startPolling() *running {
	b.t.Helper()
	n := len(b.srv.Events())
	r := b.startAlone()
	b.srv.WaitKind(wire.OpGetMessages, n)
	return r
}

// TestCommandsOverPolls: without a control channel commands run all the same, at
// most once, and are reported whole.
func TestCommandsOverPolls(t *testing.T) {
	t.Parallel()
	b := polled(t)
	r := b.startPolling()
	count := filepath.Join(t.TempDir(), "count")
	p := script(t, "echo hello; echo oops >&2; echo x >> "+count+"; exit 3")
	m := b.srv.Command(p)
	b.srv.Queue(m, m)
	e, _ := b.srv.WaitFinal(m.MessageID, 0)
	if e.Reply.DocumentStatus != wire.StatusFailed || e.Kind != wire.OpSendReply {
		t.Errorf("final reply: %s by %s", e.Reply.DocumentStatus, e.Kind)
	}
	all := map[string]wire.PluginStatus{}
	for _, e := range b.srv.Events() {
		if e.Kind == wire.OpSendReply {
			maps.Copy(all, e.Reply.RuntimeStatus)
		}
	}
	if got := all["run"]; got.Code != 3 || got.StandardOutput != "hello\n" || !strings.HasPrefix(got.StandardError, "oops\n") {
		t.Errorf("result: %+v", got)
	}
	// As from the genuine agent, the first word comes before the acknowledgement.
	first, at := b.srv.WaitKind(wire.OpSendReply, 0)
	if _, ack := b.srv.WaitKind(wire.OpAcknowledgeMessage, 0); first.Reply.DocumentStatus != wire.StatusInProgress || ack < at {
		t.Errorf("first reply %s, acknowledged before: %v", first.Reply.DocumentStatus, ack < at)
	}
	// Offered again it is acknowledged, not run, and its end told once more.
	r.agent.link.Flush(t.Context())
	n := len(b.srv.Events())
	b.srv.Queue(m)
	b.srv.WaitKind(wire.OpAcknowledgeMessage, n)
	b.srv.WaitFinal(m.MessageID, n)
	if ran, err := os.ReadFile(count); err != nil || string(ran) != "x\n" {
		t.Errorf("ran %q, %v", ran, err)
	}
}

// TestCancelAndRoomOverPolls: what there is no room for shows again, and a
// cancel reaches a command that runs, or comes before it.
func TestCancelAndRoomOverPolls(t *testing.T) {
	t.Parallel()
	b := polled(t)
	b.cfg.Workers, b.cfg.Queue = 1, 0
	b.startPolling()
	began, hold := fifo(t, "began"), fifo(t, "hold")
	one := script(t, "echo x > "+began, "read x < "+hold)
	two := script(t, "echo two")
	b.srv.Queue(b.srv.Command(one))
	told(t, began)
	b.srv.Queue(b.srv.Command(two), b.srv.CancelMessage(one.CommandID))
	if e, _ := b.srv.WaitFinal(b.srv.JobID(one.CommandID), 0); e.Reply.DocumentStatus != wire.StatusCancelled {
		t.Errorf("the cancelled one ended %s", e.Reply.DocumentStatus)
	}
	if e, _ := b.srv.WaitFinal(b.srv.JobID(two.CommandID), 0); e.Reply.DocumentStatus != wire.StatusSuccess {
		t.Errorf("the one that waited ended %s", e.Reply.DocumentStatus)
	}
	late := script(t, "echo late")
	b.srv.Queue(b.srv.CancelMessage(late.CommandID), b.srv.Command(late))
	if e, _ := b.srv.WaitFinal(b.srv.JobID(late.CommandID), 0); e.Reply.DocumentStatus != wire.StatusCancelled {
		t.Errorf("the one whose cancel came first ended %s", e.Reply.DocumentStatus)
	}
}

// TestNonsenseOverPolls: what makes no sense is failed, with the reason told
// before, and nothing else is lost.
func TestNonsenseOverPolls(t *testing.T) {
	t.Parallel()
	b := polled(t)
	b.startPolling()
	odd := b.srv.Command(script(t, "echo never"))
	odd.Topic = "aws.ssm.somethingElse"
	b.srv.Queue(odd, b.srv.Command(script(t, "echo fine")))
	_, failed := b.srv.WaitKind(wire.OpFailMessage, 0)
	e, reason := b.srv.Wait("reason", 0, func(e linktest.Event) bool { return e.Kind == wire.OpSendReply && e.JobID == odd.MessageID })
	if e.Reply.DocumentStatus != wire.StatusFailed || !strings.Contains(e.Reply.DocumentTraceOutput, "topic") || failed < reason {
		t.Errorf("reason: %+v, told before: %v", e.Reply, reason < failed)
	}
	b.srv.Wait("success", 0, func(e linktest.Event) bool { return e.Reply.DocumentStatus == wire.StatusSuccess })
}

// TestChannelTakesOverFromPolls: a command that came by a poll is reported over
// the channel that opened meanwhile, and offered there it does not run again.
func TestChannelTakesOverFromPolls(t *testing.T) {
	t.Parallel()
	b := polled(t)
	b.startPolling()
	began, hold := fifo(t, "began"), fifo(t, "hold")
	p := script(t, "echo x > "+began, "read x < "+hold)
	b.srv.Queue(b.srv.Command(p))
	told(t, began)
	n := len(b.srv.Events())
	b.srv.Set(func(s *linktest.Settings) { s.Channel = "" })
	_, n = b.srv.WaitKind("open", n)
	job := b.srv.SendCommand(p)
	if e, _ := b.srv.WaitAck(job, n); e.Ack.StatusCode != wire.AckDuplicateCommand {
		t.Errorf("acknowledged with %s", e.Ack.StatusCode)
	}
	tell(t, hold)
	if e, _ := b.srv.WaitFinal(job, n); e.Kind != wire.TypeAgentJobReply || e.Reply.DocumentStatus != wire.StatusSuccess {
		t.Errorf("ended %s by %s", e.Reply.DocumentStatus, e.Kind)
	}
}

// TestKeyChangeWithALostAnswer: the service took the new key, its answer was
// lost, and the agent was killed: the next start speaks for the instance.
func TestKeyChangeWithALostAnswer(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.srv.NewKeys, b.srv.LoseKeyAnswer = true, true
	p := b.spawn("default")
	before, err := os.ReadFile(filepath.Join(b.dir, "registration.json"))
	must(t, err)
	if !strings.Contains(string(before), "next_private_key") {
		t.Fatal("the new key is not on the disk")
	}
	must(t, p.cmd.Process.Kill())
	_ = p.cmd.Wait()
	b.srv.Set(func(s *linktest.Settings) { s.LoseKeyAnswer = false })
	b.srv.Forget()
	b.start()
	after, err := os.ReadFile(filepath.Join(b.dir, "registration.json"))
	must(t, err)
	if strings.Contains(string(after), "next_private_key") {
		t.Error("the new key did not take the old one's place")
	}
	if e := b.run(script(t, "echo hello")); e.Reply.DocumentStatus != wire.StatusSuccess {
		t.Errorf("ended %s", e.Reply.DocumentStatus)
	}
}

// TestPrivateAuthority: --ca-file is trusted for calls, the channel and S3.
func TestPrivateAuthority(t *testing.T) {
	t.Parallel()
	b := setup(t)
	a := linktest.NewAuthority(t)
	b.srv.Secure(a.Sign(t, time.Now().Add(time.Hour), "127.0.0.1"))
	b.spawn("default", "--ca-file", a.File)
	p := script(t, "echo hello")
	p.OutputS3BucketName = "logs"
	if e := b.run(p); e.Reply.DocumentStatus != wire.StatusSuccess {
		t.Errorf("ended %s", e.Reply.DocumentStatus)
	}
	if list := b.srv.Objects(); len(list) != 1 {
		t.Errorf("objects %q, want the script's stdout", list)
	}
}
