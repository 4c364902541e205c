package gateway_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"ssmrun"
	"ssmrun/internal/control"
	"ssmrun/internal/document"
	"ssmrun/internal/gateway"
	"ssmrun/internal/identity"
	"ssmrun/internal/store"
	"ssmrun/internal/store/sqlite"
	"ssmrun/internal/testlog"
	"ssmrun/internal/wire"
)

const instance = "i-0123456789abcdef0"

var scope = ssmrun.Scope{Account: "000000000000", Region: "us-east-1"}

type bundle struct {
	t        *testing.T
	ctx      context.Context
	store    store.Store
	control  *control.Controller
	gateway  *gateway.Gateway
	identity *identity.Service
	log      *logs
	url      string // of the control channel
	http     string
}

// logs is what the gateway has logged.
type logs struct{ testlog.Log }

func (l *logs) has(s string) bool { return strings.Contains(l.String(), s) }

// setup gives a gateway behind a server that lets everybody be the instance;
// who may is the front's matter.
func setup(t *testing.T, resend time.Duration) *bundle {
	t.Helper()
	return setupWith(t, gateway.Config{Resend: resend})
}

func setupWith(t *testing.T, cfg gateway.Config) *bundle {
	t.Helper()
	b := &bundle{t: t, log: &logs{}}
	var cancel context.CancelFunc
	b.ctx, cancel = context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	dir := t.TempDir()
	db, err := sqlite.Open(b.ctx, filepath.Join(dir, "test.db"), sqlite.Options{})
	b.must(err)
	t.Cleanup(func() { _ = db.Close() })
	if b.store = cfg.Store; b.store == nil {
		b.store = db
	} else if s, ok := b.store.(interface{ wrap(store.Store) }); ok {
		s.wrap(db)
	}
	b.identity, err = identity.Open(identity.Config{Dir: dir, Account: scope.Account, Store: db})
	b.must(err)
	b.must(b.identity.PrepareAccounts(b.ctx, []string{scope.Account}, nil))
	log := b.log.Logger()
	b.control = control.New(control.Config{Store: b.store, Logger: log})
	cfg.Control, cfg.Identity, cfg.Store, cfg.Logger = b.control, b.identity, b.store, log
	b.gateway = gateway.New(cfg)
	b.control.Attach(b.gateway)
	b.must(db.Update(b.ctx, func(tx store.Tx) error {
		return tx.PutInstance(&ssmrun.Instance{ID: instance, Scope: scope, Name: "host"})
	}))
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		agent := identity.Principal{ARN: "the agent", Account: scope.Account, Region: scope.Region, InstanceID: instance, Role: identity.DefaultRole, Service: identity.ServiceSSM}
		if id, ok := wire.ParseControlChannelPath(r.URL.Path); ok {
			b.gateway.ServeChannel(w, r, id, agent)
			return
		}
		b.message(w, r, agent)
	}))
	t.Cleanup(srv.Close)
	t.Cleanup(func() { _ = b.gateway.Close(context.Background()) })
	b.http = srv.URL
	b.url = "ws" + strings.TrimPrefix(srv.URL, "http") + wire.ControlChannelPath(instance)
	return b
}

func (b *bundle) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

// far is the agent's end of a channel.
type far struct {
	*bundle
	conn *websocket.Conn
}

func (b *bundle) connect() *far {
	b.t.Helper()
	conn, _, err := websocket.Dial(b.ctx, b.url, nil)
	b.must(err)
	b.t.Cleanup(func() { _ = conn.CloseNow() })
	hello, err := json.Marshal(wire.OpenControlChannel{MessageSchemaVersion: "1.0", RequestID: "r", TokenValue: b.identity.ChannelToken(instance)})
	b.must(err)
	b.must(conn.Write(b.ctx, websocket.MessageText, hello))
	b.must(b.gateway.WaitConnected(b.ctx, []string{instance}))
	return &far{b, conn}
}

func (f *far) read() wire.Frame {
	f.t.Helper()
	_, raw, err := f.conn.Read(f.ctx)
	f.must(err)
	frame, err := wire.Decode(raw)
	f.must(err)
	return frame
}

// job reads the next job.
func (f *far) job() wire.AgentJob {
	f.t.Helper()
	for {
		frame := f.read()
		if frame.Type != wire.TypeAgentJob {
			continue
		}
		var j wire.AgentJob
		f.must(wire.Unmarshal(frame.Payload, &j))
		return j
	}
}

