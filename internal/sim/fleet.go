package sim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"ssmrun/internal/agentlink"
)

// Fleet is the agents. Make it with New, run it with Run, once.
type Fleet struct {
	cfg     Config
	state   *state
	clients []*http.Client
	agents  []*agent
	counts  counts
	docs    documents
}

// New reads the state and checks what the process may do. Nothing is called.
func New(cfg Config) (*Fleet, error) {
	cfg, err := cfg.complete()
	if err != nil {
		return nil, err
	}
	if err := raiseFiles(cfg.Agents); err != nil {
		return nil, err
	}
	f := &Fleet{cfg: cfg, docs: documents{steps: map[string][]step{}}}
	for n := range max(1, len(cfg.Sources)) {
		c, err := cfg.newClient()
		if err != nil {
			return nil, err
		}
		t := c.Transport.(*http.Transport)
		t.MaxIdleConnsPerHost = cfg.Dials // shared by many agents
		if len(cfg.Sources) > 0 {
			d := net.Dialer{LocalAddr: &net.TCPAddr{IP: cfg.Sources[n].AsSlice()}, Timeout: 15 * time.Second}
			t.DialContext = d.DialContext
		}
		f.clients = append(f.clients, c)
	}
	return f, nil
}

func (c Config) newClient() (*http.Client, error) {
	if c.CAFile == "" {
		return agentlink.NewHTTPClient(), nil
	}
	client, err := agentlink.HTTPClientTrusting(c.CAFile)
	if err != nil {
		return nil, fmt.Errorf("--ca-file: %w", err)
	}
	return client, nil
}

// client is the n-th agent's: agents with the same source address share one.
func (f *Fleet) client(n int) *http.Client { return f.clients[n%len(f.clients)] }

// Connected tells that every agent's channel is open.
type Connected struct {
	Connected int `json:"connected"`
	// Again counts how often they had all been connected before.
	Again int `json:"again"`
	// Registered and Seconds are how long the registrations, if there were any,
	// and the connections after them took: of the first time since the start,
	// later since the first agent was found to be away.
	Registered float64  `json:"register_seconds,omitempty"`
	Seconds    float64  `json:"connect_seconds"`
	IDs        []string `json:"ids"`
}

// Run registers who is missing, connects all and answers what comes until ctx
// ends, which is no error; then the service is given a moment to acknowledge
// what it was told, and is told that the agents go. The report is complete then.
// An error means that the agents could not begin.
func (f *Fleet) Run(ctx context.Context) (Report, error) {
	defer func() {
		// A service that stops would wait for connections that were never used.
		for _, c := range f.clients {
			c.CloseIdleConnections()
		}
	}()
	if err := f.begin(ctx); err != nil {
		if ctx.Err() != nil {
			err = nil
		}
		return f.report(), err
	}
	lctx, disconnect := context.WithCancel(context.WithoutCancel(ctx))
	defer disconnect()
	watch := make(chan error, 1)
	wctx, unwatch := context.WithCancelCause(ctx)
	defer unwatch(nil)
	began := time.Now()
	go func() {
		err := f.watch(wctx, began)
		unwatch(err)
		watch <- err
	}()
	var running sync.WaitGroup
	turns := make(chan struct{}, f.cfg.Dials)
	for _, a := range f.agents {
		select {
		case turns <- struct{}{}:
			running.Go(func() { a.link.Run(lctx) })
			go a.connecting(lctx, turns)
		case <-wctx.Done():
		}
	}
	<-wctx.Done()
	err := <-watch
	f.flush()
	disconnect()
	running.Wait()
	return f.report(), err
}

// begin makes the agents.
func (f *Fleet) begin(ctx context.Context) (err error) {
	region := f.cfg.Region
	if region == "" {
		w, err := f.cfg.Place()
		if err != nil {
			return err
		}
		if region = w.Region; region == "" {
			return errors.New("--region is missing, and the service's file names none")
		}
	}
	if f.state, err = readState(f.cfg.State, region); err != nil {
		return err
	}
	began := time.Now()
	if err := f.register(ctx); err != nil {
		return err
	}
	f.counts.registering = time.Since(began)
	for n, i := range f.state.instances[:f.cfg.Agents] {
		f.agents = append(f.agents, f.newAgent(n, f.state.identity(i)))
	}
	return nil
}

// flushTime is how long the end waits for acknowledgements.
const flushTime = 10 * time.Second

func (f *Fleet) flush() {
	ctx, cancel := context.WithTimeout(context.Background(), flushTime)
	defer cancel()
	for _, a := range f.agents {
		a.stop()
		f.counts.owed.Add(int64(a.link.Flush(ctx)))
	}
}

// look is how often the agents are counted.
const look = 100 * time.Millisecond

// watch says when all agents are connected, and when they are once more.
func (f *Fleet) watch(ctx context.Context, since time.Time) error {
	tick := time.NewTicker(look)
	defer tick.Stop()
	said := false
	for again := 0; ; {
		open := 0
		for _, a := range f.agents {
			if a.link.Status().Connected {
				open++
			}
		}
		switch {
		case open < len(f.agents) && said:
			said, since = false, time.Now()
		case open == len(f.agents) && !said:
			if err := f.sayConnected(again, time.Since(since)); err != nil {
				return err
			}
			said = true
			again++
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (f *Fleet) sayConnected(again int, took time.Duration) error {
	c := Connected{
		Connected: len(f.agents), Again: again, Registered: f.counts.registering.Seconds(), Seconds: took.Seconds(),
		IDs: f.ids(),
	}
	if again > 0 {
		c.Registered = 0
	}
	if f.cfg.ConnectedFile != "" && again == 0 {
		if err := writeJSON(f.cfg.ConnectedFile, c); err != nil {
			return err
		}
	}
	if err := json.NewEncoder(f.cfg.Stdout).Encode(c); err != nil {
		return fmt.Errorf("say that all are connected: %w", err)
	}
	return nil
}

func (f *Fleet) ids() []string {
	ids := make([]string, len(f.agents))
	for n, a := range f.agents {
		ids[n] = a.id
	}
	return ids
}
