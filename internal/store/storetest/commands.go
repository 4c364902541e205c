package storetest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"ssmrun"
	"ssmrun/internal/store"
)

func (b *bundle) command(t *testing.T, scope ssmrun.Scope, id string) *ssmrun.Command {
	t.Helper()
	var c *ssmrun.Command
	b.view(t, func(tx store.Tx) (err error) {
		if c, err = tx.Command(scope, id); err != nil {
			return err
		}
		if c.Content != "" || c.Parameters != nil || c.InstanceIDs != nil || c.Targets != nil {
			t.Errorf("Command gives what may be big: %+v", c)
		}
		return tx.ReadInput(c)
	})
	return c
}

// wholeCommand reads a command with its input.
func wholeCommand(tx store.Tx, scope ssmrun.Scope, id string) (*ssmrun.Command, error) {
	c, err := tx.Command(scope, id)
	if err == nil {
		err = tx.ReadInput(c)
	}
	return c, err
}

func testCommandRoundTrip(t *testing.T, b *bundle) {
	full := newCommand(commandID(1), at(0))
	full.State, full.Revision = failed, 7
	full.Counts = ssmrun.Counts{
		Target: 1, Completed: 2, Errors: 3, DeliveryTimedOut: 4, Succeeded: 5, Cancelled: 6,
		Terminated: 7, Refused: 8, Begun: 9, InFlight: 10, CancelRequested: true, ErrorsBeyondLimit: true,
	}
	bare := &ssmrun.Command{ID: commandID(2), Scope: home, RequestedAt: at(0), State: ssmrun.NewState}
	odd := newCommand(commandID(3), at(0))
	odd.Comment, odd.Content = "nul \x00 and more", strings.Repeat("日本\x00", 20_000)
	odd.Parameters = map[string][]string{"commands": {strings.Repeat("x", ssmrun.MaxParametersBytes), "\x00"}}
	for _, c := range []*ssmrun.Command{full, bare, odd} {
		b.insert(t, c)
		got := b.command(t, home, c.ID)
		same(t, "command", got, c)
		if got.RequestedAt.Location() != time.UTC {
			t.Errorf("RequestedAt is in zone %v, want UTC", got.RequestedAt.Location())
		}
		if got.ExpiresAfter.IsZero() != c.ExpiresAfter.IsZero() {
			t.Errorf("ExpiresAfter = %v, want %v", got.ExpiresAfter, c.ExpiresAfter)
		}
	}
	b.view(t, func(tx store.Tx) error {
		_, err := tx.Command(home, commandID(9))
		notFound(t, "unknown command", err)
		return nil
	})
}

func testInsertCommand(t *testing.T, b *bundle) {
	c := newCommand(commandID(1), at(0))
	b.insert(t, c, instanceID(1), instanceID(2))
	again := newCommand(c.ID, at(5))
	again.Comment = "again"
	if err := b.Update(b.ctx, func(tx store.Tx) error { return insert(tx, again) }); err == nil {
		t.Error("a command id was inserted twice")
	}
	same(t, "command after the second insert", b.command(t, home, c.ID), c)

	stray := newCommand(commandID(2), at(0))
	other := newCommand(commandID(3), at(0))
	elsewhere := newInvocation(stray, instanceID(1))
	elsewhere.Scope = otherReg
	for name, fn := range map[string]func(tx store.Tx) error{
		"an invocation of another command": func(tx store.Tx) error {
			return tx.InsertCommand(stray, "", []ssmrun.Invocation{newInvocation(other, instanceID(1))})
		},
		"an invocation of another scope": func(tx store.Tx) error {
			return tx.InsertCommand(stray, "", []ssmrun.Invocation{elsewhere})
		},
		"an invocation twice": func(tx store.Tx) error {
			i := newInvocation(stray, instanceID(1))
			return tx.InsertCommand(stray, "", []ssmrun.Invocation{i, i})
		},
		"an invocation of another time": func(tx store.Tx) error {
			i := newInvocation(stray, instanceID(1))
			i.RequestedAt = at(1)
			return tx.InsertCommand(stray, "", []ssmrun.Invocation{i})
		},
	} {
		if err := b.Update(b.ctx, fn); err == nil {
			t.Errorf("%s was inserted", name)
		}
		b.view(t, func(tx store.Tx) error {
			_, err := tx.Command(home, stray.ID)
			notFound(t, "the command with "+name, err)
			return nil
		})
	}
}

