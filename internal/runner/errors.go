package runner

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Kind classes the errors of this package, so that a caller can choose an exit
// code without knowing each type.
type Kind int

// The kinds of errors.
const (
	// KindOther is an error that is not of this package.
	KindOther Kind = iota
	// KindInvalid: the request is wrong; nothing was sent (ValidationError).
	KindInvalid
	// KindUnreachable: the service does not answer; nothing was sent (CallError).
	KindUnreachable
	// KindCredentials: there are none, or the service does not take them;
	// nothing was sent (CallError, SendError).
	KindCredentials
	// KindDenied: the caller may not do this; nothing was sent (CallError, SendError).
	KindDenied
	// KindNotSent: the service refused the command for another reason (SendError,
	// CallError).
	KindNotSent
	// KindAmbiguous: the command may have been accepted (AmbiguousSendError).
	KindAmbiguous
	// KindFailed: it ran, and not on every instance with success (RunError).
	KindFailed
	// KindTimeout: it was not over in time (TimeoutError).
	KindTimeout
	// KindCancelled: the caller interrupted it (CancelledError).
	KindCancelled
	// KindLost: it was sent, and what became of it cannot be seen (LostError).
	KindLost
)

// KindOf gives the kind of err or of what it wraps.
func KindOf(err error) Kind {
	var k interface{ Kind() Kind }
	if errors.As(err, &k) {
		return k.Kind()
	}
	return KindOther
}

// ValidationError says that the request is wrong; nothing was sent.
type ValidationError struct {
	Problems []Problem // at least one
}

// Error names the first problem and counts the others.
func (e *ValidationError) Error() string {
	s := e.Problems[0].String()
	if n := len(e.Problems) - 1; n > 0 {
		s += fmt.Sprintf(" (and %d more)", n)
	}
	return s
}

// Kind is KindInvalid.
func (e *ValidationError) Kind() Kind { return KindInvalid }

// CallError says that a call before the send failed; nothing was sent.
type CallError struct {
	Operation string // DescribeInstanceInformation, …
	Class     Kind   // KindUnreachable, KindCredentials, KindDenied or KindNotSent
	Summary   string // what failed and why
	Advice    string // what to do
	Err       error
}

// Error says what failed, why, and what to do.
func (e *CallError) Error() string { return joinAdvice(e.Summary, e.Advice) }

// Unwrap gives the SDK's error.
func (e *CallError) Unwrap() error { return e.Err }

// Kind is e.Class.
func (e *CallError) Kind() Kind { return e.Class }

// SendError says that the service certainly did not accept the command.
type SendError struct {
	Class   Kind
	Field   Field // which the service complained about; "" where that is not known
	Summary string
	Advice  string
	// Err is the SDK's error. It is for errors.As: its text may repeat values of
	// parameters, which Summary does not.
	Err error
}

// Error says what failed, why, and what to do.
func (e *SendError) Error() string { return joinAdvice(e.Summary, e.Advice) }

// Unwrap gives the SDK's error.
func (e *SendError) Unwrap() error { return e.Err }

// Kind is e.Class.
func (e *SendError) Kind() Kind { return e.Class }

// AmbiguousSendError says that the command may have been accepted: the answer
// was lost, and no command with the run's token showed up in time. It was not
// sent again.
type AmbiguousSendError struct {
	Token     string // at the end of the command's Comment, if it was accepted
	Document  string
	Instances int
	Since     time.Time // when it was sent, by the service's clock
	Cause     string    // how the answer was lost
	Check     string    // the command line that looks for it
	Err       error     // the SDK's error; as in SendError, not for printing
}

// Error says that it may have been accepted, and how to find out.
func (e *AmbiguousSendError) Error() string {
	return fmt.Sprintf("the command may have been accepted: its answer was lost (%s), and no command whose comment ends in %s has shown up. It was not sent again. Look for it with: %s", e.Cause, e.Token, e.Check)
}

