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
	"strings"
	"syscall"

	"ssmrun/internal/agent/state"
	"ssmrun/internal/agentlink"
)

// Exit codes of Main.
const (
	ExitOK     = 0
	ExitFailed = 1
	ExitUsage  = 2
	ExitLocked = 3 // another agent works on the state folder
)

const usage = `ssmrun-agent runs commands that a Run Command service sends to this host.

The first start registers the host with an activation; later starts need only
--state and the endpoint.

`

// Main is the whole program: it reads flags from args (without the program's
// name), runs an agent until SIGTERM or SIGINT, or until ctx ends, and gives the
// exit code. Logs go to stderr, nothing to stdout but help that was asked for.
//
// The executor re-executes the program as a supervisor: main must ask
// executor.IsSupervisor before it calls Main.
func Main(ctx context.Context, args []string, _ io.Reader, stdout, stderr io.Writer) int {
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
	var endpoint, s3, endpointFile, level string
	f := flag.NewFlagSet("ssmrun-agent", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.StringVar(&cfg.StateDir, "state", defaultStateDir(), "`folder` for registration, journal and running scripts")
	f.StringVar(&endpoint, "endpoint", "", "`URL` of the service: http://HOST:PORT or https://HOST:PORT")
	f.StringVar(&s3, "s3-endpoint", "", "`URL` of the S3 that outputs are uploaded to; AWS's own where it is not given")
	f.StringVar(&endpointFile, "endpoint-file", "", "`file` in which the service says where it is, instead of --endpoint")
	f.StringVar(&cfg.ActivationFile, "activation-file", "", "JSON `file` with activation_id, activation_code and region; removed once it was used")
	f.StringVar(&cfg.Activation.ID, "activation-id", "", "`id` of the activation to register with")
	f.StringVar(&cfg.Activation.Code, "activation-code", "", "`code` of the activation; others see it in the list of processes: prefer --activation-file")
	f.StringVar(&cfg.Region, "region", "", "`region` of the instance, where the activation file names none")
	f.StringVar(&cfg.Path, "path", DefaultPath, "`PATH` of scripts")
	f.StringVar(&cfg.Home, "home", "", "HOME of scripts; the agent's own where it is not given (`folder`)")
	f.StringVar(&cfg.WorkDir, "work-dir", "", "`folder` in which scripts start; work in the state folder where it is not given")
	f.IntVar(&cfg.Workers, "workers", DefaultWorkers, "`number` of commands that run at once")
	f.IntVar(&cfg.Queue, "queue", 0, "`number` of commands that may wait here for their turn; the others wait at the service")
	f.Int64Var(&cfg.OutputLimit, "output-limit", DefaultOutputLimit, "how many `bytes` of each stream of a step are kept on disk for S3")
	f.BoolVar(&cfg.Local, "local", false, "local agent: end when the service is gone")
	f.DurationVar(&cfg.OrphanGrace, "orphan-grace", DefaultOrphanGrace, "with --local: how long after the last command (`duration`)")
	f.StringVar(&level, "log-level", "info", "`level` of the log: debug, info, warn or error")
	err := f.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(stdout, usage)
		f.SetOutput(stdout)
		f.PrintDefaults()
		return cfg, flag.ErrHelp
	}
	if err != nil {
		return cfg, fmt.Errorf("%w; see --help", err)
	}
	var lv slog.Level
	switch {
	case f.NArg() > 0:
		return cfg, fmt.Errorf("unexpected argument %q; see --help", f.Arg(0))
	case (endpoint == "") == (endpointFile == ""):
		return cfg, errors.New("give either --endpoint or --endpoint-file")
	case (cfg.Activation.ID == "") != (cfg.Activation.Code == ""):
		return cfg, errors.New("--activation-id and --activation-code belong together")
	case cfg.Activation.ID != "" && cfg.ActivationFile != "":
		return cfg, errors.New("give either --activation-file or --activation-id and --activation-code")
	case cfg.Workers < 1 || cfg.Queue < 0:
		return cfg, errors.New("--workers must be at least 1, and --queue not negative")
	case cfg.OutputLimit < 1:
		return cfg, errors.New("--output-limit must be at least 1")
	case cfg.OrphanGrace <= 0:
		return cfg, errors.New("--orphan-grace must be more than 0")
	case lv.UnmarshalText([]byte(strings.ToUpper(level))) != nil:
		return cfg, fmt.Errorf("--log-level %q: want debug, info, warn or error", level)
	}
	for name, u := range map[string]string{"--endpoint": endpoint, "--s3-endpoint": s3} {
		if u == "" {
			continue
		}
		if _, err := agentlink.ParseEndpoint(u); err != nil {
			return cfg, fmt.Errorf("%s: %w", name, err)
		}
	}
	cfg.Endpoint = FixedEndpoint(endpoint, s3)
	if endpointFile != "" {
		abs, err := filepath.Abs(endpointFile)
		if err != nil {
			return cfg, fmt.Errorf("--endpoint-file: %w", err)
		}
		cfg.Endpoint = withS3(EndpointFile(abs), s3)
	}
	cfg.Logger = slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: lv}))
	return cfg, nil
}

// withS3 lets a given S3 win over the file's.
func withS3(source func() (state.Endpoint, error), s3 string) func() (state.Endpoint, error) {
	if s3 == "" {
		return source
	}
	return func() (state.Endpoint, error) {
		e, err := source()
		e.S3 = s3
		return e, err
	}
}
