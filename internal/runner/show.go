package runner

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"ssmrun"
)

// Show collects what is known of a command that someone sent. A command that
// the service does not know is a ValidationError. A command that is not over is
// shown as it is: its instances are those of the list.
func (r *Runner) Show(ctx context.Context, commandID string, outputs Outputs) (*Result, error) {
	x, err := r.existing(ctx, commandID, outputs)
	if err != nil {
		return nil, err
	}
	return x.show(ctx)
}

// Cancel cancels a command on all its instances, or on the ones given, and
// waits up to wait for their end. The Result is what is known then. Cancelling
// what is over changes nothing and is no error.
func (r *Runner) Cancel(ctx context.Context, commandID string, instanceIDs []string, wait time.Duration) (*Result, error) {
	x, err := r.existing(ctx, commandID, OutputsOfFailed)
	if err != nil {
		return nil, err
	}
	if !x.commands[0].state.Terminal() {
		if err := r.cancelCommand(ctx, commandID, instanceIDs); err != nil {
			return nil, r.callError("CancelCommand", err)
		}
		x.awaitEnd(ctx, wait, func(i InstanceResult) bool {
			if len(instanceIDs) == 0 {
				return true
			}
			return slices.Contains(instanceIDs, i.ID)
		})
	}
	return x.show(ctx)
}

// existing makes a run of a command that was sent before.
func (r *Runner) existing(ctx context.Context, commandID string, outputs Outputs) (*run, error) {
	call, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	out, err := r.cfg.SSM.ListCommands(call, &ssm.ListCommandsInput{CommandId: &commandID})
	unknown := &ValidationError{Problems: []Problem{{
		FieldCommandID, commandID,
		fmt.Sprintf("there is no command %s in %s", quote(commandID), r.region()),
		"Check the id, the region and the account; Run Command forgets commands after 30 days",
	}}}
	switch {
	case hasCode(err, ssmrun.CodeInvalidCommandID, ssmrun.CodeValidation):
		return nil, unknown
	case err != nil:
		return nil, r.callError("ListCommands", err)
	case len(out.Commands) == 0:
		return nil, unknown
	}
	t := out.Commands[0]
	x := r.newRun(Request{Document: aws.ToString(t.DocumentName), DocumentVersion: aws.ToString(t.DocumentVersion), Outputs: outputs}, nil)
	x.output = ssmrun.OutputLocation{Bucket: aws.ToString(t.OutputS3BucketName), Prefix: aws.ToString(t.OutputS3KeyPrefix), Region: aws.ToString(t.OutputS3Region)}
	if x.output.Bucket == "" {
		x.output = ssmrun.OutputLocation{}
	}
	c := &command{revision: noRevision}
	c.take(t)
	x.startedAt = c.requested
	x.commands = []*command{c}

	rows, err := x.invocations(ctx, c.id)
	if err != nil {
		return nil, r.callError("ListCommandInvocations", err)
	}
	c.ids = idsOf(t.InstanceIds, rows)
	x.req.InstanceIDs = c.ids
	// Only the order of the steps and the keys of their outputs hang on it.
	if facts, _, _, err := r.lookAtDocument(ctx, x.req); err == nil {
		x.document = facts
	}
	return x, nil
}

// idsOf gives the instances of a command: those it names, or, where it has
// targets, those that the list shows.
func idsOf(named []string, rows []types.CommandInvocation) []string {
	if len(named) > 0 {
		return named
	}
	var ids []string
	for _, row := range rows {
		ids = append(ids, aws.ToString(row.InstanceId))
	}
	return ids
}

func (x *run) show(ctx context.Context) (*Result, error) {
	res, err := x.collect(ctx, false)
	if err != nil {
		return nil, &CallError{Operation: "ListCommandInvocations", Class: KindNotSent, Summary: err.Error(), Err: errors.Unwrap(err)}
	}
	for _, i := range res.Instances {
		if i.Ended.After(res.Ended) {
			res.Ended = i.Ended
		}
	}
	return res, nil
}
