package runner

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"ssmrun"
)

// A token marks a command as this run's, at the end of its Comment.
const (
	tokenPrefix = "ssmrun:"
	tokenLength = len(tokenPrefix) + 26
)

// newToken makes a token of 128 random bits, unlike any other run's.
func newToken() string { return tokenPrefix + rand.Text() }

// command is one SendCommand of a run.
type command struct {
	ids   []string
	token string

	// err is why it was not sent, or not known to be; nil once it was.
	err error

	id        string
	requested time.Time // as the service says
	adopted   bool
	revision  int64 // of the last answer; noRevision for none
	state     ssmrun.State
	counts    Counts
}

func (c *command) sent() bool { return c.id != "" }

// take keeps what an answer says of the command.
func (c *command) take(t types.Command) {
	if id := aws.ToString(t.CommandId); id != "" {
		c.id = id
	}
	if t.RequestedDateTime != nil {
		c.requested = *t.RequestedDateTime
	}
	c.state = stateOf(string(t.Status), t.StatusDetails)
	c.counts = Counts{Target: int(t.TargetCount), Completed: int(t.CompletedCount), Errors: int(t.ErrorCount), DeliveryTimedOut: int(t.DeliveryTimedOutCount)}
}

func stateOf(status string, details *string) ssmrun.State {
	// Other implementations spell details with blanks.
	d := strings.ReplaceAll(aws.ToString(details), " ", "")
	if d == "" {
		d = status
	}
	return ssmrun.State{Status: ssmrun.Status(status), Details: ssmrun.Details(d)}
}

// send sends the document to all instances, 50 at a time. Where the first send
// fails nothing was sent and its error is the run's. A later one that fails is
// kept in its command: the instances named in it are reported as failed, the
// others go on.
func (x *run) send(ctx context.Context) error {
	for ids := range slices.Chunk(x.req.InstanceIDs, ssmrun.MaxInstanceIDs) {
		if ctx.Err() != nil {
			break
		}
		c := &command{ids: ids, token: newToken(), revision: noRevision}
		x.commands = append(x.commands, c)
		if c.err = x.sendOne(ctx, c); c.err != nil && !slices.ContainsFunc(x.commands, (*command).sent) {
			return c.err
		}
	}
	if !slices.ContainsFunc(x.commands, (*command).sent) {
		return context.Cause(ctx)
	}
	x.started = time.Now()
	x.startedAt = x.cfg.Now()
	var ids []string
	adopted := false
	for _, c := range x.commands {
		if c.sent() {
			ids = append(ids, c.id)
			adopted = adopted || c.adopted
		}
	}
	x.emit(ctx, Sent{CommandIDs: ids, Instances: len(x.req.InstanceIDs), Document: x.req.Document, Adopted: adopted})
	return nil
}

// sendOne sends one command, and finds out what became of it where the answer
// was lost.
func (x *run) sendOne(ctx context.Context, c *command) error {
	since := x.cfg.Now().Add(x.skew)
	tries := &attempts{interrupted: ctx.Done()}

	// The call outlives an interrupt for a moment: its answer says what to cancel.
	call, cancel := context.WithCancel(tries.trace(context.WithoutCancel(ctx)))
	defer cancel()
	stop := context.AfterFunc(ctx, func() {
		if tries.underway() {
			_ = sleep(call, sendGrace)
		}
		cancel()
	})
	defer stop()

	out, err := x.cfg.SSM.SendCommand(call, x.input(c), tries.options)
	switch {
	case err == nil && out.Command != nil && aws.ToString(out.Command.CommandId) != "":
		c.take(*out.Command)
		c.revision = revisionIn(out.ResultMetadata)
		return nil
	case err == nil:
		err = errors.New("the answer names no command")
	case !tries.mayBeAccepted(err):
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return x.sendError(err)
	}
	x.log.Warn("the answer to SendCommand was lost; looking for the command by its token", "token", c.token, "error", redact(faultOf(err).String(), x.values))
	return x.adopt(ctx, c, since, err)
}