// Unwrap gives the SDK's error.
func (e *AmbiguousSendError) Unwrap() error { return e.Err }

// Kind is KindAmbiguous.
func (e *AmbiguousSendError) Kind() Kind { return KindAmbiguous }

// RunError says that the run is over, and not on every instance with success.
type RunError struct {
	Result *Result
}

// Error counts the failed instances and names the first ones.
func (e *RunError) Error() string { return e.Result.summary() }

// Kind is KindFailed.
func (e *RunError) Kind() Kind { return KindFailed }

// TimeoutError says that the run was not over in time.
type TimeoutError struct {
	Result  *Result
	Timeout time.Duration
	// Stopped had not begun, and will not: they were cancelled.
	Stopped []string
	// Running had begun, and run on.
	Running []string
	// StopErr is why the ones that had not begun could not be cancelled; nil
	// where they were.
	StopErr error
}

// Error says what still runs.
func (e *TimeoutError) Error() string {
	return fmt.Sprintf("%s was not over after %s: of %s, %d had ended, %d run on, %d had not begun and were cancelled",
		commands(e.Result), short(e.Timeout), instances(len(e.Result.Instances)), len(e.Result.Instances)-len(e.Stopped)-len(e.Running), len(e.Running), len(e.Stopped))
}

// Unwrap gives StopErr.
func (e *TimeoutError) Unwrap() error { return e.StopErr }

// Kind is KindTimeout.
func (e *TimeoutError) Kind() Kind { return KindTimeout }

// CancelledError says that the caller interrupted the run.
type CancelledError struct {
	// Result is nil where nothing had been sent.
	Result *Result
	// Running were not seen to end within the short time that an interrupt
	// waits for them.
	Running []string
	// CancelErr is why they could not be cancelled; nil where they were asked to stop.
	CancelErr error
	// Late: the command was over before it could be cancelled.
	Late bool
	Err  error // the context's cause
}

// Error says what was sent and whether it has ended.
func (e *CancelledError) Error() string {
	switch {
	case e.Result == nil:
		return "interrupted before anything was sent"
	case e.Late:
		return fmt.Sprintf("interrupted, after %s had ended", commands(e.Result))
	case e.CancelErr != nil:
		return fmt.Sprintf("interrupted, but not everything could be cancelled: %v", e.CancelErr)
	case len(e.Running) > 0:
		return fmt.Sprintf("interrupted: %s was cancelled, %d of %d instances have not ended yet", commands(e.Result), len(e.Running), len(e.Result.Instances))
	}
	return fmt.Sprintf("interrupted: %s was cancelled", commands(e.Result))
}

// Unwrap gives the context's cause.
func (e *CancelledError) Unwrap() error { return e.Err }

// Kind is KindCancelled.
func (e *CancelledError) Kind() Kind { return KindCancelled }

// LostError says that the command was sent and that it cannot be seen what
// becomes of it; it runs on.
type LostError struct {
	Result *Result
	// Over: the command has ended, and it is its results that cannot be read.
	Over bool
	Err  error
}

// Error names the command.
func (e *LostError) Error() string {
	if e.Over {
		return fmt.Sprintf("%s has ended, but its results cannot be read: %v", commands(e.Result), e.Err)
	}
	return fmt.Sprintf("%s was sent and runs on, but it cannot be watched: %v", commands(e.Result), e.Err)
}

// Unwrap gives what failed.
func (e *LostError) Unwrap() error { return e.Err }

// Kind is KindLost.
func (e *LostError) Kind() Kind { return KindLost }

// commands names the commands of a result: "command ID".
func commands(res *Result) string {
	ids := res.CommandIDs()
	if len(ids) == 1 {
		return "command " + ids[0]
	}
	return "commands " + strings.Join(ids, ", ")
}

func joinAdvice(summary, advice string) string {
	if advice == "" {
		return summary
	}
	return summary + ". " + advice
}
