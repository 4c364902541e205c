package control_test

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"ssmrun"
	"ssmrun/internal/control"
	"ssmrun/internal/store"
	"ssmrun/internal/store/sqlite"
)

var scope = ssmrun.Scope{Account: "000000000000", Region: "us-east-1"}

// agents stands where the gateway does: it says who is connected and keeps what
// is delivered.
type agents struct {
	mu        sync.Mutex
	connected map[string]bool
	delivered []ssmrun.Delivery
}

func (a *agents) Connected(id string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.connected[id]
}

func (a *agents) Deliver(d ssmrun.Delivery) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.connected[d.InstanceID] {
		return false
	}
	a.delivered = append(a.delivered, d)
	return true
}

// take gives what was delivered since the last call.
func (a *agents) take() []ssmrun.Delivery {
	a.mu.Lock()
	defer a.mu.Unlock()
	d := a.delivered
	a.delivered = nil
	return d
}

type bundle struct {
	*control.Controller
	t      testing.TB
	ctx    context.Context
	store  store.Store
	agents *agents
	now    time.Time
}

// setup gives a controller over a real store with n connected instances.
func setup(t testing.TB, n int, change ...func(*control.Config)) *bundle {
	t.Helper()
	b := &bundle{t: t, ctx: context.Background(), now: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC), agents: &agents{connected: map[string]bool{}}}
	db, err := sqlite.Open(b.ctx, filepath.Join(t.TempDir(), "test.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	b.store = db
	cfg := control.Config{Store: db, Logger: slog.New(slog.DiscardHandler), Now: func() time.Time { return b.now }}
	for _, fn := range change {
		fn(&cfg)
	}
	b.Controller = control.New(cfg)
	b.Attach(b.agents)
	for i := range n {
		b.agents.connected[id(i)] = true
		b.must(db.Update(b.ctx, func(tx store.Tx) error {
			return tx.PutInstance(&ssmrun.Instance{ID: id(i), Scope: scope, Name: fmt.Sprint("host", i), LastPing: b.now})
		}))
	}
	return b
}

func id(i int) string { return fmt.Sprintf("i-%017x", i) }

func ids(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = id(i)
	}
	return list
}

func (b *bundle) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *bundle) send(change func(*control.SendRequest)) *ssmrun.Command {
	b.t.Helper()
	req := control.SendRequest{
		Command: ssmrun.Command{
			Scope: scope, Caller: "arn:aws:iam::000000000000:user/test", Document: "AWS-RunShellScript", Version: "$DEFAULT",
			Content: "{}", InstanceIDs: []string{id(0)}, TimeoutSeconds: 60,
			MaxConcurrency: "50", MaxErrors: "0",
			Steps: []ssmrun.Step{{Name: "aws:runShellScript", Action: "aws:runShellScript"}},
		},
		ExecutionTime: 100 * time.Second,
	}
	if change != nil {
		change(&req)
	}
	cmd, err := b.Send(b.ctx, req)
	b.must(err)
	return cmd
}

func (b *bundle) command(id string) *ssmrun.Command {
	b.t.Helper()
	var c *ssmrun.Command
	b.must(b.store.View(b.ctx, func(tx store.Tx) (err error) { c, err = tx.Command(scope, id); return err }))
	return c
}

func (b *bundle) invocation(command, instance string) *ssmrun.Invocation {
	b.t.Helper()
	var i *ssmrun.Invocation
	b.must(b.store.View(b.ctx, func(tx store.Tx) (err error) { i, err = tx.Invocation(scope, command, instance); return err }))
	return i
}

func (b *bundle) plugin(command, instance string) ssmrun.Plugin {
	b.t.Helper()
	var kept []ssmrun.Plugin
	b.must(b.store.View(b.ctx, func(tx store.Tx) (err error) { kept, err = tx.Plugins(scope, command, instance); return err }))
	return b.command(command).Plugins(instance, kept)[0]
}

// durable waits for what a call of agents comes to.
func durable(call func(done func(error))) error {
	answer := make(chan error, 1)
	call(func(err error) { answer <- err })
	return <-answer
}

func (b *bundle) told(r ssmrun.Report) error {
	return durable(func(done func(error)) { b.Report(scope, r, done) })
}