func (f *far) write(typ string, payload any) wire.Frame {
	f.t.Helper()
	frame, err := wire.NewFrame(typ, time.Now(), payload)
	f.must(err)
	f.must(f.conn.Write(f.ctx, websocket.MessageBinary, frame.Encode()))
	return frame
}

func (f *far) ack(job, code string) {
	f.t.Helper()
	f.write(wire.TypeAgentJobAck, wire.AgentJobAck{JobID: job, AcknowledgedMessageID: "m", StatusCode: code})
}

// reply sends a reply and waits until it is acknowledged, which is when it is
// durable.
func (f *far) reply(job, status string, plugins map[string]wire.PluginStatus) {
	f.t.Helper()
	r, err := wire.NewAgentJobReply(job, wire.TopicSendCommand, wire.Reply{DocumentStatus: status, RuntimeStatus: plugins})
	f.must(err)
	sent := f.write(wire.TypeAgentJobReply, r)
	for {
		frame := f.read()
		if frame.Type != wire.TypeAgentJobReplyAck {
			continue
		}
		var a wire.AgentJobReplyAck
		f.must(wire.Unmarshal(frame.Payload, &a))
		if a.AcknowledgedMessageID == sent.ID.String() {
			return
		}
	}
}

func (b *bundle) send() string {
	b.t.Helper()
	doc, ok := document.BuiltIn("AWS-RunShellScript")
	if !ok {
		b.t.Fatal("no document")
	}
	cmd, err := b.control.Send(b.ctx, control.SendRequest{
		Command: ssmrun.Command{
			Scope: scope, Document: doc.Name, Version: "$DEFAULT", Content: string(doc.Document.JSON()), InstanceIDs: []string{instance},
			Parameters:     map[string][]string{"commands": {"echo a", "echo b"}, "executionTimeout": {"60"}},
			Steps:          []ssmrun.Step{{Name: "aws:runShellScript", Action: "aws:runShellScript"}},
			TimeoutSeconds: 60, MaxConcurrency: "50", MaxErrors: "0", Output: ssmrun.OutputLocation{Bucket: "logs", Prefix: "p"},
		},
		ExecutionTime: time.Minute,
	})
	b.must(err)
	return cmd.ID
}

func (b *bundle) state(command string) ssmrun.State {
	b.t.Helper()
	var s ssmrun.State
	b.must(b.store.View(b.ctx, func(tx store.Tx) error {
		i, err := tx.Invocation(scope, command, instance)
		if err == nil {
			s = i.State
		}
		return err
	}))
	return s
}

func (b *bundle) plugin(command string) ssmrun.Plugin {
	b.t.Helper()
	var p []ssmrun.Plugin
	b.must(b.store.View(b.ctx, func(tx store.Tx) (err error) { p, err = tx.Plugins(scope, command, instance); return err }))
	return p[0]
}

var done = map[string]wire.PluginStatus{"aws:runShellScript": {
	Status: wire.StatusSuccess, Name: "aws:runShellScript", StandardOutput: "a\nb\n",
	StartDateTime: "2026-11-22T18:16:59.826Z", EndDateTime: "2026-11-22T18:17:00.000Z",
	OutputS3BucketName: "logs", OutputS3KeyPrefix: "p/c/i/awsrunShellScript", StepName: "0.awsrunShellScript",
}}

func TestDeliveryAndReply(t *testing.T) {
	t.Parallel()
	b := setup(t, time.Minute)
	f := b.connect()
	id := b.send()
	j := f.job()
	if j.JobID != wire.JobID(id, instance) || !wire.IsTopic(j.Topic, wire.TopicSendCommand) {
		t.Fatalf("job %+v", j)
	}
	var p wire.SendCommandPayload
	b.must(wire.Unmarshal([]byte(j.Content), &p))
	if fmt.Sprint(p.Parameters["commands"]) != "[echo a echo b]" || p.Parameters["executionTimeout"] != "60" || p.OutputS3BucketName != "logs" || p.CommandID != id {
		t.Errorf("payload %+v", p)
	}
	f.ack(j.JobID, wire.AckOK)
	f.reply(j.JobID, wire.StatusInProgress, nil)
	f.reply(j.JobID, wire.StatusSuccess, done)
	if s := b.state(id); s.Status != ssmrun.Success {
		t.Errorf("state %s", s)
	}
	if got := b.plugin(id); got.Stdout != "a\nb\n" || got.Output.Prefix != "p/c/i/awsrunShellScript/0.awsrunShellScript" || got.Finished.Sub(got.Started) != 174*time.Millisecond {
		t.Errorf("plugin %+v", got)
	}
	// The same again, as an agent sends that missed the acknowledgement.
	f.reply(j.JobID, wire.StatusSuccess, done)
}

