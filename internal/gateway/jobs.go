package gateway

import (
	"context"
	"fmt"
	"time"

	"github.com/coder/websocket"
	"github.com/google/uuid"

	"ssmrun"
	"ssmrun/internal/wire"
)

// job is a delivery that the agent has not acknowledged.
type job struct {
	id       string // job id on the wire
	delivery ssmrun.Delivery
	frame    []byte
	next     time.Time     // when it is sent (again); zero: at once
	pause    time.Duration // until the time after
	busy     bool          // the agent had no room for it
}

// buffer-full pauses: an agent that is busy is asked again soon, then less often.
const (
	firstPause = 250 * time.Millisecond
	maxPause   = 5 * time.Second
)

// enqueue adds a delivery to be sent until it is acknowledged. A cancel takes its
// command's job out.
func (ch *channel) enqueue(d ssmrun.Delivery) {
	j, err := ch.job(d)
	if err != nil {
		ch.log.Error("encode a delivery", "command", d.CommandID, "error", err)
		return
	}
	ch.mu.Lock()
	if d.Cancel {
		// Should the agent not have the job yet, it must not get it any more. If
		// it is on its way, the cancel follows it.
		delete(ch.jobs, wire.JobID(d.CommandID, d.InstanceID))
		for old, other := range ch.jobs {
			if other.delivery.Cancel && other.delivery.CommandID == d.CommandID {
				delete(ch.jobs, old)
			}
		}
	}
	// A job that is on its way already is not sent a second time for it.
	if ch.jobs[j.id] == nil {
		ch.jobs[j.id] = j
	}
	ch.mu.Unlock()
	ch.poke()
}

func (ch *channel) poke() {
	select {
	case ch.wake <- struct{}{}:
	default:
	}
}

// job makes a delivery's frame. A cancel is a job of its own, with a fresh id.
func (ch *channel) job(d ssmrun.Delivery) (*job, error) {
	j := &job{delivery: d, pause: firstPause}
	topic := wire.TopicSendCommand
	var content string
	var err error
	if d.Cancel {
		j.id = wire.JobID(uuid.NewString(), d.InstanceID)
		topic = wire.TopicCancelCommand
		var b []byte
		b, err = wire.Marshal(wire.CancelPayload{CancelMessageID: wire.JobID(d.CommandID, d.InstanceID)})
		content = string(b)
	} else {
		j.id = wire.JobID(d.CommandID, d.InstanceID)
		content, err = ch.g.payloads.of(d)
	}
	if err != nil {
		return nil, fmt.Errorf("encode the content: %w", err)
	}
	f, err := wire.NewFrame(wire.TypeAgentJob, ch.g.cfg.Now(), wire.AgentJob{
		SchemaVersion: 1, JobID: j.id, Topic: wire.JobTopic(topic, d.Scope.Region, d.InstanceID), Content: content,
	})
	if err != nil {
		return nil, err
	}
	j.frame = f.Encode()
	return j, nil
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
		frames, next := ch.due()
		for _, b := range frames {
			if err := ch.writeFrame(ctx, b); err != nil {
				ch.cancel(fmt.Errorf("write to the agent: %w", err))
				return
			}
		}
		timer.Reset(next)
	}
}

func (ch *channel) writeFrame(ctx context.Context, b []byte) error {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	return ch.conn.Write(ctx, websocket.MessageBinary, b)
}

// due takes the frames that have to be written now, and tells when there will
// be more.
func (ch *channel) due() (frames [][]byte, next time.Duration) {
	now := ch.g.cfg.Now()
	next = time.Hour
	ch.mu.Lock()
	defer ch.mu.Unlock()
	frames, ch.queue = ch.queue, nil
	for _, j := range ch.jobs {
		if !j.next.After(now) {
			frames = append(frames, j.frame)
			j.next = now.Add(ch.g.cfg.Resend)
		}
		next = min(next, max(j.next.Sub(now), time.Millisecond))
	}
	return frames, next
}

// send queues a frame that is written once.
func (ch *channel) send(typ string, payload any) error {
	f, err := wire.NewFrame(typ, ch.g.cfg.Now(), payload)
	if err != nil {
		return err
	}
	ch.mu.Lock()
	ch.queue = append(ch.queue, f.Encode())
	ch.mu.Unlock()
	ch.poke()
	return nil
}

// hasRoom offers at once what the agent had no room for: something has ended.
func (ch *channel) hasRoom() {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	for _, j := range ch.jobs {
		if j.busy {
			j.busy, j.next = false, time.Time{}
			ch.poke()
		}
	}
}

// acknowledged handles an agent's word on a job.
func (ch *channel) acknowledged(ctx context.Context, ack wire.AgentJobAck) error {
	ch.mu.Lock()
	j := ch.jobs[ack.JobID]
	if j == nil {
		ch.mu.Unlock()
		return nil // of a job that was replaced or sent twice
	}
	verdict := wire.AckVerdict(ack.StatusCode)
	if verdict == wire.OfferAgain {
		j.busy = true
		j.next = ch.g.cfg.Now().Add(j.pause)
		j.pause = min(2*j.pause, maxPause)
	} else {
		delete(ch.jobs, ack.JobID)
	}
	ch.mu.Unlock()
	d := j.delivery
	noted := func(err error) {
		if err != nil {
			ch.log.Error("note what the agent has", "command", d.CommandID, "error", err)
		}
	}
	switch {
	case verdict == wire.OfferAgain:
		if !d.Cancel {
			ch.g.cfg.Control.Busy(ch.scope, d.CommandID, d.InstanceID, noted)
		}
		ch.poke()
		return nil
	case verdict == wire.Delivered || d.Cancel:
		ch.g.cfg.Control.Acknowledged(ch.scope, d.CommandID, d.InstanceID, d.Cancel, noted)
		return nil
	default:
		reason := fmt.Sprintf("The agent refused the document with code %s: %s", ack.StatusCode, ack.ErrorMessage)
		return ch.g.cfg.Control.Rejected(ctx, ch.scope, d.CommandID, d.InstanceID, reason)
	}
}
