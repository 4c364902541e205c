package storetest

import (
	"fmt"
	"testing"
	"time"

	"ssmrun"
	"ssmrun/internal/store"
)

func (b *bundle) invocation(t *testing.T, command, instance string) *ssmrun.Invocation {
	t.Helper()
	var i *ssmrun.Invocation
	b.view(t, func(tx store.Tx) (err error) {
		i, err = tx.Invocation(home, command, instance)
		return err
	})
	return i
}

func testInvocationRoundTrip(t *testing.T, b *bundle) {
	c := newCommand(commandID(1), at(0))
	full := newInvocation(c, instanceID(1))
	full.State = timedOut
	full.Handed, full.Begun, full.CancelRequested = at(1), at(2), at(3)
	full.DeliverBy, full.FinishBy, full.Next = at(4), at(5), at(6)
	full.Trace = "a trace\x00 ü"
	bare := newInvocation(c, instanceID(2))
	bare.InstanceName = ""
	b.update(t, func(tx store.Tx) error {
		return tx.InsertCommand(c, "", []ssmrun.Invocation{full, bare})
	})
	same(t, "invocation with all", b.invocation(t, c.ID, full.InstanceID), &full)
	got := b.invocation(t, c.ID, bare.InstanceID)
	same(t, "invocation with nothing", got, &bare)
	for name, at := range map[string]time.Time{
		"Handed": got.Handed, "Begun": got.Begun, "CancelRequested": got.CancelRequested,
		"DeliverBy": got.DeliverBy, "FinishBy": got.FinishBy, "Next": got.Next,
	} {
		if !at.IsZero() {
			t.Errorf("%s = %v, want the zero time", name, at)
		}
	}

	// UpdateInvocation stores all but the keys and RequestedAt, both ways.
	swap := full
	swap.InstanceID, swap.InstanceName = bare.InstanceID, "renamed"
	swap.RequestedAt = at(99)
	b.update(t, func(tx store.Tx) error { return tx.UpdateInvocation(&swap) })
	swap.RequestedAt = at(0)
	same(t, "updated to all", b.invocation(t, c.ID, bare.InstanceID), &swap)
	b.update(t, func(tx store.Tx) error { return tx.UpdateInvocation(&bare) })
	same(t, "updated to nothing", b.invocation(t, c.ID, bare.InstanceID), &bare)
	same(t, "the neighbour", b.invocation(t, c.ID, full.InstanceID), &full)

	unknown := newInvocation(c, instanceID(9))
	elsewhere := bare
	elsewhere.Scope = otherReg
	b.update(t, func(tx store.Tx) error {
		notFound(t, "UpdateInvocation of an unknown one", tx.UpdateInvocation(&unknown))
		notFound(t, "UpdateInvocation from another scope", tx.UpdateInvocation(&elsewhere))
		_, err := tx.Invocation(home, c.ID, instanceID(9))
		notFound(t, "unknown instance", err)
		_, err = tx.Invocation(home, commandID(9), instanceID(1))
		notFound(t, "unknown command", err)
		return nil
	})
}

