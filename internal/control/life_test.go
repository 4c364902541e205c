package control_test

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"pgregory.net/rapid"

	"ssmrun"
	"ssmrun/internal/control"
)

// host stands for an agent: it has a journal, and so runs a command at most
// once, but its words may be lost, come twice, late and in any order.
type host struct {
	id        string
	journal   map[string]ssmrun.Event // by command: how it ended, or EventBegan
	ran       map[string]int
	owed      []ssmrun.Report // not known to be kept by the service
	cancelled map[string]bool
	offered   []ssmrun.Delivery // had no room for; the gateway offers it again
}

// life is a service with hosts through a random history.
type life struct {
	*bundle
	rt    *rapid.T
	hosts []*host
	sent  []string
	ended map[string]ssmrun.State
}

func (l *life) restart() {
	l.Settled()
	cfg := control.Config{Store: l.store, Logger: slog.New(slog.DiscardHandler), Now: func() time.Time { return l.now }}
	l.Controller = control.New(cfg)
	l.Attach(l.agents)
	for _, h := range l.hosts { // all channels are lost with the process
		l.agents.mu.Lock()
		l.agents.connected[h.id] = false
		l.agents.mu.Unlock()
		h.offered = nil
	}
	l.agents.take() // what was on its way is lost
}

func (l *life) connect(h *host, to bool) {
	l.agents.mu.Lock()
	was := l.agents.connected[h.id]
	l.agents.connected[h.id] = to
	l.agents.mu.Unlock()
	h.offered = nil // with the channel
	if to {
		l.must(l.Connected(l.ctx, scope, h.id))
	} else if was {
		l.must(l.Disconnected(l.ctx, scope, h.id))
	}
}

// deliver lets hosts get what the service has sent, or lose it.
func (l *life) deliver() {
	for _, d := range l.agents.take() {
		var h *host
		for _, other := range l.hosts {
			if other.id == d.InstanceID {
				h = other
			}
		}
		fate := rapid.SampledFrom([]string{"arrives", "arrives", "arrives", "arrives twice", "finds no room", "is lost"}).Draw(l.rt, "delivery")
		if fate == "is lost" {
			l.connect(h, false) // a channel loses only what it ends with
			continue
		}
		if _, known := h.journal[d.CommandID]; fate == "finds no room" && !known && !d.Cancel {
			l.Busy(scope, d.CommandID, h.id, func(err error) { l.must(err) })
			h.offered = append(h.offered, d)
			continue
		}
		for range map[string]int{"arrives": 1, "arrives twice": 2, "finds no room": 1}[fate] {
			l.take(h, d)
		}
	}
}

func (l *life) take(h *host, d ssmrun.Delivery) {
	if d.Cancel {
		h.cancelled[d.CommandID] = true
		if h.journal[d.CommandID] == ssmrun.EventBegan && h.ran[d.CommandID] > 0 {
			h.end(d.CommandID, ssmrun.EventCancelled)
		}
		l.Acknowledged(scope, d.CommandID, h.id, true, func(error) {})
		return
	}
	if _, known := h.journal[d.CommandID]; known {
		return // refused: it has it
	}
	h.journal[d.CommandID] = ssmrun.EventBegan
	h.ran[d.CommandID]++
	if rapid.Bool().Draw(l.rt, "acknowledged") {
		l.Acknowledged(scope, d.CommandID, h.id, false, func(error) {})
	}
	h.owed = append(h.owed, ssmrun.Report{CommandID: d.CommandID, InstanceID: h.id, Event: ssmrun.EventBegan})
}

func (h *host) end(command string, event ssmrun.Event) {
	h.journal[command] = event
	h.owed = append(h.owed, ssmrun.Report{CommandID: command, InstanceID: h.id, Event: event, Plugins: []ssmrun.PluginReport{{
		Name: "aws:runShellScript", Event: event, Stdout: fmt.Sprintf("%s ran %s", h.id, command),
	}}})
}

// work lets a host end something that it runs, and tell what it owes: some of
// it, in any order, some twice.
func (l *life) work(h *host) {
	if l.agents.Connected(h.id) {
		offered := h.offered
		h.offered = nil
		for _, d := range offered {
			l.take(h, d)
		}
	}
	for command, state := range h.journal {
		if state == ssmrun.EventBegan && rapid.Bool().Draw(l.rt, "ends") {
			h.end(command, rapid.SampledFrom([]ssmrun.Event{
				ssmrun.EventSucceeded, ssmrun.EventSucceeded, ssmrun.EventFailed, ssmrun.EventExecutionTimedOut,
			}).Draw(l.rt, "how"))
		}
	}
	var left []ssmrun.Report
	for _, r := range rapid.Permutation(h.owed).Draw(l.rt, "order") {
		if !l.agents.Connected(h.id) || rapid.IntRange(0, 3).Draw(l.rt, "told") == 0 {
			left = append(left, r)
			continue
		}
		l.Report(scope, r, func(err error) { l.must(err) })
		if rapid.IntRange(0, 3).Draw(l.rt, "again") == 0 {
			left = append(left, r) // its acknowledgement was lost
		}
	}
	h.owed = left
}