func (b *bundle) taken(command, instance string, cancel bool) error {
	return durable(func(done func(error)) { b.Acknowledged(scope, command, instance, cancel, done) })
}

func (b *bundle) report(command, instance string, event ssmrun.Event, code int) {
	b.t.Helper()
	b.must(b.told(ssmrun.Report{
		CommandID: command, InstanceID: instance, Event: event,
		Plugins: []ssmrun.PluginReport{{Name: "aws:runShellScript", Event: event, ExitCode: code, Started: b.now, Finished: b.now, Stdout: "out"}},
	}))
}

func (b *bundle) ack(command, instance string) {
	b.t.Helper()
	b.must(b.taken(command, instance, false))
}

func (b *bundle) wantCommand(id string, want ssmrun.State) {
	b.t.Helper()
	if got := b.command(id).State; got != want {
		b.t.Errorf("command is %s, want %s", got, want)
	}
}

func (b *bundle) wantInvocation(command, instance string, want ssmrun.State) {
	b.t.Helper()
	if got := b.invocation(command, instance).State; got != want {
		b.t.Errorf("invocation of %s is %s, want %s", instance, got, want)
	}
}

var (
	pending    = ssmrun.State{Status: ssmrun.Pending, Details: ssmrun.DetailsPending}
	delayed    = ssmrun.State{Status: ssmrun.Pending, Details: ssmrun.DetailsDelayed}
	inProgress = ssmrun.State{Status: ssmrun.InProgress, Details: ssmrun.DetailsInProgress}
	success    = ssmrun.State{Status: ssmrun.Success, Details: ssmrun.DetailsSuccess}
	failed     = ssmrun.State{Status: ssmrun.Failed, Details: ssmrun.DetailsFailed}
	cancelled  = ssmrun.State{Status: ssmrun.Cancelled, Details: ssmrun.DetailsCancelled}
	terminated = ssmrun.State{Status: ssmrun.Failed, Details: ssmrun.DetailsTerminated}
	late       = ssmrun.State{Status: ssmrun.TimedOut, Details: ssmrun.DetailsDeliveryTimedOut}
)

func TestSendToSuccess(t *testing.T) {
	t.Parallel()
	b := setup(t, 1)
	cmd := b.send(nil)
	if cmd.State != pending || cmd.Counts.Target != 1 || !cmd.ExpiresAfter.Equal(cmd.RequestedAt.Add(160*time.Second)) {
		t.Errorf("answered %s, %d targets, expires after %s", cmd.State, cmd.Counts.Target, cmd.ExpiresAfter.Sub(cmd.RequestedAt))
	}
	d := b.agents.take()
	if len(d) != 1 || d[0].CommandID != cmd.ID || d[0].Cancel {
		t.Fatalf("delivered %+v", d)
	}
	b.wantInvocation(cmd.ID, id(0), inProgress)
	b.wantCommand(cmd.ID, inProgress)
	b.ack(cmd.ID, id(0))
	b.wantCommand(cmd.ID, inProgress)
	b.report(cmd.ID, id(0), ssmrun.EventSucceeded, 0)
	b.wantCommand(cmd.ID, success)
	if p := b.plugin(cmd.ID, id(0)); p.Stdout != "out" || p.ExitCode != 0 || p.State != success {
		t.Errorf("plugin %+v", p)
	}
	// A late and different word changes nothing.
	b.report(cmd.ID, id(0), ssmrun.EventFailed, 1)
	b.wantCommand(cmd.ID, success)
	if c := b.command(cmd.ID).Counts; c.Completed != 1 || c.Errors != 0 {
		t.Errorf("counts %+v", c)
	}
}

func TestStepsResultAfterTheEndIsKept(t *testing.T) {
	t.Parallel()
	b := setup(t, 1)
	cmd := b.send(func(r *control.SendRequest) {
		r.Command.Steps = []ssmrun.Step{{Name: "one", Action: "aws:runShellScript"}, {Name: "two", Action: "aws:runShellScript"}}
	})
	b.must(b.told(ssmrun.Report{CommandID: cmd.ID, InstanceID: id(0), Event: ssmrun.EventSucceeded}))
	b.wantCommand(cmd.ID, success)
	b.must(b.told(ssmrun.Report{
		CommandID: cmd.ID, InstanceID: id(0), Event: ssmrun.EventBegan,
		Plugins: []ssmrun.PluginReport{{Name: "one", Event: ssmrun.EventSucceeded, Stdout: "late"}},
	}))
	if p := b.plugin(cmd.ID, id(0)); p.Stdout != "late" || p.State != success {
		t.Errorf("the late result was lost: %+v", p)
	}
	b.wantCommand(cmd.ID, success)
}

