package control

import (
	"context"
	"errors"
	"fmt"

	"ssmrun"
	"ssmrun/internal/store"
)

// changes is one transaction of the state machine, which may be many events'.
// It keeps one copy of each command, invocation and plugin that it touches, and
// writes each once, at its end, however often it changed. What has to be done
// outside, deliveries and wake-ups, is collected until it is committed.
type changes struct {
	c        *Controller
	tx       store.Tx
	commands map[string]*commandState
	touched  []*commandState // in order
	flights  map[flightKey]*flight
	dirty    []*flight // in order
	out      []ssmrun.Delivery
	pending  map[ssmrun.Scope]int // by how much the open invocations grew
}

// commandState is a command in a transaction.
type commandState struct {
	*ssmrun.Command
	dirty bool
	input bool // Content and what else may be big has been read
	// made are the invocations of a command that this transaction inserts, by
	// instance id, and token its mark; nil for any other command.
	made  []*flight
	token string
}

type flightKey struct{ command, instance string }

// flight is an invocation in a transaction, with its plugins.
type flight struct {
	*ssmrun.Invocation
	dirty bool
	// silent: no agent had said anything of it before this transaction, so that
	// none of its plugins is kept.
	silent  bool
	kept    []ssmrun.Plugin // what is kept of its plugins, once it was read
	read    bool
	changed map[int]*ssmrun.Plugin // by index: to be written
}

// change runs fn in a transaction and, once it is durable, delivers and wakes.
func (c *Controller) change(ctx context.Context, fn func(*changes) error) error {
	var ch *changes
	err := c.cfg.Store.Update(ctx, func(tx store.Tx) error {
		// A store may run this again after a failed commit: begin afresh.
		ch = &changes{
			c: c, tx: tx, commands: map[string]*commandState{}, flights: map[flightKey]*flight{},
			pending: map[ssmrun.Scope]int{},
		}
		if err := fn(ch); err != nil {
			return err
		}
		return ch.flush()
	})
	if err != nil {
		return err
	}
	c.addPending(ch.pending)
	for _, d := range ch.out {
		c.deliver.Deliver(d)
	}
	if len(ch.touched) > 0 {
		for _, cmd := range ch.touched {
			c.hub.publish(cmd.ID)
		}
		c.wake()
	}
	return nil
}

// command gives the one copy of a command that this transaction works on.
func (ch *changes) command(scope ssmrun.Scope, id string) (*commandState, error) {
	if cmd, ok := ch.commands[id]; ok {
		return cmd, nil
	}
	c, err := ch.tx.Command(scope, id)
	if err != nil {
		return nil, fmt.Errorf("read command %s: %w", id, err)
	}
	cmd := &commandState{Command: c}
	ch.commands[id] = cmd
	return cmd, nil
}

// adopt makes an invocation that was read the one copy that this transaction
// works on, or gives the one that there is already: what the store says is
// then of before.
func (ch *changes) adopt(inv *ssmrun.Invocation) *flight {
	key := flightKey{inv.CommandID, inv.InstanceID}
	if f, ok := ch.flights[key]; ok {
		return f
	}
	f := &flight{Invocation: inv, silent: inv.Begun.IsZero() && !inv.State.Terminal()}
	ch.flights[key] = f
	return f
}

// lookup gives an invocation and its command; ok is false where there is none.
func (ch *changes) lookup(scope ssmrun.Scope, commandID, instanceID string) (cmd *commandState, f *flight, ok bool, err error) {
	if f = ch.flights[flightKey{commandID, instanceID}]; f == nil {
		inv, err := ch.tx.Invocation(scope, commandID, instanceID)
		if errors.Is(err, ssmrun.ErrNotFound) {
			return nil, nil, false, nil
		}
		if err != nil {
			return nil, nil, false, fmt.Errorf("read invocation of %s: %w", instanceID, err)
		}
		f = ch.adopt(inv)
	}
	cmd, err = ch.command(scope, commandID)
	return cmd, f, err == nil, err
}

// after gives at most limit invocations of a command from an instance id on.
func (ch *changes) after(cmd *commandState, instanceID string, limit int) ([]*flight, error) {
	var list []*flight
	if cmd.made != nil {
		for _, f := range cmd.made {
			if f.InstanceID > instanceID && len(list) < limit {
				list = append(list, f)
			}
		}
		return list, nil
	}
	stored, err := ch.tx.InvocationsAfter(cmd.Scope, cmd.ID, instanceID, limit)
	if err != nil {
		return nil, fmt.Errorf("read invocations of %s: %w", cmd.ID, err)
	}
	for i := range stored {
		list = append(list, ch.adopt(&stored[i]))
	}
	return list, nil
}

