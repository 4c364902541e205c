package control

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"ssmrun"
	"ssmrun/internal/store"
)

// Step is a step of a document as control needs it: under which name its
// result is asked for, and which plugin runs it.
type Step struct {
	Name   string
	Action string
}

// SendRequest is a command that the api has checked: its document exists, its
// parameters fit.
type SendRequest struct {
	// Command carries all that the caller said; Send fills in ID, RequestedAt,
	// ExpiresAfter, State, Counts and Revision.
	Command ssmrun.Command
	Steps   []Step
	// ExecutionTime is the steps' part of ExpiresAfter.
	ExecutionTime time.Duration
	// Token is the caller's own mark of the request; "" for none. A repeated
	// token of the same caller gets the command it got before.
	Token string
}

// Send accepts a command. When it returns, the command is durable and visible
// to every read, and the agents that are connected have been handed theirs.
// Errors: ssmrun.CodeInvalidInstanceID where an instance is not known,
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

func (ch *changes) accept(cmd *ssmrun.Command, req SendRequest) error {
	now := ch.c.cfg.Now().UTC().Truncate(time.Millisecond)
	cmd.ID = uuid.NewString()
	cmd.RequestedAt = now
	cmd.ExpiresAfter = now.Add(time.Duration(cmd.TimeoutSeconds)*time.Second + req.ExecutionTime)
	cmd.State = ssmrun.NewState

	instances, err := resolve(ch.tx, cmd)
	if err != nil {
		return err
	}
	cmd.Counts = ssmrun.Counts{Target: len(instances)}

	invocations := make([]ssmrun.Invocation, 0, len(instances))
	plugins := make([]ssmrun.Plugin, 0, len(instances)*len(req.Steps))
	for _, i := range instances {
		invocations = append(invocations, ssmrun.Invocation{
			CommandID: cmd.ID, InstanceID: i.ID, Scope: cmd.Scope, InstanceName: i.Name,
			RequestedAt: now, State: ssmrun.NewState,
		})
		for n, s := range req.Steps {
			plugins = append(plugins, ssmrun.Plugin{
				CommandID: cmd.ID, InstanceID: i.ID, Name: s.Name, Action: s.Action, Index: n,
				State: ssmrun.NewState, ExitCode: ssmrun.ExitNotStarted,
			})
		}
	}
	if err := ch.tx.InsertCommand(cmd, req.Token, invocations, plugins); err != nil {
		return fmt.Errorf("store the command: %w", err)
	}
	ch.touch(cmd)
	return nil
}

// resolve gives the instances a command is for, by id. Those named by
// InstanceIds have to be known; those that targets select need not.
func resolve(tx store.Tx, cmd *ssmrun.Command) ([]ssmrun.Instance, error) {
	if len(cmd.InstanceIDs) > 0 {
		return named(tx, cmd.Scope, cmd.InstanceIDs)
	}
	var list []ssmrun.Instance
	for n, t := range cmd.Targets {
		matched, err := match(tx, cmd.Scope, t)
		if err != nil {
			return nil, err
		}
		if n == 0 {
			list = matched
			continue
		}
		list = slices.DeleteFunc(list, func(i ssmrun.Instance) bool {
			return !slices.ContainsFunc(matched, func(m ssmrun.Instance) bool { return m.ID == i.ID })
		})
	}
	return list, nil
}

func named(tx store.Tx, scope ssmrun.Scope, ids []string) ([]ssmrun.Instance, error) {
	var list []ssmrun.Instance
	valid := true
	for _, id := range ids {
		i, err := tx.Instance(scope, id)
		switch {
		case errors.Is(err, ssmrun.ErrNotFound):
			valid = false
			continue
		case err != nil:
			return nil, fmt.Errorf("read instance %s: %w", id, err)
		}
		// A machine that does not run is not managed, whatever its agent was.
		state, err := tx.EC2State(scope, id)
		if err != nil {
			return nil, err
		}
		valid = valid && state == store.EC2Running
		list = append(list, *i)
	}
	if !valid {
		// AWS names neither the instances nor the account here.
		return nil, ssmrun.Errorf(ssmrun.CodeInvalidInstanceID, "Instances not in a valid state for account")
	}
	slices.SortFunc(list, func(a, b ssmrun.Instance) int { return strings.Compare(a.ID, b.ID) })
	return list, nil
}

// match gives the instances that one target selects. No instance of the service
// has tags or belongs to a resource group yet, so those keys select none.
func match(tx store.Tx, scope ssmrun.Scope, t ssmrun.Target) ([]ssmrun.Instance, error) {
	if !strings.EqualFold(t.Key, "InstanceIds") {
		return nil, nil
	}
	var list []ssmrun.Instance
	page := store.Page{Limit: 50}
	for {
		part, next, err := tx.ListInstances(scope, store.InstanceQuery{IDs: t.Values}, page)
		if err != nil {
			return nil, fmt.Errorf("list the instances of a target: %w", err)
		}
		list = append(list, part...)
		if next == "" {
			return list, nil
		}
		page.Token = next
	}
}
