package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/user"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"ssmrun/internal/agent/plugin"
	"ssmrun/internal/agent/state"
	"ssmrun/internal/agentlink"
	"ssmrun/internal/executor"
)

// Name is the AgentName that heartbeats and replies tell.
const Name = "ssmrun-agent"

// Defaults of Config.
const (
	DefaultWorkers     = 5
	DefaultOutputLimit = 1 << 30
	DefaultOrphanGrace = 2 * time.Minute
)

// resumeWithin is how old a command may be that had not begun when the agent
// ended and is to begin now: SendCommand's default delivery timeout. Nobody
// expects an older one to start any more.
const resumeWithin = time.Hour

// Config is what an Agent needs. StateDir and Endpoint are required.
type Config struct {
	// StateDir is the agent's folder; see package state.
	StateDir string
	// Endpoint tells where the service is. It is asked before every connect.
	Endpoint func() (state.Endpoint, error)
	// ActivationFile registers the instance where StateDir has no registration;
	// the file is removed once it was used. Activation does the same without one.
	ActivationFile string
	Activation     state.Activation
	// Region of the instance, where the activation names none.
	Region string

	// Path is the PATH of scripts; DefaultPath.
	Path string
	// Home is the HOME of scripts; that of the user the agent runs as.
	Home string
	// WorkDir is where scripts start; the folder "work" in StateDir.
	WorkDir string
	// Workers is how many commands run at once, Queue how many wait beyond. None
	// waits by default: what is not taken yet waits at the service, which knows
	// until when it may still begin.
	Workers, Queue int
	// OutputLimit bounds what is kept of each stream of a step for S3, in bytes.
	OutputLimit int64

	// Local makes the agent end OrphanGrace after its service is gone and its
	// last command over.
	Local       bool
	OrphanGrace time.Duration // DefaultOrphanGrace

	// Platform is the host; HostPlatform() where it is zero.
	Platform Platform
	// Plugins run steps, by action; where nil the ones this package knows.
	Plugins  map[string]plugin.Plugin
	Executor executor.Config // Logger and Now are the agent's
	HTTP     *http.Client    // agentlink.NewHTTPClient
	Timing   agentlink.Timing
	Seed     uint64 // of the reconnects' jitter
	Now      func() time.Time
	Logger   *slog.Logger
	Version  string // BuildVersion()

	// orphanPoll is how often the agent looks whether it is an orphan;
	// resumeDelay how long after the channel opened recovered commands wait, so
	// that cancels which were waiting at the service come first; stopGrace how
	// long a stopping agent waits for S3 and then for acknowledgements; fetchPause
	// the first pause before stored parameters are asked for again.
	orphanPoll, resumeDelay, stopGrace, fetchPause time.Duration
}

// FixedEndpoint is a service that never moves; s3 is "" for AWS's own S3.
func FixedEndpoint(url, s3 string) func() (state.Endpoint, error) {
	return func() (state.Endpoint, error) { return state.Endpoint{URL: url, S3: s3}, nil }
}

// EndpointFile is a service that says in a file where it is.
func EndpointFile(path string) func() (state.Endpoint, error) {
	return func() (state.Endpoint, error) { return state.ReadEndpoint(path) }
}

// withDefaults checks the configuration and fills it up.
func (c Config) withDefaults() (Config, error) {
	if c.StateDir == "" || c.Endpoint == nil {
		return c, errors.New("agent needs a state folder and an endpoint")
	}
	var err error
	if c.StateDir, err = filepath.Abs(c.StateDir); err != nil {
		return c, fmt.Errorf("find state folder: %w", err)
	}
	if c.WorkDir == "" {
		c.WorkDir = filepath.Join(c.StateDir, "work")
	}
	if c.WorkDir, err = filepath.Abs(c.WorkDir); err != nil {
		return c, fmt.Errorf("find working folder: %w", err)
	}
	if c.Home == "" {
		c.Home = home()
	}
	setDefault(&c.Path, DefaultPath)
	setDefault(&c.Workers, DefaultWorkers)
	setDefault(&c.OutputLimit, DefaultOutputLimit)
	setDefault(&c.OrphanGrace, DefaultOrphanGrace)
	setDefault(&c.orphanPoll, 2*time.Second)
	setDefault(&c.resumeDelay, time.Second)
	setDefault(&c.stopGrace, 3*time.Second)
	setDefault(&c.fetchPause, 500*time.Millisecond)
	setDefault(&c.Platform, HostPlatform())
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Version == "" {
		c.Version = BuildVersion()
	}
	c.Executor.Logger, c.Executor.Now = c.Logger, c.Now
	if c.Local {
		// The service is on this machine: there is no one to be spared.
		setDefault(&c.Timing.BackoffMin, 100*time.Millisecond)
		setDefault(&c.Timing.BackoffMax, 2*time.Second)
		setDefault(&c.Timing.DeniedMax, 10*time.Second)
	}
	return c, nil
}

func setDefault[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

// home is the agent's own HOME, which a system service may lack.
func home() string {
	if h, err := os.UserHomeDir(); err == nil && h != "" {
		return h
	}
	if u, err := user.Current(); err == nil && u.HomeDir != "" {
		return u.HomeDir
	}
	return "/"
}

// Version is the version of the build; the linker sets it.
var Version = "0.1.0-dev"

// BuildVersion is the version of this binary in the digits and dots that
// AgentVersion consists of: the module's own where it was installed as one, else
// Version.
func BuildVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		if v, ok := strings.CutPrefix(info.Main.Version, "v"); ok {
			v, _, _ = strings.Cut(v, "+")
			v, _, _ = strings.Cut(v, "-")
			return v
		}
	}
	v, _, _ := strings.Cut(Version, "-")
	return v
}

// endpointSource is Endpoint as agentlink wants it.
func (c Config) endpointSource() agentlink.EndpointSource {
	return func() (string, error) {
		e, err := c.Endpoint()
		return e.URL, err
	}
}

// s3Source tells where S3 is.
func (c Config) s3Source() agentlink.EndpointSource {
	return func() (string, error) {
		e, err := c.Endpoint()
		return e.S3, err
	}
}

// sleep waits, or ends with ctx.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}