// TestEveryCommandEnds leads commands through any life of agents, callers and
// the service. After it every invocation is over, once, the counters are what a
// recount gives, and nothing was run twice.
func TestEveryCommandEnds(t *testing.T) {
	t.Parallel()
	const instances = 5
	rapid.Check(t, func(rt *rapid.T) {
		l := &life{bundle: setup(t, instances), rt: rt, ended: map[string]ssmrun.State{}}
		for i := range instances {
			l.hosts = append(l.hosts, &host{id: id(i), journal: map[string]ssmrun.Event{}, ran: map[string]int{}, cancelled: map[string]bool{}})
			if i%2 == 0 {
				l.tag(id(i), map[string]string{"even": "yes"})
			}
		}
		for range rapid.IntRange(3, 30).Draw(rt, "steps") {
			l.step()
			for _, c := range l.sent {
				l.Settled()
				checkCommand(rt, l.bundle, c, l.ended)
			}
		}
		l.finish()
	})
}

func (l *life) step() {
	rt := l.rt
	h := rapid.SampledFrom(l.hosts).Draw(rt, "host")
	action := rapid.SampledFrom([]string{"send", "send", "deliver", "deliver", "work", "work", "connect", "disconnect", "cancel", "later", "restart"}).Draw(rt, "action")
	if len(l.sent) == 0 {
		action = "send"
	}
	switch action {
	case "send":
		cmd := l.send(func(r *control.SendRequest) {
			r.Command.MaxConcurrency = rapid.SampledFrom([]string{"1", "2", "50", "100%", "40%"}).Draw(rt, "concurrency")
			r.Command.MaxErrors = rapid.SampledFrom([]string{"0", "1", "50%", "100%"}).Draw(rt, "errors")
			switch rapid.IntRange(0, 2).Draw(rt, "by") {
			case 0:
				r.Command.InstanceIDs = ids(rapid.IntRange(1, len(l.hosts)).Draw(rt, "to"))
			case 1:
				to(target("tag:even", "yes"))(r)
			default:
				to(target("InstanceIds", id(0), id(1), id(77)))(r)
			}
		})
		l.sent = append(l.sent, cmd.ID)
	case "deliver":
		l.deliver()
	case "work":
		l.work(h)
	case "connect", "disconnect":
		l.connect(h, action == "connect")
	case "cancel":
		l.must(l.Cancel(l.ctx, scope, rapid.SampledFrom(l.sent).Draw(rt, "command"), nil))
	case "later":
		l.now = l.now.Add(time.Duration(rapid.IntRange(1, 200).Draw(rt, "seconds")) * time.Second)
		l.sweepOnce()
	case "restart":
		l.restart()
	}
}

// finish lets time pass until nothing can change any more.
func (l *life) finish() {
	for range 40 {
		l.now = l.now.Add(10 * time.Minute)
		l.sweepOnce()
		l.agents.take() // nobody is there any more
		l.Settled()
	}
	for _, c := range l.sent {
		checkCommand(l.rt, l.bundle, c, l.ended)
		if cmd := l.command(c); !cmd.State.Terminal() {
			l.rt.Fatalf("command %s is still %s: %+v", c, cmd.State, cmd.Counts)
		}
		l.recount(c)
	}
	for _, h := range l.hosts {
		for command, n := range h.ran {
			if n > 1 {
				l.rt.Fatalf("%s ran %s %d times", h.id, command, n)
			}
			inv := l.invocation(command, h.id)
			if inv.Handed.IsZero() {
				l.rt.Fatalf("%s ran %s, which the service says that it never had", h.id, command)
			}
			if inv.State.Details == ssmrun.DetailsTerminated || inv.State.Details == ssmrun.DetailsUndeliverable {
				l.rt.Fatalf("%s ran %s, which is %s", h.id, command, inv.State)
			}
		}
	}
}

// recount compares every counter with what the invocations say.
func (l *life) recount(command string) {
	var want ssmrun.Counts
	for _, i := range l.invocations(command) {
		want.Target++
		if !i.Begun.IsZero() {
			want.Begun++
		}
		for _, t := range ssmrun.Transitions {
			if t.Level == ssmrun.InvocationLevel && t.To == i.State {
				want.Add(t.Counts)
				break
			}
		}
	}
	got := l.command(command).Counts
	want.CancelRequested, want.ErrorsBeyondLimit, want.Tried = got.CancelRequested, got.ErrorsBeyondLimit, got.Tried
	if got != want {
		l.rt.Fatalf("command %s counts %+v, a recount gives %+v", command, got, want)
	}
}
