package gateway

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"time"

	"ssmrun"
	"ssmrun/internal/identity"
	"ssmrun/internal/wire"
)

// poll is an agent's open long poll.
type poll struct {
	box    *mailbox
	cancel context.CancelCauseFunc
	wake   chan struct{}
}

func (p *poll) poke() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// getMessages holds an agent's poll until there is something for it, or until
// Config.Hold has passed, which is answered with an empty list.
func (g *Gateway) getMessages(ctx context.Context, p identity.Principal, body []byte) (any, error) {
	var req wire.GetMessagesRequest
	if err := unmarshal(body, &req); err != nil {
		return nil, err
	}
	scope, err := g.addressee(ctx, p, req.Destination)
	if err != nil {
		return nil, err
	}
	if err := g.permit(ctx, p, "ec2messages:GetMessages"); err != nil {
		return nil, err
	}
	list, err := g.hold(ctx, scope, &req)
	if err != nil {
		return nil, err
	}
	out := wire.GetMessagesResponse{Destination: req.Destination, MessagesRequestID: req.MessagesRequestID}
	for i := range list {
		out.Messages = append(out.Messages, list[i].message())
	}
	return out, nil
}

// message is a job as a long poll has it.
func (j *job) message() wire.Message {
	digest := sha256.Sum256([]byte(j.content))
	return wire.Message{
		MessageID: j.id, Destination: j.delivery.InstanceID, CreatedDate: wire.FormatTime(j.made),
		Topic: j.topic, Payload: j.content, PayloadDigest: hex.EncodeToString(digest[:]),
	}
}

// hold is a poll from its begin to its end.
func (g *Gateway) hold(ctx context.Context, scope ssmrun.Scope, req *wire.GetMessagesRequest) ([]job, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	p := &poll{cancel: cancel, wake: make(chan struct{}, 1)}
	offer, ok := g.addPoll(p, scope, req.Destination)
	if !ok {
		return nil, ssmrun.Errorf(ssmrun.CodeUnavailable, "%s.", errClosing)
	}
	defer g.open.Done()
	defer func() {
		if g.removePoll(p, errors.Is(context.Cause(ctx), errDropped)) {
			p.box.log.Info("agent away", "cause", context.Cause(ctx))
			p.box.away()
		}
	}()
	// What is begun here is ended although the agent may hang up meanwhile.
	lasting, done := context.WithTimeout(context.WithoutCancel(ctx), openTimeout)
	defer done()
	if !p.box.beat(lasting) {
		cancel(errDropped) // it was deregistered before Drop could see its poll
		return nil, notRegistered(req.Destination)
	}
	if offer {
		p.box.log.Info("agent polls")
		g.offer(lasting, p.box)
	}
	list := p.await(ctx, req.Visibility())
	if errors.Is(context.Cause(ctx), errDropped) {
		return nil, notRegistered(req.Destination)
	}
	return list, nil
}

// await gives what the poll is answered with; nothing when its time is over, or
// ctx is done.
func (p *poll) await(ctx context.Context, hidden time.Duration) []job {
	over := time.NewTimer(p.box.g.cfg.Hold)
	defer over.Stop()
	soon := time.NewTimer(time.Hour)
	defer soon.Stop()
	for ctx.Err() == nil {
		list, again, next := p.box.byPoll(p, hidden)
		for _, d := range again {
			// It was handed out, and nothing was said of it: the agent has no room
			// for it, or the answer was lost.
			p.box.g.cfg.Control.Busy(p.box.scope, d.CommandID, d.InstanceID, p.box.noted(d, nil))
		}
		if len(list) > 0 {
			return list
		}
		soon.Reset(next)
		select {
		case <-ctx.Done():
		case <-over.C:
			return nil
		case <-p.wake:
		case <-soon.C:
		}
	}
	return nil
}
