package control

import (
	"context"
	"errors"
	"time"

	"ssmrun"
)

// Cancel cancels a command, or its invocations on the given instances. What no
// agent has is Cancelled at once; what an agent has ends when the agent says
// so, after CancelGrace without a word. What is over stays as it is.
// Errors: ssmrun.CodeInvalidCommandID for a command that the scope has not,
// ssmrun.CodeInvalidInstanceID for an instance that the command was not sent to.
func (c *Controller) Cancel(ctx context.Context, scope ssmrun.Scope, commandID string, instanceIDs []string) error {
	return c.change(ctx, func(ch *changes) error {
		cmd, err := ch.command(scope, commandID)
		if errors.Is(err, ssmrun.ErrNotFound) {
			return ssmrun.Errorf(ssmrun.CodeInvalidCommandID, "Command id %s does not exist.", commandID)
		}
		if err != nil {
			return err
		}
		now := c.cfg.Now()
		if len(instanceIDs) == 0 {
			cmd.Counts.CancelRequested = true
			return ch.each(cmd, func(f *flight) error {
				ch.cancel(cmd, f, now)
				return nil
			})
		}
		var flights []*flight
		for _, id := range instanceIDs {
			_, f, ok, err := ch.lookup(scope, commandID, id)
			if err != nil {
				return err
			}
			if !ok {
				return ssmrun.Errorf(ssmrun.CodeInvalidInstanceID, "Command id %s was not sent to instance %s.", commandID, id)
			}
			flights = append(flights, f)
		}
		for _, f := range flights {
			ch.cancel(cmd, f, now)
		}
		return nil
	})
}

func (ch *changes) cancel(cmd *commandState, f *flight, now time.Time) {
	switch {
	case f.State.Terminal():
		return
	case f.Handed.IsZero():
		ch.apply(cmd, f, ssmrun.EventCancelled)
		return
	case f.CancelRequested.IsZero():
		f.CancelRequested = now
	}
	ch.out = append(ch.out, cancelDelivery(f))
	ch.touch(cmd)
	ch.save(f)
}