// walkInvocations reads all pages of a list.
func walkInvocations(tx store.Tx, scope ssmrun.Scope, q store.CommandQuery, limit int) ([]ssmrun.Invocation, error) {
	var all []ssmrun.Invocation
	for p := (store.Page{Limit: limit}); ; {
		part, next, err := tx.ListInvocations(scope, q, p)
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

func testListInvocations(t *testing.T, b *bundle) {
	states := map[[2]int]ssmrun.State{{0, 1}: success, {0, 2}: failed, {1, 1}: inProgress, {1, 3}: delayed, {2, 1}: timedOut}
	for n, on := range [][]int{0: {2, 1}, 1: {3, 1}, 2: {1}, 3: nil} {
		c := newCommand(commandID(n), at([]int{10, 20, 20, 30}[n]))
		c.Document = []string{"A", "B", "A", "B"}[n]
		var list []ssmrun.Invocation
		for _, m := range on {
			i := newInvocation(c, instanceID(m))
			i.State = states[[2]int{n, m}]
			list = append(list, i)
		}
		b.update(t, func(tx store.Tx) error { return tx.InsertCommand(c, "", list) })
	}
	// Of the same time, 1 was inserted before 2.
	for name, c := range map[string]struct {
		q    store.CommandQuery
		want [][2]int
	}{
		"all":               {store.CommandQuery{}, [][2]int{{1, 3}, {1, 1}, {2, 1}, {0, 2}, {0, 1}}},
		"command":           {store.CommandQuery{CommandID: commandID(1)}, [][2]int{{1, 3}, {1, 1}}},
		"unknown command":   {store.CommandQuery{CommandID: commandID(9)}, nil},
		"command with none": {store.CommandQuery{CommandID: commandID(3)}, nil},
		"instance":          {store.CommandQuery{InstanceID: instanceID(1)}, [][2]int{{1, 1}, {2, 1}, {0, 1}}},
		"both":              {store.CommandQuery{CommandID: commandID(0), InstanceID: instanceID(2)}, [][2]int{{0, 2}}},
		"both, not there":   {store.CommandQuery{CommandID: commandID(1), InstanceID: instanceID(2)}, nil},
		"after":             {store.CommandQuery{InvokedAfter: at(20)}, [][2]int{{1, 3}, {1, 1}, {2, 1}}},
		"before":            {store.CommandQuery{InvokedBefore: at(20)}, [][2]int{{0, 2}, {0, 1}}},
		"command after":     {store.CommandQuery{CommandID: commandID(0), InvokedAfter: at(20)}, nil},
		"command before":    {store.CommandQuery{CommandID: commandID(0), InvokedBefore: at(20)}, [][2]int{{0, 2}, {0, 1}}},
		"instance before":   {store.CommandQuery{InstanceID: instanceID(1), InvokedBefore: at(20)}, [][2]int{{0, 1}}},
		"status":            {store.CommandQuery{Statuses: []string{"Pending", "InProgress"}}, [][2]int{{1, 3}, {1, 1}}},
		"details":           {store.CommandQuery{Statuses: []string{"Delayed", "DeliveryTimedOut"}}, [][2]int{{1, 3}, {2, 1}}},
		"document":          {store.CommandQuery{Document: "A"}, [][2]int{{2, 1}, {0, 2}, {0, 1}}},
		"executing":         {store.CommandQuery{Executing: true}, [][2]int{{1, 3}, {1, 1}}},
		"complete":          {store.CommandQuery{Complete: true, CommandID: commandID(0)}, [][2]int{{0, 2}, {0, 1}}},
	} {
		var want [][2]string
		for _, w := range c.want {
			want = append(want, [2]string{commandID(w[0]), instanceID(w[1])})
		}
		b.view(t, func(tx store.Tx) error {
			for limit := 1; limit <= 6; limit++ {
				list, err := walkInvocations(tx, home, c.q, limit)
				if err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
				same(t, fmt.Sprintf("%s, pages of %d", name, limit), invocationIDs(list), want)
			}
			return nil
		})
	}
	want := b.invocation(t, commandID(0), instanceID(2))
	b.view(t, func(tx store.Tx) error {
		list, _, err := tx.ListInvocations(home, store.CommandQuery{CommandID: commandID(0), InstanceID: instanceID(2)}, store.Page{Limit: 5})
		same(t, "a listed invocation", list, []ssmrun.Invocation{*want})
		return err
	})
}

func testInvocationsAfter(t *testing.T, b *bundle) {
	c := newCommand(commandID(1), at(0))
	var on, want []string
	for n := range 60 {
		on = append(on, instanceID(n*37%60))
		want = append(want, instanceID(n))
	}
	b.insert(t, c, on...)
	b.insert(t, newCommand(commandID(2), at(0)), instanceID(1))
	b.view(t, func(tx store.Tx) error {
		var got []string
		for after := ""; ; after = got[len(got)-1] {
			list, err := tx.InvocationsAfter(home, c.ID, after, 7)
			for _, i := range list {
				got = append(got, i.InstanceID)
			}
			if err != nil || len(list) < 7 {
				same(t, "by instance id", got, want)
				if none, err := tx.InvocationsAfter(home, commandID(9), "", 7); err != nil || len(none) != 0 {
					t.Errorf("an unknown command has invocations %v, %v", none, err)
				}
				return err
			}
		}
	})
}

func testOpenInvocations(t *testing.T, b *bundle) {
	for n, minute := range []int{20, 10, 30, 10} {
		b.insert(t, newCommand(commandID(n), at(minute)), instanceID(1), instanceID(2))
	}
	open := func(instance string) (ids []string) {
		b.view(t, func(tx store.Tx) error {
			list, err := tx.OpenInvocations(home, instance)
			for _, i := range list {
				ids = append(ids, i.CommandID)
			}
			return err
		})
		return ids
	}
	set := func(n int, s ssmrun.State) {
		i := b.invocation(t, commandID(n), instanceID(1))
		i.State = s
		b.update(t, func(tx store.Tx) error { return tx.UpdateInvocation(i) })
	}
	all := []string{commandID(1), commandID(3), commandID(0), commandID(2)}
	same(t, "oldest first, those of one time in their order", open(instanceID(1)), all)
	set(1, inProgress)
	set(0, delayed)
	same(t, "with one in progress and one delayed", open(instanceID(1)), all)
	set(1, success)
	set(2, failed)
	same(t, "with two over", open(instanceID(1)), []string{commandID(3), commandID(0)})
	same(t, "another instance", open(instanceID(2)), all)
	same(t, "an unknown instance", open(instanceID(9)), []string(nil))
}

func testDueInvocations(t *testing.T, b *bundle) {
	next := func() (time.Time, bool) {
		var at time.Time
		var ok bool
		b.view(t, func(tx store.Tx) (err error) {
			at, ok, err = tx.NextDue()
			return err
		})
		return at, ok
	}
	due := func(now time.Time, limit int) (ids [][2]string) {
		b.view(t, func(tx store.Tx) error {
			list, err := tx.DueInvocations(now, limit)
			for _, i := range list {
				ids = append(ids, [2]string{i.Scope.Region, i.InstanceID})
			}
			return err
		})
		return ids
	}
	if at, ok := next(); ok {
		t.Errorf("NextDue of an empty store is %v", at)
	}
	for n, s := range []ssmrun.Scope{home, otherReg} {
		c := newCommand(commandID(n), at(0))
		c.Scope = s
		var list []ssmrun.Invocation
		for m := range 3 {
			i := newInvocation(c, instanceID(m))
			if m < 2 {
				i.Next = at(10*m + n + 1) // 1 and 11 in home, 2 and 12 elsewhere
			}
			list = append(list, i)
		}
		b.update(t, func(tx store.Tx) error { return tx.InsertCommand(c, "", list) })
	}
	if got, ok := next(); !ok || !got.Equal(at(1)) || got.Location() != time.UTC {
		t.Errorf("NextDue = %v, %v; want %v in UTC", got, ok, at(1))
	}
	a, bb, c, d := [2]string{"us-east-1", instanceID(0)}, [2]string{"eu-west-1", instanceID(0)},
		[2]string{"us-east-1", instanceID(1)}, [2]string{"eu-west-1", instanceID(1)}
	same(t, "before any", due(at(0), 10), [][2]string(nil))
	same(t, "just before the first", due(at(1).Add(-time.Millisecond), 10), [][2]string(nil))
	same(t, "not after now", due(at(1), 10), [][2]string{a})
	same(t, "all of all scopes, earliest first", due(at(99), 10), [][2]string{a, bb, c, d})
	same(t, "at most limit", due(at(99), 3), [][2]string{a, bb, c})
	same(t, "limit 0", due(at(99), 0), [][2]string(nil))

	i := b.invocation(t, commandID(0), instanceID(0))
	i.Next = time.Time{}
	b.update(t, func(tx store.Tx) error { return tx.UpdateInvocation(i) })
	if got, ok := next(); !ok || !got.Equal(at(2)) {
		t.Errorf("NextDue = %v, %v after the first was unset; want %v", got, ok, at(2))
	}
	i.Next = at(50)
	b.update(t, func(tx store.Tx) error { return tx.UpdateInvocation(i) })
	same(t, "after the first was put last", due(at(99), 10), [][2]string{bb, c, d, a})
}
