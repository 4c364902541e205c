package awsapi

import (
	"errors"
	"slices"
	"strings"
	"time"

	"ssmrun"
	"ssmrun/internal/identity"
	"ssmrun/internal/store"
)

// machine is an EC2 instance as DescribeInstances tells of it.
type machine struct {
	store.EC2Instance
	tags map[string]string
}

// sources are what is known of an EC2 instance, nil for what is not: what the
// operator told of its machine, its agent that registered, and an activation
// that waits for it.
type sources struct {
	told  *store.EC2Instance
	agent *ssmrun.Instance
	named *store.Activation
}

// machineOf puts together what is known. What was told is the truth; without
// it, a host that has an agent, or is to get one, runs, with the role of its
// activation as its profile.
func machineOf(id string, scope ssmrun.Scope, s sources) machine {
	m := machine{EC2Instance: store.EC2Instance{ID: id, Scope: scope, State: store.EC2Running}}
	switch {
	case s.told != nil:
		m.EC2Instance = *s.told
	case s.agent != nil:
		m.Profile = s.agent.IamRole
	case s.named != nil:
		m.Profile = s.named.IamRole
		m.LaunchedAt = s.named.CreatedAt
	}
	if a := s.agent; a != nil {
		m.PrivateIP = orElse(m.PrivateIP, a.IPAddress)
		m.PrivateDNS = orElse(m.PrivateDNS, a.Name)
		m.Platform = orElse(m.Platform, strings.TrimSpace(a.PlatformName+" "+a.PlatformVersion))
		if m.LaunchedAt.IsZero() {
			m.LaunchedAt = a.RegisteredAt
		}
	}
	return m
}

// machines gives what is known of EC2 instances of a scope, in the order of ids;
// what nothing is known of is left out.
func machines(tx store.Tx, scope ssmrun.Scope, ids []string, now time.Time) ([]machine, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	told, err := tx.EC2Instances(scope, ids)
	if err != nil {
		return nil, err
	}
	agents, _, err := tx.ListInstances(scope, store.InstanceQuery{IDs: ids, AnyState: true}, store.Page{Limit: len(ids)})
	if err != nil {
		return nil, err
	}
	var list []machine
	for _, id := range ids {
		var s sources
		if i := slices.IndexFunc(told, func(e store.EC2Instance) bool { return e.ID == id }); i >= 0 {
			s.told = &told[i]
		}
		if i := slices.IndexFunc(agents, func(i ssmrun.Instance) bool { return i.ID == id }); i >= 0 {
			s.agent = &agents[i]
		}
		if s.told == nil && s.agent == nil {
			if s.named, err = waiting(tx, scope, id, now); err != nil {
				return nil, err
			}
			if s.named == nil {
				continue
			}
		}
		m := machineOf(id, scope, s)
		if m.tags, err = tx.Tags(scope, identity.ManagedInstanceTags, id); err != nil {
			return nil, err
		}
		if s.named != nil && len(m.tags) == 0 {
			m.tags = s.named.Tags
		}
		list = append(list, m)
	}
	return list, nil
}

// waiting finds an activation of the scope that an instance can still register
// with; nil for none.
func waiting(tx store.Tx, scope ssmrun.Scope, id string, now time.Time) (*store.Activation, error) {
	list, err := tx.ActivationsOf(id)
	if err != nil {
		return nil, err
	}
	for i := range list {
		if list[i].Scope == scope && list[i].Usable(now) {
			return &list[i], nil
		}
	}
	return nil, nil
}

// known tells whether the scope has an instance of this id, with or without an
// agent.
func known(tx store.Tx, scope ssmrun.Scope, id string, now time.Time) (bool, error) {
	_, err := tx.Instance(scope, id)
	if !errors.Is(err, ssmrun.ErrNotFound) {
		return err == nil, err
	}
	if strings.HasPrefix(id, "mi-") {
		return false, nil
	}
	list, err := machines(tx, scope, []string{id}, now)
	return len(list) > 0, err
}

func first[T any](list []T) *T {
	if len(list) == 0 {
		return nil
	}
	return &list[0]
}
