package objects

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/versity/versitygw/auth"
	"github.com/versity/versitygw/s3api"
	"github.com/versity/versitygw/s3api/middlewares"
	"github.com/versity/versitygw/s3api/utils"

	"ssmrun"
)

// maxParts is S3's own limit for the parts of an upload.
const maxParts = 10_000

// started is set while a Server runs. The working directory, which the file
// store claims, belongs to the whole process, and so does this.
var started atomic.Bool

// ErrStarted is the error of Start while another Server of the process runs.
var ErrStarted = errors.New("objects: an S3 endpoint is already running in this process, and there can be only one: it owns the working directory")

// errStopping is the cause with which requests end that outlive Stop's patience.
var errStopping = errors.New("the S3 endpoint is stopping")

// Server is a running S3 endpoint. Start makes one.
type Server struct {
	cfg      Config
	log      *slog.Logger
	store    *store
	gateways []*gateway
	wd       string       // working directory before Start, "" where it was unknown
	unsocket func() error // removes the sockets' folder

	ctx    context.Context // ends what is in flight
	cancel context.CancelCauseFunc

	mu       sync.Mutex
	stopping bool
	inFlight int
	idle     chan struct{} // closed when stopping and nothing is in flight

	stopOnce sync.Once
	stopErr  error
}

// gateway is a versitygw server for one region and one domain: both are fixed
// when one is made. All share a store.
type gateway struct {
	region, domain string
	api            *s3api.S3ApiServer
	proxy          *httputil.ReverseProxy
	served         chan error // what serving ended with
}

// Start opens the objects below cfg.Dir and serves them through Handler. It
// returns when requests can be taken. ctx bounds starting only: Stop ends the
// server. It changes the working directory of the process, which Stop restores, so
// there can be one Server at a time (ErrStarted).
func Start(ctx context.Context, cfg Config) (_ *Server, err error) {
	cfg, err = cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	if !started.CompareAndSwap(false, true) {
		return nil, ErrStarted
	}
	s := &Server{cfg: cfg, log: cfg.Logger, idle: make(chan struct{}), unsocket: func() error { return nil }}
	s.ctx, s.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	defer func() {
		if err != nil {
			_ = s.Stop(context.WithoutCancel(ctx))
		}
	}()
	if s.wd, err = os.Getwd(); err != nil {
		s.wd = ""
	}
	if s.store, err = openStore(cfg); err != nil {
		return nil, fmt.Errorf("start the S3 endpoint: %w", err)
	}
	if err := s.serve(ctx); err != nil {
		return nil, fmt.Errorf("start the S3 endpoint: %w", err)
	}
	s.log.Debug("S3 endpoint started", "dir", cfg.Dir, "regions", cfg.Regions, "domains", cfg.Domains)
	return s, nil
}

// serve starts the gateways and waits until each accepts connections.
func (s *Server) serve(ctx context.Context) error {
	domains := s.cfg.Domains
	if len(domains) == 0 {
		domains = []string{""}
	}
	dir, remove, err := socketDir(s.cfg.Dir, len(s.cfg.Regions)*len(domains), os.TempDir(), "/tmp")
	if err != nil {
		return err
	}
	s.unsocket = remove
	// The gateway wants an account of its own. Nobody has its secret.
	root := middlewares.RootUserConfig{Access: s.cfg.AccountID, Secret: rand.Text()}
	keys := newKeyring(s.cfg, auth.Account{Access: root.Access, Secret: root.Secret, Role: auth.RoleAdmin})
	utils.SetBucketNameValidationStrict(true)
	for _, region := range s.cfg.Regions {
		for _, domain := range domains {
			g := &gateway{region: region, domain: domain, served: make(chan error, 1)}
			socket := socketPath(dir, len(s.gateways))
			ready := make(chan struct{})
			options := []s3api.Option{
				s3api.WithConcurrencyLimiter(4*maxInFlight, 2*maxInFlight),
				s3api.WithMpMaxParts(maxParts),
				s3api.WithQuiet(),
				s3api.WithKeepAlive(),
				s3api.WithSocketPerm(0o600),
				s3api.WithOnListen(func() { close(ready) }),
			}
			if domain != "" {
				options = append(options, s3api.WithHostStyle(domain))
			}
			g.api, err = s3api.New(regional{s.store, region}, root, region, keys, nil, nil, nil, nil, options...)
			if err != nil {
				return fmt.Errorf("make the gateway for %s: %w", region, err)
			}
			g.proxy = newProxy(socket, s.store, s.log)
			s.gateways = append(s.gateways, g)
			go func() {
				err := g.api.ServeMultiPort([]string{socket})
				if s.ctx.Err() == nil {
					s.log.Error("the gateway of the S3 endpoint ended by itself; its requests are answered with 503", "region", region, "error", err)
				}
				g.served <- err
			}()
			select {
			case <-ready:
			case err := <-g.served:
				g.served <- err
				return fmt.Errorf("serve %s: %w", region, err)
			}
			if err := g.answers(s.ctx); err != nil {
				return fmt.Errorf("serve %s: %w", region, err)
			}
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
		}
	}
	return nil
}

