package control_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"ssmrun"
	"ssmrun/internal/control"
	"ssmrun/internal/store"
)

func (b *bundle) tag(instance string, tags map[string]string) {
	b.t.Helper()
	b.must(b.store.Update(b.ctx, func(tx store.Tx) error { return tx.PutTags(scope, "ManagedInstance", instance, tags) }))
}

func (b *bundle) invocations(command string) []ssmrun.Invocation {
	b.t.Helper()
	var list []ssmrun.Invocation
	b.must(b.store.View(b.ctx, func(tx store.Tx) (err error) {
		list, err = tx.InvocationsAfter(scope, command, "", 100_000)
		return err
	}))
	return list
}

func to(targets ...ssmrun.Target) func(*control.SendRequest) {
	return func(r *control.SendRequest) { r.Command.InstanceIDs, r.Command.Targets = nil, targets }
}

func target(key string, values ...string) ssmrun.Target {
	return ssmrun.Target{Key: key, Values: values}
}

func TestTargets(t *testing.T) {
	t.Parallel()
	b := setup(t, 6, func(c *control.Config) {
		c.Groups = map[string][]ssmrun.Target{
			"web":   {target("tag:role", "web")},
			"prod":  {target("tag:env", "prod"), target("tag-key", "role")},
			"empty": {target("tag:role", "nobody")},
		}
	})
	hybrid := "mi-00000000000000001"
	b.must(b.store.Update(b.ctx, func(tx store.Tx) error {
		return tx.PutInstance(&ssmrun.Instance{ID: hybrid, Scope: scope, Name: "hybrid"})
	}))
	b.tag(id(0), map[string]string{"role": "web", "env": "prod"})
	b.tag(id(1), map[string]string{"role": "web", "env": "test"})
	b.tag(id(2), map[string]string{"role": "db", "env": "prod"})
	b.tag(id(3), map[string]string{"env": "prod"})
	b.tag(hybrid, map[string]string{"role": "web"})
	other := "i-0000000000000abcd" // has tags, and no agent ever registered
	b.tag(other, map[string]string{"role": "web"})
	for name, c := range map[string]struct {
		targets []ssmrun.Target
		want    []string
	}{
		"a tag's value":            {[]ssmrun.Target{target("tag:role", "web")}, []string{id(0), id(1), hybrid}},
		"any of the values":        {[]ssmrun.Target{target("tag:role", "web", "db", "none")}, []string{id(0), id(1), id(2), hybrid}},
		"all of the targets":       {[]ssmrun.Target{target("tag:role", "web"), target("tag:env", "prod")}, []string{id(0)}},
		"a tag's key":              {[]ssmrun.Target{target("tag-key", "role")}, []string{id(0), id(1), id(2), hybrid}},
		"any of the keys":          {[]ssmrun.Target{target("tag-key", "role", "env")}, []string{id(0), id(1), id(2), id(3), hybrid}},
		"ids":                      {[]ssmrun.Target{target("InstanceIds", id(5), id(4))}, []string{id(4), id(5)}},
		"ids in any case":          {[]ssmrun.Target{target("instanceids", id(5))}, []string{id(5)}},
		"ids and a tag":            {[]ssmrun.Target{target("InstanceIds", id(0), id(2), id(5)), target("tag:role", "db")}, []string{id(2)}},
		"unknown ids and a tag":    {[]ssmrun.Target{target("InstanceIds", id(9)), target("tag:role", "web")}, nil},
		"a group":                  {[]ssmrun.Target{target("resource-groups:Name", "web")}, []string{id(0), id(1), hybrid}},
		"a group by its ARN":       {[]ssmrun.Target{target("resource-groups:Name", "arn:aws:resource-groups:us-east-1:000000000000:group/web")}, []string{id(0), id(1), hybrid}},
		"a group of two tags":      {[]ssmrun.Target{target("resource-groups:Name", "prod")}, []string{id(0), id(2)}},
		"a group's hybrid nodes":   {[]ssmrun.Target{target("resource-groups:Name", "web"), target("resource-groups:ResourceTypeFilters", "AWS::SSM::ManagedInstance")}, []string{hybrid}},
		"a group's EC2 instances":  {[]ssmrun.Target{target("resource-groups:Name", "web"), target("resource-groups:ResourceTypeFilters", "AWS::S3::Bucket", "AWS::EC2::Instance")}, []string{id(0), id(1)}},
		"a group that is empty":    {[]ssmrun.Target{target("resource-groups:Name", "empty")}, nil},
		"a group that is not":      {[]ssmrun.Target{target("resource-groups:Name", "none")}, nil},
		"a tag that is not":        {[]ssmrun.Target{target("tag:none", "x")}, nil},
		"two targets with nothing": {[]ssmrun.Target{target("tag:none", "x"), target("tag:role", "web")}, nil},
	} {
		cmd := b.send(to(c.targets...))
		if cmd.State != pending || cmd.Counts.Target != 0 || len(cmd.InstanceIDs) != 0 {
			t.Errorf("%s: answered %s, %d targets, ids %v", name, cmd.State, cmd.Counts.Target, cmd.InstanceIDs)
		}
		var got []string
		for _, i := range b.invocations(cmd.ID) {
			got = append(got, i.InstanceID)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
		if now := b.command(cmd.ID); now.Counts.Target != len(c.want) || (len(c.want) == 0) != (now.State.Details == ssmrun.DetailsNoInstancesInTag) {
			t.Errorf("%s: %s with %d targets", name, now.State, now.Counts.Target)
		}
	}
}

// TestWhatCannotBeSentTo: targets select what a command cannot go to; it ends
// there and goes on elsewhere.
func TestWhatCannotBeSentTo(t *testing.T) {
	t.Parallel()
	b := setup(t, 4, func(c *control.Config) {
		c.May = func(_ string, i *ssmrun.Instance) bool { return i.ID != id(2) }
	})
	b.must(b.store.Update(b.ctx, func(tx store.Tx) error {
		return tx.PutInstance(&ssmrun.Instance{ID: id(1), Scope: scope, PlatformType: "Windows"})
	}))
	linux := func(r *control.SendRequest) { r.Platforms = []string{"Linux", "MacOS"} }
	all := append(ids(4), id(9))
	cmd := b.send(func(r *control.SendRequest) { linux(r); to(target("InstanceIds", all...))(r) })
	b.ack(cmd.ID, id(0))
	for instance, want := range map[string]ssmrun.State{
		id(0): inProgress,
		id(1): {Status: ssmrun.Failed, Details: ssmrun.DetailsInvalidPlatform},
		id(2): {Status: ssmrun.Failed, Details: ssmrun.DetailsAccessDenied},
		id(3): inProgress,
		id(9): {Status: ssmrun.Failed, Details: ssmrun.DetailsUndeliverable},
	} {
		b.wantInvocation(cmd.ID, instance, want)
	}
	b.report(cmd.ID, id(0), ssmrun.EventSucceeded, 0)
	b.report(cmd.ID, id(3), ssmrun.EventSucceeded, 0)
	b.wantCommand(cmd.ID, success) // as AWS documents it; the runner calls it a failure
	if c := b.command(cmd.ID).Counts; c.Target != 5 || c.Completed != 5 || c.Errors != 0 || c.Refused != 3 {
		t.Errorf("counts %+v", c)
	}

	none := b.send(func(r *control.SendRequest) { linux(r); to(target("InstanceIds", id(1), id(9)))(r) })
	b.wantCommand(none.ID, failed)

	for instance, want := range map[string]ssmrun.Code{
		id(1): ssmrun.CodeUnsupportedPlatform, id(2): ssmrun.CodeAccessDenied, id(9): ssmrun.CodeInvalidInstanceID,
	} {
		_, err := b.Send(b.ctx, control.SendRequest{Platforms: []string{"Linux"}, Command: ssmrun.Command{
			Scope: scope, InstanceIDs: []string{id(0), instance}, MaxConcurrency: "50", MaxErrors: "0", TimeoutSeconds: 60,
		}})
		if ssmrun.ErrorCode(err) != want {
			t.Errorf("%s by its id: %v, want %s", instance, err, want)
		}
	}
}

// TestRamp: one, then two, then four, as agents take what they get.
func TestRamp(t *testing.T) {
	t.Parallel()
	for _, byCompletion := range []bool{false, true} {
		b := setup(t, 20, func(c *control.Config) { c.RampByCompletion = byCompletion })
		cmd := b.send(func(r *control.SendRequest) { r.Command.InstanceIDs, r.Command.MaxConcurrency = ids(20), "9" })
		var rounds []int
		for over := 0; over < 20; {
			got := b.agents.take()
			rounds = append(rounds, len(got))
			for _, d := range got {
				b.ack(cmd.ID, d.InstanceID)
			}
			if !byCompletion && len(rounds) < 4 {
				continue // they run on: taking is enough
			}
			for _, i := range b.invocations(cmd.ID) {
				if !i.Begun.IsZero() && !i.State.Terminal() {
					b.report(cmd.ID, i.InstanceID, ssmrun.EventSucceeded, 0)
					over++
				}
			}
		}
		want := "[1 2 4 2 9 2]" // 1, 2, 4 and what MaxConcurrency leaves, then as they end
		if byCompletion {
			want = "[1 2 4 8 5]"
		}
		if got := fmt.Sprint(rounds); got != want {
			t.Errorf("by completion %v: rounds of %s, want %s", byCompletion, got, want)
		}
		b.wantCommand(cmd.ID, success)
	}
}

// TestRampPassesThoseThatAreAway: agents that are not there hold up nobody.
func TestRampPassesThoseThatAreAway(t *testing.T) {
	t.Parallel()
	b := setup(t, 5)
	for i := range 4 {
		b.agents.connected[id(i)] = false
	}
	cmd := b.send(func(r *control.SendRequest) { r.Command.InstanceIDs = ids(5) })
	b.wantInvocation(cmd.ID, id(3), delayed)
	if d := b.agents.take(); len(d) != 1 || d[0].InstanceID != id(4) {
		t.Errorf("delivered %+v", d)
	}
}

// TestRampPassesThoseThatAreBusy: agents that have no room hold up nobody either.
func TestRampPassesThoseThatAreBusy(t *testing.T) {
	t.Parallel()
	b := setup(t, 4)
	cmd := b.send(func(r *control.SendRequest) { r.Command.InstanceIDs = ids(4) })
	b.agents.take()
	for range 3 { // it says so again and again
		b.Busy(scope, cmd.ID, id(0), func(error) {})
	}
	b.Settled()
	b.wantInvocation(cmd.ID, id(0), delayed)
	if d := b.agents.take(); len(d) != 2 || d[0].InstanceID != id(1) || d[1].InstanceID != id(2) {
		t.Fatalf("delivered %+v", d)
	}
	for i := range 3 {
		b.ack(cmd.ID, id(i))
		b.report(cmd.ID, id(i), ssmrun.EventSucceeded, 0)
	}
	b.Busy(scope, cmd.ID, id(0), func(error) {}) // late
	b.Settled()
	b.wantInvocation(cmd.ID, id(0), success)
	b.ack(cmd.ID, id(3))
	b.report(cmd.ID, id(3), ssmrun.EventSucceeded, 0)
	b.wantCommand(cmd.ID, success)
}

func TestAllOfThemAtOnce(t *testing.T) {
	t.Parallel()
	const n = 1200 // more than are read at a time
	b := setup(t, n)
	b.tag(id(0), map[string]string{"fleet": "x"})
	b.must(b.store.Update(b.ctx, func(tx store.Tx) error {
		for i := range n {
			if err := tx.PutTags(scope, "ManagedInstance", id(i), map[string]string{"fleet": "x"}); err != nil {
				return err
			}
		}
		return nil
	}))
	cmd := b.send(func(r *control.SendRequest) { to(target("tag:fleet", "x"))(r); r.Command.MaxConcurrency = "100%" })
	delivered := map[string]int{}
	for len(delivered) < n {
		got := b.agents.take()
		if len(got) == 0 {
			t.Fatalf("stopped after %d of %d", len(delivered), n)
		}
		for _, d := range got {
			delivered[d.InstanceID]++
			b.Acknowledged(scope, cmd.ID, d.InstanceID, false, func(error) {})
			b.Report(scope, ssmrun.Report{CommandID: cmd.ID, InstanceID: d.InstanceID, Event: ssmrun.EventSucceeded}, func(error) {})
		}
		b.Settled()
	}
	b.wantCommand(cmd.ID, success)
	if c := b.command(cmd.ID).Counts; c.Target != n || c.Succeeded != n || c.InFlight != 0 {
		t.Errorf("counts %+v", c)
	}
	// And cancelled: more than are read at a time.
	waiting := b.send(func(r *control.SendRequest) { to(target("tag:fleet", "x"))(r); r.Command.MaxConcurrency = "1" })
	b.must(b.Cancel(b.ctx, scope, waiting.ID, nil))
	if c := b.command(waiting.ID).Counts; c.Cancelled != n-1 {
		t.Errorf("counts %+v", c)
	}
}

func TestRateExceeded(t *testing.T) {
	t.Parallel()
	b := setup(t, 3, func(c *control.Config) { c.MaxPending = 2 })
	first := b.send(func(r *control.SendRequest) { r.Command.InstanceIDs = ids(2) })
	second := b.send(nil)
	b.wantCommand(second.ID, ssmrun.State{Status: ssmrun.Failed, Details: ssmrun.DetailsRateExceeded})
	if list := b.invocations(second.ID); len(list) != 0 {
		t.Errorf("something was made of it: %v", list)
	}
	b.report(first.ID, id(0), ssmrun.EventSucceeded, 0)
	third := b.send(func(r *control.SendRequest) { r.Command.InstanceIDs = []string{id(2)} })
	b.wantInvocation(third.ID, id(2), inProgress)

	// A new process counts what the one before has left.
	again := control.New(control.Config{Store: b.store, MaxPending: 2, Now: func() time.Time { return b.now }})
	again.Attach(b.agents)
	b.must(again.CountPending(b.ctx, []ssmrun.Scope{scope}))
	b.Controller = again
	b.wantCommand(b.send(nil).ID, ssmrun.State{Status: ssmrun.Failed, Details: ssmrun.DetailsRateExceeded})
}

// TestHistoryIsForgotten, but not what still runs.
func TestHistoryIsForgotten(t *testing.T) {
	t.Parallel()
	b := setup(t, 1)
	old, running := b.send(nil), b.send(nil)
	b.report(old.ID, id(0), ssmrun.EventSucceeded, 0)
	b.ack(running.ID, id(0))
	b.now = b.now.Add(29 * 24 * time.Hour)
	recent := b.send(nil)
	b.report(recent.ID, id(0), ssmrun.EventSucceeded, 0)
	forget := func() (left []string) {
		b.must(control.ForgetOld(b.ctx, b.Controller))
		b.must(b.store.View(b.ctx, func(tx store.Tx) error {
			list, _, err := tx.ListCommands(scope, store.CommandQuery{}, store.Page{Limit: 10})
			for _, c := range list {
				left = append(left, c.ID)
			}
			return err
		}))
		return left
	}
	if left := forget(); len(left) != 3 {
		t.Errorf("after 29 days %d of 3 commands are left", len(left))
	}
	b.now = b.now.Add(25 * time.Hour)
	if left := forget(); !slices.Equal(left, []string{recent.ID, running.ID}) {
		t.Errorf("after 30 days %v are left", left)
	}
	// A late word about what is forgotten is no error.
	b.report(old.ID, id(0), ssmrun.EventFailed, 1)
}

// TestResultsTogether: the events of one invocation that come together are
// one change, and each has its effect.
func TestResultsTogether(t *testing.T) {
	t.Parallel()
	b := setup(t, 1)
	cmd := b.send(func(r *control.SendRequest) {
		r.Command.Steps = []ssmrun.Step{{Name: "one", Action: "aws:runShellScript"}, {Name: "two", Action: "aws:runShellScript"}}
	})
	before := b.command(cmd.ID).Revision
	var errs []error
	done := func(err error) { errs = append(errs, err) }
	b.Acknowledged(scope, cmd.ID, id(0), false, done)
	b.Report(scope, ssmrun.Report{CommandID: cmd.ID, InstanceID: id(0), Event: ssmrun.EventBegan}, done)
	step := func(name string, event ssmrun.Event, out string) ssmrun.Report {
		return ssmrun.Report{
			CommandID: cmd.ID, InstanceID: id(0), Event: ssmrun.EventBegan,
			Plugins: []ssmrun.PluginReport{{Name: name, Event: event, Stdout: out, Started: b.now, Finished: b.now}},
		}
	}
	b.Report(scope, step("one", ssmrun.EventSucceeded, "1"), done)
	b.Report(scope, step("none", ssmrun.EventSucceeded, "?"), done)
	b.Report(scope, step("two", ssmrun.EventFailed, "2"), done)
	b.Report(scope, ssmrun.Report{CommandID: "unknown", InstanceID: id(0), Event: ssmrun.EventFailed}, done)
	b.Report(scope, ssmrun.Report{CommandID: cmd.ID, InstanceID: id(0), Event: ssmrun.EventFailed}, done)
	b.Settled()
	if len(errs) != 7 || slices.ContainsFunc(errs, func(err error) bool { return err != nil }) {
		t.Errorf("answers %v", errs)
	}
	b.wantCommand(cmd.ID, failed)
	if n := b.command(cmd.ID).Revision - before; n > 3 {
		t.Errorf("%d changes of the command for events that came together", n)
	}
	var kept []ssmrun.Plugin
	b.must(b.store.View(b.ctx, func(tx store.Tx) (err error) { kept, err = tx.Plugins(scope, cmd.ID, id(0)); return err }))
	if len(kept) != 2 || kept[0].Stdout != "1" || kept[0].State != success || kept[1].Stdout != "2" || kept[1].State != failed {
		t.Errorf("plugins %+v", kept)
	}
	// A step's result that comes again, and otherwise, changes nothing.
	b.must(b.told(step("one", ssmrun.EventFailed, "again")))
	if p := b.plugin(cmd.ID, id(0)); p.Stdout != "1" || p.State != success {
		t.Errorf("a repeated result was taken: %+v", p)
	}
}
