package daemon

import (
	"context"
	"fmt"
	"strings"

	"ssmrun/internal/identity"
	"ssmrun/internal/store"
)

// roleToMake reads [PATH/]NAME[=POLICY[,POLICY...]]. Without policies it is a role
// that agents may work with, with "=" alone one that carries none. Both Systems
// Manager and EC2 may assume it, so that it does for activations and for instance
// profiles.
func roleToMake(spec string) (store.Role, error) {
	named, list, given := strings.Cut(spec, "=")
	ref, ok := identity.ParseRole(named)
	if !ok || ref.Account != "" {
		return store.Role{}, fmt.Errorf("--role %q: %q is no name of a role", spec, named)
	}
	r := store.Role{
		Name: ref.Name, Path: ref.Path, Description: "made by --role",
		Trust: identity.TrustPolicy(identity.ServiceSSM, identity.ServiceEC2),
	}
	if !given {
		r.Policies = []string{identity.CorePolicy}
		return r, nil
	}
	for name := range strings.SplitSeq(list, ",") {
		if name == "" {
			continue
		}
		arn, ok := identity.PolicyARN(name)
		if !ok {
			return store.Role{}, fmt.Errorf("--role %q: %q is none of AWS's managed policies, such as AmazonSSMManagedInstanceCore", spec, name)
		}
		r.Policies = append(r.Policies, arn)
	}
	if len(r.Policies) > identity.MaxPolicies {
		return store.Role{}, fmt.Errorf("--role %q: a role can have %d policies, and these are %d", spec, identity.MaxPolicies, len(r.Policies))
	}
	return r, nil
}

// prepareAccounts makes the roles that accounts have from the start.
func (d *Daemon) prepareAccounts(ctx context.Context) error {
	var list []store.Role
	for _, spec := range d.cfg.Roles {
		r, err := roleToMake(spec)
		if err != nil {
			return err
		}
		list = append(list, r)
	}
	return d.identity.PrepareAccounts(ctx, append([]string{d.cfg.Account}, d.cfg.OtherAccounts...), list)
}
