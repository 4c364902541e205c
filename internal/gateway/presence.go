package gateway

import (
	"context"
	"time"

	"ssmrun"
)

// An agent is there while its websocket is open, or while it polls:
//
//	away ─ opens a websocket, or polls ─> there ─ the websocket ends, and no poll within the grace ─> away
//
// Control hears of both ends. Between two polls an agent is not connected at all,
// so it counts as there for Config.PollGrace after each.

// box gives the instance's mailbox, a new one where its agent was away. ok is
// false where the service is stopping. g.mu is held.
func (g *Gateway) box(scope ssmrun.Scope, instanceID string) (b *mailbox, ok bool) {
	if g.closing {
		return nil, false
	}
	if b = g.boxes[instanceID]; b != nil && b.scope == scope { // else it was deregistered, and registered elsewhere
		return b, true
	}
	b = &mailbox{
		g: g, instance: instanceID, scope: scope, jobs: map[string]*job{},
		log: g.cfg.Logger.With("instance", instanceID),
	}
	g.boxes[instanceID] = b
	return b, true
}

// find gives the instance's mailbox; nil where its agent is away.
func (g *Gateway) find(instanceID string) *mailbox {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.boxes[instanceID]
}

// enter counts a channel whose opening frame is still to come as one that Close
// ends and waits for. It is false where the service is stopping.
func (g *Gateway) enter(ch *channel) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closing {
		return false
	}
	g.opening[ch] = struct{}{}
	g.open.Add(1)
	return true
}

// addChannel makes ch, whose opening frame has come, its instance's channel where
// that frame was right. An older one is closed: an agent that connects anew has
// lost it.
func (g *Gateway) addChannel(ch *channel, right bool) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.opening, ch)
	if !right {
		return false
	}
	b, ok := g.box(ch.scope, ch.instance)
	if !ok {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	ch.box, ch.log = b, b.log // one logger is enough of each agent
	old := b.channel
	b.channel, b.clean, b.deaf = ch, false, false
	if old != nil {
		old.cancel(errReplaced)
	}
	b.lost()
	return true
}

// removeChannel tells whether the agent is away with it.
func (g *Gateway) removeChannel(ch *channel, clean bool) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	b := ch.box
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.channel != ch {
		return false
	}
	b.channel, b.clean, b.last, b.deaf = nil, clean, g.cfg.Now(), false
	if b.poll != nil || b.grace != nil {
		b.lost()
		return false
	}
	g.forget(b)
	return true
}

// addPoll makes p its instance's poll, and tells whether the agent has to be
// offered what waits. The poll before is answered with nothing: the agent that
// polls anew has given it up.
func (g *Gateway) addPoll(p *poll, scope ssmrun.Scope, instanceID string) (offer, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	b, ok := g.box(scope, instanceID)
	if !ok {
		return false, false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	p.box = b
	if b.poll != nil {
		b.poll.cancel(errReplaced)
	}
	b.poll, b.clean = p, false
	b.endGrace()
	offer = b.channel == nil && !b.offered && !b.offering
	b.offering = b.offering || offer
	g.open.Add(1)
	return offer, true
}

// removePoll begins the grace. It tells whether the agent is away at once, which
// is where it is not registered any more or the service stops.
func (g *Gateway) removePoll(p *poll, dropped bool) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	b := p.box
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.poll != p {
		return false
	}
	b.poll, b.last = nil, g.cfg.Now()
	if g.closing || dropped {
		if b.channel != nil {
			return false
		}
		g.forget(b)
		return true
	}
	b.graces++
	n := b.graces
	b.grace = time.AfterFunc(g.cfg.PollGrace, func() { g.lapse(b, n) })
	return false
}

// endGrace stops the grace that runs, if any. b.mu is held.
func (b *mailbox) endGrace() {
	if b.grace != nil {
		b.grace.Stop()
		b.grace = nil
	}
}

// lapse ends the nth grace, unless a poll has come since.
func (g *Gateway) lapse(b *mailbox, n uint64) {
	g.mu.Lock()
	b.mu.Lock()
	away := false
	if b.grace != nil && b.graces == n {
		b.grace, b.deaf = nil, false
		b.poke()
		away = b.channel == nil && g.boxes[b.instance] == b
	}
	if away {
		g.forget(b)
		g.open.Add(1)
	}
	b.mu.Unlock()
	g.mu.Unlock()
	if away {
		defer g.open.Done()
		b.log.Info("agent away", "cause", "it polls no more")
		b.away()
	}
}

// forget takes a mailbox out of those of agents that are there. g.mu is held.
func (g *Gateway) forget(b *mailbox) {
	if g.boxes[b.instance] == b {
		delete(g.boxes, b.instance)
		g.announce()
	}
}

// away tells store and control that the agent is gone.
func (b *mailbox) away() {
	ctx, cancel := context.WithTimeout(context.Background(), openTimeout)
	defer cancel()
	b.mu.Lock()
	last, clean := b.last, b.clean
	b.mu.Unlock()
	b.seen(ctx, last, clean)
	if err := b.g.cfg.Control.Disconnected(ctx, b.scope, b.instance); err != nil {
		b.log.Error("note what was not delivered", "error", err)
	}
}

// offer has control hand over what waits for the agent.
func (g *Gateway) offer(ctx context.Context, b *mailbox) {
	err := g.cfg.Control.Connected(ctx, b.scope, b.instance)
	if err != nil {
		b.log.Error("offer what waits", "error", err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.offering = false
	// Where it failed, the next poll has it tried again. A websocket has not.
	if b.offered = err == nil || b.channel != nil; b.offered {
		g.announce()
	}
}

// Drop ends all ways to an instance's agent: it is not registered any more.
func (g *Gateway) Drop(instanceID string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if b := g.boxes[instanceID]; b != nil {
		g.end(b, errDropped)
	}
}

// end ends all ways to an agent. Where none is open its mailbox is forgotten at
// once, which is told. g.mu is held.
func (g *Gateway) end(b *mailbox, cause error) (forgotten bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.channel != nil {
		b.channel.cancel(cause)
	}
	if b.poll != nil {
		b.poll.cancel(cause)
	}
	b.endGrace()
	if b.channel != nil || b.poll != nil {
		return false
	}
	g.forget(b)
	return true
}

// Close ends all ways to agents and waits until they are done. New ones are
// refused. The agents come back when the service does.
func (g *Gateway) Close(ctx context.Context) error {
	var away []*mailbox
	g.mu.Lock()
	g.closing = true
	for ch := range g.opening {
		ch.cancel(errClosing)
	}
	for _, b := range g.boxes {
		if g.end(b, errClosing) {
			away = append(away, b)
		}
	}
	g.mu.Unlock()
	done := make(chan struct{})
	go func() {
		for _, b := range away {
			b.away()
		}
		g.open.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
