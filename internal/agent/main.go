package agent

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"

	"ssmrun/internal/agent/journal"
	"ssmrun/internal/agent/plugin/shellscript"
	"ssmrun/internal/agent/state"
	"ssmrun/internal/agent/systemd"
)

// Exit codes of Main.
const (
	ExitOK     = 0
	ExitFailed = 1
	ExitUsage  = 2
	ExitLocked = 3 // another agent works on the state folder
)

// DefaultPolicy is the policy of a host, where its agent is told no other place.
const DefaultPolicy = "/etc/ssmrun/policy.yaml"

const usage = `ssmrun-agent runs commands that a Run Command service sends to this host.

  ssmrun-agent [FLAGS]                  run the agent
  ssmrun-agent status [--json]          how the agent of this host is
  ssmrun-agent policy check FILE        what a policy of the host accepts
  ssmrun-agent policy hash FILE...      what a policy calls a document's content

The first start registers the host with an activation; later starts need only
--state and the endpoint. SIGHUP reads the policy anew.

Calls and the control channel go through the proxy that the environment names:
HTTPS_PROXY, HTTP_PROXY, and NO_PROXY for hosts that are reached without one.

Flags of the agent:
`

// subcommands are what the program does beside being an agent.
var subcommands = map[string]func(args []string, stdout, stderr io.Writer) int{
	"status": statusMain, "policy": policyMain,
}

// Main is the whole program: it reads flags from args (without the program's
// name), runs an agent until SIGTERM or SIGINT, or until ctx ends, and gives the
// exit code. Logs go to stderr, nothing to stdout but help that was asked for.
//
// The executor re-executes the program as a supervisor: main must ask
// executor.IsSupervisor before it calls Main.
func Main(ctx context.Context, args []string, _ io.Reader, stdout, stderr io.Writer) int {
	if len(args) > 0 {
		if sub, ok := subcommands[args[0]]; ok {
			return sub(args[1:], stdout, stderr)
		}
	}
	cfg, err := parseFlags(args, stdout, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return ExitOK
	case err != nil:
		fmt.Fprintf(stderr, "ssmrun-agent: %v\n", err)
		return ExitUsage
	}
	return run(ctx, cfg, stderr)
}

// run runs an agent until a signal and gives the exit code.
func run(ctx context.Context, cfg Config, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	// A second signal ends the program at once.
	context.AfterFunc(ctx, stop)
	// An agent is idle nearly always and shall be small; collecting more often
	// costs it nothing that matters.
	debug.SetGCPercent(40)

	a, err := New(cfg)
	if errors.Is(err, state.ErrLocked) {
		fmt.Fprintf(stderr, "ssmrun-agent: %v\n", err)
		return ExitLocked
	}
	if err == nil {
		reload := make(chan os.Signal, 1)
		signal.Notify(reload, syscall.SIGHUP)
		defer signal.Stop(reload)
		go func() {
			for {
				select {
				case <-reload:
					a.Reload()
				case <-ctx.Done():
					return
				}
			}
		}()
		err = a.Run(ctx)
	}
	if err != nil {
		fmt.Fprintf(stderr, "ssmrun-agent: %v\n", err)
		return ExitFailed
	}
	return ExitOK
}

