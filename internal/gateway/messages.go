package gateway

import (
	"context"
	"fmt"

	"ssmrun"
	"ssmrun/internal/identity"
	"ssmrun/internal/wire"
)

// Codes of the message delivery service's own errors.
const (
	codeInvalidDestination ssmrun.Code = "InvalidDestinationException"
	codeInvalidMessageID   ssmrun.Code = "InvalidMessageIdException"
)

// Message answers an agent's call of the message delivery service: the long poll
// and what is said of the messages that it gave. endpoint is the URL that the call
// came to.
//
// Its refusals are of the codes of this service. AccessDeniedException is only
// given where the instance's role does not let it (permit): what an agent does on
// that is to be silent for half an hour.
func (g *Gateway) Message(ctx context.Context, operation string, p identity.Principal, endpoint string, body []byte) (any, error) {
	switch operation {
	case wire.OpGetMessages:
		return g.getMessages(ctx, p, body)
	case wire.OpAcknowledgeMessage:
		return g.acknowledgeMessage(ctx, p, body)
	case wire.OpSendReply:
		return g.sendReply(ctx, p, body)
	case wire.OpFailMessage:
		return g.failMessage(ctx, p, body)
	case wire.OpDeleteMessage:
		return g.deleteMessage(ctx, p, body)
	case wire.OpGetEndpoint:
		var req wire.GetEndpointRequest
		if err := unmarshal(body, &req); err != nil {
			return nil, err
		}
		if _, err := g.addressee(ctx, p, req.Destination); err != nil {
			return nil, err
		}
		return wire.GetEndpointResponse{Endpoint: endpoint}, nil
	}
	return nil, &ssmrun.Error{Code: ssmrun.CodeUnknownOperation}
}

// addressee gives the scope of the instance that a call is for, which has to be
// the caller's own: see mayOpen.
func (g *Gateway) addressee(ctx context.Context, p identity.Principal, instanceID string) (ssmrun.Scope, error) {
	if !mayOpen(p, instanceID) {
		g.cfg.Logger.Warn("refuse an agent's call for another instance", "agent", p.InstanceID, "instance", instanceID)
		return ssmrun.Scope{}, ssmrun.Errorf(codeInvalidDestination, "%s may not speak for instance %s.", p.ARN, instanceID)
	}
	return g.scopeOf(ctx, p, instanceID)
}

// spoken is a message that an agent speaks of.
type spoken struct {
	scope     ssmrun.Scope
	commandID string // or the id of a cancel
	instance  string
	box       *mailbox // nil where the agent is away
}

func (g *Gateway) message(ctx context.Context, p identity.Principal, id string) (*spoken, error) {
	commandID, instanceID, err := wire.ParseJobID(id)
	if err != nil {
		return nil, ssmrun.Errorf(codeInvalidMessageID, "MessageId is not that of a message of this service: %v.", err)
	}
	scope, err := g.addressee(ctx, p, instanceID)
	if err != nil {
		return nil, err
	}
	return &spoken{scope: scope, commandID: commandID, instance: instanceID, box: g.find(instanceID)}, nil
}

// take takes the message out of the mailbox; see mailbox.take.
func (m *spoken) take(id string) (d ssmrun.Delivery, ok bool) {
	if m.box == nil {
		return d, false
	}
	return m.box.take(id, true)
}

// acknowledgeMessage: the agent has a message. It is answered once that is
// durable, so that an agent makes no more of these calls than the store can take.
func (g *Gateway) acknowledgeMessage(ctx context.Context, p identity.Principal, body []byte) (any, error) {
	var req wire.AcknowledgeMessageRequest
	if err := unmarshal(body, &req); err != nil {
		return nil, err
	}
	return struct{}{}, g.has(ctx, p, req.MessageID, len(body))
}

// deleteMessage: the message is to come no more. What became of it is told by
// replies, or by none.
func (g *Gateway) deleteMessage(ctx context.Context, p identity.Principal, body []byte) (any, error) {
	var req wire.DeleteMessageRequest
	if err := unmarshal(body, &req); err != nil {
		return nil, err
	}
	return struct{}{}, g.has(ctx, p, req.MessageID, len(body))
}

