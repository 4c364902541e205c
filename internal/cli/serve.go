package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"ssmrun/internal/agent"
	"ssmrun/internal/daemon"
	"ssmrun/internal/identity"
)

func newServe(stdio Stdio) *cobra.Command {
	var cfg daemon.Config
	var logLevel, keyFile, ramp, profile string
	c := &cobra.Command{
		Use:   "serve --data DIR",
		Short: "Be the Run Command service: AWS's API, agents, S3 for outputs",
		Long: `Serves Systems Manager's Run Command, with STS, the part of EC2 that tells
instances apart, and S3 for outputs, on one port. Every request must be signed
with the service's access key, which is made at the first start and kept in the
data folder (identity.json), or given by --access-key-file or by
SSMRUN_ACCESS_KEY_ID and SSMRUN_SECRET_ACCESS_KEY.

SIGTERM or Ctrl-C drains: new commands are refused and what runs is given
--drain to end. A second one stops at once.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var level slog.Level
			if err := level.UnmarshalText([]byte(logLevel)); err != nil {
				return &exitError{ExitUsage, fmt.Errorf("--log-level %q is none of debug, info, warn, error", logLevel)}
			}
			if ramp != "taken" && ramp != "completed" {
				return &exitError{ExitUsage, fmt.Errorf("--ramp %q is neither taken nor completed", ramp)}
			}
			cfg.RampByCompletion = ramp == "completed"
			key, err := accessKey(keyFile)
			if err != nil {
				return err
			}
			cfg.Key = key
			cfg.Version, cfg.AgentVersion = Version, agent.BuildVersion()
			cfg.Stdout = stdio.Out
			cfg.Logger = slog.New(slog.NewTextHandler(stdio.Err, &slog.HandlerOptions{Level: level}))
			if cfg.LocalAgents > 0 {
				if cfg.AgentCommand, err = agentCommand(); err != nil {
					return err
				}
			}
			stop, err := profileCPU(profile)
			if err != nil {
				return err
			}
			return errors.Join(serve(c.Context(), cfg), stop())
		},
	}
	f := c.Flags()
	f.StringVar(&cfg.Data, "data", "", "folder for everything that lasts; made where it is missing (required)")
	f.StringVar(&cfg.Listen, "listen", daemon.DefaultListen, "loopback address to listen on; port 0 picks one")
	f.StringVar(&cfg.TLSListen, "tls-listen", "", "address for HTTPS, HOST:PORT, for agents and callers on other machines; port 0 picks one")
	f.StringVar(&cfg.Domain, "domain", "", "what the service's host names end in, as in ssm.REGION.DOMAIN and BUCKET.s3.REGION.DOMAIN (with --tls-listen default "+daemon.DefaultDomain+")")
	f.StringArrayVar(&cfg.TLSNames, "tls-name", nil, "further host name or address of the service, for its certificate; may be repeated")
	f.StringVar(&cfg.TLSCert, "tls-cert", "", "certificate for HTTPS (PEM), instead of one by the service's own CA")
	f.StringVar(&cfg.TLSKey, "tls-key", "", "its key (PEM)")
	f.StringArrayVar(&cfg.Regions, "region", []string{daemon.DefaultRegion}, "region to serve; may be repeated")
	f.StringVar(&cfg.Account, "account-id", daemon.DefaultAccount, "account of the access key and the local agents, 12 digits")
	f.StringArrayVar(&cfg.OtherAccounts, "other-account", nil, "further account to serve, whose roles the access key may assume; may be repeated")
	f.StringVar(&keyFile, "access-key-file", "", "file with access_key_id and secret_access_key as JSON, instead of a key that is made")
	f.StringVar(&cfg.Documents, "documents", "", "folder with documents, NAME.json or NAME.yaml")
	f.StringVar(&cfg.EC2Instances, "ec2-instances", "", "file that tells of EC2 instances: state, profile, tags (JSON)")
	f.IntVar(&cfg.LocalAgents, "local-agents", 0, "how many agents to run on this machine")
	f.StringVar(&cfg.LocalAgentPath, "local-agent-path", "", "PATH of the local agents' scripts")
	f.BoolVar(&cfg.AllowRootAgents, "allow-root-agents", false, "let local agents run scripts as root where the service runs as root")
	f.StringArrayVar(&cfg.Roles, "role", nil, "role to make at start where it is missing, NAME[=POLICY[,POLICY...]]; without policies it carries AmazonSSMManagedInstanceCore; may be repeated")
	f.StringArrayVar(&cfg.InstanceMetadata, "instance-metadata", nil, "for tests with agents as on EC2: serve the metadata of an instance, i-...[=ROLE], on a loopback port of its own; WHOEVER REACHES THAT PORT GETS THE ROLE'S KEYS; may be repeated")
	f.StringArrayVar(&cfg.Buckets, "bucket", nil, "bucket to make at start; may be repeated")
	f.StringVar(&cfg.S3Endpoint, "s3-endpoint", "", "S3 that agents upload outputs to, instead of the embedded one")
	f.StringVar(&cfg.ReadyFile, "ready-file", "", "file to write, mode 0600, when all is ready: endpoint, keys, instance ids (JSON)")
	f.DurationVar(&cfg.Drain, "drain", daemon.DefaultDrain, "how long a stop waits for what runs")
	f.DurationVar(&cfg.OfflineAfter, "offline-after", 5*time.Minute, "how long after its last heartbeat an agent counts as online")
	f.DurationVar(&cfg.InactiveAfter, "inactive-after", daemon.DefaultInactiveAfter, "how long a hybrid node (mi-) is silent until it counts as inactive; 0 for never")
	f.DurationVar(&cfg.RotateAgentKeys, "rotate-agent-keys", 0, "age from which agents are asked to register a new key; 0 for never")
	f.DurationVar(&cfg.History, "history", daemon.DefaultHistory, "how long commands and their results are kept")
	f.IntVar(&cfg.MaxPending, "max-pending", 0, "how many invocations of one region may be waiting or running; a command beyond that is RateExceeded; 0 for no bound")
	f.StringVar(&ramp, "ramp", "taken", "when a command goes on to further instances, 1, 2, 4, ... at a time: once the ones before have \"taken\" it, or once they have \"completed\" it")
	f.StringArrayVar(&cfg.ResourceGroups, "resource-group", nil, "resource group for targets, NAME=tag:KEY=VALUE[,VALUE...][;tag:KEY=...]; may be repeated")
	f.StringArrayVar(&cfg.Emulate, "emulate", nil, "for tests of clients: aws-races shows AWS's races and throttles")
	f.StringVar(&profile, "cpu-profile", "", "file to write a CPU profile of the whole run to")
	_ = f.MarkHidden("cpu-profile") // for developers; it cannot fail, the flag is there
	f.StringVar(&logLevel, "log-level", "info", "debug, info, warn or error; the log goes to stderr")
	return c
}

// gcPercent is GOGC of the service where the environment says nothing: with its
// small heap, half as many collections are worth the memory.
const gcPercent = 200

// serve runs the service until a signal.
func serve(ctx context.Context, cfg daemon.Config) error {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	d, err := daemon.New(ctx, cfg)
	if _, wrong := errors.AsType[*daemon.ConfigError](err); wrong {
		return &exitError{ExitUsage, err}
	}
	if err != nil {
		return err
	}
	done := make(chan struct{})
	defer close(done)
	go func() {
		for n := 0; ; n++ {
			select {
			case s := <-signals:
				if n > 0 {
					d.StopNow()
					continue
				}
				cfg.Logger.Info("draining; a second signal stops at once", "signal", s)
				cancel()
			case <-done:
				return
			}
		}
	}()
	return d.Run(ctx)
}

// agentCommand runs an agent: ssmrun-agent where it lies beside this program,
// because it is small and starts fast, else this program.
func agentCommand() ([]string, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	small := filepath.Join(filepath.Dir(self), "ssmrun-agent"+filepath.Ext(self))
	if info, err := os.Stat(small); err == nil && info.Mode().IsRegular() {
		return []string{small}, nil
	}
	return []string{self, "agent"}, nil
}

// accessKey reads a key that was given; none was where it is empty.
func accessKey(file string) (identity.Key, error) {
	if file == "" {
		return identity.Key{AccessKeyID: os.Getenv("SSMRUN_ACCESS_KEY_ID"), Secret: os.Getenv("SSMRUN_SECRET_ACCESS_KEY")}, nil
	}
	key, err := identity.ReadKey(file)
	if err != nil {
		return key, fmt.Errorf("--access-key-file %s: %w", filepath.Base(file), err)
	}
	if key.AccessKeyID == "" || key.Secret == "" {
		return key, errors.New("--access-key-file: the file needs access_key_id and secret_access_key")
	}
	return key, nil
}
