// Package plugin is part of step 7 of a run: what runs one step of a document
// on the host. It holds the contract between package agent, which goes through
// the steps, keeps the journal and reports, and the plugins, one package each
// (shellscript is aws:runShellScript). A plugin that runs processes does so
// through package executor.
package plugin

import (
	"context"
	"errors"
	"io"

	"ssmrun/internal/executor"
)

// Causes with which the context of a step may end. A plugin ends what it runs
// and says Cancelled or Failed accordingly; see Result.
var (
	// ErrCancelled: the command was cancelled.
	ErrCancelled = errors.New("the command was cancelled")
	// ErrStopping: the agent stops; what it runs fails.
	ErrStopping = errors.New("the agent was stopped while the step ran")
)

// Plugin runs steps of one action. Its Run may be called by several goroutines.
type Plugin interface {
	// Run runs one step and returns when it is over and nothing of it is left
	// that a cancel or a timeout had to end. It returns soon after ctx ended,
	// whose cause says why.
	Run(ctx context.Context, in Input) Result
}

// AsUser is a Plugin that runs what it runs as Input.User. A step that shall run
// as another user is refused where its plugin is none.
type AsUser interface {
	Plugin
	// RunsAsUser does nothing.
	RunsAsUser()
}

// Input is one step, ready to run.
type Input struct {
	CommandID  string
	InstanceID string
	// Name is the step as results name it; Action the plugin, "aws:runShellScript".
	Name, Action string
	// Inputs are the step's inputs with the parameters put in; not to be changed.
	Inputs map[string]any
	// Folder is an empty folder of the step's own, mode 0700, removed afterwards.
	// Where User is set the mode is 0711: the user gets to a file in it whose name
	// and mode let him.
	Folder string
	// User is whom the step's processes run as; nil is the agent's own user. It is
	// set for plugins only that are an AsUser.
	User *executor.User
	// WorkDir is where the step works unless its inputs say otherwise.
	WorkDir string
	// Env is the whole environment of the step's processes, "NAME=value".
	Env []string
	// Stdout and Stderr take the output; they never fail and never block for long.
	Stdout, Stderr io.Writer
	// Begin makes the start of the step durable. It is called before anything
	// with an effect is done, with the handle of the process tree that does it
	// (a zero Handle where there is none), and an error of it forbids the start.
	Begin func(executor.Handle) error
	// Running tells how to find the tree once more is known of it than at Begin.
	Running func(executor.Handle)
}

// Status is how a step ended.
type Status int

// The statuses.
const (
	Failed Status = iota // the zero value: a plugin that says nothing has not succeeded
	Success
	TimedOut  // the plugin ended it because its time was over
	Cancelled // the plugin ended it because of ErrCancelled
)

// Result is how a step ended.
type Result struct {
	Status Status
	// Code is the exit code: ssmrun.ExitKilled for what was ended from outside.
	Code int
	// Note is what the agent has to add to stderr: why a step failed beyond what
	// its own output says. One or more lines without a line end.
	Note string
	// Next tells what becomes of the steps after this one.
	Next Next
}

// Next tells what becomes of the steps after this one.
type Next int

// What a step can ask for.
const (
	GoOn     Next = iota
	SkipRest      // the document ends here; only a finallyStep still runs
	Reboot        // the host is restarted, and the step run once more from its beginning
)

// Fail is the result of a step that could not be run.
func Fail(note string) Result { return Result{Status: Failed, Code: 1, Note: note} }
