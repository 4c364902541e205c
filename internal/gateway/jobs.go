package gateway

import (
	"context"
	"fmt"
	"time"

	"github.com/coder/websocket"

	"ssmrun"
	"ssmrun/internal/wire"
)

func (ch *channel) poke() {
	select {
	case ch.wake <- struct{}{}:
	default:
	}
}

// outgoing is a frame that is written once.
type outgoing struct {
	frame   []byte
	written func() // nil: nobody wants to know
}

// write sends what is due until the channel ends.
func (ch *channel) write(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ch.wake:
		case <-timer.C:
		}
		next, err := ch.flush(ctx)
		if err != nil {
			ch.cancel(fmt.Errorf("write to the agent: %w", err))
			return
		}
		timer.Reset(next)
	}
}

// flush writes what has to be written now, and tells when there will be more.
func (ch *channel) flush(ctx context.Context) (next time.Duration, err error) {
	ch.mu.Lock()
	queue := ch.queue
	ch.queue = nil
	ch.mu.Unlock()
	for _, o := range queue {
		if err := ch.writeFrame(ctx, o.frame); err != nil {
			return 0, err
		}
		if o.written != nil {
			o.written()
		}
	}
	jobs, next := ch.box.byChannel(ch)
	if len(jobs) > 0 {
		err = ch.writeJobs(ctx, jobs)
	}
	return next, err
}

// writeJobs is apart from flush because of its stack: thousands of agents wait
// with nothing to write.
func (ch *channel) writeJobs(ctx context.Context, jobs []job) error {
	for i := range jobs {
		j := &jobs[i]
		f, err := wire.NewFrame(wire.TypeAgentJob, ch.g.cfg.Now(), wire.AgentJob{
			SchemaVersion: 1, JobID: j.id, Topic: j.topic, Content: j.content,
		})
		if err != nil {
			ch.log.Error("encode a delivery", "command", j.delivery.CommandID, "error", err)
			ch.box.drop(j.id)
			continue
		}
		if err := ch.writeFrame(ctx, f.Encode()); err != nil {
			return err
		}
	}
	return nil
}

func (ch *channel) writeFrame(ctx context.Context, b []byte) error {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	return ch.conn.Write(ctx, websocket.MessageBinary, b)
}

// send queues a frame that is written once; written, where not nil, is called
// after.
func (ch *channel) send(typ string, payload any, written func()) error {
	f, err := wire.NewFrame(typ, ch.g.cfg.Now(), payload)
	if err != nil {
		return err
	}
	ch.mu.Lock()
	ch.queue = append(ch.queue, outgoing{f.Encode(), written})
	ch.mu.Unlock()
	ch.poke()
	return nil
}

// noted logs that what an agent has of a delivery could not be kept. then, where
// not nil, is called in any case.
func (b *mailbox) noted(d ssmrun.Delivery, then func()) func(error) {
	return func(err error) {
		if err != nil {
			b.log.Error("note what the agent has", "command", d.CommandID, "error", err)
		}
		if then != nil {
			then()
		}
	}
}

// acknowledged handles an agent's word on a job; leave is called when it is
// through with.
func (ch *channel) acknowledged(ctx context.Context, ack wire.AgentJobAck, leave func()) error {
	control := ch.g.cfg.Control
	verdict := wire.AckVerdict(ack.StatusCode)
	if verdict == wire.OfferAgain {
		if d, ok := ch.box.later(ack.JobID); ok && !d.Cancel {
			control.Busy(ch.scope, d.CommandID, d.InstanceID, ch.box.noted(d, leave))
			return nil
		}
		leave()
		return nil
	}
	d, ok := ch.box.take(ack.JobID, false)
	switch {
	case !ok: // of a job that was replaced or sent twice
		leave()
		return nil
	case verdict == wire.Delivered || d.Cancel:
		control.Acknowledged(ch.scope, d.CommandID, d.InstanceID, d.Cancel, ch.box.noted(d, leave))
		return nil
	default:
		defer leave()
		reason := fmt.Sprintf("The agent refused the document with code %s: %s", ssmrun.Head(ack.StatusCode, 20), ack.ErrorMessage)
		return control.Rejected(ctx, ch.scope, d.CommandID, d.InstanceID, reason)
	}
}
