package control

import (
	"context"
	"fmt"

	"ssmrun"
)

// Deregistered takes an instance out: it, its tags, and what it still had to
// do. What no agent has is Undeliverable; what one has taken gets no last word
// any more, and ends as what is never answered does.
// ssmrun.ErrNotFound where the scope has no such instance.
func (c *Controller) Deregistered(ctx context.Context, scope ssmrun.Scope, instanceID string) error {
	return c.change(ctx, func(ch *changes) error {
		if err := ch.tx.DeleteInstance(scope, instanceID); err != nil {
			return err
		}
		if err := ch.tx.DropTags(scope, taggedInstance, instanceID); err != nil {
			return err
		}
		open, err := ch.tx.OpenInvocations(scope, instanceID)
		if err != nil {
			return fmt.Errorf("read what waits for %s: %w", instanceID, err)
		}
		for i := range open {
			f := ch.adopt(&open[i])
			cmd, err := ch.command(scope, f.CommandID)
			if err != nil {
				return err
			}
			event := ssmrun.EventUndeliverable
			if _, _, ok := ssmrun.Next(ssmrun.InvocationLevel, f.State, event); !ok {
				event = ssmrun.EventDeliveryTimedOut
			}
			if !f.CancelRequested.IsZero() {
				event = ssmrun.EventCancelled
			}
			ch.apply(cmd, f, event)
		}
		return nil
	})
}

// HasChannel tells whether an instance's agent has an open channel.
func (c *Controller) HasChannel(instanceID string) bool { return c.deliver.Connected(instanceID) }
