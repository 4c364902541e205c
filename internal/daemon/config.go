package daemon

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"ssmrun"
	"ssmrun/internal/control"
	"ssmrun/internal/identity"
)

// Defaults of Config.
const (
	DefaultListen  = "127.0.0.1:8440"
	DefaultRegion  = "us-east-1"
	DefaultAccount = "000000000000"
	DefaultDrain   = 30 * time.Second
	DefaultHistory = control.DefaultHistory
	// DefaultDomain is below the top level that is kept for private networks.
	DefaultDomain = "ssmrun.internal"
	// DefaultInactiveAfter is a number of this service: AWS names none.
	DefaultInactiveAfter = 30 * 24 * time.Hour
)

// Config is what `ssmrun serve` is told.
type Config struct {
	// Listen is HOST:PORT, a loopback address; port 0 picks one.
	Listen string
	// TLSListen is HOST:PORT of the HTTPS listener, any address; port 0 picks one;
	// "" for none.
	TLSListen string
	// Domain is what the service's host names end in: ssm.DOMAIN,
	// BUCKET.s3.REGION.DOMAIN; see hostNames. DefaultDomain where TLSListen is
	// set; "" without it: no host name says anything.
	Domain string
	// TLSNames are further names and addresses of the certificates that the
	// service makes.
	TLSNames []string
	// TLSCert and TLSKey are PEM files, instead of the service's own CA.
	TLSCert, TLSKey string
	// Data is the data folder, made where it is missing (0700).
	Data string
	// Regions are those that are served, the first by default. A request belongs
	// to the region of its signature's scope.
	Regions []string
	// Account is the 12-digit account of the service's own key, and of the local
	// agents.
	Account string
	// OtherAccounts are accounts whose roles the service's key may assume.
	OtherAccounts []string
	// EC2Instances is a file that tells of EC2 instances; "" for none.
	EC2Instances string
	// Key, where set, is the access key instead of the one that is made and kept.
	Key identity.Key
	// Documents is a folder of documents; "" for none.
	Documents string
	// LocalAgents is how many agents run on this machine.
	LocalAgents int
	// LocalAgentPath is the PATH of their scripts; "" leaves the agent's own.
	LocalAgentPath string
	// AllowRootAgents lets local agents start where this process is root.
	AllowRootAgents bool
	// AgentCommand is the program that runs an agent and its first arguments.
	AgentCommand []string
	// Roles are made at start where they are missing, in all accounts:
	// [PATH/]NAME[=POLICY[,POLICY...]].
	Roles []string
	// InstanceMetadata are EC2 instances whose metadata is served, each on a
	// loopback port of its own: i-…[=ROLE]. For tests: whoever reaches such a port
	// gets the role's keys.
	InstanceMetadata []string
	// Buckets are made at start.
	Buckets []string
	// S3Endpoint, where set, is the S3 that agents upload to, instead of the
	// embedded one.
	S3Endpoint string
	// ReadyFile is written when all is ready; "" for none.
	ReadyFile string
	// Drain is how long a stop waits for what runs.
	Drain time.Duration
	// OfflineAfter is how long after its last heartbeat an agent counts as Online.
	OfflineAfter time.Duration
	// InactiveAfter is how long a hybrid node (mi-) has to be silent to count as
	// Inactive; 0 for never.
	InactiveAfter time.Duration
	// RotateAgentKeys is the age from which agents are asked to register a new
	// key; 0 for never.
	RotateAgentKeys time.Duration
	// History is how long a command is kept; 0 for control's default.
	History time.Duration
	// MaxPending is how many invocations of an account and region may be open;
	// 0 for no bound.
	MaxPending int
	// RampByCompletion: see control.Config.
	RampByCompletion bool
	// ResourceGroups are NAME=KEY=VALUE[,VALUE...][;KEY=VALUE...], with keys as
	// those of targets.
	ResourceGroups []string
	// Emulate names behaviours of AWS to show, for tests of clients: EmulateRaces.
	Emulate []string
	Version string
	// AgentVersion is that of the agent which is shipped with the service.
	AgentVersion string
	// Stdout gets the ready lines; nil discards.
	Stdout io.Writer
	Logger *slog.Logger
	Now    func() time.Time
}

// EmulateRaces is the value of Config.Emulate that makes the service show AWS's
// races and throttles.
const EmulateRaces = "aws-races"

var (
	regionForm  = regexp.MustCompile(`^[a-z]{2}(-[a-z]+)+-[0-9]+$`)
	accountForm = regexp.MustCompile(`^[0-9]{12}$`)
)

