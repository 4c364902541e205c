package gateway_test

import (
	"errors"
	"testing"
	"time"

	"ssmrun"
	"ssmrun/internal/wire"
)

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
