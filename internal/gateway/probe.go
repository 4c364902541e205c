package gateway

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// probes ping a channel's agent, so that one that vanished without a word is
// noticed. Between two of them there is a timer and no goroutine: thousands of
// agents wait for their next.
type probes struct {
	mu    sync.Mutex
	timer *time.Timer // of the next
	over  bool
	out   sync.WaitGroup // the one that waits for its answer
}

// beginProbes has the agent pinged every Config.Ping until endProbes.
func (ch *channel) beginProbes(ctx context.Context) {
	p := &ch.probes
	p.mu.Lock() // the first may come before there is a timer to set anew
	defer p.mu.Unlock()
	p.timer = time.AfterFunc(ch.g.cfg.Ping, func() { ch.probe(ctx) })
}

// endProbes waits for the one that is out. The channel's context is done.
func (ch *channel) endProbes() {
	p := &ch.probes
	p.mu.Lock()
	p.over = true
	p.timer.Stop()
	p.mu.Unlock()
	p.out.Wait()
}

// probe pings once, and has the next come when Config.Ping has passed since, or at
// once where the answer took longer.
func (ch *channel) probe(ctx context.Context) {
	p := &ch.probes
	p.mu.Lock()
	if p.over {
		p.mu.Unlock()
		return
	}
	p.out.Add(1)
	p.mu.Unlock()
	defer p.out.Done()
	began := time.Now()
	if err := ch.ping(ctx); err != nil && !ch.waits.Load() { // else its answer may lie unread
		ch.cancel(fmt.Errorf("%w: %w", errSilent, err))
		return
	}
	ch.box.beat(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.over {
		p.timer.Reset(ch.g.cfg.Ping - time.Since(began))
	}
}

// ping waits Config.PingTimeout for an answer.
func (ch *channel) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, ch.g.cfg.PingTimeout)
	defer cancel()
	return ch.conn.Ping(ctx)
}
