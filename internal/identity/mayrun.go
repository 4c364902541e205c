package identity

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"ssmrun"
	"ssmrun/internal/store"
)

// HybridRole finds the role that an activation or an instance is to have: it has
// to be there and to trust Systems Manager. ssmrun.CodeValidation, with AWS's
// text and what to do about it, where that is not so.
func HybridRole(tx store.Tx, account, named string) (*store.Role, error) {
	ref, ok := ParseRole(named)
	if !ok {
		return nil, ssmrun.Errorf(ssmrun.CodeValidation, "IamRole: %s names no role. Give the role's name, or its ARN.", ssmrun.Head(named, 100))
	}
	arn := ref.ARN(account)
	bad := func(next string) error {
		return ssmrun.Errorf(ssmrun.CodeValidation, "Nonexistent role or missing ssm service principal in trust policy: %s. %s", arn, next)
	}
	if ref.Account != "" && ref.Account != account {
		return nil, bad("The role has to be one of account " + account + ".")
	}
	r, err := tx.Role(account, ref.Name)
	switch {
	case errors.Is(err, ssmrun.ErrNotFound):
		return nil, bad(fmt.Sprintf("There is no such role. Make it: aws iam create-role --role-name %s --assume-role-policy-document '%s'", ref.Name, TrustPolicy(ServiceSSM)))
	case err != nil:
		return nil, err
	case ref.Path != "" && ref.Path != r.Path:
		return nil, bad(fmt.Sprintf("The role of this name is %s.", RoleARN(r)))
	case !slices.Contains(r.Services, ServiceSSM):
		return nil, bad("The role is there. " + mendTrust(r.Name, ServiceSSM))
	}
	return r, nil
}

func mendTrust(role, service string) string {
	return fmt.Sprintf("Let %s assume it: aws iam update-assume-role-policy --role-name %s --policy-document '%s'", service, role, TrustPolicy(service))
}

// want tells why an agent may not work with a role, and what to do about it; ""
// where it may. r is nil where the role is not there.
func want(r *store.Role, name, service string) string {
	switch {
	case name == "":
		return "the instance has no role. Give it an instance profile whose role carries " + coreName + "."
	case r == nil:
		return fmt.Sprintf("the instance's role %s is not there. Make it, and attach %s to it.", name, CorePolicy)
	case !slices.Contains(r.Services, service):
		return fmt.Sprintf("the instance's role %s does not trust %s. %s", name, service, mendTrust(name, service))
	case !carries(r.Policies):
		return fmt.Sprintf("the instance's role %s does not carry the managed policy %s. Attach it: aws iam attach-role-policy --role-name %s --policy-arn %s", name, coreName, name, CorePolicy)
	}
	return ""
}

// MayRun tells whether an agent may do something ("ssm:UpdateInstanceInformation")
// with the role that it has now. ssmrun.CodeAccessDenied with the reason where it
// may not. What a role can is read once, and again when a role has changed.
func (s *Service) MayRun(ctx context.Context, p Principal, action string) error {
	reason, err := s.verdicts.get(verdictKey{p.Account, p.Role, p.Service}, func() (string, error) {
		if p.Role == "" {
			return want(nil, "", p.Service), nil
		}
		// Whoever asks next gets the same answer: it does not end with this caller.
		r, err := s.Role(context.WithoutCancel(ctx), p.Account, p.Role)
		if err != nil && ssmrun.ErrorCode(err) != CodeNoSuchEntity {
			return "", err
		}
		return want(r, p.Role, p.Service), nil
	})
	if err != nil {
		return fmt.Errorf("look for the role of %s: %w", p.InstanceID, err)
	}
	if reason == "" {
		return nil
	}
	return ssmrun.Errorf(ssmrun.CodeAccessDenied, "User: %s is not authorized to perform: %s because %s", p.ARN, action, reason)
}

// mayRegister is the same for an instance that is about to be.
func mayRegister(tx store.Tx, account, role, service string) error {
	r, err := tx.Role(account, role)
	if err != nil && !errors.Is(err, ssmrun.ErrNotFound) {
		return err
	}
	if reason := want(r, role, service); reason != "" {
		return ssmrun.Errorf(ssmrun.CodeAccessDenied, "The registration is refused because %s", reason)
	}
	return nil
}

type verdictKey struct{ account, role, service string }

// verdicts remember why an agent may not work with a role; "" where it may.
type verdicts struct {
	mu    sync.Mutex
	known map[verdictKey]string
	age   int // how often they were forgotten
}

// get gives what is known, or finds it out. What was read before a change and
// comes after it is not kept.
func (v *verdicts) get(k verdictKey, find func() (string, error)) (string, error) {
	v.mu.Lock()
	reason, ok := v.known[k]
	age := v.age
	v.mu.Unlock()
	if ok {
		return reason, nil
	}
	reason, err := find()
	if err != nil {
		return "", err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.age == age {
		if v.known == nil {
			v.known = map[verdictKey]string{}
		}
		v.known[k] = reason
	}
	return reason, nil
}

func (v *verdicts) clear() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.known = nil
	v.age++
}
