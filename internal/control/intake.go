package control

import (
	"context"
	"sync"
	"time"
)

// What agents say comes in by the thousand. It is put into a queue, and one
// transaction takes all that has gathered while the one before was committed:
// the events of one invocation, that it was taken, is running, has ended, are
// then one write, and a command's counters are written once for all of its
// invocations that ended meanwhile.

// event is something that an agent said.
type event struct {
	apply func(*changes) error
	done  func(error) // when it is durable, or could not be made so
	// soft: more is soon to come about it, and nobody waits for it.
	soft bool
}

// Bounds of the intake.
const (
	// maxBatch bounds the events of one transaction.
	maxBatch = 512
	// linger is how long a soft event waits for the next.
	linger = 4 * time.Millisecond
)

// intake is the queue of events.
type intake struct {
	mu     sync.Mutex
	idle   sync.Cond // broadcast when the queue is empty and nothing runs
	queue  []event
	active bool // a goroutine is at it
	timer  *time.Timer
}

// submit adds an event. Those of one caller are applied in their order.
func (c *Controller) submit(e event) {
	q := &c.intake
	q.mu.Lock()
	defer q.mu.Unlock()
	q.queue = append(q.queue, e)
	switch {
	case q.active:
	case !e.soft, len(q.queue) >= maxBatch:
		q.begin(c)
	case q.timer == nil:
		q.timer = time.AfterFunc(linger, func() {
			q.mu.Lock()
			defer q.mu.Unlock()
			q.timer = nil
			if !q.active && len(q.queue) > 0 {
				q.begin(c)
			}
		})
	}
}

// begin starts the goroutine that works the queue off. q.mu is held.
func (q *intake) begin(c *Controller) {
	q.active = true
	go func() {
		for {
			batch := q.take()
			if batch == nil {
				return
			}
			c.applyAll(batch)
		}
	}()
}

// take gives the next events, and nil, for good, where there are none.
func (q *intake) take() []event {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.queue) == 0 {
		q.active = false
		q.queue = nil
		if q.idle.L != nil {
			q.idle.Broadcast()
		}
		return nil
	}
	n := min(len(q.queue), maxBatch)
	batch := q.queue[:n:n]
	q.queue = q.queue[n:]
	return batch
}

// applyAll applies events in one transaction, or each in its own where that one
// fails: an event that cannot be applied is no other's loss.
func (c *Controller) applyAll(batch []event) {
	ctx := context.Background()
	err := c.change(ctx, func(ch *changes) error {
		for _, e := range batch {
			if err := e.apply(ch); err != nil {
				return err
			}
		}
		return nil
	})
	for _, e := range batch {
		if err != nil && len(batch) > 1 {
			e.done(c.change(ctx, e.apply))
			continue
		}
		e.done(err)
	}
}

// Settled returns when all that agents have said so far is durable.
func (c *Controller) Settled() {
	q := &c.intake
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.idle.L == nil {
		q.idle.L = &q.mu
	}
	for q.active || len(q.queue) > 0 {
		if !q.active {
			q.begin(c)
		}
		q.idle.Wait()
	}
}
