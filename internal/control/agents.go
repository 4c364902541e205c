package control

import (
	"context"
	"fmt"
	"time"

	"ssmrun"
)

// Connected is called when an instance's agent has opened a channel: it is
// handed what waits for it, oldest first, and what was handed before without
// an acknowledgement (the agent refuses what it knows), and the cancels that it
// may have missed.
func (c *Controller) Connected(ctx context.Context, scope ssmrun.Scope, instanceID string) error {
	return c.change(ctx, func(ch *changes) error {
		list, err := ch.tx.OpenInvocations(scope, instanceID)
		if err != nil {
			return fmt.Errorf("read what waits for %s: %w", instanceID, err)
		}
		now := c.cfg.Now()
		for i := range list {
			inv := &list[i]
			if !hadTurn(inv) {
				continue
			}
			cmd, err := ch.command(scope, inv.CommandID)
			if err != nil {
				return err
			}
			if inv.Begun.IsZero() && (inv.Handed.IsZero() || inv.CancelRequested.IsZero()) && now.Before(inv.DeliverBy) {
				if err := ch.hand(cmd, inv, now); err != nil {
					return err
				}
			}
			if !inv.CancelRequested.IsZero() {
				ch.out = append(ch.out, cancelDelivery(cmd, inv))
			}
		}
		return nil
	})
}

// Disconnected is called when an instance's channel is gone: what was handed
// over and not acknowledged is Delayed until the agent is back.
func (c *Controller) Disconnected(ctx context.Context, scope ssmrun.Scope, instanceID string) error {
	return c.change(ctx, func(ch *changes) error {
		list, err := ch.tx.OpenInvocations(scope, instanceID)
		if err != nil {
			return fmt.Errorf("read what was handed to %s: %w", instanceID, err)
		}
		for i := range list {
			inv := &list[i]
			if inv.Handed.IsZero() || !inv.Begun.IsZero() {
				continue
			}
			cmd, err := ch.command(scope, inv.CommandID)
			if err != nil {
				return err
			}
			if ch.apply(cmd, inv, ssmrun.EventSendFailed) {
				if err := ch.save(inv); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// Acknowledged is called when the agent said that it has a delivery: of an
// invocation, or, with cancel, of the cancel of one.
func (c *Controller) Acknowledged(ctx context.Context, scope ssmrun.Scope, commandID, instanceID string, cancel bool) error {
	return c.change(ctx, func(ch *changes) error {
		cmd, inv, ok, err := ch.lookup(scope, commandID, instanceID)
		if err != nil || !ok || inv.State.Terminal() {
			return err
		}
		now := c.cfg.Now()
		if cancel {
			if !inv.CancelRequested.IsZero() {
				inv.FinishBy = earlier(inv.FinishBy, now.Add(c.cfg.CancelGrace))
			}
			return ch.save(inv)
		}
		return ch.begin(cmd, inv, now)
	})
}

// Rejected is called when the agent refused a delivery for good: the document
// cannot be run by it. Most agents say more in a reply of their own.
func (c *Controller) Rejected(ctx context.Context, scope ssmrun.Scope, commandID, instanceID, reason string) error {
	return c.change(ctx, func(ch *changes) error {
		cmd, inv, ok, err := ch.lookup(scope, commandID, instanceID)
		if err != nil || !ok || inv.State.Terminal() {
			return err
		}
		inv.Trace = ssmrun.Head(reason, ssmrun.MaxJoinedChars)
		return ch.end(cmd, inv, ssmrun.EventFailed)
	})
}

// begin notes that the agent has an invocation.
func (ch *changes) begin(cmd *ssmrun.Command, inv *ssmrun.Invocation, now time.Time) error {
	if !inv.Begun.IsZero() {
		return nil
	}
	ch.apply(cmd, inv, ssmrun.EventBegan)
	inv.Begun = now
	if inv.Handed.IsZero() {
		inv.Handed = now
	}
	// The steps' time counts from here where delivery took its time.
	steps := cmd.ExpiresAfter.Sub(cmd.RequestedAt) - time.Duration(cmd.TimeoutSeconds)*time.Second
	if by := now.Add(steps + ch.c.cfg.FinishGrace); by.After(inv.FinishBy) {
		inv.FinishBy = by
	}
	cmd.Counts.Begun++
	return ch.save(inv)
}

// Report is called with what an agent says about an invocation. When it
// returns without an error the report is durable and may be acknowledged.
// Replies come at least once and in any order: what ended stays as it ended,
// but a step's result that comes late is still kept.
func (c *Controller) Report(ctx context.Context, scope ssmrun.Scope, r ssmrun.Report) error {
	return c.change(ctx, func(ch *changes) error {
		cmd, inv, ok, err := ch.lookup(scope, r.CommandID, r.InstanceID)
		if err != nil || !ok {
			return err // history is gone: nothing to keep it for
		}
		if err := ch.plugins(cmd, inv, r.Plugins); err != nil {
			return err
		}
		if inv.State.Terminal() || r.Event == ssmrun.EventBegan && !inv.Begun.IsZero() {
			return nil
		}
		if r.Trace != "" {
			inv.Trace = ssmrun.Head(r.Trace, ssmrun.MaxJoinedChars)
		}
		if err := ch.begin(cmd, inv, c.cfg.Now()); err != nil {
			return err
		}
		if r.Event != ssmrun.EventBegan {
			ch.apply(cmd, inv, r.Event)
		}
		return ch.save(inv)
	})
}

// plugins merges the results of steps.
func (ch *changes) plugins(cmd *ssmrun.Command, inv *ssmrun.Invocation, results []ssmrun.PluginReport) error {
	if len(results) == 0 {
		return nil
	}
	have, err := ch.tx.Plugins(inv.Scope, inv.CommandID, inv.InstanceID)
	if err != nil {
		return fmt.Errorf("read plugins of %s: %w", inv.InstanceID, err)
	}
	for _, r := range results {
		for i := range have {
			p := &have[i]
			if p.Name != r.Name {
				continue
			}
			to, _, ok := ssmrun.Next(ssmrun.PluginLevel, p.State, r.Event)
			if !ok {
				continue
			}
			p.State = to
			p.ExitCode, p.Started, p.Finished = r.ExitCode, r.Started, r.Finished
			p.Stdout = ssmrun.CutStream(r.Stdout, ssmrun.MaxStreamChars)
			p.Stderr = ssmrun.CutStream(r.Stderr, ssmrun.MaxStreamChars)
			p.Output = r.Output
			if err := ch.tx.UpdatePlugin(inv.Scope, p); err != nil {
				return fmt.Errorf("write plugin %s of %s: %w", p.Name, inv.InstanceID, err)
			}
			ch.touch(cmd)
		}
	}
	return nil
}

func earlier(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}
