package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"ssmrun"
	"ssmrun/internal/store"
	"ssmrun/internal/wire"
)

// mailbox is what is to be delivered to one instance, whichever way its agent
// takes it: over its websocket, or by long polls. It is there as long as the
// agent is (presence.go), so that what was handed over one way and not
// acknowledged goes on by the other.
//
//	queued ─ taken by a way ─> handed out ─ acknowledged, or replied to ─> gone
//	   ^                           │
//	   └── no word in time, no room there, or the way was lost ──┘
type mailbox struct {
	g        *Gateway
	instance string
	scope    ssmrun.Scope
	log      *slog.Logger

	mu   sync.Mutex // after Gateway.mu, where both are held
	jobs map[string]*job
	made uint64 // how many there were, for their order

	// The ways out, and what is known of the agent's presence.
	channel  *channel    // open websocket
	poll     *poll       // open long poll, the newest
	grace    *time.Timer // runs while the last poll is fresh
	graces   uint64      // how many there were
	last     time.Time   // when a way ended last
	offered  bool        // what waited was offered; see Gateway.offer
	offering bool        // that is being done
	clean    bool        // the websocket's agent said that it goes
	deaf     bool        // the websocket is for other things: the agent takes jobs by polls
	stored   time.Time   // the last heartbeat in the store
}

// job is a delivery that the agent has not acknowledged.
type job struct {
	id       string // job id on the wire
	number   uint64
	delivery ssmrun.Delivery
	topic    string
	content  string
	made     time.Time
	next     time.Time     // when it is handed out (again); zero: at once
	pause    time.Duration // until the time after
	busy     bool          // the agent had no room for it
	polled   bool          // handed out last by a long poll
	sent     time.Time     // when handed out first over the websocket that is open; zero for never
	loose    int           // how often handed out without an answer, here or by another mailbox
}

// buffer-full pauses: an agent that is busy is asked again soon, then less often.
const (
	firstPause = 250 * time.Millisecond
	maxPause   = 5 * time.Second
)

// Bounds of what one long poll is answered with. An agent works an answer off
// before it polls again, and has room for ten commands where it is idle.
const (
	maxMessages     = 10
	maxMessageBytes = 1 << 20
)

// enqueue adds a delivery to be handed out until it is acknowledged. A cancel
// takes its command's job out.
func (b *mailbox) enqueue(d ssmrun.Delivery) {
	j, err := b.job(d)
	if err != nil {
		b.log.Error("encode a delivery", "command", d.CommandID, "error", err)
		return
	}
	if b.add(j) {
		b.g.cfg.Control.Withdrawn(d.Scope, d.CommandID, d.InstanceID, b.noted(d, nil))
	}
}

// add puts a job in. It tells whether that is a cancel of what the agent cannot
// have: it never went out, or came back each time for want of room.
func (b *mailbox) add(j *job) (withdrawn bool) {
	d := j.delivery
	b.mu.Lock()
	defer b.mu.Unlock()
	if d.Cancel {
		// Should the agent not have the job yet, it must not get it any more. If
		// it is on its way, the cancel follows it.
		id := wire.JobID(d.CommandID, d.InstanceID)
		taken := b.jobs[id]
		delete(b.jobs, id)
		if taken != nil && taken.loose == 0 {
			return true
		}
		for old, other := range b.jobs {
			if other.delivery.Cancel && other.delivery.CommandID == d.CommandID {
				delete(b.jobs, old)
			}
		}
	}
	// A job that is on its way already is not sent a second time for it.
	if b.jobs[j.id] == nil {
		b.made++
		j.number = b.made
		b.jobs[j.id] = j
	}
	b.poke()
	return false
}

// poke wakes the ways out. b.mu is held.
func (b *mailbox) poke() {
	if b.channel != nil {
		b.channel.poke()
	}
	if b.poll != nil {
		b.poll.poke()
	}
}

