package control

import (
	"context"
	"fmt"
	"slices"
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
			f := ch.adopt(&list[i])
			if !hadTurn(f.Invocation) {
				continue
			}
			cmd, err := ch.command(scope, f.CommandID)
			if err != nil {
				return err
			}
			if f.Begun.IsZero() && (f.Handed.IsZero() || f.CancelRequested.IsZero()) && now.Before(f.DeliverBy) {
				if err := ch.hand(cmd, f, now); err != nil {
					return err
				}
			}
			if !f.CancelRequested.IsZero() {
				ch.out = append(ch.out, cancelDelivery(f))
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
			f := ch.adopt(&list[i])
			if f.Handed.IsZero() || !f.Begun.IsZero() {
				continue
			}
			cmd, err := ch.command(scope, f.CommandID)
			if err != nil {
				return err
			}
			ch.apply(cmd, f, ssmrun.EventSendFailed)
		}
		return nil
	})
}

// Acknowledged is called when the agent said that it has a delivery: of an
// invocation, or, with cancel, of the cancel of one. done is called when that is
// durable, or with why it is not.
func (c *Controller) Acknowledged(scope ssmrun.Scope, commandID, instanceID string, cancel bool, done func(error)) {
	c.submit(event{soft: !cancel, done: done, apply: func(ch *changes) error {
		cmd, f, ok, err := ch.lookup(scope, commandID, instanceID)
		if err != nil || !ok || f.State.Terminal() {
			return err
		}
		now := c.cfg.Now()
		if cancel {
			if !f.CancelRequested.IsZero() {
				f.FinishBy = earlier(f.FinishBy, now.Add(c.cfg.CancelGrace))
			}
			ch.save(f)
			return nil
		}
		ch.begin(cmd, f, now)
		return nil
	}})
}

// Withdrawn is called when a cancel has come in time to take a delivery back that
// never went out to the agent, or that it had no room for: there is nobody to wait
// for.
func (c *Controller) Withdrawn(scope ssmrun.Scope, commandID, instanceID string, done func(error)) {
	c.submit(event{done: done, apply: func(ch *changes) error {
		cmd, f, ok, err := ch.lookup(scope, commandID, instanceID)
		if err == nil && ok && f.Begun.IsZero() && !f.CancelRequested.IsZero() {
			ch.apply(cmd, f, ssmrun.EventCancelled)
		}
		return err
	}})
}

// Busy is called when a connected agent has no room for an invocation: it is
// Delayed, offered again, and holds up nobody meanwhile. done is called when that
// is durable.
func (c *Controller) Busy(scope ssmrun.Scope, commandID, instanceID string, done func(error)) {
	c.submit(event{soft: true, done: done, apply: func(ch *changes) error {
		cmd, f, ok, err := ch.lookup(scope, commandID, instanceID)
		if err == nil && ok && f.Begun.IsZero() {
			ch.apply(cmd, f, ssmrun.EventSendFailed) // nothing where it is Delayed already, or over
		}
		return err
	}})
}

// Rejected is called when the agent refused a delivery for good: the document
// cannot be run by it. Most agents say more in a reply of their own.
func (c *Controller) Rejected(ctx context.Context, scope ssmrun.Scope, commandID, instanceID, reason string) error {
	return c.change(ctx, func(ch *changes) error {
		cmd, f, ok, err := ch.lookup(scope, commandID, instanceID)
		if err != nil || !ok || f.State.Terminal() {
			return err
		}
		f.Trace = ssmrun.Head(reason, ssmrun.MaxJoinedChars)
		ch.apply(cmd, f, ssmrun.EventFailed)
		return nil
	})
}

// begin notes that the agent has an invocation.
func (ch *changes) begin(cmd *commandState, f *flight, now time.Time) {
	if !f.Begun.IsZero() {
		return
	}
	if f.State.Status == ssmrun.InProgress {
		cmd.Counts.Unanswered--
	}
	cmd.Counts.Tried++
	f.Begun = now
	ch.apply(cmd, f, ssmrun.EventBegan)
	if f.Handed.IsZero() {
		f.Handed = now
	}
	// The steps' time counts from here where delivery took its time.
	if by := now.Add(stepsTime(cmd) + ch.c.cfg.FinishGrace); by.After(f.FinishBy) {
		f.FinishBy = by
	}
	cmd.Counts.Begun++
	ch.save(f)
}

