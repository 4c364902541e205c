package control

import (
	"context"
	"errors"
	"fmt"
	"time"

	"ssmrun"
	"ssmrun/internal/store"
)

// changes is one transaction of the state machine: it collects what has to be
// done outside once it is committed, deliveries and wake-ups, and keeps the
// commands it touched so that each is written once.
type changes struct {
	c        *Controller
	tx       store.Tx
	commands map[string]*ssmrun.Command
	order    []string
	dirty    map[string]bool
	out      []ssmrun.Delivery
}

// change runs fn in a transaction and, once it is durable, delivers and wakes.
func (c *Controller) change(ctx context.Context, fn func(*changes) error) error {
	var ch *changes
	err := c.cfg.Store.Update(ctx, func(tx store.Tx) error {
		// A store may run this again after a failed commit: begin afresh.
		ch = &changes{c: c, tx: tx, commands: map[string]*ssmrun.Command{}, dirty: map[string]bool{}}
		if err := fn(ch); err != nil {
			return err
		}
		return ch.flush()
	})
	if err != nil {
		return err
	}
	for _, d := range ch.out {
		c.deliver.Deliver(d)
	}
	if len(ch.order) > 0 {
		for _, id := range ch.order {
			c.hub.publish(id)
		}
		c.wake()
	}
	return nil
}

// command gives the one copy of a command that this transaction works on.
func (ch *changes) command(scope ssmrun.Scope, id string) (*ssmrun.Command, error) {
	if cmd, ok := ch.commands[id]; ok {
		return cmd, nil
	}
	cmd, err := ch.tx.Command(scope, id)
	if err != nil {
		return nil, fmt.Errorf("read command %s: %w", id, err)
	}
	ch.commands[id] = cmd
	return cmd, nil
}

// touch marks a command to be written: something that callers see has changed.
func (ch *changes) touch(cmd *ssmrun.Command) {
	ch.commands[cmd.ID] = cmd
	if !ch.dirty[cmd.ID] {
		ch.dirty[cmd.ID] = true
		ch.order = append(ch.order, cmd.ID)
	}
}

// flush settles and writes the touched commands.
func (ch *changes) flush() error {
	for _, id := range ch.order { // settle touches no other command
		cmd := ch.commands[id]
		if err := ch.settle(cmd); err != nil {
			return err
		}
		if err := ch.tx.UpdateCommand(cmd); err != nil {
			return fmt.Errorf("write command %s: %w", cmd.ID, err)
		}
	}
	return nil
}

// apply moves an invocation by an event: its state, the counters of its
// command, and its deadlines. It tells whether the table has such a change.
func (ch *changes) apply(cmd *ssmrun.Command, inv *ssmrun.Invocation, event ssmrun.Event) bool {
	to, counts, ok := ssmrun.Next(ssmrun.InvocationLevel, inv.State, event)
	if !ok {
		return false
	}
	inv.State = to
	cmd.Counts.Add(counts)
	if to.Terminal() {
		inv.Next = time.Time{}
		if hadTurn(inv) {
			cmd.Counts.InFlight--
		}
	}
	ch.touch(cmd)
	return true
}

// end ends an invocation by the service's own decision: its plugins that are
// not over end the same way, without an exit code.
func (ch *changes) end(cmd *ssmrun.Command, inv *ssmrun.Invocation, event ssmrun.Event) error {
	if !ch.apply(cmd, inv, event) {
		return nil
	}
	if err := ch.tx.UpdateInvocation(inv); err != nil {
		return fmt.Errorf("write invocation of %s: %w", inv.InstanceID, err)
	}
	plugins, err := ch.tx.Plugins(inv.Scope, inv.CommandID, inv.InstanceID)
	if err != nil {
		return fmt.Errorf("read plugins of %s: %w", inv.InstanceID, err)
	}
	for i := range plugins {
		p := &plugins[i]
		to, _, ok := ssmrun.Next(ssmrun.PluginLevel, p.State, event)
		if !ok {
			continue
		}
		p.State = to
		if err := ch.tx.UpdatePlugin(inv.Scope, p); err != nil {
			return fmt.Errorf("write plugin %s of %s: %w", p.Name, inv.InstanceID, err)
		}
	}
	return nil
}

// settle brings a touched command up to date: gives turns, stops at the error
// budget, and ends it when all its invocations are over.
func (ch *changes) settle(cmd *ssmrun.Command) error {
	if cmd.State.Terminal() {
		return nil
	}
	budget := amount(cmd.MaxErrors, cmd.Counts.Target, 0)
	if cmd.Counts.Errors > budget && !cmd.Counts.ErrorsBeyondLimit {
		cmd.Counts.ErrorsBeyondLimit = true
		if err := ch.terminate(cmd); err != nil {
			return err
		}
	}
	if !cmd.Counts.ErrorsBeyondLimit {
		if err := ch.turns(cmd); err != nil {
			return err
		}
	}
	if cmd.Counts.Begun > 0 || cmd.Counts.Completed > 0 {
		ch.move(cmd, ssmrun.EventBegan)
	}
	if event, over := ssmrun.Outcome(cmd.Counts, budget); over {
		ch.move(cmd, event)
	}
	return nil
}

// move changes the status of a command.
func (ch *changes) move(cmd *ssmrun.Command, event ssmrun.Event) {
	if to, _, ok := ssmrun.Next(ssmrun.CommandLevel, cmd.State, event); ok {
		cmd.State = to
	}
}

