package cli

import "ssmrun/internal/runner"

// Exit codes of commands that run something; those of the shell stay free.
const (
	ExitFailed      = 3   // it ran, and not on every instance with success
	ExitTimeout     = 4   // it was not over in time
	ExitAmbiguous   = 5   // it may have been accepted, or its end cannot be seen
	ExitCredentials = 6   // no credentials, or not allowed; nothing was sent
	ExitUnreachable = 7   // the service does not answer; nothing was sent
	ExitInterrupted = 130 // Ctrl-C: it was cancelled
)

// exitCode chooses the exit code for a runner's error.
func exitCode(err error) int {
	switch runner.KindOf(err) {
	case runner.KindInvalid:
		return ExitUsage
	case runner.KindFailed:
		return ExitFailed
	case runner.KindTimeout:
		return ExitTimeout
	case runner.KindAmbiguous, runner.KindLost:
		return ExitAmbiguous
	case runner.KindCredentials, runner.KindDenied:
		return ExitCredentials
	case runner.KindUnreachable:
		return ExitUnreachable
	case runner.KindCancelled:
		return ExitInterrupted
	default:
		return ExitError
	}
}

const exitCodesHelp = `Exit codes: 0 success on every instance, 2 wrong input and nothing sent,
3 failed on an instance, 4 not over in time, 5 it may have been accepted or its
end cannot be seen, 6 no credentials or not allowed, 7 the service does not
answer, 130 interrupted and cancelled, 1 anything else.`
