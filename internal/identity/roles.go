package identity

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"ssmrun"
	"ssmrun/internal/store"
)

// DefaultRole is the role that every account has from the start, and that local
// agents work with. It has the name of the one that AWS's console makes.
const (
	DefaultRole     = "AmazonEC2RunCommandRoleForManagedInstances"
	DefaultRolePath = "/service-role/"
)

// Codes of IAM's errors.
const (
	CodeNoSuchEntity   ssmrun.Code = "NoSuchEntity"
	CodeEntityExists   ssmrun.Code = "EntityAlreadyExists"
	CodeDeleteConflict ssmrun.Code = "DeleteConflict"
	CodeLimitExceeded  ssmrun.Code = "LimitExceeded"
)

// MaxPolicies is how many managed policies a role can have.
const MaxPolicies = 10

// Sessions of roles, in seconds.
const defaultMaxSession = 3600

// RoleRef names a role: by its name, with its path or without, or by its ARN.
type RoleRef struct {
	Account string // "" where it is not named
	Path    string // "" where it is not named
	Name    string
}

var (
	roleRefARN  = regexp.MustCompile(`^arn:aws:iam::([0-9]{12}):role(/(?:[\x21-\x7e]+/)?)([\w+=,.@-]{1,64})$`)
	roleRefName = regexp.MustCompile(`^(/?(?:[\x21-\x7e]+/)?)([\w+=,.@-]{1,64})$`)
)

// ParseRole reads what names a role. false where it names none.
func ParseRole(s string) (RoleRef, bool) {
	if m := roleRefARN.FindStringSubmatch(s); m != nil {
		return RoleRef{Account: m[1], Path: m[2], Name: m[3]}, true
	}
	m := roleRefName.FindStringSubmatch(s)
	if m == nil || strings.HasPrefix(s, "arn:") {
		return RoleRef{}, false
	}
	if m[1] != "" {
		m[1] = "/" + strings.TrimPrefix(m[1], "/")
	}
	return RoleRef{Path: m[1], Name: m[2]}, true
}

// ARN spells the role, in an account unless it names its own.
func (r RoleRef) ARN(account string) string {
	if r.Account != "" {
		account = r.Account
	}
	path := r.Path
	if path == "" {
		path = "/"
	}
	return "arn:aws:iam::" + account + ":role" + path + r.Name
}

// RoleARN is a role's ARN.
func RoleARN(r *store.Role) string { return RoleRef{Path: r.Path, Name: r.Name}.ARN(r.Account) }

// CreateRole makes a role of its Account, Name, Path, Description, Trust, Policies,
// MaxSession (0 for an hour) and Tags, and fills in the rest. Errors:
// CodeMalformedPolicy, CodeEntityExists.
func (s *Service) CreateRole(ctx context.Context, r *store.Role) error {
	if err := s.completeRole(r); err != nil {
		return err
	}
	return s.updateRoles(ctx, r.Account, r.Name, func(tx store.Tx) error {
		_, err := tx.Role(r.Account, r.Name)
		switch {
		case err == nil:
			return ssmrun.Errorf(CodeEntityExists, "Role with name %s already exists.", r.Name)
		case !errors.Is(err, ssmrun.ErrNotFound):
			return err
		}
		return tx.PutRole(r)
	})
}

func (s *Service) completeRole(r *store.Role) error {
	id := make([]byte, 10)
	if _, err := rand.Read(id); err != nil {
		return fmt.Errorf("make a role's id: %w", err)
	}
	var err error
	if r.Services, err = TrustedServices(r.Trust); err != nil {
		return err
	}
	r.ID = "AROA" + base32.StdEncoding.EncodeToString(id) // 16 characters
	r.CreatedAt = s.cfg.Now().UTC()
	if r.Path == "" {
		r.Path = "/"
	}
	if r.MaxSession == 0 {
		r.MaxSession = defaultMaxSession
	}
	return nil
}

