package control_test

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"ssmrun"
	"ssmrun/internal/control"
	"ssmrun/internal/store"
)

// TestAnyHistory lets random things happen to commands in any order, as agents,
// networks and people do them, and checks after each what must always hold.
func TestAnyHistory(t *testing.T) {
	t.Parallel()
	const instances = 4
	rapid.Check(t, func(rt *rapid.T) {
		b := setup(t, instances)
		var commands []string
		began := map[string]bool{} // command/instance that an agent took
		ended := map[string]ssmrun.State{}
		pick := func() (string, string) {
			return rapid.SampledFrom(commands).Draw(rt, "command"), id(rapid.IntRange(0, instances-1).Draw(rt, "instance"))
		}
		sent := func(command, instance string) bool {
			var found bool
			b.must(b.store.View(b.ctx, func(tx store.Tx) error {
				_, err := tx.Invocation(scope, command, instance)
				found = err == nil
				return nil
			}))
			return found
		}
		for range rapid.IntRange(1, 25).Draw(rt, "steps") {
			action := rapid.SampledFrom([]string{"send", "connect", "disconnect", "ack", "begin", "end", "cancel", "cancel one", "later", "refuse"}).Draw(rt, "action")
			if len(commands) == 0 {
				action = "send"
			}
			switch action {
			case "send":
				n := rapid.IntRange(1, instances).Draw(rt, "to")
				cmd := b.send(func(r *control.SendRequest) {
					r.Command.InstanceIDs = ids(n)
					r.Command.MaxConcurrency = rapid.SampledFrom([]string{"1", "2", "50", "100%"}).Draw(rt, "concurrency")
					r.Command.MaxErrors = rapid.SampledFrom([]string{"0", "1", "100%"}).Draw(rt, "errors")
				})
				commands = append(commands, cmd.ID)
			case "connect":
				_, i := pick()
				b.agents.mu.Lock()
				b.agents.connected[i] = true
				b.agents.mu.Unlock()
				b.must(b.Connected(b.ctx, scope, i))
			case "disconnect":
				_, i := pick()
				b.agents.mu.Lock()
				b.agents.connected[i] = false
				b.agents.mu.Unlock()
				b.must(b.Disconnected(b.ctx, scope, i))
			case "ack", "begin", "end", "refuse":
				// Only what was delivered can be answered.
				c, i := pick()
				if !sent(c, i) || b.invocation(c, i).Handed.IsZero() {
					continue
				}
				began[c+"/"+i] = true
				switch action {
				case "ack":
					b.ack(c, i)
				case "begin":
					b.must(b.told(ssmrun.Report{CommandID: c, InstanceID: i, Event: ssmrun.EventBegan}))
				case "refuse":
					b.must(b.Rejected(b.ctx, scope, c, i, "no"))
				default:
					event := rapid.SampledFrom([]ssmrun.Event{ssmrun.EventSucceeded, ssmrun.EventFailed, ssmrun.EventExecutionTimedOut, ssmrun.EventCancelled}).Draw(rt, "event")
					b.report(c, i, event, 0)
				}
			case "cancel":
				c, _ := pick()
				b.must(b.Cancel(b.ctx, scope, c, nil))
			case "cancel one":
				if c, i := pick(); sent(c, i) {
					b.must(b.Cancel(b.ctx, scope, c, []string{i}))
				}
			case "later":
				b.now = b.now.Add(time.Duration(rapid.IntRange(1, 400).Draw(rt, "seconds")) * time.Second)
				b.sweepOnce()
			}
			for _, d := range b.agents.take() {
				key := d.CommandID + "/" + d.InstanceID
				if !d.Cancel && began[key] {
					rt.Fatalf("%s was delivered although an agent had it", key)
				}
			}
			for _, c := range commands {
				checkCommand(rt, b, c, ended)
			}
		}
	})
}

// sweepOnce lets Run look at the deadlines once.
func (b *bundle) sweepOnce() {
	b.t.Helper()
	b.must(control.Sweep(b.ctx, b.Controller))
}

// checkCommand: counters are those of the states, what ended stays as it ended,
// MaxConcurrency holds, a command is over when its invocations are.
func checkCommand(rt *rapid.T, b *bundle, id string, ended map[string]ssmrun.State) {
	cmd := b.command(id)
	var list []ssmrun.Invocation
	b.must(b.store.View(b.ctx, func(tx store.Tx) (err error) { list, err = tx.InvocationsAfter(scope, id, "", 1000); return err }))
	over, errors, flying, unanswered := 0, 0, 0, 0
	for i := range list {
		inv := &list[i]
		key := id + "/" + inv.InstanceID
		if was, ok := ended[key]; ok && was != inv.State {
			rt.Fatalf("%s was %s and is %s", key, was, inv.State)
		}
		if inv.State.Terminal() {
			over++
			ended[key] = inv.State
			if !inv.Next.IsZero() {
				rt.Fatalf("%s is over and would be looked at again", key)
			}
		} else if !inv.DeliverBy.IsZero() {
			flying++
			if inv.Next.IsZero() {
				rt.Fatalf("%s would never be looked at again", key)
			}
		}
		if inv.State.Status == ssmrun.InProgress && inv.Begun.IsZero() {
			unanswered++
		}
		if slices.Contains([]ssmrun.Details{ssmrun.DetailsFailed, ssmrun.DetailsExecutionTimedOut}, inv.State.Details) {
			errors++
		}
	}
	c := cmd.Counts
	if c.Target != len(list) || c.Completed != over || c.Errors != errors || c.InFlight != flying || c.Unanswered != unanswered {
		rt.Fatalf("counts %+v: %d of %d over, %d errors, %d in flight, %d unanswered", c, over, len(list), errors, flying, unanswered)
	}
	if cmd.MaxConcurrency == "1" && flying > 1 || cmd.MaxConcurrency == "2" && flying > 2 {
		rt.Fatalf("%d in flight with MaxConcurrency %s", flying, cmd.MaxConcurrency)
	}
	if cmd.State.Terminal() != (over == len(list)) {
		rt.Fatalf("the command is %s with %d of %d over", cmd.State, over, len(list))
	}
	if was, ok := ended[id]; ok && was != cmd.State {
		rt.Fatalf("the command was %s and is %s", was, cmd.State)
	}
	if cmd.State.Terminal() {
		ended[id] = cmd.State
	}
}