// terminate ends the invocations that no agent has: the budget is spent.
func (ch *changes) terminate(cmd *ssmrun.Command) error {
	all, err := ch.tx.InvocationsOf(cmd.Scope, cmd.ID)
	if err != nil {
		return fmt.Errorf("read invocations of %s: %w", cmd.ID, err)
	}
	for i := range all {
		if !all[i].Handed.IsZero() {
			continue // an agent that is away may be running it
		}
		if err := ch.end(cmd, &all[i], ssmrun.EventTerminated); err != nil {
			return err
		}
	}
	return nil
}

// turns gives invocations their turn, in the order of their ids, as long as
// fewer are in flight than MaxConcurrency allows.
func (ch *changes) turns(cmd *ssmrun.Command) error {
	limit := amount(cmd.MaxConcurrency, cmd.Counts.Target, 1)
	// Every invocation is in flight or over: nobody waits, and the list of all
	// need not be read for each reply.
	if cmd.Counts.InFlight+cmd.Counts.Completed >= cmd.Counts.Target || cmd.Counts.InFlight >= limit {
		return nil
	}
	all, err := ch.tx.InvocationsOf(cmd.Scope, cmd.ID)
	if err != nil {
		return fmt.Errorf("read invocations of %s: %w", cmd.ID, err)
	}
	now := ch.c.cfg.Now()
	for i := range all {
		inv := &all[i]
		if cmd.Counts.InFlight >= limit {
			break
		}
		if inv.State.Terminal() || hadTurn(inv) {
			continue
		}
		cmd.Counts.InFlight++
		inv.DeliverBy = now.Add(time.Duration(cmd.TimeoutSeconds) * time.Second)
		inv.FinishBy = now.Add(cmd.ExpiresAfter.Sub(cmd.RequestedAt)).Add(ch.c.cfg.FinishGrace)
		if err := ch.hand(cmd, inv, now); err != nil {
			return err
		}
	}
	return nil
}

// hand gives an invocation to its agent, or notes that none is there.
func (ch *changes) hand(cmd *ssmrun.Command, inv *ssmrun.Invocation, now time.Time) error {
	if ch.c.deliver.Connected(inv.InstanceID) {
		ch.apply(cmd, inv, ssmrun.EventSent)
		inv.Handed = now
		ch.out = append(ch.out, delivery(cmd, inv))
	} else {
		ch.apply(cmd, inv, ssmrun.EventSendFailed)
	}
	return ch.save(inv)
}

// save stores an invocation with the time at which it has to be looked at.
func (ch *changes) save(inv *ssmrun.Invocation) error {
	inv.Next = nextLook(inv, ch.c.cfg.Now())
	if err := ch.tx.UpdateInvocation(inv); err != nil {
		return fmt.Errorf("write invocation of %s: %w", inv.InstanceID, err)
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
func (ch *changes) expire(inv *ssmrun.Invocation, now time.Time) error {
	cmd, err := ch.command(inv.Scope, inv.CommandID)
	if err != nil {
		return err
	}
	// What was handed to an agent that is there and has not taken it, because it
	// is busy, has not begun and shall not any more. Of one that has gone away
	// since, nobody knows: it may be running, and is given the time to say so.
	undelivered := inv.Begun.IsZero() && !inv.DeliverBy.After(now) &&
		(inv.Handed.IsZero() || ch.c.deliver.Connected(inv.InstanceID))
	if at := nextLook(inv, now); !undelivered && (at.IsZero() || at.After(now)) {
		return ch.save(inv) // not yet: the clock was set back, or a deadline moved
	}
	event := ssmrun.EventDeliveryTimedOut
	if !inv.CancelRequested.IsZero() {
		event = ssmrun.EventCancelled
	}
	if !inv.Handed.IsZero() {
		// Takes it back, or ends what may still be running.
		ch.out = append(ch.out, cancelDelivery(cmd, inv))
	}
	return ch.end(cmd, inv, event)
}

// hadTurn tells whether MaxConcurrency has let an invocation through.
func hadTurn(inv *ssmrun.Invocation) bool { return !inv.DeliverBy.IsZero() }

// lookup reads an invocation and its command; ok is false where there is none.
func (ch *changes) lookup(scope ssmrun.Scope, commandID, instanceID string) (cmd *ssmrun.Command, inv *ssmrun.Invocation, ok bool, err error) {
	inv, err = ch.tx.Invocation(scope, commandID, instanceID)
	if errors.Is(err, ssmrun.ErrNotFound) {
		return nil, nil, false, nil
	}
	if err != nil {
		return nil, nil, false, fmt.Errorf("read invocation of %s: %w", instanceID, err)
	}
	cmd, err = ch.command(scope, commandID)
	return cmd, inv, err == nil, err
}

func delivery(cmd *ssmrun.Command, inv *ssmrun.Invocation) ssmrun.Delivery {
	return ssmrun.Delivery{
		Scope: cmd.Scope, CommandID: cmd.ID, InstanceID: inv.InstanceID,
		Document: cmd.Document, Content: cmd.Content, Parameters: cmd.Parameters,
		Output: cmd.Output,
	}
}

func cancelDelivery(cmd *ssmrun.Command, inv *ssmrun.Invocation) ssmrun.Delivery {
	return ssmrun.Delivery{
		Scope: cmd.Scope, CommandID: cmd.ID, InstanceID: inv.InstanceID, Cancel: true,
	}
}
