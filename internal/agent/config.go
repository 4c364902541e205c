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

	"ssmrun/internal/agent/journal"
	"ssmrun/internal/agent/plugin"
	"ssmrun/internal/agent/state"
	"ssmrun/internal/agent/systemd"
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
	DefaultMinFreeDisk = 64 << 20
)

// resumeWithin is how old a command may be that had not begun when the agent
// ended and is to begin now: SendCommand's default delivery timeout. Nobody
// expects an older one to start any more.
const resumeWithin = time.Hour

// Config is what an Agent needs. StateDir and Endpoint or ServiceDomain are
// required.
type Config struct {
	// StateDir is the agent's folder; see package state.
	StateDir string
	// Endpoint tells where the service is. It is asked before every connect.
	Endpoint func() (state.Endpoint, error)
	// ServiceDomain, where set, is the domain under which each service has a host
	// of its own, as AWS's have under amazonaws.com; Endpoint is not asked then.
	// ServiceEndpoints are URLs of single ones, by the names of agentlink and s3,
	// which win over both.
	ServiceDomain    string
	ServiceEndpoints map[string]string
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
	// RunAs is the user that scripts run as; "" for the agent's own. Another one
	// needs an agent that is root.
	RunAs string
	// PolicyFile is the host's policy, "" for none; see package policy. Where
	// PolicyRequired is not set the file may be missing.
	PolicyFile     string
	PolicyRequired bool
	// Workers is how many commands run at once, Queue how many wait beyond. None
	// waits by default: what is not taken yet waits at the service, which knows
	// until when it may still begin.
	Workers, Queue int
	// OutputLimit bounds what waits on disk of each stream of a step for its
	// upload to S3, in bytes: what comes on top of it is not kept.
	OutputLimit int64
	// MinFreeDisk is how many bytes have to be free where StateDir is for a command
	// to be taken: DefaultMinFreeDisk; less than 0 for no bound. JournalLimit
	// bounds the journal in bytes.
	MinFreeDisk, JournalLimit int64

	// Reboot asks the system to restart, and returns when it was asked; scripts
	// cause it by exit code 194. nil: such a step fails.
	Reboot func(context.Context) error

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
	// Notify is the service manager that started the agent; nil for none.
	Notify *systemd.Notifier

	// orphanPoll is how often the agent looks whether it is an orphan;
	// resumeDelay how long after the channel opened recovered commands wait, so
	// that cancels which were waiting at the service come first; stopGrace how
	// long a stopping agent waits for S3 and then for acknowledgements; fetchPause
	// the first pause before stored parameters are asked for again.
	orphanPoll, resumeDelay, stopGrace, fetchPause time.Duration
	// rebootPatience is how long a reboot waits for commands that run; rebootWait
	// how long a host that was asked to restart may take to begin with it.
	rebootPatience, rebootWait time.Duration
	// bootID names the present run of the system; state.BootID.
	bootID func() string
}

// withDefaults checks the configuration and fills it up.
func (c Config) withDefaults() (Config, error) {
	if c.StateDir == "" || c.Endpoint == nil && c.ServiceDomain == "" {
		return c, errors.New("agent needs a state folder and an endpoint")
	}
	if c.Endpoint == nil {
		c.Endpoint = FixedEndpoint("", "")
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
	setDefault(&c.MinFreeDisk, DefaultMinFreeDisk)
	setDefault(&c.JournalLimit, journal.DefaultMaxBytes)
	setDefault(&c.orphanPoll, 2*time.Second)
	setDefault(&c.resumeDelay, time.Second)
	setDefault(&c.stopGrace, 3*time.Second)
	setDefault(&c.fetchPause, 500*time.Millisecond)
	setDefault(&c.rebootPatience, 5*time.Minute)
	setDefault(&c.rebootWait, 10*time.Minute)
	if c.bootID == nil {
		c.bootID = state.BootID
	}
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
