// Package gateway is step 6 of a run: the agent's side of the service. It keeps
// the control channels of agents (ssmmessages: a websocket with binary frames)
// and holds their long polls (ec2messages), answers the calls that agents make of
// the service itself (registration, role tokens, heartbeats), turns control's
// deliveries into frames and messages, and agents' replies into control's reports.
// daemon calls it with verified requests, control as its Deliverer; it calls
// control, identity and store.
//
// Each agent that is there has one mailbox with two ways out:
//
//	control ─ Deliver ─> mailbox ─┬─ channel: websocket ─┬─> agent
//	                              └─ poll: GetMessages ──┘
//	control <─ Acknowledged, Report ── replies, whichever way they come
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
	"ssmrun/internal/wire"
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
	// heartbeat, as a poll does, stored once in Heartbeat. Default 60 s.
	Ping, PingTimeout, Heartbeat time.Duration
	// Hold is how long a poll is held where there is nothing for it. Default
	// wire.MaxHold.
	Hold time.Duration
	// PollGrace is how long after a poll an agent still counts as there. Default
	// 10 s: the genuine agent pauses 2.5 s at the most between two polls, and its
	// SDK tries again for some seconds where one fails.
	PollGrace time.Duration
	// RotateKeys is the age from which agents are asked to register a new key;
	// 0 for never.
	RotateKeys time.Duration
}

// Gateway holds the agents that are there.
type Gateway struct {
	cfg      Config
	payloads payloads

	mu      sync.Mutex
	boxes   map[string]*mailbox   // of the agents that are there, by instance
	opening map[*channel]struct{} // that have not sent their opening frame yet
	changed chan struct{}         // closed, and made anew, when boxes changes
	closing bool
	open    sync.WaitGroup // channels and polls

	talking talking
}

// New makes a Gateway.
func New(cfg Config) *Gateway {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	for _, d := range []struct {
		is       *time.Duration
		standard time.Duration
	}{
		{&cfg.Resend, 5 * time.Second},
		{&cfg.Ping, 15 * time.Second},
		{&cfg.PingTimeout, 10 * time.Second},
		{&cfg.Heartbeat, time.Minute},
		{&cfg.Hold, wire.MaxHold},
		{&cfg.PollGrace, 10 * time.Second},
	} {
		if *d.is == 0 {
			*d.is = d.standard
		}
	}
	return &Gateway{cfg: cfg, boxes: map[string]*mailbox{}, opening: map[*channel]struct{}{}, changed: make(chan struct{})}
}

// Connected implements control.Deliverer.
func (g *Gateway) Connected(instanceID string) bool { return g.find(instanceID) != nil }

// Deliver implements control.Deliverer.
func (g *Gateway) Deliver(d ssmrun.Delivery) bool {
	b := g.find(d.InstanceID)
	if b == nil {
		return false
	}
	b.enqueue(d)
	return true
}

// WaitConnected returns when all the instances' agents are there and have been
// offered what waited for them.
func (g *Gateway) WaitConnected(ctx context.Context, instanceIDs []string) error {
	for {
		g.mu.Lock()
		changed, missing := g.changed, ""
		for _, id := range instanceIDs {
			if b := g.boxes[id]; b == nil || !b.isOffered() {
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
