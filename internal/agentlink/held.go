package agentlink

import (
	"context"
	"slices"
	"time"

	"ssmrun/internal/wire"
)

// Bounds of what is held: messages that there was no room for.
const (
	maxHeldMessages = 50
	// heldEarly is how long before the service shows a message again it is let go.
	heldEarly = time.Second
	heldEvery = 100 * time.Millisecond
)

// held is a message that there was no room for. The service shows it again when
// its visibility ends; until then it is offered to the Handler now and then, so
// that what ends meanwhile makes room for it and not for nobody.
type held struct {
	message wire.Message
	until   time.Time
}

// hold keeps a message that came now.
func (p *poller) hold(m wire.Message) {
	p.mu.Lock()
	defer p.mu.Unlock()
	keep := p.l.cfg.Timing.Visibility - heldEarly
	if keep <= 0 || len(p.held) >= maxHeldMessages {
		return
	}
	p.held = append(p.held, held{m, time.Now().Add(keep)})
	select {
	case p.holds <- struct{}{}:
	default:
	}
}

// offer offers what is held, oldest first, until polled is closed. What it holds
// then comes by the next way.
func (p *poller) offer(ctx context.Context, polled <-chan struct{}) {
	defer p.letGo()
	for {
		select {
		case <-p.holds:
		case <-polled:
			return
		}
		for !closed(polled) && ctx.Err() == nil && p.offerAll() {
			pause(ctx, polled, heldEvery)
		}
	}
}

// offerAll offers each once, up to the first that there is no room for, and tells
// whether some are left. Nobody else takes of what is held while polls go on.
func (p *poller) offerAll() bool {
	for {
		p.mu.Lock()
		now := time.Now()
		p.held = slices.DeleteFunc(p.held, func(h held) bool { return now.After(h.until) })
		if len(p.held) == 0 {
			p.mu.Unlock()
			return false
		}
		first := p.held[0]
		p.mu.Unlock()
		if _, room := p.hand(first.message); !room {
			return true
		}
		p.mu.Lock()
		p.held = p.held[1:]
		p.mu.Unlock()
	}
}

func (p *poller) letGo() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held = nil
}
