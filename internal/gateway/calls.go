package gateway

import (
	"context"
	"errors"
	"fmt"

	"ssmrun"
	"ssmrun/internal/identity"
	"ssmrun/internal/store"
	"ssmrun/internal/wire"
)

// Signing says how an agent's call proves itself.
type Signing int

// The kinds of proof.
const (
	// ByRoleKey: SigV4 with the temporary keys, as any call.
	ByRoleKey Signing = iota
	// ByActivation: unsigned, the activation's code is the proof; or signed with
	// the keys of an EC2 instance's own identity, in place of an activation.
	ByActivation
	// ByRegisteredKey: signed with the private key that was registered.
	ByRegisteredKey
)

// calls are the operations of Systems Manager that agents call.
var calls = map[string]Signing{
	wire.OpRegisterManagedInstance:         ByActivation,
	wire.OpRequestManagedInstanceRoleToken: ByRegisteredKey,
	wire.OpUpdateManagedInstancePublicKey:  ByRegisteredKey,
	wire.OpUpdateInstanceInformation:       ByRoleKey,
	wire.OpListInstanceAssociations:        ByRoleKey,
}

// CallSigning tells whether an operation is an agent's, and how it is proved.
func CallSigning(operation string) (Signing, bool) {
	s, ok := calls[operation]
	return s, ok
}

// Call answers an agent's call. For ByRegisteredKey, p is the instance whose
// key signed; for ByActivation it is empty where the call was unsigned.
func (g *Gateway) Call(ctx context.Context, operation string, p identity.Principal, body []byte) (any, error) {
	switch operation {
	case wire.OpRegisterManagedInstance:
		return g.register(ctx, p, body)
	case wire.OpRequestManagedInstanceRoleToken:
		return g.roleToken(ctx, p, body)
	case wire.OpUpdateManagedInstancePublicKey:
		return g.updatePublicKey(ctx, p, body)
	case wire.OpUpdateInstanceInformation:
		return g.updateInformation(ctx, p, body)
	case wire.OpListInstanceAssociations:
		var req wire.ListInstanceAssociationsRequest
		if err := unmarshal(body, &req); err != nil {
			return nil, err
		}
		return wire.ListInstanceAssociationsResponse{}, nil
	}
	return nil, &ssmrun.Error{Code: ssmrun.CodeUnknownOperation}
}

func unmarshal(body []byte, into any) error {
	if err := wire.Unmarshal(body, into); err != nil {
		return ssmrun.Errorf(ssmrun.CodeValidation, "%v", err)
	}
	return nil
}

func (g *Gateway) register(ctx context.Context, p identity.Principal, body []byte) (any, error) {
	var req wire.RegisterManagedInstanceRequest
	if err := unmarshal(body, &req); err != nil {
		return nil, err
	}
	if req.PublicKeyType != wire.KeyTypeRSA {
		return nil, ssmrun.Errorf(ssmrun.CodeValidation, "PublicKeyType must be %s.", wire.KeyTypeRSA)
	}
	var inst *ssmrun.Instance
	var err error
	if p.InstanceID != "" {
		if req.Fingerprint != p.InstanceID {
			return nil, ssmrun.Errorf(ssmrun.CodeValidation, "Fingerprint must be %s, the id of the instance whose keys signed.", p.InstanceID)
		}
		inst, err = g.cfg.Identity.RegisterEC2(ctx, p, req.PublicKey, req.Fingerprint)
	} else {
		inst, err = g.cfg.Identity.Register(ctx, identity.Registration{
			ActivationID: req.ActivationID, ActivationCode: req.ActivationCode,
			Fingerprint: req.Fingerprint, PublicKey: req.PublicKey, Region: p.Region, Connected: g.Connected,
		})
	}
	if err != nil {
		// Without the code: the id says which activation it was.
		who := []any{"activation", ssmrun.Head(req.ActivationID, 64), "error", err}
		if p.InstanceID != "" {
			who[0], who[1] = "instance", p.InstanceID
		}
		g.cfg.Logger.Warn("registration refused", who...)
		return nil, err
	}
	g.cfg.Logger.Info("instance registered", "instance", inst.ID, "activation", inst.ActivationID, "role", inst.IamRole)
	return wire.RegisterManagedInstanceResponse{InstanceID: inst.ID}, nil
}

func (g *Gateway) roleToken(ctx context.Context, p identity.Principal, body []byte) (any, error) {
	var req wire.RequestManagedInstanceRoleTokenRequest
	if err := unmarshal(body, &req); err != nil {
		return nil, err
	}
	inst, err := g.instance(ctx, p.InstanceID)
	if err != nil {
		return nil, err
	}
	if inst.Fingerprint != req.Fingerprint {
		return nil, ssmrun.Errorf("MachineFingerprintDoesNotMatch", "The fingerprint is not the one that %s registered with: the state folder was copied to another machine. Register this machine with an activation of its own.", inst.ID)
	}
	key, err := g.cfg.Identity.RoleKey(inst)
	if err != nil {
		return nil, err
	}
	return wire.RequestManagedInstanceRoleTokenResponse{
		AccessKeyID: key.AccessKeyID, SecretAccessKey: key.Secret, SessionToken: key.SessionToken,
		TokenExpirationDate: wire.Epoch{Time: key.Expires}, UpdateKeyPair: g.oldKey(inst),
	}, nil
}

