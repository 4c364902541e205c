// Package cli is step 1b of a run: the command line, ssmrun. It reads what a
// person typed, calls the runner (or starts the service or an agent), and
// renders what comes back. One file per command; cmd/ssmrun calls Main.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

// Version is the version of the build; the linker sets it.
var Version = "0.1.0-dev"

// Exit codes. 0 is success on every instance.
const (
	ExitOK    = 0
	ExitError = 1 // anything without a code of its own
	ExitUsage = 2 // the command line is wrong; nothing was done
)

// Stdio is where a command reads and writes.
type Stdio struct {
	In       io.Reader
	Out, Err io.Writer
}

// exitError is an error with an exit code. An empty message was said already.
type exitError struct {
	code int
	err  error
}

// Error implements error.
func (e *exitError) Error() string { return e.err.Error() }

// Unwrap gives the inner error.
func (e *exitError) Unwrap() error { return e.err }

// Main runs a command line and gives the exit code.
func Main(ctx context.Context, args []string, stdio Stdio) int {
	root := newRoot(stdio)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return ExitOK
	}
	code := ExitError
	if e, ok := errors.AsType[*exitError](err); ok {
		code = e.code
		if e.err == nil {
			return code
		}
	}
	fmt.Fprintf(stdio.Err, "ssmrun: %v\n", err)
	return code
}

func newRoot(stdio Stdio) *cobra.Command {
	root := &cobra.Command{
		Use:           "ssmrun",
		Short:         "Run an SSM document on instances, wait, and tell what happened on each",
		Version:       Version,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetIn(stdio.In)
	root.SetOut(stdio.Out)
	root.SetErr(stdio.Err)
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return &exitError{ExitUsage, fmt.Errorf("%w\nSee '%s --help'", err, c.CommandPath())}
	})
	root.Args = func(c *cobra.Command, args []string) error {
		if len(args) > 0 {
			return &exitError{ExitUsage, fmt.Errorf("there is no command %q\nSee '%s --help'", args[0], c.CommandPath())}
		}
		return nil
	}
	root.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
	// For a terminal of 80 columns.
	root.SetUsageFunc(usage)
	root.AddCommand(newRun(stdio), newTry(stdio), newShow(stdio), newCommands(stdio), newCancel(stdio), newInstances(stdio), newDocuments(stdio), newServe(stdio), newAgent(stdio), newEnv(stdio))
	return root
}
