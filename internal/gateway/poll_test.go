package gateway_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"context"

	"ssmrun"
	"ssmrun/internal/gateway"
	"ssmrun/internal/identity"
	"ssmrun/internal/store"
	"ssmrun/internal/wire"
)

// message serves a call of the message delivery service as the front does, but
// for its signature.
func (b *bundle) message(w http.ResponseWriter, r *http.Request, agent identity.Principal) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the agent has hung up
	}
	op := strings.TrimPrefix(r.Header.Get("X-Amz-Target"), wire.TargetMessageDelivery)
	out, err := b.gateway.Message(r.Context(), op, agent, "http://"+r.Host, body)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		out = wire.ErrorBody{Type: string(ssmrun.ErrorCode(err)), Message: err.Error()}
	}
	_ = json.NewEncoder(w).Encode(out)
}

// refusal is a call's answer that is not 200.
type refusal struct{ code string }

func (r *refusal) Error() string { return "refused with " + r.code }

// try calls an operation; in is a request of package wire, or a body as it is.
func (b *bundle) try(ctx context.Context, op string, in, out any) error {
	body, ok := in.(string)
	if !ok {
		raw, err := wire.Marshal(in)
		if err != nil {
			return err
		}
		body = string(raw)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, b.http+"/", bytes.NewReader([]byte(body)))
	if err != nil {
		return err
	}
	r.Header.Set("X-Amz-Target", wire.TargetMessageDelivery+op)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		var e wire.ErrorBody
		if err := json.NewDecoder(resp.Body).Decode(&e); err != nil {
			return err
		}
		return &refusal{e.Type}
	}
	return json.NewDecoder(resp.Body).Decode(out)
}

func (b *bundle) call(op string, in any) {
	b.t.Helper()
	var out map[string]any
	b.must(b.try(b.ctx, op, in, &out))
}

// poll asks for messages, which are hidden for seconds then.
func (b *bundle) poll(seconds int) []wire.Message {
	b.t.Helper()
	var out wire.GetMessagesResponse
	b.must(b.try(b.ctx, wire.OpGetMessages, wire.GetMessagesRequest{Destination: instance, MessagesRequestID: "r", VisibilityTimeoutInSeconds: seconds}, &out))
	if out.Destination != instance || out.MessagesRequestID != "r" || out.Messages == nil {
		b.t.Errorf("answer %+v", out)
	}
	return out.Messages
}

// polled is a poll that goes on beside the test.
func (b *bundle) polled(seconds int) <-chan []wire.Message {
	done := make(chan []wire.Message, 1)
	go func() {
		var out wire.GetMessagesResponse
		err := b.try(b.ctx, wire.OpGetMessages, wire.GetMessagesRequest{Destination: instance, VisibilityTimeoutInSeconds: seconds}, &out)
		if err != nil {
			out.Messages = []wire.Message{{MessageID: err.Error()}}
		}
		done <- out.Messages
	}()
	return done
}

// one wants a poll to give one message.
func (b *bundle) one(list []wire.Message) wire.Message {
	b.t.Helper()
	if len(list) != 1 {
		b.t.Fatalf("messages %+v", list)
	}
	return list[0]
}

func (b *bundle) acknowledge(id string) {
	b.t.Helper()
	b.call(wire.OpAcknowledgeMessage, wire.AcknowledgeMessageRequest{MessageID: id})
}

func (b *bundle) sendReply(id, status string, plugins map[string]wire.PluginStatus) {
	b.t.Helper()
	payload, err := wire.Marshal(wire.Reply{DocumentStatus: status, RuntimeStatus: plugins})
	b.must(err)
	b.call(wire.OpSendReply, wire.SendReplyRequest{MessageID: id, Payload: string(payload), ReplyID: "reply"})
}

// until waits for what no signal tells of.
func (b *bundle) until(what string, ok func() bool) {
	b.t.Helper()
	for !ok() {
		select {
		case <-b.ctx.Done():
			b.t.Fatal(what)
		case <-time.After(time.Millisecond):
		}
	}
}

