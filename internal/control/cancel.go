package control

import (
	"context"
	"errors"
	"slices"
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
		all, err := ch.tx.InvocationsOf(scope, commandID)
		if err != nil {
			return err
		}
		for _, id := range instanceIDs {
			if !slices.ContainsFunc(all, func(i ssmrun.Invocation) bool { return i.InstanceID == id }) {
				return ssmrun.Errorf(ssmrun.CodeInvalidInstanceID, "Command id %s was not sent to instance %s.", commandID, id)
			}
		}
		if len(instanceIDs) == 0 {
			cmd.Counts.CancelRequested = true
		}
		now := c.cfg.Now()
		for i := range all {
			inv := &all[i]
			if inv.State.Terminal() || len(instanceIDs) > 0 && !slices.Contains(instanceIDs, inv.InstanceID) {
				continue
			}
			if err := ch.cancel(cmd, inv, now); err != nil {
				return err
			}
		}
		return nil
	})
}

func (ch *changes) cancel(cmd *ssmrun.Command, inv *ssmrun.Invocation, now time.Time) error {
	if inv.Handed.IsZero() {
		return ch.end(cmd, inv, ssmrun.EventCancelled)
	}
	if inv.CancelRequested.IsZero() {
		inv.CancelRequested = now
	}
	ch.out = append(ch.out, cancelDelivery(cmd, inv))
	ch.touch(cmd)
	return ch.save(inv)
}