// answers waits until the gateway answers a request. That it listens is not
// enough: until it accepts connections it ignores being shut down, and Stop would
// wait for ever. Hence no ctx of Start's here either.
func (g *gateway) answers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://objects/", nil)
	if err != nil {
		return err
	}
	resp, err := g.proxy.Transport.RoundTrip(req)
	if err != nil {
		return fmt.Errorf("wait for the first answer: %w", err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.Body.Close()
}

// gateway gives the gateway for a request: that of its region and domain, or the
// first, which then answers what is wrong with the request.
func (s *Server) gateway(t *target) *gateway {
	for _, g := range s.gateways {
		if g.region == t.region && (t.domain == "" || g.domain == t.domain) {
			return g
		}
	}
	return s.gateways[0]
}

// Handler answers S3's REST protocol, addressed by path under any host name and
// by virtual host under Config.Domains. Path, query, headers and Host must reach
// it as the client sent them, because they are signed: it must not be mounted
// below a prefix or behind http.ServeMux, which cleans paths. After Stop it
// answers 503.
func (s *Server) Handler() http.Handler { return handler{s} }

// EnsureBucket makes the bucket in the region where it is not there yet. It is an
// error when the name cannot be, the region is not served, or the bucket is in
// another region.
func (s *Server) EnsureBucket(ctx context.Context, name, region string) error {
	if err := ssmrun.CheckBucketName(name); err != nil {
		return err
	}
	if !slices.Contains(s.cfg.Regions, region) {
		return fmt.Errorf("make bucket %s: region %q is not served, only %s", name, region, strings.Join(s.cfg.Regions, ", "))
	}
	leave, ok := s.enter()
	if !ok {
		return fmt.Errorf("make bucket %s: %w", name, errStopping)
	}
	defer leave()
	return s.store.ensureBucket(ctx, name, region)
}

// enter counts a request in, unless the server stops; leave counts it out.
func (s *Server) enter() (leave func(), ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping {
		return nil, false
	}
	s.inFlight++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.inFlight--
		s.signalIdle()
	}, true
}

func (s *Server) signalIdle() {
	if s.stopping && s.inFlight == 0 {
		close(s.idle)
	}
}

// Stop takes no more requests, waits for those in flight until ctx ends, then
// cuts them off, and returns when everything is closed and the working directory is
// what it was before Start. Calling it again gives the same answer.
func (s *Server) Stop(ctx context.Context) error {
	s.stopOnce.Do(func() { s.stopErr = s.stop(ctx) })
	return s.stopErr
}

func (s *Server) stop(ctx context.Context) error {
	s.mu.Lock()
	s.stopping = true
	s.signalIdle()
	s.mu.Unlock()
	var errs []error
	select {
	case <-s.idle:
	case <-ctx.Done():
		errs = append(errs, fmt.Errorf("stop the S3 endpoint: requests were cut off: %w", context.Cause(ctx)))
		s.cancel(errStopping)
		<-s.idle
	}
	s.cancel(errStopping)
	for _, g := range s.gateways {
		if t, ok := g.proxy.Transport.(*http.Transport); ok {
			t.CloseIdleConnections()
		}
		if err := g.api.ShutDown(); err != nil {
			errs = append(errs, fmt.Errorf("stop the gateway for %s: %w", g.region, err))
		}
		if err := <-g.served; err != nil {
			s.log.Debug("the gateway has ended", "region", g.region, "cause", err)
		}
	}
	if s.store != nil {
		s.store.Shutdown()
	}
	errs = append(errs, s.unsocket())
	if s.wd != "" {
		if err := os.Chdir(s.wd); err != nil { // it may be gone by now; then there is nothing to go back to
			s.log.Debug("restore the working directory", "error", err)
		}
	}
	started.Store(false)
	return errors.Join(errs...)
}