// TestPoll is a command from its begin to its end, in the order of the genuine
// agent's calls.
func TestPoll(t *testing.T) {
	t.Parallel()
	b := setup(t, time.Minute)
	waiting := b.polled(10)
	b.must(b.gateway.WaitConnected(b.ctx, []string{instance}))
	id := b.send()
	m := b.one(<-waiting)
	if m.MessageID != wire.JobID(id, instance) || m.Destination != instance || !wire.IsTopic(m.Topic, wire.TopicSendCommand) || len(m.PayloadDigest) != 64 {
		t.Errorf("message %+v", m)
	}
	if _, err := wire.ParseTime(m.CreatedDate); err != nil || m.CreatedDate == "" {
		t.Errorf("created %q: %v", m.CreatedDate, err)
	}
	var p wire.SendCommandPayload
	b.must(wire.Unmarshal([]byte(m.Payload), &p))
	if p.CommandID != id || p.Parameters["executionTimeout"] != "60" {
		t.Errorf("payload %+v", p)
	}
	b.sendReply(m.MessageID, wire.StatusInProgress, nil)
	b.acknowledge(m.MessageID)
	if s := b.state(id); s.Status != ssmrun.InProgress {
		t.Errorf("state %s", s)
	}
	b.sendReply(m.MessageID, wire.StatusSuccess, nil) // overtakes the plugin's
	b.sendReply(m.MessageID, wire.StatusInProgress, done)
	if s, p := b.state(id), b.plugin(id); s.Status != ssmrun.Success || p.Stdout != "a\nb\n" {
		t.Errorf("state %s, plugin %+v", s, p)
	}
	// The same again, as of an agent that missed the answers.
	b.sendReply(m.MessageID, wire.StatusFailed, nil)
	b.acknowledge(m.MessageID)
	if s := b.state(id); s.Status != ssmrun.Success {
		t.Errorf("state %s", s)
	}
}

func TestPollIsHeldThenEmpty(t *testing.T) {
	t.Parallel()
	b := setupWith(t, gateway.Config{Hold: 30 * time.Millisecond})
	begun := time.Now()
	if list := b.poll(10); len(list) != 0 || time.Since(begun) < 30*time.Millisecond {
		t.Errorf("%+v after %s", list, time.Since(begun))
	}
	var out wire.GetEndpointResponse
	b.must(b.try(b.ctx, wire.OpGetEndpoint, wire.GetEndpointRequest{Destination: instance}, &out))
	if out.Endpoint != b.http {
		t.Errorf("endpoint %q", out.Endpoint)
	}
}

// TestMessageComesAgain: it was handed out and nothing was said of it. Meanwhile
// the agent counts as one without room.
func TestMessageComesAgain(t *testing.T) {
	t.Parallel()
	b := setupWith(t, gateway.Config{Hold: 10 * time.Second})
	waiting := b.polled(1)
	b.must(b.gateway.WaitConnected(b.ctx, []string{instance}))
	id := b.send()
	first := b.one(<-waiting)
	begun := time.Now()
	second := b.one(b.poll(1))
	if second.MessageID != first.MessageID || time.Since(begun) < 900*time.Millisecond {
		t.Errorf("%s, then %s after %s", first.MessageID, second.MessageID, time.Since(begun))
	}
	b.control.Settled()
	if s := b.state(id); s.Details != ssmrun.DetailsDelayed {
		t.Errorf("state %s while the agent says nothing", s)
	}
	b.acknowledge(second.MessageID)
	b.sendReply(second.MessageID, wire.StatusSuccess, done)
	if s := b.state(id); s.Status != ssmrun.Success {
		t.Errorf("state %s", s)
	}
}

// TestNewerPollWins: the agent has given the older one up.
func TestNewerPollWins(t *testing.T) {
	t.Parallel()
	b := setup(t, time.Minute)
	older := b.polled(10)
	b.must(b.gateway.WaitConnected(b.ctx, []string{instance}))
	newer := b.polled(10)
	if list := <-older; len(list) != 0 {
		t.Errorf("the older poll: %+v", list)
	}
	id := b.send()
	if m := b.one(<-newer); m.MessageID != wire.JobID(id, instance) {
		t.Errorf("message %+v", m)
	}
}

// TestManyMessages: as many at a time as an idle agent has room for, oldest first.
func TestManyMessages(t *testing.T) {
	t.Parallel()
	b := setup(t, time.Minute)
	_ = b.connect().conn.CloseNow() // it is there for now, and away then
	var ids []string
	for range 12 {
		ids = append(ids, wire.JobID(b.send(), instance))
	}
	var got []string
	for len(got) < 12 {
		list := b.poll(600)
		if len(list) == 0 || len(list) > 10 {
			t.Fatalf("%d messages, %d before", len(list), len(got))
		}
		for i := range list {
			got = append(got, list[i].MessageID)
		}
	}
	seen := map[string]bool{}
	for _, id := range got {
		seen[id] = true
	}
	for _, id := range ids {
		if !seen[id] {
			t.Errorf("%s is missing of %v", id, got)
		}
	}
}

