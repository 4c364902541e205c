package agentlink

import (
	"context"
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
	BackoffMin time.Duration // bound of the first pause between sessions, then doubled; 2s, see Backoff
	BackoffMax time.Duration // 30s
	DeniedMax  time.Duration // longest pause where the service denies the instance; 5m
	Open       time.Duration // how long the control channel may take to open; 20s
	// Fallback is how long the control channel may take to open before messages
	// are polled for meanwhile; 8s.
	Fallback time.Duration
	// Poll bounds the pause after a poll that brought nothing new and was answered
	// at once, for a service that does not hold polls; 2s.
	Poll time.Duration
	// Visibility is for how long a message that was not acknowledged stays hidden
	// from polls, in whole seconds; 10s.
	Visibility time.Duration
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
	set(&t.BackoffMin, 2*time.Second)
	set(&t.BackoffMax, 30*time.Second)
	set(&t.DeniedMax, 5*time.Minute)
	set(&t.Open, 20*time.Second)
	set(&t.Fallback, 8*time.Second)
	set(&t.Poll, 2*time.Second)
	set(&t.Visibility, 10*time.Second)
	return t
}

// Config is what a Link needs.
type Config struct {
	Identity Identity
	// Endpoint tells where the service is. Endpoints, where set, tells it instead
	// where each service has a place of its own, as on AWS.
	Endpoint  EndpointSource
	Endpoints EndpointsSource
	Handler   Handler
	// Acked hears that the service has a reply; nil for nobody. It is called
	// like a Handler.
	Acked func(reply Reply)
	// Room hears that there is room again after a tracked reply found none: the
	// caller sends once more what the service has not acknowledged. It is called
	// like a Handler; nil for nobody.
	Room func()
	// Opened hears that jobs may come: the control channel is open, before
	// anything is read from it, or polling for messages begins; nil for nobody.
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
	poll   *poller

	strange bool // a message of unknown type has come; of the reader's goroutine

	handling sync.Mutex // held while the Handler and what is called like it run

	beating sync.Mutex // held during a heartbeat

	mu     sync.Mutex
	beats  beats
	open   ways
	status Status
	done   chan struct{} // closed when Run has returned
}

// ways are the ways to the service that are open.
type ways struct{ channel, polls bool }

// Status tells by which way jobs come, and since when that is so.
type Status struct {
	Connected bool
	// Channel is ServiceMessages for the control channel, ServiceLongPoll where
	// messages are polled for, "" where not connected.
	Channel string
	Since   time.Time
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
	if cfg.Room == nil {
		cfg.Room = func() {}
	}
	if cfg.Endpoints == nil {
		cfg.Endpoints = cfg.Endpoint.everywhere()
	}
	c := newCaller(cfg.Endpoints, cfg.HTTP, cfg.Now)
	l := &Link{
		cfg:    cfg,
		caller: c,
		keys:   &keyring{caller: c, save: cfg.SaveIdentity, log: cfg.Logger, given: cfg.Keys, identity: cfg.Identity},
		out:    newOutbox(cfg.Timing.ResendMin, cfg.Timing.ResendMax),
		rnd:    rand.New(rand.NewPCG(cfg.Seed, 0)),
		status: Status{Since: cfg.Now()},
		done:   make(chan struct{}),
	}
	l.poll = &poller{l: l, wake: make(chan struct{}, 1), holds: make(chan struct{}, 1)}
	return l
}

// Send sends a reply as soon as a way to the service is open. A tracked one is
// repeated until it is acknowledged; the caller has made it durable before, and
// sends it again where Config.Room asks for it. An untracked one is lost where no
// way is open. Send never blocks.
func (l *Link) Send(r Reply) {
	if r.Tracked {
		l.out.add(r)
		return
	}
	l.out.send(outgoing{reply: r})
}

// Flush waits until every tracked reply is acknowledged, ctx ends, or no way to
// the service is open. It gives how many replies still wait.
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

// Status tells by which way jobs come.
func (l *Link) Status() Status {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.status
}

// setOpen changes which ways are open. The control channel counts before polls.
func (l *Link) setOpen(change func(*ways)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change(&l.open)
	channel := ""
	switch {
	case l.open.channel:
		channel = ServiceMessages
	case l.open.polls:
		channel = ServiceLongPoll
	}
	if channel != l.status.Channel {
		l.status = Status{Connected: channel != "", Channel: channel, Since: l.cfg.Now(), Heartbeat: l.status.Heartbeat}
	}
}

func (l *Link) channelOpen() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.open.channel
}
