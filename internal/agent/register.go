package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"ssmrun/internal/agent/state"
	"ssmrun/internal/agentlink"
)

// loadIdentity reads registration.json. fs.ErrNotExist is in the chain of the
// error where the instance is not registered.
func (a *Agent) loadIdentity() error {
	var id agentlink.Identity
	if err := state.Read(a.folder.Registration(), &id); err != nil {
		return err
	}
	if id.InstanceID == "" {
		return fmt.Errorf("read %s: field instance_id is missing; remove the file and give an activation to register anew", a.folder.Registration())
	}
	a.identity = id
	return nil
}

func (a *Agent) saveIdentity(id agentlink.Identity) error {
	return state.Write(a.folder.Registration(), id)
}

// pendingFile keeps the key of a registration that is under way: should its
// answer be lost, the next attempt comes from the same host.
func (a *Agent) pendingFile() string { return filepath.Join(a.folder.Dir(), "registration.new.json") }

// register makes the host an instance unless it is one. It tries until it
// succeeds, is refused, or ctx ends.
func (a *Agent) register(ctx context.Context) error {
	if a.identity.InstanceID != "" {
		if _, err := os.Stat(a.cfg.ActivationFile); err == nil {
			a.log.Warn("this host is registered already, and its activation file is not used: remove it", "instance", a.identity.InstanceID, "file", a.cfg.ActivationFile)
		}
		return nil
	}
	act, err := a.activation()
	if err != nil {
		return err
	}
	region := act.Region
	setDefault(&region, a.cfg.Region)
	if region == "" {
		return errors.New("register: no region: give --region, or an activation that names one")
	}
	var id agentlink.Identity
	if err := state.Read(a.pendingFile(), &id); err != nil {
		if id, err = agentlink.NewIdentity(region); err != nil {
			return fmt.Errorf("register: %w", err)
		}
		if err := state.Write(a.pendingFile(), id); err != nil {
			return fmt.Errorf("register: %w", err)
		}
	}
	id.Region = region
	r := agentlink.Registrar{Endpoint: a.cfg.endpoint(agentlink.ServiceSSM, region), HTTP: a.cfg.HTTP, Now: a.cfg.Now}
	backoff := agentlink.Backoff{Min: 500 * time.Millisecond, Max: 30 * time.Second}
	if a.cfg.Local {
		backoff.Max = 2 * time.Second
	}
	for {
		got, err := r.Register(ctx, act.ID, act.Code, id)
		if err == nil {
			id = got
			break
		}
		if agentlink.Permanent(err) {
			return refused(err)
		}
		pause := backoff.Next(err)
		a.log.Warn("registration failed", "retry_in", pause.Round(time.Millisecond), "error", err)
		a.ready() // waiting for the service is what it does now
		if err := sleep(ctx, pause); err != nil {
			return err
		}
	}
	if err := a.saveIdentity(id); err != nil {
		return fmt.Errorf("register: %w", err)
	}
	a.identity = id
	a.log.Info("registered", "instance", id.InstanceID, "region", id.Region)
	if err := os.Remove(a.pendingFile()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		a.log.Warn("remove spent key file", "error", err)
	}
	if a.cfg.ActivationFile != "" {
		if err := state.RemoveActivation(a.cfg.ActivationFile); err != nil {
			a.log.Warn("the activation is spent; remove its file", "error", err)
		}
	}
	return nil
}

// refused tells of a registration that the service refused. What the service says
// has the way out in it; only a spent activation cannot be used again.
func refused(err error) error {
	var e *agentlink.APIError
	if errors.As(err, &e) && e.Code == "InvalidActivation" {
		return fmt.Errorf("%w (a new activation is given to the agent by --activation-file)", err)
	}
	return err
}

func (a *Agent) activation() (state.Activation, error) {
	if a.cfg.Activation.ID != "" {
		return a.cfg.Activation, nil
	}
	if a.cfg.ActivationFile == "" {
		return state.Activation{}, fmt.Errorf("this host is not registered (no %s): give --activation-id and --activation-code, or --activation-file", a.folder.Registration())
	}
	act, err := state.ReadActivation(a.cfg.ActivationFile)
	if err != nil {
		return act, fmt.Errorf("this host is not registered, and its activation cannot be used: %w", err)
	}
	return act, nil
}
