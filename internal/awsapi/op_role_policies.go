package awsapi

import (
	"context"
	"slices"
	"strings"

	"ssmrun"
	"ssmrun/internal/identity"
	"ssmrun/internal/store"
)

// attachRolePolicy gives a role a managed policy of AWS's; a second time changes
// nothing, as with IAM.
func (a *API) attachRolePolicy(ctx context.Context, c *Call, in *iamInput) (any, error) {
	err := a.cfg.Identity.ChangeRole(ctx, c.Scope.Account, in.RoleName, func(r *store.Role) error {
		switch {
		case !identity.Attachable(in.PolicyArn):
			return ssmrun.Errorf(identity.CodeNoSuchEntity, "Policy %s does not exist or is not attachable.", clipped(in.PolicyArn))
		case slices.Contains(r.Policies, in.PolicyArn):
			return nil
		case len(r.Policies) >= identity.MaxPolicies:
			return ssmrun.Errorf(identity.CodeLimitExceeded, "Cannot exceed quota for PoliciesPerRole: %d", identity.MaxPolicies)
		}
		r.Policies = append(r.Policies, in.PolicyArn)
		return nil
	})
	return answerIAM(c, nil), err
}

func (a *API) detachRolePolicy(ctx context.Context, c *Call, in *iamInput) (any, error) {
	err := a.cfg.Identity.ChangeRole(ctx, c.Scope.Account, in.RoleName, func(r *store.Role) error {
		i := slices.Index(r.Policies, in.PolicyArn)
		if i < 0 {
			return ssmrun.Errorf(identity.CodeNoSuchEntity, "Policy %s was not found.", clipped(in.PolicyArn))
		}
		r.Policies = slices.Delete(r.Policies, i, i+1)
		return nil
	})
	return answerIAM(c, nil), err
}

type attachedPolicy struct {
	Name string `xml:"PolicyName"`
	ARN  string `xml:"PolicyArn"`
}

// listAttachedRolePolicies gives all in one page: a role has few.
func (a *API) listAttachedRolePolicies(ctx context.Context, c *Call, in *iamInput) (any, error) {
	r, err := a.cfg.Identity.Role(ctx, c.Scope.Account, in.RoleName)
	if err != nil {
		return nil, err
	}
	var out struct {
		Policies struct {
			Policies []attachedPolicy `xml:"member"`
		} `xml:"AttachedPolicies"`
		More bool `xml:"IsTruncated"`
	}
	for _, arn := range r.Policies {
		_, rest, _ := strings.Cut(arn, ":policy")
		if strings.HasPrefix(rest, in.PathPrefix) {
			out.Policies.Policies = append(out.Policies.Policies, attachedPolicy{arn[strings.LastIndexByte(arn, '/')+1:], arn})
		}
	}
	return answerIAM(c, out), nil
}

// listRolePolicies: there are no inline policies.
func (a *API) listRolePolicies(ctx context.Context, c *Call, in *iamInput) (any, error) {
	return a.emptyList(ctx, c, in, struct {
		Names struct{} `xml:"PolicyNames"`
		More  bool     `xml:"IsTruncated"`
	}{})
}

// listInstanceProfilesForRole: instance profiles are names here, told by
// --ec2-instances and --instance-metadata.
func (a *API) listInstanceProfilesForRole(ctx context.Context, c *Call, in *iamInput) (any, error) {
	return a.emptyList(ctx, c, in, struct {
		Profiles struct{} `xml:"InstanceProfiles"`
		More     bool     `xml:"IsTruncated"`
	}{})
}

func (a *API) emptyList(ctx context.Context, c *Call, in *iamInput, out any) (any, error) {
	if _, err := a.cfg.Identity.Role(ctx, c.Scope.Account, in.RoleName); err != nil {
		return nil, err
	}
	return answerIAM(c, out), nil
}