func testCommandByToken(t *testing.T, b *bundle) {
	send := func(scope ssmrun.Scope, n int, caller, token string) error {
		c := newCommand(commandID(n), at(n))
		c.Scope, c.Caller = scope, caller
		return b.Update(b.ctx, func(tx store.Tx) error { return tx.InsertCommand(c, token, nil) })
	}
	find := func(scope ssmrun.Scope, caller, token string) (id string, err error) {
		b.view(t, func(tx store.Tx) error {
			var c *ssmrun.Command
			if c, err = tx.CommandByToken(scope, caller, token); err == nil {
				id = c.ID
				if c.Content == "" {
					t.Error("CommandByToken left Content empty")
				}
			}
			return nil
		})
		return id, err
	}
	for n, s := range []struct {
		scope         ssmrun.Scope
		caller, token string
	}{{home, "ann", "t1"}, {home, "bob", "t1"}, {home, "ann", "t2"}, {otherAcct, "ann", "t1"}, {otherReg, "ann", "t1"}} {
		if err := send(s.scope, n, s.caller, s.token); err != nil {
			t.Fatalf("send %d: %v", n, err)
		}
		if id, err := find(s.scope, s.caller, s.token); id != commandID(n) {
			t.Errorf("token of command %d finds %q, %v", n, id, err)
		}
	}
	if id, _ := find(home, "ann", "t1"); id != commandID(0) {
		t.Errorf("ann's t1 finds %q after others used the token", id)
	}
	_, err := find(home, "ann", "t3")
	notFound(t, "unknown token", err)
	_, err = find(home, "eve", "t1")
	notFound(t, "another caller's token", err)

	for n := 10; n < 12; n++ {
		if err := send(home, n, "ann", ""); err != nil {
			t.Fatalf("a second command without a token: %v", err)
		}
	}
	_, err = find(home, "ann", "")
	notFound(t, "no token", err)
	if err := send(home, 20, "ann", "t1"); err == nil {
		t.Error("a caller's token was taken twice")
	}
}

func testUpdateCommand(t *testing.T, b *bundle) {
	c := newCommand(commandID(1), at(0))
	c.Revision = 3
	b.insert(t, c)
	want := *c
	want.State, want.Counts, want.Revision, want.Turn = inProgress, ssmrun.Counts{Target: 2, Begun: 1, InFlight: 1}, 4, instanceID(7)
	changed := *c
	changed.State, changed.Counts, changed.Turn = want.State, want.Counts, want.Turn
	changed.Comment, changed.Document, changed.Parameters = "no", "no", nil
	changed.RequestedAt, changed.Content = at(99), "no"
	b.update(t, func(tx store.Tx) error { return tx.UpdateCommand(&changed) })
	if changed.Revision != 4 {
		t.Errorf("UpdateCommand wrote revision %d into c, want 4", changed.Revision)
	}
	same(t, "command, of which only State, Counts, Turn and Revision may change", b.command(t, home, c.ID), &want)

	stale := *c // revision 3
	b.update(t, func(tx store.Tx) error {
		if err := tx.UpdateCommand(&stale); err != nil {
			return err
		}
		return tx.UpdateCommand(&stale)
	})
	if got := b.command(t, home, c.ID); got.Revision != 6 || stale.Revision != 6 {
		t.Errorf("after two more changes the revision is %d (in c %d), want 6", got.Revision, stale.Revision)
	}
	b.update(t, func(tx store.Tx) error {
		notFound(t, "UpdateCommand of an unknown one", tx.UpdateCommand(newCommand(commandID(9), at(0))))
		return nil
	})
}

