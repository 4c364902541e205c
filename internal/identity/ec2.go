package identity

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"ssmrun"
	"ssmrun/internal/store"
)

// What the keys of an instance stand for. Those without a kind are an agent's
// that registered with an activation.
const (
	ofProfile  = "p" // the role of an EC2 instance's profile
	ofIdentity = "d" // an EC2 instance itself
)

// identityRole is the role that EC2 gives to an instance itself.
const identityRole = "aws:ec2-instance"

// MetadataLife is how long the keys hold that an EC2 instance's metadata gives.
const MetadataLife = 6 * time.Hour

// EC2Instance is an instance as its metadata knows it.
type EC2Instance struct {
	ID    string
	Scope ssmrun.Scope
	Role  string // of its instance profile; "" for none
}

// ProfileKey mints keys of the role of an instance's profile. ssmrun.CodeAccessDenied
// where the role is not there or does not trust EC2; what it may then do is asked
// with each call.
func (s *Service) ProfileKey(ctx context.Context, i EC2Instance) (TemporaryKey, error) {
	r, err := s.Role(ctx, i.Scope.Account, i.Role)
	if err != nil && ssmrun.ErrorCode(err) != CodeNoSuchEntity {
		return TemporaryKey{}, err
	}
	if r == nil || !slices.Contains(r.Services, ServiceEC2) {
		return TemporaryKey{}, ssmrun.Errorf(ssmrun.CodeAccessDenied, "EC2 cannot assume the role %s: %s", i.Role, want(r, i.Role, ServiceEC2))
	}
	return s.mint(&claims{Account: i.Scope.Account, Region: i.Scope.Region, Role: i.Role, InstanceID: i.ID, Kind: ofProfile}, MetadataLife)
}

// IdentityKey mints keys of an instance itself: LookupIdentity alone knows them.
func (s *Service) IdentityKey(i EC2Instance) (TemporaryKey, error) {
	return s.mint(&claims{Account: i.Scope.Account, Region: i.Scope.Region, Role: i.Role, InstanceID: i.ID, Kind: ofIdentity}, MetadataLife)
}

// LookupIdentity is Lookup for the keys of EC2 instances themselves, and for no
// others.
func (s *Service) LookupIdentity(accessKeyID, sessionToken string) (secret string, p Principal, err error) {
	c, err := s.claims(accessKeyID, sessionToken)
	if err != nil {
		return "", Principal{}, err
	}
	if c.Kind != ofIdentity {
		return "", Principal{}, ssmrun.Errorf(ssmrun.CodeAccessDenied, "User: %s is not authorized to perform: ssm:RegisterManagedInstance. An agent registers with an activation, unsigned, or signed with the identity keys of its EC2 instance.", c.principal().ARN)
	}
	return s.derive(sessionToken), c.principal(), nil
}

// RegisterEC2 makes the agent of an EC2 instance known, whose keys its metadata
// gave. publicKey may be "": an agent that works with its profile's keys needs
// none. Errors: ssmrun.CodeAccessDenied where the role of its profile does not let
// agents work, CodeAlreadyRegistered where it has registered another key,
// ssmrun.CodeValidation, ssmrun.CodeInvalidParameters where the id is another
// account's or region's.
func (s *Service) RegisterEC2(ctx context.Context, p Principal, publicKey, fingerprint string) (*ssmrun.Instance, error) {
	if publicKey != "" {
		if err := checkKey(publicKey); err != nil {
			return nil, err
		}
	}
	scope := ssmrun.Scope{Account: p.Account, Region: p.Region}
	now := s.cfg.Now().UTC()
	var inst *ssmrun.Instance
	err := s.cfg.Store.Update(ctx, func(tx store.Tx) error {
		if err := mayRegister(tx, p.Account, p.Role, ServiceEC2); err != nil {
			return err
		}
		if err := free(tx, scope, p.InstanceID, now); err != nil {
			return err
		}
		var err error
		inst, err = tx.FindInstance(p.InstanceID)
		switch {
		case errors.Is(err, ssmrun.ErrNotFound):
			inst = &ssmrun.Instance{ID: p.InstanceID, Scope: scope, RegisteredAt: now}
		case err != nil:
			return err
		case publicKey == "" || inst.PublicKey == publicKey && inst.IamRole == p.Role:
			return nil
		case inst.PublicKey != "" && inst.PublicKey != publicKey:
			return ssmrun.Errorf(CodeAlreadyRegistered, "Instance %s is registered already. Its agent may go on with the keys of its instance profile.", inst.ID)
		}
		inst.IamRole, inst.PublicKey, inst.Fingerprint = p.Role, publicKey, fingerprint
		return tx.PutInstance(inst)
	})
	if _, coded := errors.AsType[*ssmrun.Error](err); err != nil && !coded {
		return nil, fmt.Errorf("register %s: %w", p.InstanceID, err)
	}
	return inst, err
}