func (x *run) input(c *command) *ssm.SendCommandInput {
	in := &ssm.SendCommandInput{
		DocumentName:    &x.req.Document,
		DocumentVersion: version(x.req),
		InstanceIds:     c.ids,
		Comment:         aws.String(strings.TrimSpace(x.req.Comment + " " + c.token)),
		TimeoutSeconds:  aws.Int32(deliverySeconds(x.timeout)),
		MaxErrors:       aws.String("100%"),
	}
	if len(x.values) > 0 {
		in.Parameters = x.values
	}
	if x.req.MaxErrors != "" {
		in.MaxErrors = &x.req.MaxErrors
	}
	if x.req.MaxConcurrency != "" {
		in.MaxConcurrency = &x.req.MaxConcurrency
	}
	if o := x.output; o.Bucket != "" {
		in.OutputS3BucketName = &o.Bucket
		if o.Prefix != "" {
			in.OutputS3KeyPrefix = &o.Prefix
		}
		if o.Region != "" {
			in.OutputS3Region = &o.Region
		}
	}
	return in
}

// deliverySeconds is the TimeoutSeconds of a command: as long as the caller
// waits, so that nothing starts after the caller has given up.
func deliverySeconds(timeout time.Duration) int32 {
	s := math.Ceil(timeout.Seconds())
	return int32(min(max(s, ssmrun.MinTimeoutSeconds), ssmrun.MaxTimeoutSeconds))
}

// sendError puts a refusal into words.
func (x *run) sendError(err error) error {
	if missingRegion(err) {
		return x.callError("SendCommand", err)
	}
	f := faultOf(err)
	// AWS's validation errors repeat the value that they refuse.
	f.message = redact(f.message, x.values)
	e := &SendError{Class: f.class, Err: err}
	e.Summary, e.Advice = x.words("SendCommand", f)
	for _, row := range []struct {
		code    ssmrun.Code
		field   Field
		summary string
		advice  string
	}{
		{ssmrun.CodeInvalidInstanceID, FieldInstanceIDs, "Systems Manager refuses the instances", "They may have stopped or been deregistered since they were checked"},
		{ssmrun.CodeDuplicateInstanceID, FieldInstanceIDs, "Systems Manager refuses the instances", "Name each instance once"},
		{ssmrun.CodeInvalidDocument, FieldDocument, fmt.Sprintf("Systems Manager refuses document %q", x.req.Document), "Check its name, the region, and whether it is shared with this account"},
		{ssmrun.CodeInvalidDocumentVersion, FieldDocumentVersion, fmt.Sprintf("Systems Manager refuses version %s of document %q", x.req.DocumentVersion, x.req.Document), "List its versions with: aws ssm list-document-versions --name " + x.req.Document},
		{ssmrun.CodeInvalidParameters, FieldParameters, fmt.Sprintf("Systems Manager refuses the parameters for document %q", x.req.Document), "Compare them with what it declares: aws ssm describe-document --name " + x.req.Document},
		{ssmrun.CodeMaxDocumentSize, FieldParameters, "The document and its parameters are too large together", "Put the script where the instances can fetch it"},
		{ssmrun.CodeUnsupportedPlatform, FieldDocument, fmt.Sprintf("Document %q is not for the platform of these instances", x.req.Document), "Name another document, or leave those instances out"},
		{ssmrun.CodeInvalidOutputFolder, FieldOutputBucket, fmt.Sprintf("Systems Manager refuses bucket %q for the output", x.req.OutputBucket), "Check the bucket's name and the prefix"},
	} {
		if f.code == string(row.code) {
			e.Class, e.Field, e.Summary, e.Advice = KindInvalid, row.field, row.summary+" ("+f.String()+")", row.advice
		}
	}
	return e
}