func (g *Gateway) has(ctx context.Context, p identity.Principal, id string, size int) error {
	m, err := g.message(ctx, p, id)
	if err != nil {
		return err
	}
	leave, err := g.talking.enter(ctx, m.instance, size)
	if err != nil {
		return err
	}
	defer leave()
	d, ok := m.take(id)
	if !ok {
		// Handed out by another process, before a restart. A cancel's id is of no
		// command, and is passed over.
		d = ssmrun.Delivery{Scope: m.scope, CommandID: m.commandID, InstanceID: m.instance}
	}
	return durable(ctx, func(done func(error)) {
		g.cfg.Control.Acknowledged(m.scope, d.CommandID, d.InstanceID, d.Cancel, done)
	})
}

// durable waits until what submit has submitted is durable.
func durable(ctx context.Context, submit func(done func(error))) error {
	done := make(chan error, 1)
	submit(func(err error) { done <- err })
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// sendReply is answered once the reply is durable; until then the agent keeps it,
// and sends it again. One that makes no sense is logged and answered all the same:
// sent again, it would make no more.
func (g *Gateway) sendReply(ctx context.Context, p identity.Principal, body []byte) (any, error) {
	var req wire.SendReplyRequest
	if err := unmarshal(body, &req); err != nil {
		return nil, err
	}
	m, err := g.message(ctx, p, req.MessageID)
	if err != nil {
		return nil, err
	}
	out := wire.SendReplyResponse{MessageID: req.MessageID, ReplyID: req.ReplyID}
	// The reply to a cancel says nothing: the cancelled command reports for
	// itself. It is not told here by its topic, but by its id.
	if m.box != nil && m.box.cancels(req.MessageID) {
		return out, nil
	}
	log := g.cfg.Logger.With("instance", m.instance)
	report, ok := readReply(log, m.commandID, m.instance, req.Payload)
	if !ok {
		return out, nil
	}
	leave, err := g.talking.enter(ctx, m.instance, len(body))
	if err != nil {
		return nil, err
	}
	defer leave()
	m.take(req.MessageID) // a reply says as much as an acknowledgement that was lost
	err = durable(ctx, func(done func(error)) { g.cfg.Control.Report(m.scope, report, done) })
	if err != nil {
		return nil, fmt.Errorf("keep the reply of %s: %w", m.commandID, err)
	}
	if m.box != nil && report.Event != ssmrun.EventBegan {
		m.box.hasRoom()
	}
	return out, nil
}

// failMessage: the agent can make nothing of a message. Only what was handed to
// it can be refused so: what it has begun ends by its replies.
func (g *Gateway) failMessage(ctx context.Context, p identity.Principal, body []byte) (any, error) {
	var req wire.FailMessageRequest
	if err := unmarshal(body, &req); err != nil {
		return nil, err
	}
	m, err := g.message(ctx, p, req.MessageID)
	if err != nil {
		return nil, err
	}
	d, ok := m.take(req.MessageID)
	if !ok {
		return struct{}{}, nil
	}
	m.box.log.Warn("the agent refused a message", "command", d.CommandID, "cancel", d.Cancel, "type", ssmrun.Head(req.FailureType, 100))
	if d.Cancel {
		// It ends as one that is never answered.
		return struct{}{}, durable(ctx, func(done func(error)) {
			g.cfg.Control.Acknowledged(m.scope, d.CommandID, d.InstanceID, true, done)
		})
	}
	reason := "The agent refused the message: " + ssmrun.Head(req.FailureType, 100)
	return struct{}{}, g.cfg.Control.Rejected(ctx, m.scope, d.CommandID, d.InstanceID, reason)
}

// Idle tells whether an answer of Message says nothing: a poll for which there
// was nothing, of which each agent makes some 200 an hour.
func Idle(out any, err error) bool {
	r, ok := out.(wire.GetMessagesResponse)
	return err == nil && ok && len(r.Messages) == 0
}
