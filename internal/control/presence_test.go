package control_test

import (
	"testing"
	"time"

	"ssmrun"
	"ssmrun/internal/control"
)

func TestInactive(t *testing.T) {
	t.Parallel()
	const (
		hybrid = "mi-0123456789abcdef0"
		day    = 24 * time.Hour
	)
	b := setup(t, 0, func(c *control.Config) { c.InactiveAfter = day })
	never := setup(t, 0)
	for _, c := range []struct {
		name      string
		connected bool
		instance  ssmrun.Instance
		want      ssmrun.PingStatus
	}{
		{"an EC2 instance that is silent for long", false, ssmrun.Instance{ID: id(0), LastPing: b.now.Add(-2 * day)}, ssmrun.ConnectionLost},
		{"silent for hours", false, ssmrun.Instance{ID: hybrid, LastPing: b.now.Add(-23 * time.Hour)}, ssmrun.ConnectionLost},
		{"silent for long", false, ssmrun.Instance{ID: hybrid, LastPing: b.now.Add(-2 * day)}, ssmrun.Inactive},
		{"stopped long ago", false, ssmrun.Instance{ID: hybrid, LastPing: b.now.Add(-2 * day), Stopped: true}, ssmrun.Inactive},
		{"has just registered", false, ssmrun.Instance{ID: hybrid, RegisteredAt: b.now}, ssmrun.ConnectionLost},
		{"registered and never came", false, ssmrun.Instance{ID: hybrid, RegisteredAt: b.now.Add(-2 * day)}, ssmrun.Inactive},
		{"heard of lately", false, ssmrun.Instance{ID: hybrid, LastPing: b.now, RegisteredAt: b.now.Add(-2 * day)}, ssmrun.Online},
		{"connected", true, ssmrun.Instance{ID: hybrid, LastPing: b.now.Add(-2 * day)}, ssmrun.Online},
	} {
		b.agents.connected[c.instance.ID] = c.connected
		if got := b.PingStatus(&c.instance); got != c.want {
			t.Errorf("%s: %s", c.name, got)
		}
		if got := never.PingStatus(&c.instance); got == ssmrun.Inactive {
			t.Errorf("%s: Inactive where nothing ever is", c.name)
		}
	}
}

// TestWithdrawn: a cancel that came before the delivery went out ends it at once.
// Without a cancel, and of what has begun, the word means nothing.
func TestWithdrawn(t *testing.T) {
	t.Parallel()
	b := setup(t, 1)
	withdrawn := func(command string) ssmrun.Status {
		b.must(durable(func(done func(error)) { b.Withdrawn(scope, command, id(0), done) }))
		return b.invocation(command, id(0)).State.Status
	}
	one := b.send(nil)
	if s := withdrawn(one.ID); s != ssmrun.InProgress {
		t.Errorf("without a cancel: %s", s)
	}
	b.must(b.Cancel(b.ctx, scope, one.ID, nil))
	if s := withdrawn(one.ID); s != ssmrun.Cancelled || b.command(one.ID).State.Status != ssmrun.Cancelled {
		t.Errorf("cancelled: %s", s)
	}
	two := b.send(nil)
	b.must(b.taken(two.ID, id(0), false))
	b.must(b.Cancel(b.ctx, scope, two.ID, nil))
	if s := withdrawn(two.ID); s.Terminal() {
		t.Errorf("taken: %s", s)
	}
	b.must(durable(func(done func(error)) { b.Withdrawn(scope, "unknown", id(0), done) }))
}

// TestAgain: whoever delivers is told what an agent may have already.
func TestAgain(t *testing.T) {
	t.Parallel()
	b := setup(t, 1)
	cmd := b.send(nil)
	if list := b.agents.take(); len(list) != 1 || list[0].Again {
		t.Errorf("first: %+v", list)
	}
	b.must(b.Connected(b.ctx, scope, id(0)))
	if list := b.agents.take(); len(list) != 1 || !list[0].Again || list[0].CommandID != cmd.ID {
		t.Errorf("then: %+v", list)
	}
}
