package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"ssmrun/internal/agent/policy"
	"ssmrun/internal/document"
	"ssmrun/internal/wire"
)

// codeRefused is the exit code of steps that the host's policy refuses: that of
// what a plugin could not run.
const codeRefused = 1

// unusable begins the reason where the policy itself is at fault.
const unusable = "it cannot be used, and so nothing is let through: "

// openPolicy reads the host's policy. An error forbids the agent's start.
func (a *Agent) openPolicy() error {
	if a.cfg.PolicyFile == "" {
		a.logPolicy(nil)
		return nil
	}
	var err error
	if a.policy, err = policy.Open(a.cfg.PolicyFile, a.cfg.PolicyRequired); err != nil {
		return err
	}
	p, err := a.policy.Current()
	if err != nil {
		return err
	}
	a.logPolicy(p)
	return nil
}

func (a *Agent) logPolicy(p *policy.Policy) {
	if p == nil {
		a.log.Info("this host has no policy: all that the service sends is accepted", "policy", a.cfg.PolicyFile)
		return
	}
	a.log.Info("policy in force", "policy", p.Path, "sha256", p.SHA256)
	if user := cmp.Or(a.cfg.RunAs, ownName()); p.OtherUsers() != nil && !slices.Contains(p.OtherUsers(), user) {
		a.log.Warn("the policy's run_as does not name the user that scripts run as: all are refused but those that choose another", "policy", p.Path, "user", user)
	}
	if policy.Own(p.Path) {
		a.log.Warn("the policy belongs to the agent's own user, whose scripts can change it: make it root's", "policy", p.Path)
	}
}

// currentPolicy gives the policy in force; nil for none.
func (a *Agent) currentPolicy() (*policy.Policy, error) {
	if a.policy == nil {
		return nil, nil //nolint:nilnil // a nil policy is that of a host without one
	}
	p, err := a.policy.Current()
	sum := ""
	switch {
	case err != nil:
		sum = err.Error()
	case p != nil:
		sum = p.SHA256
	}
	a.mu.Lock()
	before := a.policySaid
	a.policySaid = &sum
	a.mu.Unlock()
	if before != nil && *before != sum {
		if err != nil {
			a.log.Error("the policy cannot be used; every command is refused until it is mended", "error", err)
		} else {
			a.logPolicy(p)
		}
	}
	if err != nil {
		return nil, &policy.Refusal{Path: a.policy.Path(), Reason: unusable +
			strings.TrimPrefix(err.Error(), "policy "+a.policy.Path()+": ")}
	}
	return p, nil
}

// refusal says why the host does not let a command run; nil where it does.
func (a *Agent) refusal(c *command) error {
	p, err := a.currentPolicy()
	if err != nil {
		return err
	}
	r := policy.Request{
		Document: c.payload.DocumentName, SHA256: policy.Hash(c.payload.DocumentContent),
		Parameters: slices.Sorted(maps.Keys(c.payload.Parameters)),
		Bucket:     c.payload.OutputS3BucketName, Prefix: c.payload.OutputS3KeyPrefix,
	}
	for _, s := range c.doc.Steps {
		// A step for another system does not run, and so needs no leave.
		if met, err := s.Met(a.cfg.Platform.Type, c.params); err == nil && !met {
			continue
		}
		inputs, err := s.Resolve(c.params)
		if err != nil {
			inputs = s.Inputs
		}
		step := policy.Step{Name: s.Name, Plugin: s.Action}
		if step.User, step.Chosen, err = a.userOf(inputs); err != nil {
			return fmt.Errorf("step %s: %w", s.Name, err)
		}
		if step.Chosen && strings.Contains(step.User, "{{") {
			step.User, step.Chosen = a.cfg.RunAs, false // a stored parameter's: allowStep's turn
			if step.User == "" {
				step.User = ownName()
			}
		}
		r.Steps = append(r.Steps, step)
	}
	if refused := p.Refuse(r); refused != nil {
		return refused
	}
	return nil
}

// allowStep asks the policy about one step, whose inputs are known to the last.
func (a *Agent) allowStep(s document.Step, user string, chosen bool) error {
	p, err := a.currentPolicy()
	if err != nil {
		return err
	}
	if refused := p.RefuseStep(policy.Step{Name: s.Name, Plugin: s.Action, User: user, Chosen: chosen}); refused != nil {
		return refused
	}
	return nil
}

// refusedByHost ends a command that the host's policy refuses and tells that it
// has. Nothing of it has begun. What was cancelled or stopped before is not
// asked about.
func (a *Agent) refusedByHost(c *command) bool {
	if context.Cause(c.ctx) != nil {
		return false
	}
	why := a.refusal(c)
	if why == nil {
		return false
	}
	rule := "none" // the policy as a whole, or a step that cannot be understood
	var refused *policy.Refusal
	if errors.As(why, &refused) && refused.Rule != "" {
		rule = refused.Rule
	}
	a.log.Warn("command refused", "command", c.id, "document", c.payload.DocumentName, "rule", rule, "error", why)
	list := groups(c.doc)
	results := make(map[string]wire.PluginStatus, len(list))
	var last group
	for i, g := range list {
		results[g.name()] = notRun(g, wire.StatusFailed, codeRefused, why.Error())
		if last = g; i < len(list)-1 {
			a.report(c, g, results[g.name()])
		}
	}
	a.finish(c, results, why.Error(), last, len(list))
	return true
}