func TestRepeatedRequestIsTheSameCommand(t *testing.T) {
	t.Parallel()
	b := setup(t, 1)
	token := func(s string) func(*control.SendRequest) { return func(r *control.SendRequest) { r.Token = s } }
	first, again, other := b.send(token("a")), b.send(token("a")), b.send(token("b"))
	if first.ID != again.ID || first.ID == other.ID {
		t.Errorf("ids %s, %s, %s", first.ID, again.ID, other.ID)
	}
	stranger := b.send(func(r *control.SendRequest) { r.Token, r.Command.Caller = "a", "arn:aws:iam::000000000000:user/other" })
	if stranger.ID == first.ID {
		t.Error("another caller got the command")
	}
	if n := len(b.agents.take()); n != 3 {
		t.Errorf("%d deliveries of 3 commands", n)
	}
}

func TestUnknownInstanceIsRefusedWhole(t *testing.T) {
	t.Parallel()
	b := setup(t, 1)
	_, err := b.Send(b.ctx, control.SendRequest{Command: ssmrun.Command{Scope: scope, InstanceIDs: []string{id(0), id(9)}, MaxConcurrency: "50", MaxErrors: "0"}})
	if ssmrun.ErrorCode(err) != ssmrun.CodeInvalidInstanceID {
		t.Fatalf("got %v", err)
	}
	if d := b.agents.take(); len(d) != 0 {
		t.Errorf("delivered %+v", d)
	}
}

func TestAwayThenBack(t *testing.T) {
	t.Parallel()
	b := setup(t, 1)
	b.agents.connected[id(0)] = false
	cmd := b.send(nil)
	b.wantInvocation(cmd.ID, id(0), delayed)
	b.agents.connected[id(0)] = true
	b.must(b.Connected(b.ctx, scope, id(0)))
	if d := b.agents.take(); len(d) != 1 {
		t.Fatalf("delivered %+v", d)
	}
	b.wantInvocation(cmd.ID, id(0), inProgress)
	// The connection is lost before the agent said that it has it.
	b.agents.connected[id(0)] = false
	b.must(b.Disconnected(b.ctx, scope, id(0)))
	b.wantInvocation(cmd.ID, id(0), delayed)
	b.agents.connected[id(0)] = true
	b.must(b.Connected(b.ctx, scope, id(0)))
	if d := b.agents.take(); len(d) != 1 {
		t.Fatalf("not offered again: %+v", d)
	}
	// What it has is not offered again.
	b.ack(cmd.ID, id(0))
	b.must(b.Disconnected(b.ctx, scope, id(0)))
	b.must(b.Connected(b.ctx, scope, id(0)))
	if d := b.agents.take(); len(d) != 0 {
		t.Errorf("offered what it has: %+v", d)
	}
	b.wantInvocation(cmd.ID, id(0), inProgress)
}

// sweep lets Run look at the deadlines until a command has the wanted revision.
func (b *bundle) runUntil(command string, want ssmrun.State) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 20*time.Second)
	defer cancel()
	done := make(chan struct{})
	go func() { defer close(done); _ = b.Run(ctx) }()
	for {
		c := b.command(command)
		if c.State == want || ctx.Err() != nil {
			break
		}
		b.must(b.WaitRevision(ctx, scope, command, c.Revision, 10*time.Second))
	}
	cancel()
	<-done
	b.wantCommand(command, want)
}

