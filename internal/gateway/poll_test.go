package gateway_test

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"ssmrun"
	"ssmrun/internal/gateway"
	"ssmrun/internal/store"
	"ssmrun/internal/wire"
)

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
	b := setupWith(t, gateway.Config{Hold: time.Millisecond, PollGrace: time.Hour})
	b.poll(10)
	var sent, got []string
	for range 12 {
		sent = append(sent, wire.JobID(b.send(), instance))
	}
	for _, want := range []int{10, 2, 0} {
		list := b.poll(600)
		if len(list) != want {
			t.Fatalf("%d messages, want %d", len(list), want)
		}
		for i := range list {
			got = append(got, list[i].MessageID)
		}
	}
	if !slices.Equal(got, sent) {
		t.Errorf("sent %v\ngot  %v", sent, got)
	}
}

// TestHeartbeatAfterPolls: an agent that polled when it began, and has a websocket
// since, was heard of when that ended.
func TestHeartbeatAfterPolls(t *testing.T) {
	t.Parallel()
	b := setupWith(t, gateway.Config{Hold: time.Millisecond, PollGrace: time.Millisecond})
	b.poll(10)
	f := b.connect()
	b.until("the grace has no end", func() bool { return !b.gateway.Polls(instance) })
	before := time.Now()
	_ = f.conn.CloseNow()
	b.until("it is there for ever", func() bool { return !b.gateway.Connected(instance) })
	b.until("its end is no heartbeat", func() bool { return !b.instance().LastPing.Before(before.Truncate(time.Microsecond)) })
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

// TestChannelForSessionsAlone: amazon-ssm-agent before 3.1 opens the websocket, passes
// over jobs there, and goes on polling. What got no answer there comes by a poll, and
// what follows comes there alone, until the websocket speaks or the polls end.
func TestChannelForSessionsAlone(t *testing.T) {
	t.Parallel()
	b := setup(t, 20*time.Millisecond)
	f := b.connect()
	waiting := b.polled(10)
	first := b.send()
	if j := f.job(); j.JobID != wire.JobID(first, instance) {
		t.Errorf("job %s", j.JobID)
	}
	m := b.one(<-waiting)
	if m.MessageID != wire.JobID(first, instance) {
		t.Errorf("message %s, want %s", m.MessageID, wire.JobID(first, instance))
	}
	b.acknowledge(m.MessageID)
	b.sendReply(m.MessageID, wire.StatusSuccess, done)
	waiting = b.polled(10)
	second := b.send()
	if m := b.one(<-waiting); m.MessageID != wire.JobID(second, instance) {
		t.Errorf("message %s, want the second", m.MessageID)
	}
	b.acknowledge(wire.JobID(second, instance))
	b.sendReply(wire.JobID(second, instance), wire.StatusSuccess, done)
	// A reply over the websocket, of which only the first command has come there.
	f.reply(wire.JobID(second, instance), wire.StatusSuccess, done)
	for _, id := range []string{first, second} {
		if s := b.state(id); s.Status != ssmrun.Success {
			t.Errorf("%s: state %s", id, s)
		}
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
