package awsapi

import (
	"context"
	"errors"

	"ssmrun"
	"ssmrun/internal/identity"
	"ssmrun/internal/store"
)

func notRegistered(id string) error {
	return ssmrun.Errorf(ssmrun.CodeInvalidInstanceID, "Instance %s is not registered in this account and region.", id)
}

// deregisterManagedInstance takes a hybrid node out: what waits for it ends, its
// keys no longer work, and its channel is closed.
func (a *API) deregisterManagedInstance(ctx context.Context, c *Call) (any, error) {
	var in struct{ InstanceId string }
	if err := decode(c.Body, &in); err != nil {
		return nil, err
	}
	c.Subject.Instances = []string{in.InstanceId}
	err := a.cfg.Control.Deregistered(ctx, c.Scope, in.InstanceId)
	if errors.Is(err, ssmrun.ErrNotFound) {
		return nil, notRegistered(in.InstanceId)
	}
	if err != nil {
		return nil, err
	}
	if a.cfg.Drop != nil {
		a.cfg.Drop(in.InstanceId)
	}
	return struct{}{}, nil
}

// updateManagedInstanceRole changes the role of a hybrid node. Its agent works
// with it from its next call on.
func (a *API) updateManagedInstanceRole(ctx context.Context, c *Call) (any, error) {
	var in struct{ InstanceId, IamRole string }
	if err := decode(c.Body, &in); err != nil {
		return nil, err
	}
	c.Subject.Instances = []string{in.InstanceId}
	c.Subject.Role = roleSubject(in.IamRole)
	err := a.cfg.Store.Update(ctx, func(tx store.Tx) error {
		i, err := tx.Instance(c.Scope, in.InstanceId)
		if err != nil {
			return err
		}
		role, err := identity.HybridRole(tx, c.Scope.Account, in.IamRole)
		if err != nil {
			return err
		}
		i.IamRole = role.Name
		return tx.PutInstance(i)
	})
	if errors.Is(err, ssmrun.ErrNotFound) {
		return nil, notRegistered(in.InstanceId)
	}
	return struct{}{}, err
}