// Report is called with what an agent says about an invocation. When done is
// called without an error the report is durable and may be acknowledged.
// Replies come at least once and in any order: what ended stays as it ended,
// but a step's result that comes late is still kept.
func (c *Controller) Report(scope ssmrun.Scope, r ssmrun.Report, done func(error)) {
	soft := r.Event == ssmrun.EventBegan && len(r.Plugins) == 0
	c.submit(event{soft: soft, done: done, apply: func(ch *changes) error { return ch.report(scope, r) }})
}

func (ch *changes) report(scope ssmrun.Scope, r ssmrun.Report) error {
	cmd, f, ok, err := ch.lookup(scope, r.CommandID, r.InstanceID)
	if err != nil || !ok {
		return err // history is gone: nothing to keep it for
	}
	if err := ch.plugins(cmd, f, r.Plugins); err != nil {
		return err
	}
	if r.Reboot && !f.State.Terminal() {
		ch.begin(cmd, f, ch.c.cfg.Now())
		ch.rebooting(cmd, f)
	}
	if f.State.Terminal() || r.Event == ssmrun.EventBegan && !f.Begun.IsZero() {
		return nil
	}
	if r.Trace != "" {
		f.Trace = ssmrun.Head(r.Trace, ssmrun.MaxJoinedChars)
	}
	ch.begin(cmd, f, ch.c.cfg.Now())
	if r.Event != ssmrun.EventBegan {
		ch.apply(cmd, f, r.Event)
	}
	ch.save(f)
	return nil
}

// rebooting gives an invocation whose host is restarted the time for that, and
// the steps' time anew, because the step is run again from its beginning. It
// cannot be asked for without end.
func (ch *changes) rebooting(cmd *commandState, f *flight) {
	if !f.CancelRequested.IsZero() {
		return
	}
	round := stepsTime(cmd) + ssmrun.RebootGrace + ch.c.cfg.FinishGrace
	by := earlier(ch.c.cfg.Now().Add(round), f.Begun.Add((ssmrun.MaxReboots+1)*round))
	if by.After(f.FinishBy) {
		f.FinishBy = by
	}
	ch.save(f)
}

// stepsTime is the execution time of all steps of a command.
func stepsTime(cmd *commandState) time.Duration {
	return cmd.ExpiresAfter.Sub(cmd.RequestedAt) - time.Duration(cmd.TimeoutSeconds)*time.Second
}

// plugins merges the results of steps.
func (ch *changes) plugins(cmd *commandState, f *flight, results []ssmrun.PluginReport) error {
	for _, r := range results {
		n := slices.IndexFunc(cmd.Steps, func(s ssmrun.Step) bool { return s.Name == r.Name })
		if n < 0 {
			continue // of no step of the document
		}
		p, err := ch.plugin(cmd, f, n)
		if err != nil {
			return err
		}
		to, _, ok := ssmrun.Next(ssmrun.PluginLevel, p.State, r.Event)
		if !ok {
			continue
		}
		p.State = to
		p.ExitCode, p.Started, p.Finished = r.ExitCode, r.Started, r.Finished
		if r.Event == ssmrun.EventBegan {
			p.ExitCode = ssmrun.ExitNotStarted // it will run again, and end with another
		}
		p.Stdout = ssmrun.CutStream(r.Stdout, ssmrun.MaxStreamChars)
		p.Stderr = ssmrun.CutStream(r.Stderr, ssmrun.MaxStreamChars)
		p.Output = r.Output
		if f.changed == nil {
			f.changed = map[int]*ssmrun.Plugin{}
		}
		f.changed[n] = p
		ch.save(f)
		ch.touch(cmd)
	}
	return nil
}

// plugin gives the one copy of a plugin that this transaction works on.
func (ch *changes) plugin(cmd *commandState, f *flight, n int) (*ssmrun.Plugin, error) {
	if p := f.changed[n]; p != nil {
		return p, nil
	}
	if !f.silent && !f.read {
		var err error
		if f.kept, err = ch.tx.Plugins(f.Scope, f.CommandID, f.InstanceID); err != nil {
			return nil, fmt.Errorf("read plugins of %s: %w", f.InstanceID, err)
		}
		f.read = true
	}
	p := cmd.Plugins(f.InstanceID, f.kept)[n]
	return &p, nil
}
