package gateway_test

import (
	"testing"
	"time"

	"ssmrun"
	"ssmrun/internal/store"
	"ssmrun/internal/wire"
)

// TestReboot: an agent that restarts its host says so, goes, and ends the same job
// when it is back, without being offered it a second time.
func TestReboot(t *testing.T) {
	t.Parallel()
	b := setup(t, time.Minute)
	f := b.connect()
	id := b.send()
	j := f.job()
	f.ack(j.JobID, wire.AckOK)
	f.reply(j.JobID, wire.StatusSuccessAndReboot, map[string]wire.PluginStatus{"aws:runShellScript": {
		Status: wire.StatusSuccessAndReboot, Code: ssmrun.ExitReboot, Name: "aws:runShellScript", StandardOutput: "before\n",
	}})
	var finishBy time.Time
	b.must(b.store.View(b.ctx, func(tx store.Tx) error {
		i, err := tx.Invocation(scope, id, instance)
		if err == nil {
			finishBy = i.FinishBy
		}
		return err
	}))
	if left := time.Until(finishBy); left < ssmrun.RebootGrace || left > ssmrun.RebootGrace+5*time.Minute {
		t.Errorf("the agent has %v", left)
	}
	if s, p := b.state(id), b.plugin(id); s.Status != ssmrun.InProgress || p.State.Status != ssmrun.InProgress || p.Stdout != "before\n" || p.ExitCode != ssmrun.ExitNotStarted {
		t.Errorf("state %s, plugin %+v", s, p)
	}
	_ = f.conn.CloseNow()
	again := b.connect()
	other := b.send()
	if next := again.job(); next.JobID != wire.JobID(other, instance) {
		t.Errorf("offered %s, want the other command", next.JobID)
	}
	again.reply(j.JobID, wire.StatusSuccess, done)
	if s, p := b.state(id), b.plugin(id); s.Status != ssmrun.Success || p.Stdout != "a\nb\n" || p.ExitCode != 0 {
		t.Errorf("state %s, plugin %+v", s, p)
	}
}