// someAtATime is how many invocations of a command are read at a time where all
// of them are gone through.
const someAtATime = 500

// each goes through all invocations of a command, by instance id.
func (ch *changes) each(cmd *commandState, fn func(*flight) error) error {
	after := ""
	for {
		list, err := ch.after(cmd, after, someAtATime)
		if err != nil {
			return err
		}
		for _, f := range list {
			if err := fn(f); err != nil {
				return err
			}
			after = f.InstanceID
		}
		if len(list) < someAtATime {
			return nil
		}
	}
}

// touch marks a command to be written: something that callers see has changed.
func (ch *changes) touch(cmd *commandState) {
	if !cmd.dirty {
		cmd.dirty = true
		ch.touched = append(ch.touched, cmd)
	}
}

// save marks an invocation to be written.
func (ch *changes) save(f *flight) {
	if !f.dirty {
		f.dirty = true
		ch.dirty = append(ch.dirty, f)
	}
}

// flush settles the touched commands and writes all that has changed.
func (ch *changes) flush() error {
	for _, cmd := range ch.touched { // settle touches no other command
		if err := ch.settle(cmd); err != nil {
			return err
		}
	}
	now := ch.c.cfg.Now()
	for _, f := range ch.dirty {
		f.Next = nextLook(f.Invocation, now)
	}
	for _, cmd := range ch.touched {
		if err := ch.writeCommand(cmd); err != nil {
			return err
		}
	}
	for _, f := range ch.dirty {
		if cmd := ch.commands[f.CommandID]; cmd == nil || cmd.made == nil {
			if err := ch.tx.UpdateInvocation(f.Invocation); err != nil {
				return fmt.Errorf("write invocation of %s: %w", f.InstanceID, err)
			}
		}
		for _, p := range f.changed {
			if err := ch.tx.PutPlugin(f.Scope, p); err != nil {
				return fmt.Errorf("write plugin %s of %s: %w", p.Name, f.InstanceID, err)
			}
		}
	}
	return nil
}

func (ch *changes) writeCommand(cmd *commandState) error {
	if cmd.made == nil {
		if err := ch.tx.UpdateCommand(cmd.Command); err != nil {
			return fmt.Errorf("write command %s: %w", cmd.ID, err)
		}
		return nil
	}
	cmd.Revision++
	invocations := make([]ssmrun.Invocation, len(cmd.made))
	for i, f := range cmd.made {
		invocations[i] = *f.Invocation
	}
	if err := ch.tx.InsertCommand(cmd.Command, cmd.token, invocations); err != nil {
		return fmt.Errorf("store the command: %w", err)
	}
	return nil
}

// apply moves an invocation by an event: its state, the counters of its
// command, and its deadlines. It tells whether the table has such a change.
func (ch *changes) apply(cmd *commandState, f *flight, event ssmrun.Event) bool {
	to, counts, ok := ssmrun.Next(ssmrun.InvocationLevel, f.State, event)
	if !ok {
		return false
	}
	was := f.State
	f.State = to
	if to.Status == ssmrun.InProgress {
		ch.move(cmd, ssmrun.EventBegan) // handed over is enough, as on AWS
	}
	cmd.Counts.Add(counts)
	ch.ramp(cmd, f, was)
	if to.Terminal() {
		ch.pending[cmd.Scope]--
		if hadTurn(f.Invocation) {
			cmd.Counts.InFlight--
		}
	}
	ch.touch(cmd)
	ch.save(f)
	return true
}

// ramp counts what the ramp goes by: an invocation that was handed over is
// unanswered until the agent took it, was lost, or it is over.
func (ch *changes) ramp(cmd *commandState, f *flight, was ssmrun.State) {
	switch {
	case !f.Begun.IsZero(): // counted when it began
	case f.State.Status == ssmrun.InProgress:
		cmd.Counts.Unanswered++
	case was.Status == ssmrun.InProgress:
		cmd.Counts.Unanswered--
		cmd.Counts.Tried++
	case f.State.Details == ssmrun.DetailsDelayed:
		cmd.Counts.Tried++
	}
}
