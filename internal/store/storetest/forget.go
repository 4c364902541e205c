package storetest

import (
	"testing"

	"ssmrun"
	"ssmrun/internal/store"
)

// testForget has old and new commands, one of the old ones still open, and
// contents that are shared.
func testForget(t *testing.T, b *bundle) {
	for n, c := range []struct {
		minute int
		state  ssmrun.State
		scope  ssmrun.Scope
	}{
		0: {10, success, home},
		1: {11, inProgress, home},
		2: {12, failed, home},
		3: {13, success, otherReg},
		4: {20, success, home},
		5: {30, success, home},
	} {
		cmd := newCommand(commandID(n), at(c.minute))
		cmd.State, cmd.Scope, cmd.Content = c.state, c.scope, "shared by all but one"
		if n == 2 {
			cmd.Content = "its own"
		}
		b.update(t, func(tx store.Tx) error {
			var list []ssmrun.Invocation
			for m := range 5 {
				i := newInvocation(cmd, instanceID(m))
				i.State = c.state
				list = append(list, i)
			}
			if err := tx.InsertCommand(cmd, "token"+cmd.ID, list); err != nil {
				return err
			}
			p := newPlugin(cmd, instanceID(0), "first", 0)
			return tx.PutPlugin(cmd.Scope, &p)
		})
	}
	rounds := 0
	for more := true; more; rounds++ {
		b.update(t, func(tx store.Tx) (err error) {
			more, err = tx.Forget(at(20), 3)
			return err
		})
	}
	if rounds < 3 {
		t.Errorf("18 rows were removed in %d rounds of about 3", rounds)
	}
	b.view(t, func(tx store.Tx) error {
		left, err := walkCommands(tx, home, store.CommandQuery{}, 10)
		if err != nil {
			return err
		}
		same(t, "what is left: the new ones, and one that is not over", commandIDs(left), []string{commandID(5), commandID(4), commandID(1)})
		elsewhere, err := walkCommands(tx, otherReg, store.CommandQuery{}, 10)
		if err != nil {
			return err
		}
		same(t, "what is left elsewhere", commandIDs(elsewhere), []string(nil))
		on, err := walkInvocations(tx, home, store.CommandQuery{InstanceID: instanceID(0)}, 10)
		same(t, "invocations of an instance", len(on), 3)
		return err
	})
	if c := b.command(t, home, commandID(1)); c.Content != "shared by all but one" {
		t.Errorf("a content that is needed was removed: %q", c.Content)
	}
	again := newCommand(commandID(0), at(40))
	again.Content = "its own"
	b.update(t, func(tx store.Tx) error { return tx.InsertCommand(again, "token"+again.ID, nil) })
	if c := b.command(t, home, again.ID); c.Content != "its own" {
		t.Errorf("content of a command with a forgotten one's id and token: %q", c.Content)
	}
}