// TestPresenceFollowsThePolls: an agent is there for a while after a poll, then
// what was handed to it is Delayed, and comes again with the next poll.
func TestPresenceFollowsThePolls(t *testing.T) {
	t.Parallel()
	b := setupWith(t, gateway.Config{Hold: time.Millisecond, PollGrace: 300 * time.Millisecond})
	b.poll(10)
	if !b.gateway.Connected(instance) || b.control.PingStatus(b.instance()) != ssmrun.Online {
		t.Error("between two polls it is away")
	}
	id := b.send()
	if s := b.state(id); s.Status != ssmrun.InProgress {
		t.Errorf("state %s", s)
	}
	b.until("it counts as there for ever", func() bool { return !b.gateway.Connected(instance) })
	b.until("what it did not take is not Delayed", func() bool { return b.state(id).Details == ssmrun.DetailsDelayed })
	if i := b.instance(); i.Stopped || i.LastPing.IsZero() {
		t.Errorf("instance %+v", i)
	}
	if m := b.one(b.poll(10)); m.MessageID != wire.JobID(id, instance) {
		t.Errorf("message %+v", m)
	}
}

// TestWebsocketFirst: while both are open the websocket delivers, and what it has
// not got an acknowledgement for goes on by polls when it is lost.
func TestWebsocketFirst(t *testing.T) {
	t.Parallel()
	b := setup(t, time.Minute)
	f := b.connect()
	waiting := b.polled(10)
	id := b.send()
	j := f.job()
	select {
	case list := <-waiting:
		t.Errorf("the poll got it too: %+v", list)
	default:
	}
	_ = f.conn.CloseNow()
	m := b.one(<-waiting)
	if m.MessageID != j.JobID {
		t.Errorf("message %+v", m)
	}
	if !b.gateway.Connected(instance) {
		t.Error("it polls, and is away")
	}
	b.acknowledge(m.MessageID)
	// In the middle of the command the websocket is back, and its end comes there.
	again := b.connect()
	again.reply(j.JobID, wire.StatusSuccess, done)
	if s := b.state(id); s.Status != ssmrun.Success {
		t.Errorf("state %s", s)
	}
}

// TestPolledMessageIsNotSentTwice: what a poll has taken is hidden from the
// websocket as from other polls, and comes again there.
func TestPolledMessageIsNotSentTwice(t *testing.T) {
	t.Parallel()
	b := setup(t, time.Minute)
	waiting := b.polled(1)
	b.must(b.gateway.WaitConnected(b.ctx, []string{instance}))
	id := b.send()
	begun := time.Now()
	m := b.one(<-waiting)
	f := b.connect()
	if j := f.job(); j.JobID != m.MessageID || time.Since(begun) < 900*time.Millisecond {
		t.Errorf("job %s after %s", j.JobID, time.Since(begun))
	}
	f.ack(m.MessageID, wire.AckDuplicateCommand)
	f.reply(m.MessageID, wire.StatusSuccess, done)
	if s := b.state(id); s.Status != ssmrun.Success {
		t.Errorf("state %s", s)
	}
}

func TestCancelByPoll(t *testing.T) {
	t.Parallel()
	b := setup(t, time.Minute)
	waiting := b.polled(10)
	b.must(b.gateway.WaitConnected(b.ctx, []string{instance}))
	id := b.send()
	m := b.one(<-waiting)
	b.sendReply(m.MessageID, wire.StatusInProgress, nil)
	b.acknowledge(m.MessageID)
	b.send()
	b.must(b.control.Cancel(b.ctx, scope, id, nil))
	list := b.poll(10)
	if len(list) != 2 {
		t.Fatalf("messages %+v", list)
	}
	c := list[0] // it does not wait behind commands
	var p wire.CancelPayload
	b.must(wire.Unmarshal([]byte(c.Payload), &p))
	if !wire.IsTopic(c.Topic, wire.TopicCancelCommand) || p.CancelMessageID != m.MessageID {
		t.Errorf("cancel %+v", c)
	}
	b.sendReply(c.MessageID, wire.StatusInProgress, nil)
	b.acknowledge(c.MessageID)
	b.sendReply(c.MessageID, wire.StatusInProgress, nil) // late
	b.sendReply(m.MessageID, wire.StatusCancelled, nil)
	if s := b.state(id); s.Status != ssmrun.Cancelled {
		t.Errorf("state %s", s)
	}
}