func TestJobIsSentAgainUntilAcknowledged(t *testing.T) {
	t.Parallel()
	b := setup(t, 20*time.Millisecond)
	f := b.connect()
	id := b.send()
	first, second := f.job(), f.job()
	if first.JobID != second.JobID || first.JobID != wire.JobID(id, instance) {
		t.Errorf("jobs %s, %s", first.JobID, second.JobID)
	}
	f.ack(first.JobID, wire.AckBufferFull) // offered again
	third := f.job()
	b.control.Settled()
	if s := b.state(id); s.Details != ssmrun.DetailsDelayed {
		t.Errorf("state %s while the agent is busy", s)
	}
	f.ack(third.JobID, wire.AckDuplicateCommand) // it has it
	f.reply(third.JobID, wire.StatusInProgress, nil)
	if s := b.state(id); s.Status != ssmrun.InProgress {
		t.Errorf("state %s", s)
	}
}

// TestCancelOfWhatFoundNoRoom: the agent said that it kept nothing, so nobody is
// waited for, and nothing more of the command is said to it.
func TestCancelOfWhatFoundNoRoom(t *testing.T) {
	t.Parallel()
	b := setup(t, time.Minute)
	f := b.connect()
	id := b.send()
	for range 4 { // the pause before it is offered again grows to 2 s
		f.ack(f.job().JobID, wire.AckBufferFull)
	}
	// What is acknowledged came after the last word on the job.
	f.reply(wire.JobID("00000000-0000-4000-8000-000000000000", instance), wire.StatusInProgress, nil)
	b.control.Settled()
	if s := b.state(id); s.Details != ssmrun.DetailsDelayed {
		t.Errorf("state %s while the agent has no room", s)
	}
	b.must(b.control.Cancel(b.ctx, scope, id, nil))
	b.control.Settled()
	if s := b.state(id); s.Status != ssmrun.Cancelled {
		t.Errorf("state %s", s)
	}
	other := b.send()
	if j := f.job(); j.JobID != wire.JobID(other, instance) {
		t.Errorf("the agent heard of %s, want the other command", j.JobID)
	}
}

func TestReplyWithoutAcknowledgementIsEnough(t *testing.T) {
	t.Parallel()
	b := setup(t, time.Minute)
	f := b.connect()
	id := b.send()
	j := f.job()
	f.reply(j.JobID, wire.StatusFailed, map[string]wire.PluginStatus{"aws:runShellScript": {Status: wire.StatusFailed, Code: 3, StandardError: "no"}})
	if s, p := b.state(id), b.plugin(id); s.Status != ssmrun.Failed || p.ExitCode != 3 || p.Stderr != "no" {
		t.Errorf("state %s, plugin %+v", s, p)
	}
}

func TestRefusedJobFails(t *testing.T) {
	t.Parallel()
	b := setup(t, time.Minute)
	f := b.connect()
	id := b.send()
	f.ack(f.job().JobID, wire.AckInvalidDocument)
	// Whatever comes next is handled after it.
	other := b.send()
	f.reply(f.job().JobID, wire.StatusSuccess, nil)
	if s := b.state(id); s.Status != ssmrun.Failed {
		t.Errorf("refused: %s", s)
	}
	if s := b.state(other); s.Status != ssmrun.Success {
		t.Errorf("other: %s", s)
	}
}

func TestReconnect(t *testing.T) {
	t.Parallel()
	b := setup(t, time.Minute)
	f := b.connect()
	id := b.send()
	j := f.job()
	_ = f.conn.CloseNow() // before it said anything
	again := b.connect()
	if k := again.job(); k.JobID != j.JobID {
		t.Errorf("job %s", k.JobID)
	}
	again.ack(j.JobID, wire.AckOK)
	again.reply(j.JobID, wire.StatusSuccess, done)
	if s := b.state(id); s.Status != ssmrun.Success {
		t.Errorf("state %s", s)
	}
}