// parseFlags makes a Config of the command line.
func parseFlags(args []string, stdout, stderr io.Writer) (Config, error) {
	var cfg Config
	var level, reboot string
	f := flag.NewFlagSet("ssmrun-agent", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.StringVar(&cfg.StateDir, "state", defaultStateDir(), "`folder` for registration, journal and running scripts")
	endpoints := addEndpointFlags(f)
	f.StringVar(&cfg.ActivationFile, "activation-file", "", "JSON `file` with activation_id, activation_code and region, or as the AWS CLI prints it; removed once it was used")
	f.StringVar(&cfg.Activation.ID, "activation-id", "", "`id` of the activation to register with")
	f.StringVar(&cfg.Activation.Code, "activation-code", "", "`code` of the activation; others see it in the list of processes: prefer --activation-file")
	f.StringVar(&cfg.Region, "region", "", "`region` of the instance, where the activation file names none")
	f.StringVar(&cfg.Path, "path", DefaultPath, "`PATH` of scripts")
	f.StringVar(&cfg.Home, "home", "", "`folder` that is the HOME of scripts; the agent's own where it is not given")
	f.StringVar(&cfg.WorkDir, "work-dir", "", "`folder` in which scripts start; work in the state folder where it is not given")
	f.StringVar(&cfg.RunAs, "run-as", "", "`user` that scripts run as; the agent's own where it is not given")
	f.StringVar(&cfg.PolicyFile, "policy", DefaultPolicy, "`file` with the host's policy: what of all that the service sends is accepted; must be there where it is given")
	f.IntVar(&cfg.Workers, "workers", DefaultWorkers, "`number` of commands that run at once")
	f.IntVar(&cfg.Queue, "queue", 0, "`number` of commands that may wait here for their turn; the others wait at the service")
	f.Int64Var(&cfg.OutputLimit, "output-limit", DefaultOutputLimit, "how many `bytes` of each stream of a step may wait on disk for their upload to S3, which goes on while the step runs; what comes on top is cut off")
	f.StringVar(&reboot, "reboot-command", "", "`program` and arguments that restart the host when a script exits with "+strconv.Itoa(shellscript.RebootCode)+"; "+defaultReboot+" where it is not given, nothing where it is empty or with --local")
	f.Int64Var(&cfg.MinFreeDisk, "min-free-disk", DefaultMinFreeDisk, "refuse commands while fewer `bytes` are free where the state is; 0 for no such bound")
	f.Int64Var(&cfg.JournalLimit, "journal-limit", journal.DefaultMaxBytes, "how many `bytes` the journal may have; what is oldest goes first")
	f.BoolVar(&cfg.Local, "local", false, "local agent: end when the service is gone")
	f.DurationVar(&cfg.OrphanGrace, "orphan-grace", DefaultOrphanGrace, "with --local: `duration` after the last command")
	f.StringVar(&level, "log-level", "info", "`level` of the log: debug, info, warn or error")
	err := f.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(stdout, usage)
		printFlags(stdout, f)
		return cfg, flag.ErrHelp
	}
	if err != nil {
		return cfg, fmt.Errorf("%w; see --help", err)
	}
	given := map[string]bool{}
	f.Visit(func(g *flag.Flag) { given[g.Name] = true })
	if !given["reboot-command"] && !cfg.Local {
		reboot = defaultReboot
	}
	cfg.Reboot = rebootBy(reboot)
	var lv slog.Level
	switch {
	case f.NArg() > 0:
		return cfg, fmt.Errorf("unexpected argument %q; see --help", f.Arg(0))
	case (cfg.Activation.ID == "") != (cfg.Activation.Code == ""):
		return cfg, errors.New("--activation-id and --activation-code belong together")
	case cfg.Activation.ID != "" && cfg.ActivationFile != "":
		return cfg, errors.New("give either --activation-file or --activation-id and --activation-code")
	case cfg.Workers < 1 || cfg.Queue < 0:
		return cfg, errors.New("--workers must be at least 1, and --queue not negative")
	case cfg.MinFreeDisk < 0:
		return cfg, errors.New("--min-free-disk must not be negative")
	case cfg.JournalLimit < 1<<20:
		return cfg, errors.New("--journal-limit must be at least 1048576")
	case cfg.OutputLimit < 1:
		return cfg, errors.New("--output-limit must be at least 1")
	case cfg.OrphanGrace <= 0:
		return cfg, errors.New("--orphan-grace must be more than 0")
	case lv.UnmarshalText([]byte(strings.ToUpper(level))) != nil:
		return cfg, fmt.Errorf("--log-level %q: want debug, info, warn or error", level)
	}
	if err := endpoints.apply(&cfg); err != nil {
		return cfg, err
	}
	if cfg.MinFreeDisk == 0 {
		cfg.MinFreeDisk = -1
	}
	f.Visit(func(given *flag.Flag) { cfg.PolicyRequired = cfg.PolicyRequired || given.Name == "policy" })
	if cfg.PolicyFile != "" {
		abs, err := filepath.Abs(cfg.PolicyFile)
		if err != nil {
			return cfg, fmt.Errorf("--policy: %w", err)
		}
		cfg.PolicyFile = abs
	}
	stream, ok := stderr.(*os.File)
	cfg.Logger = newLogger(stderr, lv, ok && systemd.IsJournal(os.Getenv, stream))
	cfg.Notify = systemd.New(os.Getenv, os.Getpid())
	return cfg, nil
}