func TestDeliveryTimesOut(t *testing.T) {
	t.Parallel()
	b := setup(t, 1)
	b.agents.connected[id(0)] = false
	cmd := b.send(nil)
	b.now = b.now.Add(61 * time.Second)
	b.runUntil(cmd.ID, late)
	b.wantInvocation(cmd.ID, id(0), late)
	if c := b.command(cmd.ID).Counts; c.DeliveryTimedOut != 1 || c.Errors != 0 || c.Completed != 1 {
		t.Errorf("counts %+v", c)
	}
	if p := b.plugin(cmd.ID, id(0)); p.State != pending || p.ExitCode != -1 {
		t.Errorf("a plugin of which nothing was said: %+v", p)
	}
	// An agent that comes back too late gets nothing.
	b.agents.connected[id(0)] = true
	b.must(b.Connected(b.ctx, scope, id(0)))
	if d := b.agents.take(); len(d) != 0 {
		t.Errorf("delivered after its time: %+v", d)
	}
}

func TestSilentAgentIsGivenUp(t *testing.T) {
	t.Parallel()
	b := setup(t, 1)
	cmd := b.send(nil)
	b.ack(cmd.ID, id(0))
	b.now = b.now.Add(100*time.Second + 16*time.Second) // the steps' time and the grace
	b.agents.take()
	if got := b.invocation(cmd.ID, id(0)).Next; got.Before(b.now) {
		t.Fatalf("would be given up at %s, before delivery may take that long", got)
	}
	b.now = b.now.Add(60 * time.Second)
	b.runUntil(cmd.ID, late)
	if d := b.agents.take(); len(d) != 1 || !d[0].Cancel {
		t.Errorf("what may still run is not cancelled: %+v", d)
	}
}

func TestCancel(t *testing.T) {
	t.Parallel()
	b := setup(t, 3)
	b.agents.connected[id(2)] = false
	cmd := b.send(func(r *control.SendRequest) { r.Command.InstanceIDs = ids(3) })
	b.ack(cmd.ID, id(0))
	if d := b.agents.take(); len(d) != 2 {
		t.Fatalf("delivered %+v", d)
	}
	b.must(b.Cancel(b.ctx, scope, cmd.ID, nil))
	b.wantInvocation(cmd.ID, id(2), cancelled) // nobody has it
	b.wantInvocation(cmd.ID, id(0), inProgress)
	d := b.agents.take()
	if len(d) != 2 || !d[0].Cancel || !d[1].Cancel {
		t.Fatalf("delivered %+v", d)
	}
	b.report(cmd.ID, id(0), ssmrun.EventCancelled, 137)
	// The other one takes the cancel and never says more.
	b.must(b.taken(cmd.ID, id(1), true))
	b.now = b.now.Add(31 * time.Second)
	b.runUntil(cmd.ID, cancelled)
	if c := b.command(cmd.ID).Counts; c.Completed != 3 || c.Errors != 0 {
		t.Errorf("counts %+v", c)
	}
}

func TestCancelOfOneInstance(t *testing.T) {
	t.Parallel()
	b := setup(t, 2)
	cmd := b.send(func(r *control.SendRequest) { r.Command.InstanceIDs = ids(2) })
	b.ack(cmd.ID, id(0))
	b.agents.take()
	b.must(b.Cancel(b.ctx, scope, cmd.ID, []string{id(1)}))
	if d := b.agents.take(); len(d) != 1 || d[0].InstanceID != id(1) {
		t.Errorf("delivered %+v", d)
	}
	if err := b.Cancel(b.ctx, scope, cmd.ID, []string{id(7)}); ssmrun.ErrorCode(err) != ssmrun.CodeInvalidInstanceID {
		t.Errorf("an instance it was not sent to: %v", err)
	}
	if err := b.Cancel(b.ctx, scope, "00000000-0000-4000-8000-999000999000", nil); ssmrun.ErrorCode(err) != ssmrun.CodeInvalidCommandID {
		t.Errorf("an unknown command: %v", err)
	}
}

func TestCancelIsOfferedToAnAgentThatComesBack(t *testing.T) {
	t.Parallel()
	b := setup(t, 1)
	cmd := b.send(nil)
	b.ack(cmd.ID, id(0))
	b.agents.connected[id(0)] = false
	b.must(b.Disconnected(b.ctx, scope, id(0)))
	b.agents.take()
	b.must(b.Cancel(b.ctx, scope, cmd.ID, nil))
	b.agents.connected[id(0)] = true
	b.must(b.Connected(b.ctx, scope, id(0)))
	if d := b.agents.take(); len(d) != 1 || !d[0].Cancel {
		t.Errorf("delivered %+v", d)
	}
}

