package agentlink

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"ssmrun/internal/sigv4"
	"ssmrun/internal/wire"
)

// Handler takes jobs. Its methods are called one at a time, in the order in
// which the jobs came, and must return soon: nothing else is read meanwhile.
type Handler interface {
	// HandleJob takes a command or a cancel, by job.Topic, or refuses it. It
	// calls ack exactly once, with one of wire's Ack codes, before any reply to
	// the job is sent.
	HandleJob(job wire.AgentJob, ack func(code, message string))
}

// Info is what an instance tells about itself with every heartbeat.
type Info struct {
	AgentName       string
	AgentVersion    string
	ComputerName    string
	IPAddress       string
	PlatformType    string // Linux, MacOS, Windows
	PlatformName    string // Debian GNU/Linux
	PlatformVersion string // 12
}

// Timing holds the periods of a Link. Zero members take the defaults.
type Timing struct {
	Heartbeat  time.Duration // between heartbeats; 5m
	Ping       time.Duration // between websocket pings; 54s
	Pong       time.Duration // how long a pong may take; 30s
	ResendMin  time.Duration // first repetition of a reply, then doubled; 5s
	ResendMax  time.Duration // 5m
	BackoffMin time.Duration // first pause between sessions, then doubled; 1s
	BackoffMax time.Duration // 30s
	DeniedMax  time.Duration // longest pause where the service denies the instance; 5m
}

func (t Timing) withDefaults() Timing {
	set := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	set(&t.Heartbeat, 5*time.Minute)
	set(&t.Ping, 54*time.Second)
	set(&t.Pong, 30*time.Second)
	set(&t.ResendMin, 5*time.Second)
	set(&t.ResendMax, 5*time.Minute)
	set(&t.BackoffMin, time.Second)
	set(&t.BackoffMax, 30*time.Second)
	set(&t.DeniedMax, 5*time.Minute)
	return t
}

// Config is what a Link needs.
type Config struct {
	Identity Identity
	Endpoint EndpointSource
	Handler  Handler
	// Acked hears that the service has a reply; nil for nobody. It is called
	// like a Handler.
	Acked func(reply Reply)
	// Opened hears that the control channel is open, before anything is read
	// from it; nil for nobody.
	Opened func()
	// Info is asked for with every heartbeat.
	Info func() Info
	// SaveIdentity makes an identity durable whose key changes because the
	// service asked for it. nil: keys are never changed.
	SaveIdentity func(Identity) error
	// Keys, where set, sign in place of temporary keys, which are then never
	// asked for: a service's own key may speak for any of its instances, so that
	// thousands of simulated ones need no RSA signature each. It is called once
	// for every call to the service and must be quick.
	Keys   func() (sigv4.Keys, error)
	HTTP   *http.Client     // NewHTTPClient
	Now    func() time.Time // time.Now
	Seed   uint64           // of the jitter; 0 for a random one
	Logger *slog.Logger     // discards
	Timing Timing
}

// Link is an instance's connection to its service. Make it with New, run it
// with Run; Send and Credentials may be called at any time.
type Link struct {
	cfg    Config
	caller *caller
	keys   *keyring
	out    *outbox
	rnd    *rand.Rand // used by Run's goroutine alone

	lastBeat time.Time // by Run's goroutine and the writer of its session

	mu     sync.Mutex
	status Status
	done   chan struct{} // closed when Run has returned
}

// Status tells whether the channel is open, and since when that is so or not so.
type Status struct {
	Connected bool
	Since     time.Time
	// Channel is the one that is open, as heartbeats name it; "" for none.
	Channel string
	// Heartbeat is when the service last took a heartbeat; zero for never.
	Heartbeat time.Time
}

