package agentlink

import (
	"context"
	"errors"
	"fmt"
	"time"

	"ssmrun/internal/wire"
)

// settlement is the agent's answer to a message: it has it, or it makes no
// sense. One that is lost is given anew when the message shows again.
type settlement struct {
	id   string
	fail bool
}

// add queues a settlement.
func (p *poller) add(s settlement) {
	p.mu.Lock()
	p.settle = append(p.settle, s)
	p.mu.Unlock()
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// send says what there is to be said, by HTTP calls: replies until stop is
// closed, because then the control channel takes them, settlements until polled
// is.
func (p *poller) send(ctx context.Context, stop, polled <-chan struct{}) {
	l := p.l
	backoff := Backoff{Min: l.cfg.Timing.BackoffMin, Max: l.cfg.Timing.BackoffMax}
	said := sayer{log: l.cfg.Logger}
	resend := time.NewTimer(0)
	defer resend.Stop()
	replies := l.out.wake
	for {
		last := false
		select {
		case <-ctx.Done():
			return
		case <-stop:
			stop, replies = nil, nil
			l.out.signal() // the control channel looks for what is left
		case <-polled:
			last = true
		case <-p.wake:
		case <-replies:
		case <-resend.C:
		}
		next, err := p.say(ctx, replies != nil && !closed(stop))
		switch {
		case err != nil && ctx.Err() == nil:
			// What is tracked comes again by itself. The rest is lost, and its
			// message shows again.
			wait := l.pause(&backoff, err)
			said.failed(ctx, "replies and acknowledgements", wait, err, false)
			if !last {
				pause(ctx, stop, wait)
			}
			resend.Reset(0)
		case !next.IsZero():
			resend.Reset(time.Until(next))
		}
		if err == nil {
			backoff.Reset()
		}
		if last {
			return
		}
	}
}

// say makes the calls for what is due and tells when the next is. It ends with
// the first one that the service did not answer, or had no time for.
func (p *poller) say(ctx context.Context, replies bool) (next time.Time, err error) {
	// The replies that a settlement shall follow were queued before it.
	p.mu.Lock()
	settle := p.settle
	p.settle = nil
	p.mu.Unlock()
	var once []outgoing
	var tracked []Reply
	if replies {
		once, tracked, next = p.l.out.take(time.Now())
	}
	for _, m := range once {
		if m.frame == nil { // frames belong to a channel that is closed
			if err := p.reply(ctx, m.reply); err != nil {
				return next, err
			}
		}
	}
	for _, s := range settle {
		if err := p.settled(ctx, s); err != nil {
			return next, err
		}
	}
	for _, r := range tracked {
		if err := p.reply(ctx, r); err != nil {
			return next, err
		}
	}
	return next, nil
}

func (p *poller) settled(ctx context.Context, s settlement) error {
	var err error
	if s.fail {
		err = p.call(ctx, wire.OpFailMessage, &wire.FailMessageRequest{MessageID: s.id, FailureType: wire.FailureInternal}, nil)
	} else {
		err = p.call(ctx, wire.OpAcknowledgeMessage, &wire.AcknowledgeMessageRequest{MessageID: s.id}, nil)
	}
	return p.passing(s.id, err)
}

// reply sends one reply. That the service answers 200 is its acknowledgement.
func (p *poller) reply(ctx context.Context, r Reply) error {
	in, err := sendReply(r)
	if err != nil {
		p.l.cfg.Logger.Error("could not send a reply", "error", err)
		return nil
	}
	err = p.call(ctx, wire.OpSendReply, in, nil)
	if err == nil && r.Tracked {
		p.l.acked(r.ID)
	}
	return p.passing(in.MessageID, err)
}

// passing keeps an error of the way to the service, and logs one that is of the
// message alone, so that it does not hold up others.
func (p *poller) passing(id string, err error) error {
	if err == nil || !Permanent(err) || Denied(err) || badKeys(err) {
		return err
	}
	p.l.cfg.Logger.Warn("the service refused what was said of a message", "message", id, "error", err)
	return nil
}

// sendReply makes of a reply for the control channel one for a call. Over this
// channel an agent also says that the other one is closed.
func sendReply(r Reply) (*wire.SendReplyRequest, error) {
	var packed wire.AgentJobReply
	if err := wire.Unmarshal(r.Payload, &packed); err != nil {
		return nil, fmt.Errorf("unpack reply: %w", err)
	}
	var content wire.Reply
	if err := wire.Unmarshal([]byte(packed.Content), &content); err != nil {
		return nil, errors.Join(errors.New("unpack reply"), err)
	}
	content.AdditionalInfo.AbleToOpenMGSConnection = new(bool)
	b, err := wire.Marshal(content)
	if err != nil {
		return nil, fmt.Errorf("pack reply: %w", err)
	}
	return &wire.SendReplyRequest{MessageID: packed.JobID, Payload: string(b), ReplyID: r.ID.String()}, nil
}
