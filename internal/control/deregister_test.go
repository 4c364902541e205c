package control_test

import (
	"errors"
	"testing"

	"ssmrun"
	"ssmrun/internal/control"
	"ssmrun/internal/store"
)

func TestDeregistered(t *testing.T) {
	t.Parallel()
	b := setup(t, 2)
	to := func(change func(*control.SendRequest)) string {
		return b.send(func(r *control.SendRequest) {
			r.Command.InstanceIDs = ids(2)
			if change != nil {
				change(r)
			}
		}).ID
	}
	taken := to(nil)
	b.ack(taken, id(0))
	handed := to(nil)
	cancelled := to(nil)
	b.ack(cancelled, id(0))
	b.must(b.Cancel(b.ctx, scope, cancelled, []string{id(0)}))
	turn := to(func(r *control.SendRequest) { r.Command.MaxConcurrency = "1" })
	waits := b.send(func(r *control.SendRequest) {
		// By id, so that the other one has its turn first.
		r.Command.InstanceIDs = []string{id(0), id(1)}
		r.Command.MaxConcurrency = "1"
	}).ID
	b.agents.mu.Lock()
	b.agents.connected[id(0)] = false
	b.agents.mu.Unlock()
	away := to(nil)
	over := to(nil)
	b.report(over, id(0), ssmrun.EventSucceeded, 0)
	b.must(b.store.Update(b.ctx, func(tx store.Tx) error {
		return tx.PutTags(scope, "ManagedInstance", id(0), map[string]string{"a": "b"})
	}))

	b.must(b.Deregistered(b.ctx, scope, id(0)))

	timedOut := ssmrun.State{Status: ssmrun.TimedOut, Details: ssmrun.DetailsDeliveryTimedOut}
	undeliverable := ssmrun.State{Status: ssmrun.Failed, Details: ssmrun.DetailsUndeliverable}
	for name, c := range map[string]struct {
		command string
		want    ssmrun.State
	}{
		"taken":       {taken, timedOut},
		"handed":      {handed, timedOut},
		"cancelled":   {cancelled, ssmrun.State{Status: ssmrun.Cancelled, Details: ssmrun.DetailsCancelled}},
		"its turn":    {turn, timedOut},
		"before that": {waits, timedOut},
		"away":        {away, undeliverable},
		"over":        {over, ssmrun.State{Status: ssmrun.Success, Details: ssmrun.DetailsSuccess}},
	} {
		if got := b.invocation(c.command, id(0)).State; got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
	// The turn of the one that went is the other's.
	if inv := b.invocation(turn, id(1)); inv.DeliverBy.IsZero() {
		t.Error("the next instance did not get its turn")
	}
	b.must(b.store.View(b.ctx, func(tx store.Tx) error {
		_, err := tx.Instance(scope, id(0))
		if !errors.Is(err, ssmrun.ErrNotFound) {
			t.Errorf("the instance: %v", err)
		}
		tags, err := tx.Tags(scope, "ManagedInstance", id(0))
		if len(tags) > 0 {
			t.Errorf("its tags: %v", tags)
		}
		return err
	}))
	if err := b.Deregistered(b.ctx, scope, id(0)); !errors.Is(err, ssmrun.ErrNotFound) {
		t.Errorf("twice: %v", err)
	}
	other := ssmrun.Scope{Account: "111111111111", Region: scope.Region}
	if err := b.Deregistered(b.ctx, other, id(1)); !errors.Is(err, ssmrun.ErrNotFound) {
		t.Errorf("from another account: %v", err)
	}
	// A late word of its agent changes nothing.
	b.report(taken, id(0), ssmrun.EventSucceeded, 0)
	b.wantInvocation(taken, id(0), timedOut)
}
