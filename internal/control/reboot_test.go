package control_test

import (
	"testing"
	"time"

	"ssmrun"
)

// TestRebootTakesItsTime: an invocation whose host restarts stays InProgress, has
// the time for that and for its steps once more, and not without end.
func TestRebootTakesItsTime(t *testing.T) {
	t.Parallel()
	b := setup(t, 1)
	cmd := b.send(nil)
	b.ack(cmd.ID, id(0))
	reboot := ssmrun.Report{
		CommandID: cmd.ID, InstanceID: id(0), Event: ssmrun.EventBegan, Reboot: true,
		Plugins: []ssmrun.PluginReport{{Name: "aws:runShellScript", Event: ssmrun.EventBegan, ExitCode: 194, Started: b.now, Stdout: "before\n"}},
	}
	b.now = b.now.Add(90 * time.Second)
	b.must(b.told(reboot))
	b.agents.connected[id(0)] = false
	b.must(b.Disconnected(b.ctx, scope, id(0)))
	b.wantInvocation(cmd.ID, id(0), inProgress)
	if p := b.plugin(cmd.ID, id(0)); p.State != inProgress || p.Stdout != "before\n" || p.ExitCode != ssmrun.ExitNotStarted || !p.Finished.IsZero() {
		t.Errorf("plugin %+v", p)
	}
	b.now = b.now.Add(ssmrun.RebootGrace)
	b.sweepOnce()
	b.wantInvocation(cmd.ID, id(0), inProgress)
	b.agents.take()
	b.agents.connected[id(0)] = true
	b.must(b.Connected(b.ctx, scope, id(0)))
	if again := b.agents.take(); len(again) > 0 {
		t.Errorf("offered again: %+v", again)
	}
	b.report(cmd.ID, id(0), ssmrun.EventSucceeded, 0)
	b.wantInvocation(cmd.ID, id(0), success)
	b.must(b.told(reboot)) // repeated, and late
	b.wantInvocation(cmd.ID, id(0), success)
	if p := b.plugin(cmd.ID, id(0)); p.ExitCode != 0 || p.Stdout != "out" {
		t.Errorf("plugin %+v", p)
	}

	// A host that does not come back is given up.
	cmd = b.send(nil)
	b.ack(cmd.ID, id(0))
	reboot.CommandID = cmd.ID
	b.must(b.told(reboot))
	b.now = b.now.Add(ssmrun.RebootGrace + 116*time.Second)
	b.sweepOnce()
	b.wantInvocation(cmd.ID, id(0), late)

	// So is one that is restarted without end.
	cmd = b.send(nil)
	b.ack(cmd.ID, id(0))
	reboot.CommandID = cmd.ID
	n := 0
	for ; n < 100 && !b.invocation(cmd.ID, id(0)).State.Terminal(); n++ {
		b.must(b.told(reboot))
		b.now = b.now.Add(ssmrun.RebootGrace)
		b.sweepOnce()
	}
	if n < ssmrun.MaxReboots || n == 100 {
		t.Errorf("given up after %d reboots", n)
	}

	// A cancel that the agent took is not put off by a reboot.
	cmd = b.send(nil)
	b.ack(cmd.ID, id(0))
	b.must(b.Cancel(b.ctx, scope, cmd.ID, nil))
	b.must(b.taken(cmd.ID, id(0), true))
	reboot.CommandID = cmd.ID
	b.must(b.told(reboot))
	b.now = b.now.Add(time.Minute)
	b.sweepOnce()
	b.wantInvocation(cmd.ID, id(0), cancelled)
}