// New makes a Link.
func New(cfg Config) *Link {
	cfg.Timing = cfg.Timing.withDefaults()
	if cfg.HTTP == nil {
		cfg.HTTP = NewHTTPClient()
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Seed == 0 {
		cfg.Seed = rand.Uint64()
	}
	if cfg.Acked == nil {
		cfg.Acked = func(Reply) {}
	}
	if cfg.Opened == nil {
		cfg.Opened = func() {}
	}
	c := newCaller(cfg.Endpoint, cfg.HTTP, cfg.Now)
	return &Link{
		cfg:    cfg,
		caller: c,
		keys:   &keyring{caller: c, save: cfg.SaveIdentity, log: cfg.Logger, given: cfg.Keys, identity: cfg.Identity},
		out:    newOutbox(cfg.Timing.ResendMin, cfg.Timing.ResendMax),
		rnd:    rand.New(rand.NewPCG(cfg.Seed, 0)),
		status: Status{Since: cfg.Now()},
		done:   make(chan struct{}),
	}
}

// errStopped is what the end of a session is put down to when Run's context ended.
var errStopped = errors.New("the agent stops")

// Run keeps the control channel open until ctx ends, then closes it with a
// normal closure, which tells the service at once that the agent is gone. It is
// called once.
func (l *Link) Run(ctx context.Context) {
	defer close(l.done)
	pause := l.cfg.Timing.BackoffMin
	var said string
	var saidAt time.Time
	for ctx.Err() == nil {
		opened, err := l.session(ctx)
		if ctx.Err() != nil {
			return
		}
		limit := l.cfg.Timing.BackoffMax
		switch {
		case opened:
			pause = l.cfg.Timing.BackoffMin
		case Denied(err):
			limit = l.cfg.Timing.DeniedMax
		}
		// A service that is away is said once, not with every attempt.
		level := slog.LevelDebug
		if opened || err.Error() != said || time.Since(saidAt) > 10*time.Minute {
			level, said, saidAt = slog.LevelWarn, err.Error(), time.Now()
		}
		wait := pause/2 + time.Duration(l.rnd.Int64N(int64(pause/2)+1))
		l.cfg.Logger.Log(ctx, level, "no connection to the service", "retry_in", wait.Round(time.Millisecond), "error", err)
		pause = min(2*pause, limit)
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-t.C:
		}
	}
}

// Send sends a reply as soon as the channel is open. A tracked one is repeated
// until it is acknowledged; the caller has made it durable before. An untracked
// one is lost where the channel is not open. Send never blocks.
func (l *Link) Send(r Reply) {
	if r.Tracked {
		l.out.add(r)
		return
	}
	l.out.frame(l.encode(r))
}

// Flush waits until every tracked reply is acknowledged, ctx ends, or the
// channel is not open. It gives how many replies still wait.
func (l *Link) Flush(ctx context.Context) int {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for l.Status().Connected {
		select {
		case <-l.out.drained():
			return 0
		case <-ctx.Done():
			return l.out.waiting()
		case <-tick.C: // the channel may have closed
		}
	}
	return l.out.waiting()
}

// Credentials gives the instance's temporary keys, renewed where it is time, or
// Config.Keys.
func (l *Link) Credentials(ctx context.Context) (Credentials, error) { return l.keys.get(ctx) }

// Parameters asks the service for stored parameters by name, in the clear where
// decrypt is set. An error is an *APIError where the service refused.
func (l *Link) Parameters(ctx context.Context, names []string, decrypt bool) (wire.GetParametersResponse, error) {
	var out wire.GetParametersResponse
	in := &wire.GetParametersRequest{Names: names, WithDecryption: decrypt}
	err := l.keys.signed(ctx, "ssm", func(s signer) error {
		return l.caller.call(ctx, wire.OpGetParameters, in, &out, s)
	})
	return out, err
}

// Status tells whether the control channel is open.
func (l *Link) Status() Status {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.status
}

func (l *Link) setConnected(c bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.status = Status{Connected: c, Since: l.cfg.Now(), Heartbeat: l.status.Heartbeat}
	if c {
		l.status.Channel = wire.ChannelMessages
	}
}

// heartbeat tells the service that the instance lives, and what it is.
func (l *Link) heartbeat(ctx context.Context, channel string) error {
	info := l.cfg.Info()
	in := &wire.UpdateInstanceInformationRequest{
		InstanceID: l.cfg.Identity.InstanceID, AgentName: info.AgentName, AgentVersion: info.AgentVersion,
		AgentStatus: wire.AgentStatusActive, ComputerName: info.ComputerName, IPAddress: info.IPAddress,
		PlatformType: info.PlatformType, PlatformName: info.PlatformName, PlatformVersion: info.PlatformVersion,
		SSMConnectionChannel: channel,
	}
	err := l.keys.signed(ctx, "ssm", func(s signer) error {
		return l.caller.call(ctx, wire.OpUpdateInstanceInformation, in, nil, s)
	})
	if err != nil {
		return fmt.Errorf("heartbeat: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.status.Heartbeat = l.cfg.Now()
	return nil
}
