package runner

import (
	"context"
	"errors"
	"time"
)

var errPending = errors.New("not there yet")

// MaxComment is how many characters Request.Comment may have.
const MaxComment = 66

// Check says what the request alone proves wrong, without asking anyone. Fields
// in skip are left out: at plan time, those whose values are not known yet. A
// list of ids of which only some are known is checked for those.
func Check(req Request, skip ...Field) []Problem { return nil }

// Preflight says what the service, asked now, finds wrong with the request:
// instances that are unknown or offline, a document that is not there or takes
// other parameters, a bucket that does not exist, an executionTimeout that ends
// the script before Timeout. All of it may be right by the time of the run, so
// these are warnings for a plan. What cannot be asked is left out. Fields in
// skip are not known yet.
func (r *Runner) Preflight(ctx context.Context, req Request, skip ...Field) []Problem { return nil }

// Run checks the request, the document, the instances and the bucket, sends the
// command, waits for its end and collects the results. The error is one of
// ValidationError, CallError, SendError, AmbiguousSendError, RunError,
// TimeoutError, CancelledError, LostError; where something was sent the Result
// is given beside it. observe may be nil.
func (r *Runner) Run(ctx context.Context, req Request, observe Observer) (*Result, error) {
	return nil, errPending
}

// Show collects what is known of a command that someone sent. A command that
// the service does not know is a ValidationError.
func (r *Runner) Show(ctx context.Context, commandID string, outputs Outputs) (*Result, error) {
	return nil, errPending
}

// Cancel cancels a command on all its instances, or on the ones given, and
// waits up to wait for its end. The Result is what is known then.
func (r *Runner) Cancel(ctx context.Context, commandID string, instanceIDs []string, wait time.Duration) (*Result, error) {
	return nil, errPending
}

// ReportOptions bounds a text for humans. The zero value has the defaults.
type ReportOptions struct {
	Instances int // failed instances shown with output; 20
	Lines     int // last lines of each one's output; 20
	Bytes     int // of the whole text, Footer included; 32 KiB
	// Footer stands at the end, whatever had to be left out: the caller's own
	// advice (the -invoke line of the Terraform action).
	Footer string
}

// Explain puts an error of this package into words: a title of one line and the
// details below it, ready for a terminal or a Terraform diagnostic. For a run
// that failed the details are the failure report.
func Explain(err error, opts ReportOptions) (title, detail string) { return "", "" }

// FailureReport lists the failed instances of a result: the first ones with
// status, exit code and the last lines of stderr (of stdout where stderr is
// empty), equal outputs folded; the rest in one line each; and how to read more.
func FailureReport(res *Result, opts ReportOptions) string { return "" }

// SuccessText says that it ran on all instances, with the command's id and the
// line that shows its outputs.
func SuccessText(res *Result) string { return "" }

func (r *Result) summary() string { return "" }

func short(d time.Duration) string { return d.String() }

func (e WaitingForInstances) String() string { return "" }
func (e Validated) String() string           { return "" }
func (e Sent) String() string                { return "" }
func (e Progress) String() string            { return "" }
func (e InstanceDone) String() string        { return "" }
func (e Notice) String() string              { return e.Text }
