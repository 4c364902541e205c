package control

import (
	"context"
	"time"

	"ssmrun"
	"ssmrun/internal/store"
)

// Run looks after deadlines, and forgets what is old, until ctx is done. It
// returns nil then.
func (c *Controller) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-c.kick:
		case <-timer.C:
		}
		wait, err := c.sweep(ctx)
		if err != nil && ctx.Err() == nil {
			c.cfg.Logger.Error("look after deadlines", "error", err)
			wait = time.Second
		}
		timer.Reset(wait)
	}
}

// wake makes Run look at the deadlines again.
func (c *Controller) wake() {
	select {
	case c.kick <- struct{}{}:
	default:
	}
}

// sweepLimit bounds how many invocations one transaction of sweep changes.
const sweepLimit = 200

// longestSleep is how long Run sleeps at most: a clock that is set forward
// would otherwise be noticed only at the next change.
const longestSleep = 30 * time.Second

// sweep handles what is due, and tells how long there is nothing to do.
func (c *Controller) sweep(ctx context.Context) (time.Duration, error) {
	for {
		next, err := c.nextDue(ctx)
		if err != nil {
			return 0, err
		}
		if wait := next.Sub(c.cfg.Now()); next.IsZero() || wait > 0 {
			if next.IsZero() {
				wait = longestSleep
			}
			return min(wait, longestSleep), nil
		}
		if err := c.change(ctx, c.expireDue); err != nil {
			return 0, err
		}
	}
}

func (c *Controller) nextDue(ctx context.Context) (next time.Time, err error) {
	err = c.cfg.Store.View(ctx, func(tx store.Tx) error {
		next, _, err = tx.NextDue()
		return err
	})
	return next, err
}

func (c *Controller) expireDue(ch *changes) error {
	now := c.cfg.Now()
	due, err := ch.tx.DueInvocations(now, sweepLimit)
	if err != nil {
		return err
	}
	for i := range due {
		if err := ch.expire(ch.adopt(&due[i]), now); err != nil {
			return err
		}
	}
	return nil
}

// nextLook is when an invocation has to be looked at after now: at the end of the
// time for its delivery while no agent said that it has it, then at the end of
// the time that an agent is given for its last word.
func nextLook(inv *ssmrun.Invocation, now time.Time) time.Time {
	switch {
	case inv.State.Terminal(), !hadTurn(inv):
		return time.Time{}
	case inv.Begun.IsZero() && inv.Handed.IsZero():
		return inv.DeliverBy
	case inv.Begun.IsZero() && inv.DeliverBy.After(now):
		return earlier(inv.DeliverBy, inv.FinishBy)
	default:
		return inv.FinishBy
	}
}

// expire handles an invocation whose Next has come.
func (ch *changes) expire(f *flight, now time.Time) error {
	cmd, err := ch.command(f.Scope, f.CommandID)
	if err != nil {
		return err
	}
	ch.save(f)
	// What was handed to an agent that is there and has not taken it, because it
	// is busy, has not begun and shall not any more. Of one that has gone away
	// since, nobody knows: it may be running, and is given the time to say so.
	undelivered := f.Begun.IsZero() && !f.DeliverBy.After(now) &&
		(f.Handed.IsZero() || ch.c.deliver.Connected(f.InstanceID))
	if at := nextLook(f.Invocation, now); !undelivered && (at.IsZero() || at.After(now)) {
		return nil // not yet: the clock was set back, or a deadline moved
	}
	event := ssmrun.EventDeliveryTimedOut
	if !f.CancelRequested.IsZero() {
		event = ssmrun.EventCancelled
	}
	if !f.Handed.IsZero() {
		// Takes it back, or ends what may still be running.
		ch.out = append(ch.out, cancelDelivery(f))
	}
	ch.apply(cmd, f, event)
	return nil
}

// hadTurn tells whether MaxConcurrency has let an invocation through.
func hadTurn(inv *ssmrun.Invocation) bool { return !inv.DeliverBy.IsZero() }

func earlier(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}