func TestMaxConcurrencyAndMaxErrors(t *testing.T) {
	t.Parallel()
	b := setup(t, 5)
	cmd := b.send(func(r *control.SendRequest) {
		r.Command.InstanceIDs = []string{id(4), id(2), id(0), id(1), id(3)}
		r.Command.MaxConcurrency, r.Command.MaxErrors = "2", "1"
	})
	b.ack(cmd.ID, id(0))
	first := b.agents.take()
	if len(first) != 2 || first[0].InstanceID != id(0) || first[1].InstanceID != id(1) {
		t.Fatalf("began with %+v", first)
	}
	b.ack(cmd.ID, id(1))
	b.wantInvocation(cmd.ID, id(2), pending)
	b.report(cmd.ID, id(0), ssmrun.EventFailed, 1)
	if d := b.agents.take(); len(d) != 1 || d[0].InstanceID != id(2) {
		t.Fatalf("went on with %+v", d)
	}
	b.report(cmd.ID, id(1), ssmrun.EventFailed, 1) // the second error: one over
	if d := b.agents.take(); len(d) != 0 {
		t.Fatalf("went on after the budget: %+v", d)
	}
	b.wantInvocation(cmd.ID, id(3), terminated)
	b.wantInvocation(cmd.ID, id(2), inProgress) // what runs ends by itself
	b.wantCommand(cmd.ID, inProgress)
	b.report(cmd.ID, id(2), ssmrun.EventSucceeded, 0)
	b.wantCommand(cmd.ID, failed)
	if c := b.command(cmd.ID).Counts; c.Completed != 5 || c.Errors != 2 || c.Terminated != 2 {
		t.Errorf("counts %+v", c)
	}
}

func TestWaitingForItsTurnIsNoDelay(t *testing.T) {
	t.Parallel()
	b := setup(t, 2)
	cmd := b.send(func(r *control.SendRequest) { r.Command.InstanceIDs, r.Command.MaxConcurrency = ids(2), "1" })
	b.ack(cmd.ID, id(0))
	b.now = b.now.Add(90 * time.Second) // longer than TimeoutSeconds
	b.report(cmd.ID, id(0), ssmrun.EventSucceeded, 0)
	b.wantInvocation(cmd.ID, id(1), inProgress)
}

func TestNoTargetsMatch(t *testing.T) {
	t.Parallel()
	b := setup(t, 1)
	cmd := b.send(func(r *control.SendRequest) {
		r.Command.InstanceIDs = nil
		r.Command.Targets = []ssmrun.Target{{Key: "tag:suite", Values: []string{"none"}}}
	})
	b.wantCommand(cmd.ID, ssmrun.State{Status: ssmrun.Success, Details: ssmrun.DetailsNoInstancesInTag})
}

func TestRejected(t *testing.T) {
	t.Parallel()
	b := setup(t, 1)
	cmd := b.send(nil)
	b.must(b.Rejected(b.ctx, scope, cmd.ID, id(0), "code 51406"))
	b.wantCommand(cmd.ID, failed)
	if inv := b.invocation(cmd.ID, id(0)); inv.Trace != "code 51406" {
		t.Errorf("trace %q", inv.Trace)
	}
}

func TestDrain(t *testing.T) {
	t.Parallel()
	b := setup(t, 1)
	cmd := b.send(func(r *control.SendRequest) { r.Token = "t" })
	b.ack(cmd.ID, id(0))
	b.Drain()
	if _, err := b.Send(b.ctx, control.SendRequest{Command: ssmrun.Command{Scope: scope, InstanceIDs: ids(1)}}); ssmrun.ErrorCode(err) != ssmrun.CodeUnavailable {
		t.Errorf("a new command while draining: %v", err)
	}
	// What was accepted before may be asked for again.
	if again := b.send(func(r *control.SendRequest) { r.Token = "t" }); again.ID != cmd.ID {
		t.Errorf("a repeated request got %s", again.ID)
	}
	expired, cancel := context.WithCancel(b.ctx)
	cancel()
	if n, err := b.WaitIdle(expired, []ssmrun.Scope{scope}); n != 1 || err != nil {
		t.Errorf("running %d, %v", n, err)
	}
	idle := make(chan int)
	go func() { n, _ := b.WaitIdle(b.ctx, []ssmrun.Scope{scope}); idle <- n }()
	b.report(cmd.ID, id(0), ssmrun.EventSucceeded, 0)
	if n := <-idle; n != 0 {
		t.Errorf("%d still run", n)
	}
}

