// Package control is step 4 of a run: it accepts commands, fans them out with
// rate control, has them delivered, times them out, cancels and finishes them.
// It owns the state machine: no other package changes a status, and it does so
// only through the table of package ssmrun.
//
// awsapi calls it for callers (Send, Cancel, WaitRevision), gateway for agents
// (Connected, Disconnected, Acknowledged, Report). It calls store for
// everything that has to last, and a Deliverer (the gateway) to reach agents.
//
// The life of an invocation:
//
//	wait its turn (MaxConcurrency) ─ turn ─> handed to a connected agent ─ ack ─> running ─ reply ─> over
//	                                   └──> Delayed: no agent there; handed when one connects
//
// What was decided is committed before it is acted on: a delivery leaves only
// after the commit that records it, so that a service that dies in between
// offers it again, and the agent, which knows what it began, refuses the second.
package control

import (
	"log/slog"
	"sync"
	"time"

	"ssmrun"
	"ssmrun/internal/store"
)

// Deliverer reaches agents. Its methods must not block.
type Deliverer interface {
	// Connected tells whether the instance's agent is there: it has an open
	// channel, or polls.
	Connected(instanceID string) bool
	// Deliver has d handed to the agent, and repeated until it acknowledges. It
	// tells whether an agent was there.
	Deliver(d ssmrun.Delivery) bool
}

// Config is what a Controller needs.
type Config struct {
	Store  store.Store
	Logger *slog.Logger
	// Now is the clock; time.Now where nil.
	Now func() time.Time
	// OfflineAfter is how long after the last heartbeat an agent that is not
	// connected counts as Online. Default 5 minutes.
	OfflineAfter time.Duration
	// InactiveAfter is how long after that a hybrid node (mi-) counts as Inactive
	// instead of ConnectionLost. 0 for never.
	InactiveAfter time.Duration
	// CancelGrace is how long an agent that took a cancel may take to report
	// the end before the service calls the invocation Cancelled by itself: the
	// genuine agent drops a queued command in silence. Default 30 s.
	CancelGrace time.Duration
	// FinishGrace is how long after an invocation's expiry the service waits
	// for the agent's last word. Default 15 s, as observed of AWS.
	FinishGrace time.Duration
	// History is how long a command is kept. Default 30 days.
	History time.Duration
	// MaxPending is how many invocations of an account and region may be open;
	// a command that would make it more is RateExceeded. 0 for no bound.
	MaxPending int
	// RampByCompletion lets an invocation begin only as others end, 1, 2, 4 and
	// so on at a time, as AWS's guide has it; by default it is enough that an
	// agent has taken the ones before.
	RampByCompletion bool
	// Groups are the resource groups: what a target resource-groups:Name stands
	// for, by the group's name.
	Groups map[string][]ssmrun.Target
	// May tells whether a caller (ARN) may send commands to an instance. nil:
	// whoever may call SendCommand may.
	May func(caller string, i *ssmrun.Instance) bool
}

// DefaultHistory is how long commands are kept, as AWS does.
const DefaultHistory = 30 * 24 * time.Hour

func (c *Controller) may(caller string, i *ssmrun.Instance) bool {
	return c.cfg.May == nil || c.cfg.May(caller, i)
}

// Controller runs the state machine. Make it with New, give it its Deliverer
// with Attach, then Run it.
type Controller struct {
	cfg     Config
	deliver Deliverer
	hub     *hub
	kick    chan struct{}

	intake intake

	mu       sync.Mutex
	draining bool
	pending  map[ssmrun.Scope]int // invocations that are not over
}

// New makes a Controller. Attach must be called before anything else.
func New(cfg Config) *Controller {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.OfflineAfter == 0 {
		cfg.OfflineAfter = 5 * time.Minute
	}
	if cfg.CancelGrace == 0 {
		cfg.CancelGrace = 30 * time.Second
	}
	if cfg.FinishGrace == 0 {
		cfg.FinishGrace = 15 * time.Second
	}
	if cfg.History == 0 {
		cfg.History = DefaultHistory
	}
	return &Controller{cfg: cfg, hub: newHub(), kick: make(chan struct{}, 1), pending: map[ssmrun.Scope]int{}}
}

// Attach names who reaches the agents. Control and gateway call each other, so
// one of them has to be told of the other after both are made.
func (c *Controller) Attach(d Deliverer) { c.deliver = d }

// Drain makes Send refuse new commands with ssmrun.CodeUnavailable. What was
// accepted goes on.
func (c *Controller) Drain() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.draining = true
}

func (c *Controller) isDraining() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.draining
}

// PingStatus tells how the service sees an instance's agent: Online while it is
// connected or the last heartbeat is younger than OfflineAfter, at once
// ConnectionLost after a clean stop, and a hybrid node Inactive when nothing was
// heard of it for InactiveAfter.
func (c *Controller) PingStatus(i *ssmrun.Instance) ssmrun.PingStatus {
	heard := i.LastPing
	if heard.IsZero() {
		heard = i.RegisteredAt
	}
	silent := c.cfg.Now().Sub(heard)
	switch {
	case c.deliver.Connected(i.ID):
		return ssmrun.Online
	case c.cfg.InactiveAfter > 0 && silent > c.cfg.InactiveAfter && i.Hybrid():
		return ssmrun.Inactive
	case i.Stopped, i.LastPing.IsZero(), silent > c.cfg.OfflineAfter:
		return ssmrun.ConnectionLost
	default:
		return ssmrun.Online
	}
}
