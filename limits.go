package ssmrun

import "time"

// Limits of Run Command, as AWS's model and documentation state them.
const (
	// MaxInstanceIDs is the most ids one SendCommand may name.
	MaxInstanceIDs = 50
	// MaxCommentLength bounds the Comment, in characters.
	MaxCommentLength = 100
	// MaxParametersBytes bounds a SendCommand's parameters and document.
	MaxParametersBytes = 100_000
	// MaxDocumentBytes bounds a document's content.
	MaxDocumentBytes = 64 << 10
	// MaxBodyBytes bounds the body of a JSON or Query call to the service.
	MaxBodyBytes = 1 << 20

	// DefaultTimeoutSeconds is SendCommand's TimeoutSeconds where none is given:
	// an invocation that has not begun by then will not begin.
	DefaultTimeoutSeconds = 3600
	// MinTimeoutSeconds and MaxTimeoutSeconds bound it.
	MinTimeoutSeconds = 30
	MaxTimeoutSeconds = 2_592_000

	// DefaultExecutionTimeout is what a step gets that names none, or one below
	// MinExecutionTimeout or above MaxExecutionTimeout.
	DefaultExecutionTimeout = 3600 * time.Second
	MinExecutionTimeout     = 5 * time.Second
	MaxExecutionTimeout     = 172_800 * time.Second

	// DefaultMaxConcurrency and DefaultMaxErrors are SendCommand's.
	DefaultMaxConcurrency = "50"
	DefaultMaxErrors      = "0"
)

// Limits of outputs, in characters.
const (
	// MaxStreamChars is what an agent reports of each stream, and what
	// GetCommandInvocation shows of stdout.
	MaxStreamChars = 24_000
	// MaxStderrChars is what GetCommandInvocation shows of stderr.
	MaxStderrChars = 8_000
	// MaxJoinedChars is what lists show of both streams together.
	MaxJoinedChars = 2_500
)

// Exit codes with a meaning of their own.
const (
	ExitNotStarted = -1  // ResponseCode of a plugin that has not run
	ExitKilled     = 137 // cancelled, timed out, or killed
	ExitReboot     = 194 // a script asks for a reboot and to be run again
	// ExitRebootWindows is ExitReboot of a host with Windows, where it is the code
	// of an installer that wants one.
	ExitRebootWindows = 3010
	ExitStop          = 168 // success, the remaining steps are skipped
	ExitStopFailed    = 169 // failure, the remaining steps are skipped
)

// MaxReboots is how many reboots one command may ask for on an instance: as often
// the genuine agent goes on with a command that it finds begun. A script that
// asks for one more every time would otherwise never end.
const MaxReboots = 15

// RebootGrace is how long a host may be away that a command had restarted: longer
// than servers take that test their memory or install updates on the way. The
// service waits so long for its agent, and an agent that comes back later does
// not go on with the command.
const RebootGrace = time.Hour

// Exec bounds a step's execution timeout as agents do: outside
// MinExecutionTimeout..MaxExecutionTimeout it is DefaultExecutionTimeout.
func Exec(d time.Duration) time.Duration {
	if d < MinExecutionTimeout || d > MaxExecutionTimeout {
		return DefaultExecutionTimeout
	}
	return d
}