// TestCancelInTime: what no agent has heard of is over at once.
func TestCancelInTime(t *testing.T) {
	t.Parallel()
	b := setupWith(t, gateway.Config{Hold: time.Millisecond, PollGrace: time.Minute})
	b.poll(10)
	id := b.send()
	b.must(b.control.Cancel(b.ctx, scope, id, nil))
	b.control.Settled()
	if s := b.state(id); s.Status != ssmrun.Cancelled {
		t.Errorf("state %s", s)
	}
	if list := b.poll(10); len(list) != 0 {
		t.Errorf("messages %+v", list)
	}
}

func TestFailMessage(t *testing.T) {
	t.Parallel()
	b := setup(t, time.Minute)
	waiting := b.polled(10)
	b.must(b.gateway.WaitConnected(b.ctx, []string{instance}))
	id := b.send()
	m := b.one(<-waiting)
	fail := wire.FailMessageRequest{MessageID: m.MessageID, FailureType: wire.FailureInternal}
	b.call(wire.OpFailMessage, fail)
	if s := b.state(id); s.Status != ssmrun.Failed {
		t.Errorf("state %s", s)
	}
	b.call(wire.OpFailMessage, fail) // its answer was lost
	if !b.log.has("the agent refused a message") {
		t.Error("it was not logged")
	}
	// A cancel that makes no sense to the agent, and a message that it gives back.
	id = b.send()
	m = b.one(b.poll(10))
	b.call(wire.OpDeleteMessage, wire.DeleteMessageRequest{MessageID: m.MessageID})
	b.must(b.control.Cancel(b.ctx, scope, id, nil))
	c := b.one(b.poll(10))
	b.call(wire.OpFailMessage, wire.FailMessageRequest{MessageID: c.MessageID})
	b.sendReply(m.MessageID, wire.StatusSuccess, done)
	if s := b.state(id); s.Status != ssmrun.Success {
		t.Errorf("state %s", s)
	}
}

func TestDropEndsThePoll(t *testing.T) {
	t.Parallel()
	b := setup(t, time.Minute)
	waiting := b.polled(10)
	b.must(b.gateway.WaitConnected(b.ctx, []string{instance}))
	b.must(b.control.Deregistered(b.ctx, scope, instance))
	b.gateway.Drop(instance)
	if m := b.one(<-waiting); m.MessageID != "refused with InvalidInstanceId" {
		t.Errorf("its poll: %s", m.MessageID)
	}
	if m := b.one(<-b.polled(10)); m.MessageID != "refused with InvalidInstanceId" {
		t.Errorf("another poll: %s", m.MessageID)
	}
	if b.gateway.Connected(instance) {
		t.Error("it counts as there")
	}
}

func TestDropBetweenPolls(t *testing.T) {
	t.Parallel()
	b := setupWith(t, gateway.Config{Hold: time.Millisecond, PollGrace: time.Hour})
	b.poll(10)
	b.gateway.Drop(instance)
	if b.gateway.Connected(instance) {
		t.Error("it counts as there")
	}
}

// TestCloseEndsPolls: with an empty answer, so that the agent polls anew.
func TestCloseEndsPolls(t *testing.T) {
	t.Parallel()
	b := setup(t, time.Minute)
	waiting := b.polled(10)
	b.must(b.gateway.WaitConnected(b.ctx, []string{instance}))
	b.must(b.gateway.Close(b.ctx))
	if list := <-waiting; len(list) != 0 {
		t.Errorf("messages %+v", list)
	}
	if m := b.one(<-b.polled(10)); m.MessageID != "refused with "+string(ssmrun.CodeUnavailable) {
		t.Errorf("a poll while it stops: %s", m.MessageID)
	}
}

// TestCloseBetweenPolls: what was handed over is Delayed for the next start.
func TestCloseBetweenPolls(t *testing.T) {
	t.Parallel()
	b := setupWith(t, gateway.Config{Hold: time.Millisecond, PollGrace: time.Hour})
	b.poll(10)
	id := b.send()
	b.must(b.gateway.Close(b.ctx))
	if s := b.state(id); s.Details != ssmrun.DetailsDelayed {
		t.Errorf("state %s", s)
	}
}

