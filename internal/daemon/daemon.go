// Package daemon is the composition root of `ssmrun serve`: it opens the store
// and the identities, starts control, gateway, the S3 endpoint and the local
// agents, and serves them all on one port. The command line (internal/cli) and
// the tests build it; nothing below imports it.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"ssmrun"
	"ssmrun/internal/agent/state"
	"ssmrun/internal/awsapi"
	"ssmrun/internal/control"
	"ssmrun/internal/document"
	"ssmrun/internal/gateway"
	"ssmrun/internal/identity"
	"ssmrun/internal/localagents"
	"ssmrun/internal/objects"
	"ssmrun/internal/parameters"
	"ssmrun/internal/sigv4"
	"ssmrun/internal/store"
	"ssmrun/internal/store/sqlite"
)

var errInUse = errors.New("another ssmrun serve is using this data folder")

// Daemon is a service. Make it with New, then Run it.
type Daemon struct {
	cfg      Config
	lock     *os.File
	store    store.Store
	identity *identity.Service
	control  *control.Controller
	params   *parameters.Service
	gateway  *gateway.Gateway
	objects  *objects.Server
	audit    *auditLog
	listener net.Listener
	server   *http.Server
	https    *httpsServer // nil: no HTTPS listener
	local    *localagents.Manager
	metadata []*metadataServer

	ready      chan struct{}
	info       Info
	wroteReady bool
	stopNow    context.CancelFunc // ends the drain
	stopping   context.Context
	close      sync.Once
	closeErr   error
}

// New opens everything and listens; requests are served by Run. After an error
// nothing is left open.
func New(ctx context.Context, cfg Config) (_ *Daemon, err error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	d := &Daemon{cfg: cfg, ready: make(chan struct{})}
	d.stopping, d.stopNow = context.WithCancel(context.Background())
	defer func() {
		if err != nil {
			err = errors.Join(err, d.Close())
		}
	}()
	if err := d.openData(ctx); err != nil {
		return nil, err
	}
	groups, err := resourceGroups(cfg.ResourceGroups)
	if err != nil {
		return nil, err
	}
	d.control = control.New(control.Config{
		Store: d.store, Logger: cfg.Logger, Now: cfg.Now, OfflineAfter: cfg.OfflineAfter, InactiveAfter: cfg.InactiveAfter, History: cfg.History,
		MaxPending: cfg.MaxPending, RampByCompletion: cfg.RampByCompletion, Groups: groups,
	})
	if err := d.control.CountPending(ctx, d.scopes()); err != nil {
		return nil, err
	}
	d.gateway = gateway.New(gateway.Config{Control: d.control, Identity: d.identity, Store: d.store, Logger: cfg.Logger, Now: cfg.Now, RotateKeys: cfg.RotateAgentKeys})
	d.control.Attach(d.gateway)
	if d.listener, err = net.Listen("tcp", cfg.Listen); err != nil {
		return nil, fmt.Errorf("listen on %s: %w", cfg.Listen, err)
	}
	d.info = Info{
		Endpoint: "http://" + d.listener.Addr().String(), S3Endpoint: cfg.S3Endpoint, Region: cfg.Regions[0],
		AccountID: cfg.Account, AccessKeyID: d.identity.Root().AccessKeyID, SecretKey: d.identity.Root().Secret,
		Domain: cfg.Domain, InstanceIDs: []string{}, PID: os.Getpid(), Data: cfg.Data, Version: cfg.Version,
	}
	if d.https, err = openHTTPS(&cfg); err != nil {
		return nil, err
	}
	if d.https != nil {
		d.info.TLSEndpoint, d.info.CAFile = d.https.url(&cfg), d.https.caFile
	}
	if err := d.openObjects(ctx); err != nil {
		return nil, err
	}
	if err := d.openMetadata(ctx); err != nil {
		return nil, err
	}
	handler := d.front()
	d.server = newServer(handler)
	if d.https != nil {
		d.https.server = d.https.newServer(handler, cfg.Logger)
	}
	return d, nil
}

