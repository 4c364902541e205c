package sim

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"time"

	"ssmrun"
	"ssmrun/internal/agentlink"
)

// Activation is what instances register with.
type Activation struct{ ID, Code string }

// Config says what a Fleet is like.
type Config struct {
	// Agents is how many there are.
	Agents int
	// Place is where the service is: see Fixed and File.
	Place Place
	// ServiceKeys lets the agents sign with the key that Place names, the
	// service's own, instead of each getting role tokens with its RSA key. One
	// signature in three is spared, and all of RSA.
	ServiceKeys bool
	// Region is the instances'; "" for the place's.
	Region string
	// Activations register the agents that State does not know yet, one after
	// the other as they are used up.
	Activations []Activation
	// State is the file that keeps who the instances are, mode 0600; "" for
	// none.
	State string
	// Sources are the addresses that connections come from, in turns; empty
	// leaves it to the system. One address has about 28,000 ports.
	Sources []netip.Addr
	// CAFile holds certificates, in PEM form, of authorities to trust beside the
	// system's; "" for none.
	CAFile string
	// Dials is how many agents are let to register, and then to connect, at the
	// same time at the start; 64.
	Dials int
	Answer
	// Timing is agentlink's; its defaults are the genuine agent's.
	Timing agentlink.Timing
	Logger *slog.Logger // discards
	// Stdout gets a line of JSON (Connected) whenever all agents are connected;
	// nil discards.
	Stdout io.Writer
	// ConnectedFile is written with the first such line; "" for none.
	ConnectedFile string
}

// Answer says how commands are answered.
type Answer struct {
	// ExitCode is the result of every step: Success where it is 0.
	ExitCode int
	// Delay is how long a command takes.
	Delay time.Duration
	// Silent is the share of agents (0 to 1) that take commands and never tell
	// a result. Twice is the share of those that contradict themselves: after
	// the result comes another one, with another message id, that says Failed.
	// The agents are spread evenly, and a silent one says nothing twice.
	Silent, Twice float64
}

// secondCode is the exit code of the answer that contradicts the first.
const secondCode = 99

// complete checks the configuration and fills it up.
func (c Config) complete() (Config, error) {
	if c.Dials == 0 {
		c.Dials = 64
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Stdout == nil {
		c.Stdout = io.Discard
	}
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(c.Agents > 0, "--agents %d: want at least 1", c.Agents)
	check(c.Place != nil, "give one of --endpoint, --endpoint-file and --ready-file: where is the service?")
	check(c.Dials > 0, "--dials %d: want at least 1", c.Dials)
	check(c.ExitCode >= 0 && c.ExitCode <= 255, "--exit-code %d: want 0 to 255", c.ExitCode)
	check(c.Delay >= 0, "--delay %s must not be negative", c.Delay)
	check(c.Silent >= 0 && c.Silent <= 1, "--silent %g: want a share from 0 to 1", c.Silent)
	check(c.Twice >= 0 && c.Twice <= 1, "--twice %g: want a share from 0 to 1", c.Twice)
	for _, a := range c.Activations {
		check(a.ID != "" && a.Code != "", "--activation: want ID:CODE")
	}
	return c, errors.Join(errs...)
}

// among tells whether agent n belongs to a share that is spread evenly.
func among(n int, share float64) bool { return int(float64(n+1)*share) > int(float64(n)*share) }

// status is what a step with the exit code ends as.
func status(code int) string {
	if code == 0 {
		return string(ssmrun.Success)
	}
	return string(ssmrun.Failed)
}
