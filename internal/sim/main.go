package sim

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"ssmrun/internal/agentlink"
)

// Exit codes of Main.
const (
	ExitOK     = 0
	ExitFailed = 1
	ExitUsage  = 2
)

const usage = `ssmrun-sim stands for many agents at once, to measure a Run Command service
under load. It executes nothing: every command is answered at once with a result
that it makes up.

It prints a line of JSON when all agents are connected, one whenever they are
once more, and at the end (SIGTERM, Ctrl-C) one with what came and was answered.

`

// Main is the whole program: it reads flags from args (without the program's
// name), runs the agents until SIGTERM or SIGINT, or until ctx ends, and gives
// the exit code. Logs go to stderr.
func Main(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	cfg, err := parseFlags(args, stdout, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return ExitOK
	case err != nil:
		fmt.Fprintf(stderr, "ssmrun-sim: %v\n", err)
		return ExitUsage
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	cfg.Stdout = stdout
	f, err := New(cfg)
	if err != nil {
		fmt.Fprintf(stderr, "ssmrun-sim: %v\n", err)
		return ExitUsage
	}
	r, err := f.Run(ctx)
	if e := json.NewEncoder(stdout).Encode(r); err == nil {
		err = e
	}
	if err != nil {
		fmt.Fprintf(stderr, "ssmrun-sim: %v\n", err)
		return ExitFailed
	}
	return ExitOK
}

// parseFlags makes a Config of the command line. What it means is checked by
// New.
func parseFlags(args []string, stdout, stderr io.Writer) (Config, error) {
	var cfg Config
	var endpoint, endpointFile, readyFile, level string
	f := flag.NewFlagSet("ssmrun-sim", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.IntVar(&cfg.Agents, "agents", 0, "`number` of agents")
	f.StringVar(&endpoint, "endpoint", "", "`URL` of the service: http://HOST:PORT or https://HOST:PORT")
	f.StringVar(&cfg.CAFile, "ca-file", "", "PEM `file` with certificates of authorities to trust beside the system's, where the URL is https")
	f.StringVar(&endpointFile, "endpoint-file", "", "`file` in which the service says where it is (endpoint.json of its data folder), read before every connect")
	f.StringVar(&readyFile, "ready-file", "", "the service's ready `file`: where it is, and its own key, which then signs for every agent instead of role tokens")
	f.StringVar(&cfg.Region, "region", "", "`region` of the instances; the file's where it is not given")
	f.Func("activation", "`ID:CODE` to register with; may be repeated, since one takes 1,000 agents at most; others see it in the list of processes", func(s string) error {
		id, code, _ := strings.Cut(s, ":")
		cfg.Activations = append(cfg.Activations, Activation{id, code})
		return nil
	})
	f.StringVar(&cfg.State, "state", "", "`file` that keeps who the instances are, so that the next start is the same ones")
	f.StringVar(&cfg.ConnectedFile, "connected-file", "", "`file` to write when all are connected: their ids, as JSON")
	f.Func("source", "`address` that connections come from, such as 127.0.0.2; may be repeated, and they take turns", func(s string) error {
		a, err := netip.ParseAddr(s)
		cfg.Sources = append(cfg.Sources, a)
		return err
	})
	f.IntVar(&cfg.Dials, "dials", 64, "`number` of agents that register, and then connect, at the same time at the start")
	f.IntVar(&cfg.ExitCode, "exit-code", 0, "exit `code` of every step")
	f.DurationVar(&cfg.Delay, "delay", 0, "how long a command takes (`duration`)")
	f.Float64Var(&cfg.Silent, "silent", 0, "`share` of the agents, 0 to 1, that take commands and never tell a result")
	f.Float64Var(&cfg.Twice, "twice", 0, "`share` of the agents, 0 to 1, that tell a second result, a failure, after the first")
	f.StringVar(&level, "log-level", "error", "`level` of the log: debug, info, warn or error")
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
	if f.NArg() > 0 {
		return cfg, fmt.Errorf("unexpected argument %q; see --help", f.Arg(0))
	}
	var lv slog.Level
	if lv.UnmarshalText([]byte(level)) != nil {
		return cfg, fmt.Errorf("--log-level %q: want debug, info, warn or error", level)
	}
	cfg.Logger = slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: lv}))
	cfg.ServiceKeys = readyFile != ""
	cfg.Place, err = place(endpoint, endpointFile, readyFile)
	return cfg, err
}

// place is the service's, by the one of the three that was given.
func place(endpoint, endpointFile, readyFile string) (Place, error) {
	var found Place
	given := 0
	if endpoint != "" {
		if _, err := agentlink.ParseEndpoint(endpoint); err != nil {
			return nil, fmt.Errorf("--endpoint: %w", err)
		}
		found, given = Fixed(Where{Endpoint: endpoint, Region: "us-east-1"}), given+1
	}
	for _, file := range []string{endpointFile, readyFile} {
		if file == "" {
			continue
		}
		abs, err := filepath.Abs(file)
		if err != nil {
			return nil, fmt.Errorf("find %s: %w", file, err)
		}
		found, given = File(abs), given+1
	}
	if given != 1 {
		return nil, errors.New("give one of --endpoint, --endpoint-file and --ready-file: where is the service?")
	}
	return found, nil
}