// newServer makes a server with the bounds of a connection: how long its TLS
// handshake and its headers may take, and how long it may be idle.
func newServer(handler http.Handler) *http.Server {
	return &http.Server{
		Handler: handler, ReadHeaderTimeout: headerTime, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: maxHeaderBytes, ErrorLog: nil,
	}
}

// openData makes and locks the data folder and opens what lies in it.
func (d *Daemon) openData(ctx context.Context) (err error) {
	if err := os.MkdirAll(d.cfg.Data, 0o700); err != nil {
		return fmt.Errorf("make the data folder: %w", err)
	}
	if err := os.Chmod(d.cfg.Data, 0o700); err != nil {
		return fmt.Errorf("protect the data folder: %w", err)
	}
	if d.lock, err = os.OpenFile(filepath.Join(d.cfg.Data, "lock"), os.O_CREATE|os.O_RDWR, 0o600); err != nil {
		return fmt.Errorf("lock the data folder: %w", err)
	}
	if err := lockFile(d.lock); err != nil {
		return fmt.Errorf("open %s: %w", d.cfg.Data, err)
	}
	db, err := sqlite.Open(ctx, filepath.Join(d.cfg.Data, "ssmrun.db"), sqlite.Options{Logger: d.cfg.Logger})
	if err != nil {
		return err // and d.store stays nil, for Close
	}
	d.store = db
	d.identity, err = identity.Open(identity.Config{Dir: d.cfg.Data, Account: d.cfg.Account, OtherAccounts: d.cfg.OtherAccounts, Key: d.cfg.Key, Store: d.store, Now: d.cfg.Now})
	if err != nil {
		return err
	}
	key, err := d.identity.Key("parameters")
	if err != nil {
		return err
	}
	if d.params, err = parameters.New(parameters.Config{Store: d.store, Key: key, Now: d.cfg.Now}); err != nil {
		return err
	}
	if d.audit, err = openAudit(filepath.Join(d.cfg.Data, "audit.log"), d.cfg.Logger); err != nil {
		return err
	}
	return errors.Join(d.prepareAccounts(ctx), d.loadDocuments(ctx), d.loadEC2Instances(ctx))
}

func (d *Daemon) loadDocuments(ctx context.Context) error {
	if d.cfg.Documents == "" {
		return nil
	}
	files, err := document.ReadDir(os.DirFS(d.cfg.Documents))
	if err != nil {
		return fmt.Errorf("--documents %s: %w", d.cfg.Documents, err)
	}
	for _, f := range files {
		awsapi.WarnOfDocument(ctx, d.cfg.Logger, f.Name, f.Document)
	}
	return d.store.Update(ctx, func(tx store.Tx) error {
		for _, scope := range d.scopes() {
			if err := awsapi.PutDocuments(tx, scope, files, d.cfg.Now().UTC()); err != nil {
				return err
			}
		}
		return nil
	})
}

// scopes are all that are served; the first is that of the local agents.
func (d *Daemon) scopes() []ssmrun.Scope {
	var list []ssmrun.Scope
	for _, account := range append([]string{d.cfg.Account}, d.cfg.OtherAccounts...) {
		for _, r := range d.cfg.Regions {
			list = append(list, ssmrun.Scope{Account: account, Region: r})
		}
	}
	return list
}

