// Package gateway is step 6 of a run: the agent's side of the service. It keeps
// the control channels of agents (ssmmessages: a websocket with binary frames),
// answers the calls that agents make of the service itself (registration, role
// tokens, heartbeats), turns control's deliveries into frames and agents'
// replies into control's reports. daemon calls it with verified requests,
// control as its Deliverer; it calls control, identity and store.
//
// What an agent has not acknowledged is sent again, under the same job id: the
// agent knows what it has and refuses the second. What an agent reports is
// acknowledged once it is durable, so that the agent keeps it until then.
package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"ssmrun"
	"ssmrun/internal/control"
	"ssmrun/internal/identity"
	"ssmrun/internal/store"
)

// Config is what a Gateway needs.
type Config struct {
	Control  *control.Controller
	Identity *identity.Service
	Store    store.Store
	Logger   *slog.Logger
	Now      func() time.Time // time.Now where nil
	// Resend is how long an agent may take to acknowledge a job before it is
	// sent again. Default 5 s.
	Resend time.Duration
	// Ping is how often a channel is probed; an agent that does not answer
	// within PingTimeout is gone. Default 15 s and 10 s. An answer counts as a
	// heartbeat, stored once in Heartbeat. Default 60 s.
	Ping, PingTimeout, Heartbeat time.Duration
}

// Gateway holds the channels.
type Gateway struct {
	cfg      Config
	payloads payloads

	mu       sync.Mutex
	channels map[string]*channel
	changed  chan struct{} // closed, and made anew, when channels changes
	closing  bool
	open     sync.WaitGroup
}

// New makes a Gateway.
func New(cfg Config) *Gateway {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	for _, d := range []struct {
		is       *time.Duration
		standard time.Duration
	}{{&cfg.Resend, 5 * time.Second}, {&cfg.Ping, 15 * time.Second}, {&cfg.PingTimeout, 10 * time.Second}, {&cfg.Heartbeat, time.Minute}} {
		if *d.is == 0 {
			*d.is = d.standard
		}
	}
	return &Gateway{cfg: cfg, channels: map[string]*channel{}, changed: make(chan struct{})}
}

// Connected implements control.Deliverer.
func (g *Gateway) Connected(instanceID string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.channels[instanceID] != nil
}

// Deliver implements control.Deliverer.
func (g *Gateway) Deliver(d ssmrun.Delivery) bool {
	g.mu.Lock()
	ch := g.channels[d.InstanceID]
	g.mu.Unlock()
	if ch == nil {
		return false
	}
	ch.enqueue(d)
	return true
}

// WaitConnected returns when all the instances' agents have an open channel and
// have been offered what waited for them.
func (g *Gateway) WaitConnected(ctx context.Context, instanceIDs []string) error {
	for {
		g.mu.Lock()
		changed, missing := g.changed, ""
		for _, id := range instanceIDs {
			if ch := g.channels[id]; ch == nil || !ch.offered {
				missing = id
			}
		}
		g.mu.Unlock()
		if missing == "" {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("wait for the agent of %s: %w", missing, context.Cause(ctx))
		}
	}
}

// announce wakes WaitConnected. g.mu is held.
func (g *Gateway) announce() {
	close(g.changed)
	g.changed = make(chan struct{})
}

// Drop closes an instance's channel: it is not registered any more.
func (g *Gateway) Drop(instanceID string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if ch := g.channels[instanceID]; ch != nil {
		ch.cancel(errDropped)
	}
}

// Close closes all channels and waits until they are done. New ones are
// refused. The agents come back when the service does.
func (g *Gateway) Close(ctx context.Context) error {
	g.mu.Lock()
	g.closing = true
	for _, ch := range g.channels {
		ch.cancel(errClosing)
	}
	g.mu.Unlock()
	done := make(chan struct{})
	go func() {
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

// add makes ch its instance's channel. An older one is closed: an agent that
// connects anew has lost it.
func (g *Gateway) add(ch *channel) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closing {
		return false
	}
	if old := g.channels[ch.instance]; old != nil {
		old.cancel(errReplaced)
	}
	g.channels[ch.instance] = ch
	return true
}

// offer notes that what waited for the channel's agent has been offered to it.
func (g *Gateway) offer(ch *channel) {
	g.mu.Lock()
	defer g.mu.Unlock()
	ch.offered = true
	g.announce()
}

// remove tells whether ch was still its instance's channel.
func (g *Gateway) remove(ch *channel) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.channels[ch.instance] != ch {
		return false
	}
	delete(g.channels, ch.instance)
	g.announce()
	return true
}