// oldKey tells whether an instance is to register a new key. It is asked for one
// with every token until it does, which an agent may have no way to.
func (g *Gateway) oldKey(inst *ssmrun.Instance) bool {
	since := inst.KeyAt
	if since.IsZero() { // it has the key that it registered with
		since = inst.RegisteredAt
	}
	return g.cfg.RotateKeys > 0 && g.cfg.Now().Sub(since) >= g.cfg.RotateKeys
}

func (g *Gateway) updatePublicKey(ctx context.Context, p identity.Principal, body []byte) (any, error) {
	var req wire.UpdateManagedInstancePublicKeyRequest
	if err := unmarshal(body, &req); err != nil {
		return nil, err
	}
	if _, err := identity.PublicKey(req.NewPublicKey); err != nil || req.NewPublicKeyType != wire.KeyTypeRSA {
		return nil, ssmrun.Errorf(ssmrun.CodeValidation, "NewPublicKey is not an RSA key of at least 2048 bits.")
	}
	now := g.cfg.Now().UTC()
	err := g.change(ctx, p.InstanceID, func(i *ssmrun.Instance) {
		if i.PublicKey != req.NewPublicKey { // else an answer was lost, or it is no new one
			i.PublicKey, i.KeyAt = req.NewPublicKey, now
		}
	})
	if err == nil {
		g.cfg.Logger.Info("instance registered a new key", "instance", p.InstanceID)
	}
	return struct{}{}, err
}

func (g *Gateway) updateInformation(ctx context.Context, p identity.Principal, body []byte) (any, error) {
	var req wire.UpdateInstanceInformationRequest
	if err := unmarshal(body, &req); err != nil {
		return nil, err
	}
	if !mayOpen(p, req.InstanceID) {
		return nil, ssmrun.Errorf(ssmrun.CodeAccessDenied, "%s may not report for instance %s.", p.ARN, req.InstanceID)
	}
	if err := g.permit(ctx, p, "ssm:"+wire.OpUpdateInstanceInformation); err != nil {
		return nil, err
	}
	if _, err := g.scopeOf(ctx, p, req.InstanceID); err != nil {
		return nil, err
	}
	now := g.cfg.Now().UTC()
	note := func(i *ssmrun.Instance) {
		i.LastPing, i.Stopped = now, false
		if p.Service == identity.ServiceEC2 { // the profile says so, whatever an activation did
			i.IamRole = p.Role
		}
		for _, f := range []struct {
			is  *string
			say string
		}{
			{&i.AgentName, req.AgentName},
			{&i.AgentVersion, req.AgentVersion},
			{&i.PlatformType, req.PlatformType},
			{&i.PlatformName, req.PlatformName},
			{&i.PlatformVersion, req.PlatformVersion},
			{&i.Name, req.ComputerName},
			{&i.IPAddress, req.IPAddress},
		} {
			if f.say != "" { // the first heartbeat tells less than the later ones
				*f.is = ssmrun.Head(f.say, 255)
			}
		}
	}
	err := g.change(ctx, req.InstanceID, note)
	if ssmrun.ErrorCode(err) == ssmrun.CodeInvalidInstanceID && p.Service == identity.ServiceEC2 {
		// The keys of an instance profile need no registration.
		if _, err = g.cfg.Identity.RegisterEC2(ctx, p, "", ""); err == nil {
			g.cfg.Logger.Info("instance known by its profile", "instance", p.InstanceID, "role", p.Role)
			err = g.change(ctx, req.InstanceID, note)
		}
	}
	return struct{}{}, err
}

// scopeOf gives the scope of an instance that p may speak for: its own, or one of
// its account, because the ids of instances are those of all accounts.
func (g *Gateway) scopeOf(ctx context.Context, p identity.Principal, instanceID string) (ssmrun.Scope, error) {
	if p.Agent() { // its key was found to be that of an instance that is there
		return ssmrun.Scope{Account: p.Account, Region: p.Region}, nil
	}
	inst, err := g.instance(ctx, instanceID)
	if err != nil {
		return ssmrun.Scope{}, err
	}
	if inst.Scope.Account != p.Account {
		return ssmrun.Scope{}, notRegistered(instanceID)
	}
	return inst.Scope, nil
}

func (g *Gateway) instance(ctx context.Context, id string) (*ssmrun.Instance, error) {
	var inst *ssmrun.Instance
	err := g.cfg.Store.View(ctx, func(tx store.Tx) (err error) {
		inst, err = tx.FindInstance(id)
		return err
	})
	if errors.Is(err, ssmrun.ErrNotFound) {
		return nil, notRegistered(id)
	}
	if err != nil {
		return nil, fmt.Errorf("read instance %s: %w", id, err)
	}
	return inst, nil
}

func (g *Gateway) change(ctx context.Context, id string, fn func(*ssmrun.Instance)) error {
	err := g.cfg.Store.Update(ctx, func(tx store.Tx) error {
		inst, err := tx.FindInstance(id)
		if err != nil {
			return err
		}
		fn(inst)
		return tx.PutInstance(inst)
	})
	if errors.Is(err, ssmrun.ErrNotFound) {
		return notRegistered(id)
	}
	if err != nil {
		return fmt.Errorf("change instance %s: %w", id, err)
	}
	return nil
}

func notRegistered(id string) error {
	return ssmrun.Errorf(ssmrun.CodeInvalidInstanceID, "Instance %s is not registered with this service.", id)
}