// job makes what the agent gets of a delivery. A cancel is a job of its own, with
// a fresh id.
func (b *mailbox) job(d ssmrun.Delivery) (*job, error) {
	j := &job{delivery: d, pause: firstPause, made: b.g.cfg.Now()}
	if d.Again {
		j.loose = 1
	}
	topic := wire.TopicSendCommand
	var err error
	if d.Cancel {
		j.id = wire.JobID(uuid.NewString(), d.InstanceID)
		topic = wire.TopicCancelCommand
		var raw []byte
		raw, err = wire.Marshal(wire.CancelPayload{CancelMessageID: wire.JobID(d.CommandID, d.InstanceID)})
		j.content = string(raw)
	} else {
		j.id = wire.JobID(d.CommandID, d.InstanceID)
		j.content, err = b.g.payloads.of(d)
	}
	if err != nil {
		return nil, fmt.Errorf("encode the content: %w", err)
	}
	j.topic = wire.JobTopic(topic, d.Scope.Region, d.InstanceID)
	// It is in the content. What is kept of it here is its names.
	j.delivery = ssmrun.Delivery{Scope: d.Scope, CommandID: d.CommandID, InstanceID: d.InstanceID, Cancel: d.Cancel}
	return j, nil
}

// byChannel takes what ch has to send now, and tells when there will be more.
func (b *mailbox) byChannel(ch *channel) (list []job, next time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.channel != ch || len(b.jobs) == 0 { // another has taken its place, or there is nothing
		return nil, time.Hour
	}
	if b.deaf && (b.poll != nil || b.grace != nil) {
		return nil, time.Hour
	}
	return b.takeForChannel()
}

func (b *mailbox) takeForChannel() (list []job, next time.Duration) {
	for _, j := range b.due(maxDue, &next) {
		j.polled, j.loose = false, j.loose+1
		if j.sent.IsZero() {
			j.sent = b.g.cfg.Now()
		}
		j.next = b.g.cfg.Now().Add(b.g.cfg.Resend)
		next = min(next, b.g.cfg.Resend)
		list = append(list, *j)
	}
	return list, next
}

// maxDue bounds what is made into frames at a time.
const maxDue = 64

// byPoll takes what p is answered with, hidden from later polls for a time, and
// tells when there will be more. While a websocket is open there is only what got no
// answer there in time: that is faster, and an agent that gets a job both ways has to
// refuse one. But amazon-ssm-agent before 3.1 opens it for sessions alone, goes on
// polling, and passes over jobs that come there; see deaf. again are those of the list that were handed out before, without a word.
func (b *mailbox) byPoll(p *poll, hidden time.Duration) (list []job, again []ssmrun.Delivery, next time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.poll != p {
		return nil, nil, time.Hour
	}
	bytes := 0
	var ready []*job
	if b.channel == nil || b.deaf {
		ready = b.due(maxMessages, &next)
	} else {
		ready = b.unanswered(maxMessages, &next)
	}
	for _, j := range ready {
		if bytes += len(j.content); bytes > maxMessageBytes && len(list) > 0 {
			break
		}
		if j.polled && !j.delivery.Cancel {
			again = append(again, j.delivery)
		}
		j.polled, j.loose, j.busy = true, j.loose+1, false
		j.next = b.g.cfg.Now().Add(hidden)
		list = append(list, *j)
	}
	return list, again, next
}

// unanswered gives at most limit jobs of which an agent whose websocket is open has
// said nothing there for Config.Resend; next is when there may be others. b.mu is
// held.
func (b *mailbox) unanswered(limit int, next *time.Duration) []*job {
	now := b.g.cfg.Now()
	*next = time.Hour
	var list []*job
	for _, j := range b.jobs {
		wait := b.g.cfg.Resend
		if !j.sent.IsZero() {
			wait = j.sent.Add(b.g.cfg.Resend).Sub(now)
		}
		switch {
		case j.polled || j.busy:
		case wait > 0:
			*next = min(*next, max(wait, time.Millisecond))
		case len(list) < limit:
			list = append(list, j)
		}
	}
	slices.SortFunc(list, func(x, y *job) int { return cmp.Compare(x.number, y.number) })
	return list
}