// counted counts the transactions that write.
type counted struct {
	store.Store
	writes atomic.Int64
}

func (c *counted) wrap(s store.Store) { c.Store = s }

func (c *counted) Update(ctx context.Context, fn func(store.Tx) error) error {
	c.writes.Add(1)
	return c.Store.Update(ctx, fn)
}

// TestPollsCostNoWrites beyond one heartbeat.
func TestPollsCostNoWrites(t *testing.T) {
	t.Parallel()
	c := &counted{}
	b := setupWith(t, gateway.Config{Store: c, Hold: time.Millisecond, PollGrace: time.Hour})
	b.poll(10)
	before := c.writes.Load()
	for range 50 {
		b.poll(10)
	}
	if n := c.writes.Load() - before; n != 0 {
		t.Errorf("50 polls wrote %d times", n)
	}
}

// TestBadCalls: each is refused with a code of its own, never with the one on
// which the genuine agent is silent for half an hour; and the command goes on.
func TestBadCalls(t *testing.T) {
	t.Parallel()
	b := setup(t, time.Minute)
	waiting := b.polled(10)
	b.must(b.gateway.WaitConnected(b.ctx, []string{instance}))
	id := b.send()
	m := b.one(<-waiting)
	const other = "i-1123456789abcdef0"
	for _, c := range []struct{ op, body, code string }{
		{wire.OpGetMessages, `nonsense`, "ValidationException"},
		{wire.OpGetMessages, `[]`, "ValidationException"},
		{wire.OpGetMessages, `{"Destination":1}`, "ValidationException"},
		{wire.OpGetMessages, `{}`, "ValidationException"},
		{wire.OpGetMessages, `{"Destination":"` + other + `"}`, "InvalidDestinationException"},
		{wire.OpGetEndpoint, `{"Destination":"` + other + `"}`, "InvalidDestinationException"},
		{wire.OpGetEndpoint, `{}`, "ValidationException"},
		{wire.OpAcknowledgeMessage, `{"MessageId":"x"}`, "InvalidMessageIdException"},
		{wire.OpAcknowledgeMessage, `{"MessageId":"` + wire.JobID(id, other) + `"}`, "InvalidDestinationException"},
		{wire.OpAcknowledgeMessage, ``, "ValidationException"},
		{wire.OpDeleteMessage, `{"MessageId":"aws.ssm.a.b.c"}`, "InvalidMessageIdException"},
		{wire.OpDeleteMessage, `{`, "ValidationException"},
		{wire.OpFailMessage, `{"MessageId":"` + wire.JobID(id, other) + `"}`, "InvalidDestinationException"},
		{wire.OpFailMessage, `{}`, "ValidationException"},
		{wire.OpSendReply, `{"MessageId":"` + wire.JobID(id, other) + `","Payload":"{}"}`, "InvalidDestinationException"},
		{wire.OpSendReply, `{"MessageId":"` + m.MessageID + `"}`, "ValidationException"},
		{"ReceiveMessages", `{}`, string(ssmrun.CodeUnknownOperation)},
		// What makes no sense, and would make no more if it were sent again.
		{wire.OpSendReply, `{"MessageId":"` + m.MessageID + `","Payload":"garbage"}`, ""},
		{wire.OpSendReply, `{"MessageId":"` + m.MessageID + `","Payload":"{\"documentStatus\":1}"}`, ""},
		{wire.OpSendReply, `{"MessageId":"aws.ssm.unknown.` + instance + `","Payload":"{\"documentStatus\":\"Failed\"}"}`, ""},
		{wire.OpAcknowledgeMessage, `{"MessageId":"aws.ssm.unknown.` + instance + `"}`, ""},
		{wire.OpFailMessage, `{"MessageId":"aws.ssm.unknown.` + instance + `"}`, ""},
	} {
		var out map[string]any
		err := b.try(b.ctx, c.op, c.body, &out)
		var r *refusal
		switch {
		case c.code == "" && err != nil, c.code != "" && (!errors.As(err, &r) || r.code != c.code):
			t.Errorf("%s %s: %v, want %s", c.op, c.body, err, c.code)
		}
	}
	if !b.log.has("drop a reply") || !b.log.has("refuse an agent's call for another instance") {
		t.Error("it was not logged")
	}
	b.sendReply(m.MessageID, wire.StatusSuccess, done)
	if s := b.state(id); s.Status != ssmrun.Success {
		t.Errorf("state %s", s)
	}
}