func TestWaitRevision(t *testing.T) {
	t.Parallel()
	b := setup(t, 1)
	cmd := b.send(nil)
	now := b.command(cmd.ID).Revision
	woken := make(chan error)
	go func() { woken <- b.WaitRevision(b.ctx, scope, cmd.ID, now, time.Minute) }()
	b.report(cmd.ID, id(0), ssmrun.EventSucceeded, 0)
	b.must(<-woken)
	if after := b.command(cmd.ID); after.Revision == now || after.State != success {
		t.Errorf("revision %d, state %s", after.Revision, after.State)
	}
	// A revision that has passed is answered at once.
	b.must(b.WaitRevision(b.ctx, scope, cmd.ID, now, time.Hour))
	// One that stays is answered after the limit.
	b.must(b.WaitRevision(b.ctx, scope, cmd.ID, b.command(cmd.ID).Revision, time.Millisecond))
}

func TestPingStatus(t *testing.T) {
	t.Parallel()
	b := setup(t, 1)
	for _, c := range []struct {
		name      string
		connected bool
		instance  ssmrun.Instance
		want      ssmrun.PingStatus
	}{
		{"connected", true, ssmrun.Instance{ID: id(0), LastPing: b.now.Add(-time.Hour)}, ssmrun.Online},
		{"heard of lately", false, ssmrun.Instance{ID: id(0), LastPing: b.now.Add(-4 * time.Minute)}, ssmrun.Online},
		{"heard of long ago", false, ssmrun.Instance{ID: id(0), LastPing: b.now.Add(-6 * time.Minute)}, ssmrun.ConnectionLost},
		{"stopped cleanly", false, ssmrun.Instance{ID: id(0), LastPing: b.now, Stopped: true}, ssmrun.ConnectionLost},
		{"never heard of", false, ssmrun.Instance{ID: id(0)}, ssmrun.ConnectionLost},
	} {
		b.agents.connected[id(0)] = c.connected
		if got := b.PingStatus(&c.instance); got != c.want {
			t.Errorf("%s: %s", c.name, got)
		}
	}
}

// TestBusyAgentDoesNotBeginLate: an agent is there and has no room. When the
// time for delivery is over the command is taken back.
func TestBusyAgentDoesNotBeginLate(t *testing.T) {
	t.Parallel()
	b := setup(t, 1)
	cmd := b.send(nil)
	b.agents.take()
	b.now = b.now.Add(59 * time.Second)
	b.sweepOnce()
	b.wantInvocation(cmd.ID, id(0), inProgress)
	b.now = b.now.Add(2 * time.Second)
	b.sweepOnce()
	b.wantInvocation(cmd.ID, id(0), late)
	if d := b.agents.take(); len(d) != 1 || !d[0].Cancel {
		t.Errorf("it is not taken back: %+v", d)
	}
}

// TestAgentThatWentAwayMayBeRunning: nobody knows whether it took the command
// before it was lost, so its word is waited for.
func TestAgentThatWentAwayMayBeRunning(t *testing.T) {
	t.Parallel()
	b := setup(t, 1)
	cmd := b.send(nil)
	b.agents.connected[id(0)] = false
	b.must(b.Disconnected(b.ctx, scope, id(0)))
	b.now = b.now.Add(61 * time.Second)
	b.sweepOnce()
	b.wantInvocation(cmd.ID, id(0), delayed)
	b.report(cmd.ID, id(0), ssmrun.EventSucceeded, 0) // it had run it
	b.wantCommand(cmd.ID, success)

	silent := b.send(nil)
	b.agents.connected[id(0)] = true
	b.must(b.Connected(b.ctx, scope, id(0)))
	b.agents.connected[id(0)] = false
	b.must(b.Disconnected(b.ctx, scope, id(0)))
	b.now = b.now.Add(176 * time.Second) // delivery, steps and grace
	b.sweepOnce()
	b.wantInvocation(silent.ID, id(0), late)
}
