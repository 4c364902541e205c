package agentlink

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"

	"ssmrun/internal/wire"
)

// poller polls for messages while the control channel is not open: the long poll
// of ec2messages, and HTTP calls for what is to be said.
type poller struct {
	l *Link

	mu   sync.Mutex
	stop chan struct{} // closed to end polling; nil while it is not wanted
	done chan struct{} // closed when the last poller has ended; nil before the first

	held  []held
	holds chan struct{} // has one element when something is held

	settle []settlement
	wake   chan struct{} // has one element when there may be a settlement
}

// begin begins polling, unless it goes on already. why is what is wrong with the
// control channel.
func (p *poller) begin(ctx context.Context, why error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stop != nil || ctx.Err() != nil || p.l.channelOpen() {
		return
	}
	p.l.cfg.Logger.Warn("the control channel cannot be opened; polling for messages until it can", "error", why)
	before, stop, done := p.done, make(chan struct{}), make(chan struct{})
	p.stop, p.done = stop, done
	p.l.out.restart(false)
	go func() {
		defer close(done)
		if before != nil {
			<-before
		}
		p.run(ctx, stop)
	}()
}

// end lets polling end. A poll that is under way is waited for, not cut: it may
// be bringing a message. It tells whether there was something to end.
func (p *poller) end() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stop == nil {
		return false
	}
	close(p.stop)
	p.stop = nil
	return true
}

// wait waits until no poller runs any more; their context has ended.
func (p *poller) wait() {
	p.mu.Lock()
	done := p.done
	p.mu.Unlock()
	if done != nil {
		<-done
	}
}

// run polls until stop is closed or ctx ends.
func (p *poller) run(ctx context.Context, stop <-chan struct{}) {
	l, t := p.l, p.l.cfg.Timing
	defer l.setOpen(func(w *ways) { w.polls = false })
	var sending sync.WaitGroup
	defer sending.Wait() // what the last poll brought is settled
	polled := make(chan struct{})
	sending.Go(func() { p.send(ctx, stop, polled) })
	sending.Go(func() { p.offer(ctx, polled) })
	defer close(polled)

	backoff := Backoff{Min: t.BackoffMin, Max: t.BackoffMax}
	said := sayer{log: l.cfg.Logger}
	for open := false; ctx.Err() == nil && !closed(stop); {
		began := time.Now()
		fresh, err := 0, error(nil)
		if !open || l.beatDue() <= 0 {
			if err = l.beat(ctx, ServiceLongPoll); err != nil && open {
				l.cfg.Logger.Warn("heartbeat failed", "error", err)
				err = nil
			}
		}
		if err == nil && !open {
			open = true
			l.setOpen(func(w *ways) { w.polls = true })
			l.cfg.Opened()
			l.out.signal()
			l.cfg.Logger.Info("polling for messages", "instance", l.cfg.Identity.InstanceID)
		}
		if err == nil {
			fresh, err = p.once(ctx)
		}
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			open = false
			l.setOpen(func(w *ways) { w.polls = false })
			wait := l.pause(&backoff, err)
			said.failed(ctx, "polling for messages", wait, err, false)
			pause(ctx, stop, wait)
			continue
		}
		backoff.Reset()
		// A service that holds no polls, or shows again and again what it was
		// told, is not asked without a pause.
		quiet := Backoff{Min: t.Poll, Max: t.Poll}
		switch took := time.Since(began); {
		case fresh > 0:
			pause(ctx, stop, min(t.Poll, minPoll)-took)
		case took < min(t.Poll, time.Second):
			pause(ctx, stop, quiet.Next(nil))
		}
	}
}

// minPoll is between two polls at least, even where each brings something new.
const minPoll = 50 * time.Millisecond

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// messages is the answer to a poll with its messages unread: one that makes no
// sense shall not cost the others.
type messages struct{ Messages []json.RawMessage }

// once makes one poll, hands on what it brings, and tells how many messages were
// taken.
func (p *poller) once(ctx context.Context) (fresh int, err error) {
	l := p.l
	id, err := uuid.NewRandom()
	if err != nil {
		return 0, fmt.Errorf("make request id: %w", err)
	}
	in := &wire.GetMessagesRequest{
		Destination: l.cfg.Identity.InstanceID, MessagesRequestID: id.String(),
		VisibilityTimeoutInSeconds: int(max(time.Second, l.cfg.Timing.Visibility) / time.Second),
	}
	var out messages
	if err := p.call(ctx, wire.OpGetMessages, in, &out); err != nil {
		return 0, err
	}
	for _, raw := range out.Messages {
		if p.message(raw) {
			fresh++
		}
	}
	return fresh, nil
}

// call makes a call of the long poll's service.
func (p *poller) call(ctx context.Context, op string, in, out any) error {
	return p.l.keys.signed(ctx, ServiceLongPoll, func(s signer) error {
		return p.l.caller.callService(ctx, ServiceLongPoll, op, in, out, s)
	})
}

// message hands a message to the Handler and tells whether it was taken.
func (p *poller) message(raw []byte) bool {
	l := p.l
	var m wire.Message
	if err := wire.Unmarshal(raw, &m); err != nil {
		l.cfg.Logger.Warn("dropped a message of the service", "error", err)
		if m.MessageID != "" {
			p.add(settlement{id: m.MessageID, fail: true})
		}
		return false
	}
	if own := l.cfg.Identity.InstanceID; m.Destination != "" && m.Destination != own {
		l.cfg.Logger.Warn("refused a message for another instance", "message", m.MessageID, "destination", m.Destination, "instance", own)
		p.add(settlement{id: m.MessageID, fail: true})
		return false
	}
	taken, room := p.hand(m)
	if !room {
		p.hold(m)
	}
	return taken
}

// hand offers a message to the Handler. It tells whether that has taken it, and
// whether it had room.
func (p *poller) hand(m wire.Message) (taken, room bool) {
	// What the Handler says of the job goes out before the acknowledgement, as
	// from the genuine agent: a reason comes before the refusal that ends it.
	l, settle := p.l, settlement{}
	room = true
	l.handling.Lock()
	defer l.handling.Unlock()
	l.cfg.Handler.HandleJob(wire.AgentJob{SchemaVersion: 1, JobID: m.MessageID, Topic: m.Topic, Content: m.Payload}, func(code, _ string) {
		taken = code == wire.AckOK
		switch wire.AckVerdict(code) {
		case wire.Delivered:
			settle.id = m.MessageID
		case wire.Refused:
			settle.id, settle.fail = m.MessageID, true
		case wire.OfferAgain: // it shows again by itself
			room = false
		}
	})
	if settle.id != "" {
		p.add(settle)
	}
	return taken, room
}
