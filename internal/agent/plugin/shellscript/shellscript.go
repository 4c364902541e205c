// Package shellscript is the plugin aws:runShellScript, in step 7 of a run: it
// writes a step's lines into a script and runs it through package executor.
// Package agent calls it.
//
// Inputs: runCommand (text, or a list of lines), workingDirectory (empty: the
// agent's), timeoutSeconds (5 to 172800; anything else counts as 3600).
package shellscript

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"ssmrun"
	"ssmrun/internal/agent/plugin"
	"ssmrun/internal/document"
	"ssmrun/internal/executor"
)

// Action is the name of the plugin in documents.
const Action = "aws:runShellScript"

// shell interprets a script that does not name its own interpreter.
const shell = "/bin/sh"

// noShell is why a step does not run on Windows.
const noShell = "the script was not started: " + Action + " runs on Linux and macOS, and this instance runs Windows; " +
	"send the command to other instances, or give the step a precondition: {StringEquals: [platformType, Linux]}"

// Plugin runs scripts.
type Plugin struct {
	exec *executor.Executor
}

// New makes the plugin.
func New(e *executor.Executor) *Plugin { return &Plugin{exec: e} }

var _ plugin.AsUser = (*Plugin)(nil)

// RunsAsUser implements plugin.AsUser.
func (*Plugin) RunsAsUser() {}

// Run implements plugin.Plugin. The step fails with code 1 where the script
// could not be started, else with the script's exit code. 137 means TimedOut or
// Cancelled only where this agent ended the script for that; a script that was
// killed by others, or exits 137, has failed.
func (p *Plugin) Run(ctx context.Context, in plugin.Input) plugin.Result {
	if runtime.GOOS == "windows" {
		return plugin.Fail(noShell)
	}
	script := filepath.Join(in.Folder, "_script.sh")
	lines := strings.Join(document.Lines(in.Inputs["runCommand"]), "\n") + "\n"
	if err := writeScript(script, lines, in.User); err != nil {
		return plugin.Fail(fmt.Sprintf("the script could not be written on the instance: %v", err))
	}
	dir, fail := workDir(in)
	if fail != "" {
		return plugin.Fail(fail)
	}
	process, err := p.exec.Start(ctx, executor.Spec{
		// The shell turns into the file, so that the kernel follows a #! line; a
		// file without one the shell interprets itself.
		Path:        shell,
		Args:        []string{"-c", "exec " + quote(script)},
		Dir:         dir,
		Env:         in.Env,
		User:        in.User,
		Stdout:      in.Stdout,
		Stderr:      in.Stderr,
		Timeout:     document.StepTimeout(in.Inputs),
		ID:          in.CommandID + " " + in.Name,
		BeforeStart: in.Begin,
	})
	if err != nil {
		return startFailure(ctx, err, dir)
	}
	in.Running(process.Handle())
	r := result(process.Wait())
	r.Note = strings.Trim(r.Note+"\n"+hint(lines, r), "\n")
	return r
}

// writeScript writes a script that only the user it runs as can read.
func writeScript(path, lines string, u *executor.User) error {
	if u == nil {
		return executor.WriteScript(path, []byte(lines), 0o700)
	}
	if err := executor.WriteScript(path, []byte(lines), 0o500); err != nil {
		return err
	}
	return os.Chown(path, int(u.UID), int(u.GID))
}

// workDir gives the folder that the script starts in, or why there is none. A
// relative one counts as none, as with the genuine agent.
func workDir(in plugin.Input) (dir, fail string) {
	text, ok := in.Inputs["workingDirectory"].(string)
	if v := in.Inputs["workingDirectory"]; v != nil && !ok {
		return "", "workingDirectory is not a text"
	}
	if !filepath.IsAbs(text) {
		return in.WorkDir, ""
	}
	return text, ""
}

func startFailure(ctx context.Context, err error, dir string) plugin.Result {
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, plugin.ErrCancelled):
		return plugin.Result{Status: plugin.Cancelled, Code: ssmrun.ExitKilled}
	case cause != nil:
		return plugin.Result{Status: plugin.Failed, Code: ssmrun.ExitKilled, Note: cause.Error()}
	case errors.Is(err, executor.ErrDir):
		return plugin.Fail(fmt.Sprintf("the script was not started: working directory %q cannot be used: make it on the instance, or name another in workingDirectory (%v)", dir, unwrapAll(err)))
	}
	return plugin.Fail(fmt.Sprintf("the script was not started: %v", err))
}

// unwrapAll gives the innermost single cause.
func unwrapAll(err error) error {
	for {
		switch e := err.(type) { //nolint:errorlint // walks the chain itself
		case interface{ Unwrap() error }:
			if next := e.Unwrap(); next != nil {
				err = next
				continue
			}
		case interface{ Unwrap() []error }:
			if list := e.Unwrap(); len(list) > 0 {
				err = list[len(list)-1]
				continue
			}
		}
		return err
	}
}

func result(r executor.Result) plugin.Result {
	out := plugin.Result{Status: plugin.Failed, Code: r.ExitCode}
	switch {
	case r.TimedOut:
		out.Status = plugin.TimedOut
	case r.Cancelled && errors.Is(r.Cause, plugin.ErrCancelled):
		out.Status = plugin.Cancelled
	case r.Cancelled:
		out.Note = r.Cause.Error()
	case r.Err == nil && r.Signal == 0:
		out = exited(r.ExitCode)
	case r.Signal != 0:
		// The shell's own process was killed, and not by this agent.
		out.Note = fmt.Sprintf("failed to run commands: signal %d ended the script", r.Signal)
	}
	if r.Err != nil {
		out.Note = strings.TrimPrefix(out.Note+"\n"+r.Err.Error(), "\n")
	}
	return out
}

// exited reads the exit code of a script that ended by itself.
func exited(code int) plugin.Result {
	switch code {
	case 0:
		return plugin.Result{Status: plugin.Success}
	case ssmrun.ExitStop:
		return plugin.Result{Status: plugin.Success, Code: code, Next: plugin.SkipRest}
	case ssmrun.ExitStopFailed:
		return plugin.Result{Status: plugin.Failed, Code: code, Next: plugin.SkipRest, Note: failedToRun(code)}
	case RebootCode:
		return plugin.Result{Status: plugin.Success, Code: code, Next: plugin.Reboot}
	}
	return plugin.Result{Status: plugin.Failed, Code: code, Note: failedToRun(code)}
}

// failedToRun is the genuine agent's line about a script that failed.
func failedToRun(code int) string {
	return fmt.Sprintf("failed to run commands: exit status %d", code)
}

// RebootCode is the exit code with which a script asks for a reboot. As with the
// genuine agent each system has its own: 3010 fits into no other exit code than
// that of Windows, where 194 means nothing.
var RebootCode = map[bool]int{true: ssmrun.ExitRebootWindows, false: ssmrun.ExitReboot}[runtime.GOOS == "windows"]

// quote makes a path one word for the shell.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