// PrepareAccounts gives every account that is served for the first time its
// default role, and all of them the roles of list that they do not have. A role
// that is there stays as it is.
func (s *Service) PrepareAccounts(ctx context.Context, accounts []string, list []store.Role) error {
	standard := store.Role{
		Name: DefaultRole, Path: DefaultRolePath, Description: "EC2 role for SSM", Trust: TrustPolicy(ServiceSSM), Policies: []string{CorePolicy},
	}
	err := s.cfg.Store.Update(ctx, func(tx store.Tx) error {
		for _, account := range accounts {
			wanted := slices.Clone(list)
			fresh, err := tx.NewAccount(account)
			if err != nil {
				return err
			}
			if fresh {
				wanted = append(wanted, standard)
			}
			for i := range wanted {
				r := &wanted[i]
				r.Account = account
				if _, err := tx.Role(account, r.Name); !errors.Is(err, ssmrun.ErrNotFound) {
					if err != nil {
						return err
					}
					continue
				}
				if err := s.completeRole(r); err != nil {
					return err
				}
				if err := tx.PutRole(r); err != nil {
					return err
				}
			}
		}
		return nil
	})
	s.verdicts.clear()
	if err != nil {
		return fmt.Errorf("make the roles: %w", err)
	}
	return nil
}

// Role finds a role of an account by its name. CodeNoSuchEntity where there is
// none.
func (s *Service) Role(ctx context.Context, account, name string) (*store.Role, error) {
	var r *store.Role
	err := s.cfg.Store.View(ctx, func(tx store.Tx) (err error) {
		r, err = tx.Role(account, name)
		return err
	})
	if errors.Is(err, ssmrun.ErrNotFound) {
		return nil, noSuchRole(name)
	}
	return r, err
}

func noSuchRole(name string) error {
	return ssmrun.Errorf(CodeNoSuchEntity, "The role with name %s cannot be found.", name)
}

// ChangeRole changes a role, Trust apart: see SetTrust. CodeNoSuchEntity where
// there is none; an error of change changes nothing and comes back as it is.
func (s *Service) ChangeRole(ctx context.Context, account, name string, change func(*store.Role) error) error {
	return s.updateRoles(ctx, account, name, func(tx store.Tx) error {
		r, err := tx.Role(account, name)
		if err != nil {
			return err
		}
		if err := change(r); err != nil {
			return err
		}
		return tx.PutRole(r)
	})
}

// SetTrust replaces a role's trust policy. Errors as those of CreateRole and
// ChangeRole.
func (s *Service) SetTrust(ctx context.Context, account, name, policy string) error {
	services, err := TrustedServices(policy)
	if err != nil {
		return err
	}
	return s.ChangeRole(ctx, account, name, func(r *store.Role) error {
		r.Trust, r.Services = policy, services
		return nil
	})
}

// DeleteRole removes a role without policies. CodeNoSuchEntity, CodeDeleteConflict.
func (s *Service) DeleteRole(ctx context.Context, account, name string) error {
	return s.updateRoles(ctx, account, name, func(tx store.Tx) error {
		r, err := tx.Role(account, name)
		if err != nil {
			return err
		}
		if len(r.Policies) > 0 {
			return ssmrun.Errorf(CodeDeleteConflict, "Cannot delete entity, must detach all policies first.")
		}
		return tx.DeleteRole(account, name)
	})
}

// updateRoles writes, and forgets what was found out about the role.
func (s *Service) updateRoles(ctx context.Context, account, name string, fn func(store.Tx) error) error {
	err := s.cfg.Store.Update(ctx, fn)
	s.verdicts.clear()
	if errors.Is(err, ssmrun.ErrNotFound) {
		return noSuchRole(name)
	}
	if _, coded := errors.AsType[*ssmrun.Error](err); err == nil || coded {
		return err
	}
	return fmt.Errorf("change role %s of account %s: %w", name, account, err)
}
