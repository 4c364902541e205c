package runner

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
)

const (
	// adoptPatience is how long a command whose answer was lost is looked for:
	// ListCommands shows a new command after some seconds only.
	adoptPatience = 30 * time.Second
	// adoptLimit bounds the search where the lists cannot be read either, as
	// after a broken network: the last word should be a list that was read.
	adoptLimit = 2 * time.Minute
	// adoptMargin is how much older than the send a command may look: for clocks
	// that do not agree.
	adoptMargin = 5 * time.Minute
	// adoptAfterInterrupt bounds the search of an interrupted run.
	adoptAfterInterrupt = 5 * time.Second
)

// adopt looks for the command whose answer was lost, by its token, and takes it
// as sent. It is never sent again: that it does not show is no proof.
func (x *run) adopt(ctx context.Context, c *command, since time.Time, lost error) error {
	x.emit(ctx, Notice{Text: "The answer to SendCommand was lost. Looking for the command instead of sending it again"})
	// The search goes on after an interrupt, for as long as a caller can be kept.
	search, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, func() {
		_ = sleep(search, adoptAfterInterrupt)
		cancel()
	})
	defer stop()

	start := time.Now()
	interval := 500 * time.Millisecond
	for {
		found, err := x.findByToken(search, c.token, since)
		if found != nil {
			c.take(*found)
			c.adopted = true
			return nil
		}
		if err != nil {
			x.log.Info("the list of commands could not be read; trying again", "error", faultOf(err).String())
		}
		passed := time.Since(start)
		if (err == nil && passed >= adoptPatience) || passed >= adoptLimit {
			break
		}
		if sleep(search, interval) != nil {
			break
		}
		interval = min(2*interval, 5*time.Second)
	}
	f := faultOf(lost)
	return &AmbiguousSendError{
		Token: c.token, Document: x.req.Document, Instances: len(c.ids), Since: since, Err: lost,
		Cause: redact(f.String(), x.values),
		Check: x.awsLine(fmt.Sprintf("ssm list-commands --filters key=InvokedAfter,value=%s --query \"Commands[?contains(Comment,'%s')]\"", filterTime(since), c.token)),
	}
}

// findByToken looks through the commands of the last minutes, newest first.
func (x *run) findByToken(ctx context.Context, token string, since time.Time) (*types.Command, error) {
	filters := []types.CommandFilter{{Key: types.CommandFilterKeyInvokedAfter, Value: aws.String(filterTime(since))}}
	if !strings.ContainsAny(x.req.Document, ":/") {
		// An ARN is not what lists show.
		filters = append(filters, types.CommandFilter{Key: types.CommandFilterKeyDocumentName, Value: &x.req.Document})
	}
	var found *types.Command
	err := pages(func(page *string) (*string, error) {
		ctx, cancel := context.WithTimeout(ctx, callTimeout)
		defer cancel()
		out, err := x.cfg.SSM.ListCommands(ctx, &ssm.ListCommandsInput{Filters: filters, MaxResults: aws.Int32(pageSize), NextToken: page})
		if err != nil {
			return nil, err
		}
		for i := range out.Commands {
			if strings.HasSuffix(aws.ToString(out.Commands[i].Comment), token) {
				found = &out.Commands[i]
				return nil, nil
			}
		}
		return out.NextToken, nil
	})
	return found, err
}

// filterTime spells the earliest time that a search looks at.
func filterTime(since time.Time) string {
	return since.Add(-adoptMargin).UTC().Format("2006-01-02T15:04:05Z")
}