// walkCommands reads all pages of a list.
func walkCommands(tx store.Tx, scope ssmrun.Scope, q store.CommandQuery, limit int) ([]ssmrun.Command, error) {
	var all []ssmrun.Command
	for p := (store.Page{Limit: limit}); ; {
		part, next, err := tx.ListCommands(scope, q, p)
		if err != nil {
			return nil, err
		}
		if len(part) > limit || next != "" && len(part) != limit {
			return nil, fmt.Errorf("a page of %d rows for limit %d, next %q", len(part), limit, next)
		}
		if next != "" && next == p.Token {
			return nil, fmt.Errorf("the page after token %q is itself", next)
		}
		all = append(all, part...)
		if p.Token = next; next == "" {
			return all, nil
		}
	}
}

func testListCommands(t *testing.T, b *bundle) {
	// 3 and 4 are of the same time.
	for n, c := range []struct {
		minute   int
		state    ssmrun.State
		document string
		on       []string
	}{
		0: {10, success, "AWS-RunShellScript", []string{instanceID(1)}},
		1: {20, failed, "Other", []string{instanceID(1), instanceID(2)}},
		2: {30, inProgress, "AWS-RunShellScript", []string{instanceID(2)}},
		3: {40, delayed, "Other", nil},
		4: {40, timedOut, "AWS-RunShellScript", []string{instanceID(1)}},
		5: {50, ssmrun.NewState, "AWS-RunShellScript", []string{instanceID(3)}},
	} {
		cmd := newCommand(commandID(n), at(c.minute))
		cmd.State, cmd.Document = c.state, c.document
		b.insert(t, cmd, c.on...)
	}
	for name, c := range map[string]struct {
		q    store.CommandQuery
		want []int
	}{
		"all":                  {store.CommandQuery{}, []int{5, 3, 4, 2, 1, 0}},
		"id":                   {store.CommandQuery{CommandID: commandID(2)}, []int{2}},
		"unknown id":           {store.CommandQuery{CommandID: commandID(9)}, nil},
		"instance":             {store.CommandQuery{InstanceID: instanceID(1)}, []int{4, 1, 0}},
		"unknown instance":     {store.CommandQuery{InstanceID: instanceID(9)}, nil},
		"id and instance":      {store.CommandQuery{CommandID: commandID(1), InstanceID: instanceID(2)}, []int{1}},
		"id, not its instance": {store.CommandQuery{CommandID: commandID(1), InstanceID: instanceID(3)}, nil},
		"after":                {store.CommandQuery{InvokedAfter: at(40)}, []int{5, 3, 4}},
		"just after":           {store.CommandQuery{InvokedAfter: at(40).Add(time.Millisecond)}, []int{5}},
		"before":               {store.CommandQuery{InvokedBefore: at(40)}, []int{2, 1, 0}},
		"just before":          {store.CommandQuery{InvokedBefore: at(40).Add(time.Millisecond)}, []int{3, 4, 2, 1, 0}},
		"between":              {store.CommandQuery{InvokedAfter: at(20), InvokedBefore: at(40)}, []int{2, 1}},
		"status":               {store.CommandQuery{Statuses: []string{"Pending"}}, []int{5, 3}},
		"details":              {store.CommandQuery{Statuses: []string{"DeliveryTimedOut"}}, []int{4}},
		"statuses":             {store.CommandQuery{Statuses: []string{"Failed", "Success", "Delayed"}}, []int{3, 1, 0}},
		"unknown status":       {store.CommandQuery{Statuses: []string{"pending"}}, nil},
		"document":             {store.CommandQuery{Document: "Other"}, []int{3, 1}},
		"executing":            {store.CommandQuery{Executing: true}, []int{5, 3, 2}},
		"complete":             {store.CommandQuery{Complete: true}, []int{4, 1, 0}},
		"both stages":          {store.CommandQuery{Executing: true, Complete: true}, []int{5, 3, 4, 2, 1, 0}},
		"many": {store.CommandQuery{
			InstanceID: instanceID(1), Complete: true, Document: "AWS-RunShellScript",
			Statuses: []string{"TimedOut"}, InvokedAfter: at(0), InvokedBefore: at(60),
		}, []int{4}},
	} {
		var want []string
		for _, n := range c.want {
			want = append(want, commandID(n))
		}
		b.view(t, func(tx store.Tx) error {
			for limit := 1; limit <= 7; limit++ {
				list, err := walkCommands(tx, home, c.q, limit)
				if err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
				same(t, fmt.Sprintf("%s, pages of %d", name, limit), commandIDs(list), want)
			}
			return nil
		})
	}
	want := b.command(t, home, commandID(1))
	want.Content = ""
	b.view(t, func(tx store.Tx) error {
		list, _, err := tx.ListCommands(home, store.CommandQuery{CommandID: commandID(1)}, store.Page{Limit: 1})
		same(t, "a listed command, with all but its content", list, []ssmrun.Command{*want})
		return err
	})
	// A command that ends leaves the open ones.
	c := b.command(t, home, commandID(2))
	c.State = success
	b.update(t, func(tx store.Tx) error { return tx.UpdateCommand(c) })
	b.view(t, func(tx store.Tx) error {
		list, err := walkCommands(tx, home, store.CommandQuery{Executing: true}, 10)
		same(t, "executing, after one has ended", commandIDs(list), []string{commandID(5), commandID(3)})
		return err
	})
}