func TestCancelReachesTheAgent(t *testing.T) {
	t.Parallel()
	b := setup(t, time.Minute)
	f := b.connect()
	id := b.send()
	j := f.job()
	f.ack(j.JobID, wire.AckOK)
	f.reply(j.JobID, wire.StatusInProgress, nil)
	b.must(b.control.Cancel(b.ctx, scope, id, nil))
	c := f.job()
	var p wire.CancelPayload
	b.must(wire.Unmarshal([]byte(c.Content), &p))
	if !wire.IsTopic(c.Topic, wire.TopicCancelCommand) || p.CancelMessageID != j.JobID || c.JobID == j.JobID {
		t.Fatalf("cancel %+v", c)
	}
	f.ack(c.JobID, wire.AckOK)
	f.reply(j.JobID, wire.StatusCancelled, map[string]wire.PluginStatus{"aws:runShellScript": {Status: wire.StatusCancelled, Code: 137}})
	if s, pl := b.state(id), b.plugin(id); s.Status != ssmrun.Cancelled || pl.ExitCode != 137 {
		t.Errorf("state %s, plugin %+v", s, pl)
	}
}

// TestNonsenseIsSurvived: an agent may be broken, or hostile.
func TestNonsenseIsSurvived(t *testing.T) {
	t.Parallel()
	b := setup(t, time.Minute)
	f := b.connect()
	id := b.send()
	j := f.job()
	b.must(f.conn.Write(b.ctx, websocket.MessageBinary, []byte("nonsense")))
	b.must(f.conn.Write(b.ctx, websocket.MessageText, []byte("{}")))
	f.write("telemetry", map[string]int{"a": 1})
	f.write(wire.TypeAgentJobAck, "no object")
	f.ack("aws.ssm.unknown.job", wire.AckOK)
	// A reply for another instance's command is acknowledged and not believed.
	f.reply(wire.JobID(id, "i-1123456789abcdef0"), wire.StatusFailed, nil)
	if s := b.state(id); s.Status != ssmrun.InProgress {
		t.Errorf("state %s", s)
	}
	f.reply(j.JobID, wire.StatusSuccess, map[string]wire.PluginStatus{"aws:runShellScript": {Status: wire.StatusSuccess, StartDateTime: "yesterday"}})
	if s := b.state(id); s.Status != ssmrun.Success {
		t.Errorf("state %s", s)
	}
}

func TestWrongToken(t *testing.T) {
	t.Parallel()
	b := setup(t, time.Minute)
	conn, _, err := websocket.Dial(b.ctx, b.url, nil)
	b.must(err)
	t.Cleanup(func() { _ = conn.CloseNow() })
	b.must(conn.Write(b.ctx, websocket.MessageText, []byte(`{"TokenValue":"wrong"}`)))
	if _, _, err := conn.Read(b.ctx); websocket.CloseStatus(err) != websocket.StatusPolicyViolation {
		t.Errorf("got %v", err)
	}
	if b.gateway.Connected(instance) {
		t.Error("it counts as connected")
	}
}

func TestPresenceFollowsTheChannel(t *testing.T) {
	t.Parallel()
	b := setup(t, time.Minute)
	f := b.connect()
	i := b.instance()
	if b.control.PingStatus(i) != ssmrun.Online {
		t.Error("not online while connected")
	}
	b.must(f.conn.Close(websocket.StatusNormalClosure, "stopping"))
	for !b.instance().Stopped {
		if b.ctx.Err() != nil {
			t.Fatal("a clean stop was not noted")
		}
	}
	if got := b.control.PingStatus(b.instance()); got != ssmrun.ConnectionLost {
		t.Errorf("after a clean stop: %s", got)
	}
}

func (b *bundle) instance() *ssmrun.Instance {
	b.t.Helper()
	var i *ssmrun.Instance
	b.must(b.store.View(b.ctx, func(tx store.Tx) (err error) { i, err = tx.Instance(scope, instance); return err }))
	return i
}

// TestBusyAgentIsOfferedAtOnce: what an agent had no room for is offered again
// when something has ended there, not only after the pause.
func TestBusyAgentIsOfferedAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t, time.Minute)
	f := b.connect()
	b.send()
	first := f.job()
	f.ack(first.JobID, wire.AckOK)
	b.send()
	second := f.job()
	for range 4 { // the pause is 4 s by then
		f.ack(second.JobID, wire.AckBufferFull)
		if j := f.job(); j.JobID != second.JobID {
			t.Fatalf("job %s", j.JobID)
		}
	}
	f.ack(second.JobID, wire.AckBufferFull)
	started := time.Now()
	f.reply(first.JobID, wire.StatusSuccess, done)
	if j := f.job(); j.JobID != second.JobID || time.Since(started) > 3*time.Second {
		t.Errorf("job %s after %s", j.JobID, time.Since(started))
	}
}