// due gives at most limit jobs that have to be handed out now, cancels first,
// then as they came; next is when there will be others. b.mu is held.
func (b *mailbox) due(limit int, next *time.Duration) []*job {
	now := b.g.cfg.Now()
	*next = time.Hour
	var list []*job
	for _, j := range b.jobs {
		if j.next.After(now) {
			*next = min(*next, max(j.next.Sub(now), time.Millisecond))
			continue
		}
		list = append(list, j)
	}
	slices.SortFunc(list, func(x, y *job) int {
		if x.delivery.Cancel != y.delivery.Cancel {
			if x.delivery.Cancel {
				return -1
			}
			return 1
		}
		return cmp.Compare(x.number, y.number)
	})
	if len(list) > limit {
		*next = time.Millisecond
		list = list[:limit]
	}
	return list
}

// lost has handed out at once what went out over a websocket that is gone: nobody
// knows what of it has arrived. What a long poll took stays hidden until its
// time. b.mu is held.
func (b *mailbox) lost() {
	for _, j := range b.jobs {
		j.sent = time.Time{}
		if !j.polled {
			j.next, j.busy = time.Time{}, false
		}
	}
	b.poke()
}

// hasRoom offers at once what the agent had no room for: something has ended.
func (b *mailbox) hasRoom() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, j := range b.jobs {
		if j.busy {
			j.busy, j.next = false, time.Time{}
			b.poke()
		}
	}
}

// drop takes a job out, because it cannot be handed out at all.
func (b *mailbox) drop(id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.jobs, id)
}

// take takes out the job that the agent has spoken of, over its websocket or, with
// polled, by a call; ok is false where there is none, because it was replaced, or
// handed out twice, or by another process.
func (b *mailbox) take(id string, polled bool) (d ssmrun.Delivery, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	j := b.jobs[id]
	if j == nil {
		return d, false
	}
	delete(b.jobs, id)
	switch {
	case !polled:
		b.deaf = false
	case b.channel != nil && j.polled && !j.sent.IsZero() && !b.deaf:
		b.deaf = true
		b.log.Info("the agent takes commands by polls although its control channel is open")
	}
	return j.delivery, true
}

// cancels tells whether a job is the cancel of a command.
func (b *mailbox) cancels(id string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	j := b.jobs[id]
	return j != nil && j.delivery.Cancel
}

// later has a job offered again after a pause: the agent had no room for it.
func (b *mailbox) later(id string) (d ssmrun.Delivery, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	j := b.jobs[id]
	if j == nil {
		return d, false
	}
	j.busy, j.loose = true, j.loose-1
	j.next = b.g.cfg.Now().Add(j.pause)
	j.pause = min(2*j.pause, maxPause)
	b.poke()
	return j.delivery, true
}

func (b *mailbox) isOffered() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.offered
}

// seen stores a heartbeat. It tells whether the instance is there.
func (b *mailbox) seen(ctx context.Context, at time.Time, stopped bool) bool {
	err := b.g.cfg.Store.Update(ctx, func(tx store.Tx) error {
		return tx.Seen(b.scope, b.instance, at, stopped)
	})
	if err != nil && !errors.Is(err, ssmrun.ErrNotFound) {
		b.log.Error("store a heartbeat", "error", err)
	}
	if err == nil && !stopped {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.stored = at
	}
	return !errors.Is(err, ssmrun.ErrNotFound)
}

// beat stores a heartbeat where the last one in the store is old enough: once in
// Config.Heartbeat. It tells whether the instance is there.
func (b *mailbox) beat(ctx context.Context) bool {
	now := b.g.cfg.Now()
	b.mu.Lock()
	fresh := !b.stored.IsZero() && now.Sub(b.stored) < b.g.cfg.Heartbeat
	b.mu.Unlock()
	return fresh || b.seen(ctx, now, false)
}
