package control

import (
	"context"
	"time"

	"ssmrun"
	"ssmrun/internal/store"
)

// forgetEvery is how often what is older than History is looked for, and
// forgetRows about how many rows of it go at a time: as many as hold up
// nobody.
const (
	forgetEvery = 10 * time.Minute
	forgetRows  = 200
)

// Forget removes what is older than History, now and then, until ctx is done.
func (c *Controller) Forget(ctx context.Context) {
	tick := time.NewTicker(forgetEvery)
	defer tick.Stop()
	for {
		if err := c.forgetOld(ctx); err != nil && ctx.Err() == nil {
			c.cfg.Logger.Error("forget old commands", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (c *Controller) forgetOld(ctx context.Context) error {
	before := c.cfg.Now().Add(-c.cfg.History)
	for more := true; more && ctx.Err() == nil; {
		err := c.cfg.Store.Update(ctx, func(tx store.Tx) (err error) {
			more, err = tx.Forget(before, forgetRows)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// tooManyPending tells whether so many more invocations would be more than may
// be open in a scope.
func (c *Controller) tooManyPending(scope ssmrun.Scope, more int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cfg.MaxPending > 0 && c.pending[scope]+more > c.cfg.MaxPending
}

func (c *Controller) addPending(by map[ssmrun.Scope]int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for scope, n := range by {
		c.pending[scope] += n
	}
}

// CountPending counts what an earlier process has left open in these scopes.
// It is called before anything else, where MaxPending is to hold for that too.
func (c *Controller) CountPending(ctx context.Context, scopes []ssmrun.Scope) error {
	return c.cfg.Store.View(ctx, func(tx store.Tx) error {
		for _, scope := range scopes {
			n, err := tx.CountOpenInvocations(scope)
			if err != nil {
				return err
			}
			c.addPending(map[ssmrun.Scope]int{scope: n})
		}
		return nil
	})
}
