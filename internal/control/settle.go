package control

import (
	"time"

	"ssmrun"
)

// settle brings a touched command up to date: gives turns, stops at the error
// budget, and ends it when all its invocations are over.
func (ch *changes) settle(cmd *commandState) error {
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
func (ch *changes) move(cmd *commandState, event ssmrun.Event) {
	if to, _, ok := ssmrun.Next(ssmrun.CommandLevel, cmd.State, event); ok {
		cmd.State = to
	}
}

// terminate ends the invocations that no agent has: the budget is spent.
func (ch *changes) terminate(cmd *commandState) error {
	return ch.each(cmd, func(f *flight) error {
		if f.Handed.IsZero() { // else an agent that is away may be running it
			ch.apply(cmd, f, ssmrun.EventTerminated)
		}
		return nil
	})
}

// turns gives invocations their turn, in the order of their ids, as long as
// MaxConcurrency and the ramp allow.
func (ch *changes) turns(cmd *commandState) error {
	limit := amount(cmd.MaxConcurrency, cmd.Counts.Target, 1)
	now := ch.c.cfg.Now()
	for {
		// Where every invocation is in flight or over, nobody waits.
		free := min(limit-cmd.Counts.InFlight, ch.room(cmd))
		if free <= 0 || cmd.Counts.InFlight+cmd.Counts.Completed >= cmd.Counts.Target {
			return nil
		}
		list, err := ch.after(cmd, cmd.Turn, min(free, someAtATime))
		if err != nil || len(list) == 0 {
			return err
		}
		for _, f := range list {
			cmd.Turn = f.InstanceID
			if f.State.Terminal() || hadTurn(f.Invocation) {
				continue
			}
			cmd.Counts.InFlight++
			f.DeliverBy = now.Add(time.Duration(cmd.TimeoutSeconds) * time.Second)
			f.FinishBy = now.Add(cmd.ExpiresAfter.Sub(cmd.RequestedAt)).Add(ch.c.cfg.FinishGrace)
			if err := ch.hand(cmd, f, now); err != nil {
				return err
			}
		}
	}
}

// room is how many more invocations the ramp lets begin: each round of
// deliveries is twice the one before, 1, 2, 4 and so on, and comes once the
// agents have taken the one before, were not there to take it, or are through
// with it.
func (ch *changes) room(cmd *commandState) int {
	if ch.c.cfg.RampByCompletion {
		return 1 + cmd.Counts.Completed - cmd.Counts.InFlight
	}
	return 1 + cmd.Counts.Tried - cmd.Counts.Unanswered
}

// hand gives an invocation to its agent, or notes that none is there.
func (ch *changes) hand(cmd *commandState, f *flight, now time.Time) error {
	if !ch.c.deliver.Connected(f.InstanceID) {
		ch.apply(cmd, f, ssmrun.EventSendFailed)
		ch.save(f)
		return nil
	}
	if !cmd.input {
		if cmd.made == nil {
			if err := ch.tx.ReadInput(cmd.Command); err != nil {
				return err
			}
		}
		cmd.input = true
	}
	d := delivery(cmd.Command, f.InstanceID)
	d.Again = !f.Handed.IsZero()
	ch.apply(cmd, f, ssmrun.EventSent)
	f.Handed = now
	ch.save(f)
	ch.out = append(ch.out, d)
	return nil
}

func delivery(cmd *ssmrun.Command, instanceID string) ssmrun.Delivery {
	return ssmrun.Delivery{
		Scope: cmd.Scope, CommandID: cmd.ID, InstanceID: instanceID,
		Document: cmd.Document, Content: cmd.Content, Parameters: cmd.Parameters,
		Output: cmd.Output,
	}
}

func cancelDelivery(f *flight) ssmrun.Delivery {
	return ssmrun.Delivery{Scope: f.Scope, CommandID: f.CommandID, InstanceID: f.InstanceID, Cancel: true}
}