// complete fills in defaults and makes paths absolute: the embedded S3 endpoint
// changes the working directory of the process.
func (c *Config) complete() error {
	if c.Listen == "" {
		c.Listen = DefaultListen
	}
	if len(c.Regions) == 0 {
		c.Regions = []string{DefaultRegion}
	}
	if c.Account == "" {
		c.Account = DefaultAccount
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Stdout == nil {
		c.Stdout = io.Discard
	}
	if c.TLSListen != "" && c.Domain == "" {
		c.Domain = DefaultDomain
	}
	c.Domain = strings.ToLower(strings.Trim(c.Domain, "."))
	for _, p := range []*string{&c.Data, &c.Documents, &c.EC2Instances, &c.ReadyFile, &c.TLSCert, &c.TLSKey} {
		if *p == "" {
			continue
		}
		abs, err := filepath.Abs(*p)
		if err != nil {
			return fmt.Errorf("find %s: %w", *p, err)
		}
		*p = abs
	}
	return c.check()
}

func (c *Config) check() error {
	var errs []error
	if c.Data == "" {
		errs = append(errs, errors.New("--data is missing: name a folder for the service's data"))
	}
	if err := checkLoopback(c.Listen); err != nil {
		errs = append(errs, err)
	}
	errs = append(errs, c.checkTLS()...)
	for _, r := range c.Regions {
		if !regionForm.MatchString(r) {
			errs = append(errs, fmt.Errorf("--region %q is not of the form us-east-1", r))
		}
	}
	if !accountForm.MatchString(c.Account) {
		errs = append(errs, fmt.Errorf("--account-id %q must have 12 digits", c.Account))
	}
	for i, other := range c.OtherAccounts {
		switch {
		case !accountForm.MatchString(other):
			errs = append(errs, fmt.Errorf("--other-account %q must have 12 digits", other))
		case other == c.Account || slices.Contains(c.OtherAccounts[:i], other):
			errs = append(errs, fmt.Errorf("--other-account %s is served already", other))
		}
	}
	if (c.Key.AccessKeyID == "") != (c.Key.Secret == "") {
		errs = append(errs, errors.New("an access key needs both its id and its secret"))
	}
	for _, b := range c.Buckets {
		if err := ssmrun.CheckBucketName(b); err != nil {
			errs = append(errs, fmt.Errorf("--bucket: %s", ssmrun.ErrorMessage(err)))
		}
	}
	if len(c.Buckets) > 0 && c.S3Endpoint != "" {
		errs = append(errs, errors.New("--bucket makes buckets in the embedded S3 endpoint, which --s3-endpoint replaces: use one of the two"))
	}
	for _, e := range c.Emulate {
		if e != EmulateRaces {
			errs = append(errs, fmt.Errorf("--emulate %q is not known: there is %s", e, EmulateRaces))
		}
	}
	if c.History < 0 {
		errs = append(errs, fmt.Errorf("--history %s must not be negative", c.History))
	}
	for flag, d := range map[string]time.Duration{"--inactive-after": c.InactiveAfter, "--rotate-agent-keys": c.RotateAgentKeys} {
		if d < 0 {
			errs = append(errs, fmt.Errorf("%s %s must not be negative", flag, d))
		}
	}
	if c.MaxPending < 0 {
		errs = append(errs, fmt.Errorf("--max-pending %d must not be negative", c.MaxPending))
	}
	if _, err := resourceGroups(c.ResourceGroups); err != nil {
		errs = append(errs, err)
	}
	for _, r := range c.Roles {
		if _, err := roleToMake(r); err != nil {
			errs = append(errs, err)
		}
	}
	if _, err := c.metadataInstances(); err != nil {
		errs = append(errs, err)
	}
	if c.LocalAgents < 0 {
		errs = append(errs, fmt.Errorf("--local-agents %d must not be negative", c.LocalAgents))
	}
	if c.LocalAgents > 0 && len(c.AgentCommand) == 0 {
		errs = append(errs, errors.New("local agents need a program that runs them"))
	}
	if c.LocalAgents > 0 && isRoot() && !c.AllowRootAgents {
		errs = append(errs, errors.New("local agents would run scripts as root on this machine: run the service as another user, or say --allow-root-agents if that is what you want"))
	}
	if len(errs) > 0 {
		return &ConfigError{errors.Join(errs...)}
	}
	return nil
}

// ConfigError says what is wrong with a Config; nothing was opened.
type ConfigError struct{ err error }

// Error has a line for each thing that is wrong.
func (e *ConfigError) Error() string { return e.err.Error() }

// Unwrap gives them.
func (e *ConfigError) Unwrap() error { return e.err }

// checkLoopback refuses to listen where others could reach an unencrypted port.
func checkLoopback(listen string) error {
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return fmt.Errorf("--listen %q is not HOST:PORT", listen)
	}
	ip := net.ParseIP(host)
	if host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("--listen %s is reachable beyond this machine, and this port does not encrypt; TLS comes with --tls-listen. Listen on 127.0.0.1 or [::1] until then", listen)
	}
	return nil
}
