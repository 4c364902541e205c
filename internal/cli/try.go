package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"ssmrun/internal/agent"
	"ssmrun/internal/daemon"
	"ssmrun/internal/runner"
)

const tryAgents = 3

// tryCommand is run where none is given.
const tryCommand = `echo "hello from $AWS_SSM_INSTANCE_ID, pid $$"`

func newTry(stdio Stdio) *cobra.Command {
	return &cobra.Command{
		Use:   "try [-- COMMAND...]",
		Short: "See it work: a service and three agents on this machine, one command on all three",
		Long: `Starts a Run Command service and three agents on this machine, in a folder of
their own, runs a command on all three over AWS's API, shows what each answered,
and stops everything. The command runs as you, on this machine.`,
		Example: "  ssmrun try\n  ssmrun try -- 'id; df -h .'",
		RunE: func(c *cobra.Command, args []string) error {
			if n := c.ArgsLenAtDash(); n > 0 || n < 0 && len(args) > 0 {
				return &exitError{ExitUsage, errors.New("the command stands after --, as in: ssmrun try -- uptime")}
			}
			ctx, stop := signal.NotifyContext(c.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			command := tryCommand
			if len(args) > 0 {
				command = commandLine(args)
			}
			return try(ctx, stdio, command)
		},
	}
}

func try(ctx context.Context, stdio Stdio, command string) (err error) {
	dir, err := os.MkdirTemp("", "ssmrun-try-")
	if err != nil {
		return fmt.Errorf("make a folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	program, err := agentCommand()
	if err != nil {
		return err
	}
	started := time.Now()
	var log strings.Builder // shown only where it does not start
	d, err := daemon.New(ctx, daemon.Config{
		Data: filepath.Join(dir, "data"), Listen: "127.0.0.1:0", Version: Version,
		LocalAgents: tryAgents, AgentCommand: program, AgentVersion: agent.BuildVersion(),
		AllowRootAgents: true, // it runs what this user typed, as this user
		Logger:          slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		return fmt.Errorf("start the service: %w", err)
	}
	serve, stop := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan error, 1)
	go func() { done <- d.Run(serve) }()
	defer func() {
		stop()
		err = errors.Join(err, <-done)
	}()
	select {
	case <-d.Ready():
	case e := <-done:
		done <- nil
		return fmt.Errorf("start the service: %w\n%s", e, log.String())
	case <-ctx.Done():
		return &exitError{ExitInterrupted, errors.New("interrupted")}
	}
	info := d.Info()
	fmt.Fprintf(stdio.Err, "A Run Command service and %d agents on %s, ready in %d ms\n", tryAgents, info.Endpoint, time.Since(started).Milliseconds())
	r := localRunner(info)
	return runAndShow(ctx, r, runner.Request{
		InstanceIDs: info.InstanceIDs, Document: defaultDocument, Parameters: map[string]any{"commands": []any{command}},
		Timeout: runner.DefaultTimeout, Outputs: runner.OutputsOfAll, Each: false,
	}, stdio, rendering{success: func(res *runner.Result) string {
		return fmt.Sprintf("Succeeded on %d instances in %d ms. All of it is stopped and removed now;\n'ssmrun serve --help' tells how to keep a service.", len(res.Instances), res.Ended.Sub(res.Started).Milliseconds())
	}})
}