// openObjects starts the S3 endpoint, unless another S3 was named.
func (d *Daemon) openObjects(ctx context.Context) (err error) {
	if d.cfg.S3Endpoint != "" {
		return nil
	}
	d.info.S3Endpoint = d.info.Endpoint
	root := d.identity.Root()
	d.objects, err = objects.Start(ctx, objects.Config{
		Dir: filepath.Join(d.cfg.Data, "objects"), Regions: d.cfg.Regions, Domains: d.cfg.bucketDomains(), AccountID: d.cfg.Account, Logger: d.cfg.Logger,
		Keys: func(id string) (string, bool) { return root.Secret, id == root.AccessKeyID },
		TemporarySecret: func(ctx context.Context, id, token string) (string, error) {
			secret, _, err := d.identity.Lookup(ctx, id, token)
			return secret, err
		},
		FullAccess: d.identity.CallerToken,
	})
	if err != nil {
		return fmt.Errorf("start the S3 endpoint: %w", err)
	}
	for _, b := range d.cfg.Buckets {
		if err := d.objects.EnsureBucket(ctx, b, d.cfg.Regions[0]); err != nil {
			return fmt.Errorf("make bucket %s: %w", b, err)
		}
	}
	return nil
}

// servers are the plain one and, where there is one, that of TLS.
func (d *Daemon) servers() []*http.Server {
	if d.https == nil {
		return []*http.Server{d.server}
	}
	return []*http.Server{d.server, d.https.server}
}

// outputURL is where answers say that outputs are: at the embedded endpoint by
// the address that other machines reach, where there is one.
func (d *Daemon) outputURL() string {
	if d.cfg.S3Endpoint == "" && d.info.TLSEndpoint != "" {
		return d.info.TLSEndpoint
	}
	return d.info.S3Endpoint
}

func (d *Daemon) front() *front {
	f := &front{
		gateway: d.gateway, identity: d.identity, store: d.store, audit: d.audit, cfg: &d.cfg,
		hosts: hostNames{d.cfg.Domain}, regions: map[string]bool{}, verifier: &sigv4.Verifier{Now: d.cfg.Now}, bodyTime: bodyTime,
		api: awsapi.New(awsapi.Config{
			Control: d.control, Store: d.store, Now: d.cfg.Now, Logger: d.cfg.Logger,
			Identity: d.identity, Drop: d.gateway.Drop, AgentVersion: d.cfg.AgentVersion,
			Parameters: d.params,
			S3URL:      func(string) string { return d.outputURL() }, Seal: d.identity.Seal,
			Races: slices.Contains(d.cfg.Emulate, EmulateRaces),
		}),
	}
	for _, r := range d.cfg.Regions {
		f.regions[r] = true
	}
	if d.objects != nil {
		f.objects = d.objects.Handler()
	}
	return f
}

// Ready is closed when all is ready: requests are served and the local agents
// are connected.
func (d *Daemon) Ready() <-chan struct{} { return d.ready }

// Info tells how the service is reached. InstanceIDs are there once it is Ready.
func (d *Daemon) Info() Info { return d.info }

// StopNow ends a drain: what still runs is stopped at once.
func (d *Daemon) StopNow() { d.stopNow() }

// Run serves until ctx is done, then drains, and returns when all is closed.
// Draining: new commands are refused, what runs is given Config.Drain to end,
// then the local agents are stopped; what they ran ends Failed with the reason,
// what waits stays Pending for the next start.
func (d *Daemon) Run(ctx context.Context) error {
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	var wg sync.WaitGroup
	served := make(chan error, 2)
	wg.Go(func() { served <- d.server.Serve(d.listener) })
	if d.https != nil {
		wg.Go(func() { served <- d.https.serve() })
	}
	for _, s := range d.metadata {
		wg.Go(func() { _ = s.server.Serve(s.listener) })
	}
	wg.Go(func() { _ = d.control.Run(work) })
	wg.Go(func() { d.control.Forget(work) })
	looking, stopLooking := context.WithCancel(work)
	err := d.start(ctx, looking)
	if err == nil {
		select {
		case <-ctx.Done():
		case err = <-served:
			err = fmt.Errorf("serve: %w", err)
		}
		d.drain()
	} else if ctx.Err() != nil {
		err = nil // stopped while starting
	}
	stopLooking()
	if d.local != nil {
		patience, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		err = errors.Join(err, d.local.Stop(patience))
		cancel()
	}
	patience, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	err = errors.Join(err, d.gateway.Close(patience))
	for _, s := range d.servers() {
		if e := s.Shutdown(patience); e != nil {
			_ = s.Close() // long polls that nobody waits for any more
		}
	}
	d.closeMetadata()
	d.control.Settled() // what the agents have said last
	stop()
	wg.Wait()
	return errors.Join(err, d.Close())
}