// testCommandScopes has the same ids in three scopes.
func testCommandScopes(t *testing.T, b *bundle) {
	for n, s := range scopes {
		c := newCommand(commandID(1), at(n))
		c.Scope, c.Comment, c.Content = s, fmt.Sprint("of scope ", n), fmt.Sprint("content ", n)
		b.insert(t, c, instanceID(1))
	}
	// All that changes one scope leaves the others alone.
	b.update(t, func(tx store.Tx) error {
		c, err := tx.Command(home, commandID(1))
		if err != nil {
			return err
		}
		c.State = success
		if err := tx.UpdateCommand(c); err != nil {
			return err
		}
		i := newInvocation(c, instanceID(1))
		i.State = success
		if err := tx.UpdateInvocation(&i); err != nil {
			return err
		}
		p := newPlugin(c, instanceID(1), "aws:runShellScript", 0)
		p.Stdout = "of home"
		return tx.PutPlugin(home, &p)
	})
	for n, s := range scopes {
		open := 1
		state, out := ssmrun.NewState, ""
		if s == home {
			open, state, out = 0, success, "of home"
		}
		b.view(t, func(tx store.Tx) error {
			c, err := wholeCommand(tx, s, commandID(1))
			if err != nil {
				return err
			}
			if c.Comment != fmt.Sprint("of scope ", n) || c.Content != fmt.Sprint("content ", n) || c.Scope != s || c.State != state {
				t.Errorf("scope %v sees command %q of %v, %v", s, c.Comment, c.Scope, c.State)
			}
			cs, err := walkCommands(tx, s, store.CommandQuery{InstanceID: instanceID(1)}, 10)
			if err != nil || len(cs) != 1 || cs[0].Scope != s {
				t.Errorf("scope %v lists commands %v, %v", s, cs, err)
			}
			is, err := walkInvocations(tx, s, store.CommandQuery{}, 10)
			if err != nil || len(is) != 1 || is[0].Scope != s || is[0].State != state {
				t.Errorf("scope %v lists invocations %v, %v", s, is, err)
			}
			is, err = tx.InvocationsAfter(s, commandID(1), "", 10)
			if err != nil || len(is) != 1 || is[0].Scope != s {
				t.Errorf("scope %v has invocations %v, %v", s, is, err)
			}
			is, err = tx.OpenInvocations(s, instanceID(1))
			if err != nil || len(is) != open {
				t.Errorf("scope %v has open invocations %v, %v", s, is, err)
			}
			i, err := tx.Invocation(s, commandID(1), instanceID(1))
			if err != nil || i.Scope != s || i.State != state {
				t.Errorf("scope %v has invocation %v, %v", s, i, err)
			}
			ps, err := tx.Plugins(s, commandID(1), instanceID(1))
			if err != nil || len(ps) != 1-open || len(ps) == 1 && ps[0].Stdout != out {
				t.Errorf("scope %v has plugins %v, %v", s, ps, err)
			}
			return nil
		})
	}
}
