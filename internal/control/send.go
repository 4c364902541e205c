package control

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"ssmrun"
)

// SendRequest is a command that the api has checked: its document exists, its
// parameters fit.
type SendRequest struct {
	// Command carries all that the caller said, and the document's Steps; Send
	// fills in ID, RequestedAt, ExpiresAfter, State, Counts and Revision.
	Command ssmrun.Command
	// Platforms are those that the document is for; nil for any.
	Platforms []string
	// ExecutionTime is the steps' part of ExpiresAfter.
	ExecutionTime time.Duration
	// Token is the caller's own mark of the request; "" for none. A repeated
	// token of the same caller gets the command it got before.
	Token string
}

// Send accepts a command. When it returns, the command is durable and visible
// to every read, and the agents that are connected have been handed theirs.
// Errors: ssmrun.CodeInvalidInstanceID where an instance is not known,
// ssmrun.CodeUnsupportedPlatform where the document is not for one that was
// named, ssmrun.CodeAccessDenied where the caller may not send to one,
// ssmrun.CodeUnavailable while the service stops.
func (c *Controller) Send(ctx context.Context, req SendRequest) (*ssmrun.Command, error) {
	var answer *ssmrun.Command
	err := c.change(ctx, func(ch *changes) error {
		if req.Token != "" {
			before, err := ch.tx.CommandByToken(req.Command.Scope, req.Command.Caller, req.Token)
			if err == nil {
				answer = before
				return nil
			}
			if !errors.Is(err, ssmrun.ErrNotFound) {
				return fmt.Errorf("look for a repeated request: %w", err)
			}
		}
		if c.isDraining() {
			return ssmrun.Errorf(ssmrun.CodeUnavailable, "The service is stopping and takes no new commands.")
		}
		cmd := req.Command
		answer = &cmd
		return ch.accept(&cmd, req)
	})
	if err != nil {
		return nil, err
	}
	// The answer tells how it was accepted, not what has become of it since.
	first := *answer
	first.State = ssmrun.NewState
	first.Counts = ssmrun.Counts{}
	if len(first.InstanceIDs) > 0 {
		first.Counts.Target = answer.Counts.Target
	}
	return &first, nil
}

// accept makes a command and its invocations. They are written at the end of
// the transaction, with the turns that are given at once.
func (ch *changes) accept(c *ssmrun.Command, req SendRequest) error {
	now := ch.c.cfg.Now().UTC().Truncate(time.Millisecond)
	c.ID = uuid.NewString()
	c.RequestedAt = now
	c.ExpiresAfter = now.Add(time.Duration(c.TimeoutSeconds)*time.Second + req.ExecutionTime)
	c.State = ssmrun.NewState
	c.Counts = ssmrun.Counts{}
	cmd := &commandState{Command: c, input: true, made: []*flight{}, token: req.Token}
	ch.commands[c.ID] = cmd
	ch.touch(cmd)

	targets, err := ch.resolve(c)
	if err != nil {
		return err
	}
	if len(c.InstanceIDs) > 0 {
		if err := ch.admit(c, targets, req.Platforms); err != nil {
			return err
		}
	}
	if ch.c.tooManyPending(c.Scope, len(targets)) {
		c.Counts.Target = 0 // nothing is made of it
		ch.move(cmd, ssmrun.EventRateExceeded)
		return nil
	}
	c.Counts.Target = len(targets)
	ch.pending[c.Scope] += len(targets)
	for i := range targets {
		t := &targets[i]
		f := &flight{Invocation: &ssmrun.Invocation{
			CommandID: c.ID, InstanceID: t.ID, Scope: c.Scope, InstanceName: t.Name,
			RequestedAt: now, State: ssmrun.NewState,
		}, silent: true}
		ch.flights[flightKey{c.ID, t.ID}] = f
		cmd.made = append(cmd.made, f)
		if event, refused := ch.refusal(c, t, req.Platforms); refused {
			ch.apply(cmd, f, event)
		}
	}
	return nil
}

// target is an instance that a command is for.
type target struct {
	*ssmrun.Instance
	// unknown: it was named by a target, and is not an instance of the scope.
	unknown bool
}

// refusal tells why a command cannot go to an instance that its targets
// selected.
func (ch *changes) refusal(c *ssmrun.Command, t *target, platforms []string) (ssmrun.Event, bool) {
	switch {
	case t.unknown:
		return ssmrun.EventUndeliverable, true
	case !fits(t.Instance, platforms):
		return ssmrun.EventInvalidPlatform, true
	case !ch.c.may(c.Caller, t.Instance):
		return ssmrun.EventAccessDenied, true
	}
	return 0, false
}

// admit refuses a command as a whole for the instances that it names.
func (ch *changes) admit(c *ssmrun.Command, targets []target, platforms []string) error {
	for i := range targets {
		t := &targets[i]
		if !ch.c.may(c.Caller, t.Instance) {
			return ssmrun.Errorf(ssmrun.CodeAccessDenied,
				"User: %s is not authorized to perform: ssm:SendCommand on resource: arn:aws:%s:%s:%s:%s/%s because no identity-based policy allows the ssm:SendCommand action",
				c.Caller, t.Service(), c.Scope.Region, c.Scope.Account, t.Kind(), t.ID)
		}
		if !fits(t.Instance, platforms) {
			return ssmrun.Errorf(ssmrun.CodeUnsupportedPlatform,
				"Document %s does not support the platform of instance %s, which is %s.", c.Document, t.ID, t.PlatformType)
		}
	}
	return nil
}

// fits tells whether a document for these platforms is for an instance. One
// that has not told its platform yet is not refused.
func fits(i *ssmrun.Instance, platforms []string) bool {
	return platforms == nil || i.PlatformType == "" || slices.Contains(platforms, i.PlatformType)
}