// start says where the service is, starts the local agents and waits for them.
func (d *Daemon) start(ctx, looking context.Context) error {
	file := filepath.Join(d.cfg.Data, "endpoint.json")
	endpoint := state.NewEndpoint(d.info.Endpoint, d.info.S3Endpoint, d.info.Region, d.cfg.Now())
	endpoint.TLS, endpoint.CAFile = d.info.TLSEndpoint, d.info.CAFile
	if err := state.WriteEndpoint(file, endpoint); err != nil {
		return fmt.Errorf("write the endpoint file: %w", err)
	}
	if d.cfg.LocalAgents > 0 {
		local, err := localagents.Start(looking, localagents.Config{
			Dir: filepath.Join(d.cfg.Data, "agents"), Count: d.cfg.LocalAgents, Command: d.cfg.AgentCommand,
			Path: d.cfg.LocalAgentPath, EndpointFile: file, Scope: d.scopes()[0], Identity: d.identity,
			Known: d.known, Logger: d.cfg.Logger, Now: d.cfg.Now,
		})
		if err != nil {
			return err
		}
		d.local = local
		d.info.InstanceIDs = local.IDs()
		wait, cancel := context.WithTimeoutCause(ctx, time.Minute,
			fmt.Errorf("it did not connect within a minute; its log is agent.log in %s", filepath.Join(d.cfg.Data, "agents")))
		defer cancel()
		if err := d.gateway.WaitConnected(wait, d.info.InstanceIDs); err != nil {
			return err
		}
	}
	if d.cfg.ReadyFile != "" {
		if err := d.info.write(d.cfg.ReadyFile); err != nil {
			return err
		}
		d.wroteReady = true
	}
	_, _ = fmt.Fprint(d.cfg.Stdout, d.info.text())
	close(d.ready)
	return nil
}

func (d *Daemon) known(ctx context.Context, id string) (ssmrun.Scope, bool, error) {
	var scope ssmrun.Scope
	err := d.store.View(ctx, func(tx store.Tx) error {
		i, err := tx.FindInstance(id)
		if err == nil {
			scope = i.Scope
		}
		return err
	})
	if errors.Is(err, ssmrun.ErrNotFound) {
		return scope, false, nil
	}
	return scope, err == nil, err
}

func (d *Daemon) drain() {
	d.control.Drain()
	ctx, cancel := context.WithTimeout(d.stopping, d.cfg.Drain)
	defer cancel()
	running, err := d.control.WaitIdle(ctx, d.scopes())
	switch {
	case err != nil:
		d.cfg.Logger.Error("drain", "error", err)
	case running > 0:
		d.cfg.Logger.Warn("stopping although scripts are still running", "running", running)
	}
}

// Close closes what New has opened. Run does it by itself. It is safe twice.
func (d *Daemon) Close() error {
	d.close.Do(func() {
		var errs []error
		d.stopNow()
		if d.listener != nil {
			_ = d.listener.Close() // closed already where it was served
		}
		if d.https != nil {
			_ = d.https.listener.Close()
		}
		d.closeMetadata()
		if d.objects != nil {
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			defer cancel()
			errs = append(errs, d.objects.Stop(ctx))
		}
		if d.store != nil {
			errs = append(errs, d.store.Close())
		}
		if d.audit != nil {
			errs = append(errs, d.audit.Close())
		}
		if d.wroteReady {
			// Whoever finds the file would believe that the service runs.
			if err := os.Remove(d.cfg.ReadyFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
				errs = append(errs, err)
			}
		}
		if d.lock != nil {
			errs = append(errs, d.lock.Close())
		}
		d.closeErr = errors.Join(errs...)
	})
	return d.closeErr
}
