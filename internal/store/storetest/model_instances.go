package storetest

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"pgregory.net/rapid"

	"ssmrun"
	"ssmrun/internal/store"
)

func (m *model) DeleteInstance(scope ssmrun.Scope, id string) error {
	if _, err := m.Instance(scope, id); err != nil {
		return err
	}
	delete(m.instances, id)
	return nil
}

func (m *model) AgentVersions(scope ssmrun.Scope, agent string) ([]string, error) {
	versions := map[string]bool{}
	for _, i := range m.instances {
		if i.Scope == scope && i.AgentName == agent {
			versions[i.AgentVersion] = true
		}
	}
	return slices.Sorted(maps.Keys(versions)), nil
}

func (m *model) ListActivations(scope ssmrun.Scope, q store.ActivationQuery, _ store.Page) ([]store.Activation, string, error) {
	in := func(list []string, s string) bool { return len(list) == 0 || slices.Contains(list, s) }
	return sorted(m.activations, func(a store.Activation) bool {
		return a.Scope == scope && in(q.IDs, a.ID) && in(q.DefaultNames, a.DefaultName) && in(q.IamRoles, a.IamRole)
	}, func(a, b store.Activation) int { return cmp.Compare(a.ID, b.ID) }), "", nil
}

func (m *model) ActivationsOf(instance string) ([]store.Activation, error) {
	return sorted(m.activations, func(a store.Activation) bool { return instance != "" && a.InstanceID == instance },
		func(a, b store.Activation) int { return cmp.Compare(a.ID, b.ID) }), nil
}

func (m *model) PutEC2Instance(i *store.EC2Instance) error {
	if old, ok := m.ec2[i.ID]; ok && old.Scope != i.Scope {
		return errRefused
	}
	m.ec2[i.ID] = *i
	return nil
}

func (m *model) DropEC2Instance(id string) error {
	delete(m.ec2, id)
	return nil
}

func (m *model) FindEC2Instance(id string) (*store.EC2Instance, error) { return find(m.ec2, id) }

func (m *model) EC2Instances(scope ssmrun.Scope, ids []string) ([]store.EC2Instance, error) {
	return sorted(m.ec2, func(i store.EC2Instance) bool {
		return i.Scope == scope && (len(ids) == 0 || slices.Contains(ids, i.ID))
	}, func(a, b store.EC2Instance) int { return cmp.Compare(a.ID, b.ID) }), nil
}

func (m *model) EC2State(scope ssmrun.Scope, id string) (string, error) {
	if i, ok := m.ec2[id]; ok && i.Scope == scope {
		return i.State, nil
	}
	return store.EC2Running, nil
}

func (m *model) ListEC2IDs(scope ssmrun.Scope, now time.Time, _ store.Page) ([]string, string, error) {
	ids := map[string]bool{}
	for _, i := range m.instances {
		if i.Scope == scope && i.ResourceType() == "EC2Instance" {
			ids[i.ID] = true
		}
	}
	for _, i := range m.ec2 {
		if i.Scope == scope {
			ids[i.ID] = true
		}
	}
	for _, a := range m.activations {
		if a.Scope == scope && a.InstanceID != "" && a.Count < a.Limit && a.ExpiresAt.After(now) {
			ids[a.InstanceID] = true
		}
	}
	return slices.Sorted(maps.Keys(ids)), "", nil
}

// drawEC2 draws an operation on instances, activations or what EC2 says of them.
func drawEC2(rt *rapid.T, scope ssmrun.Scope) op {
	instance, name := someInstance.Draw(rt, "instance"), someName.Draw(rt, "name")
	limit := rapid.IntRange(1, 4).Draw(rt, "limit")
	switch rapid.IntRange(0, 10).Draw(rt, "EC2") {
	case 0:
		return wrote("DeleteInstance "+instance, func(tx store.Tx) error { return tx.DeleteInstance(scope, instance) })
	case 1:
		return op{"AgentVersions " + name, func(tx store.Tx) (any, error) {
			list, err := tx.AgentVersions(scope, name)
			slices.Sort(list)
			return list, err
		}}
	case 2:
		q := store.ActivationQuery{}
		if rapid.Bool().Draw(rt, "by role") {
			q.IamRoles = []string{name}
		}
		return op{fmt.Sprintf("ListActivations %+v", q), func(tx store.Tx) (any, error) {
			return walkActivations(tx, scope, q, pages(tx, limit))
		}}
	case 3:
		return op{"ActivationsOf " + instance, func(tx store.Tx) (any, error) { return tx.ActivationsOf(instance) }}
	case 4, 5:
		i := store.EC2Instance{
			ID: instance, Scope: scope, State: rapid.SampledFrom([]string{store.EC2Running, "stopped"}).Draw(rt, "state"),
			Profile: someText.Draw(rt, "profile"), PrivateIP: someText.Draw(rt, "address"), PrivateDNS: someText.Draw(rt, "host"),
			PublicIP: someText.Draw(rt, "public"), AvailabilityZone: someText.Draw(rt, "zone"), InstanceType: someText.Draw(rt, "type"),
			Architecture: someText.Draw(rt, "architecture"), Platform: someText.Draw(rt, "platform"), KeyName: someText.Draw(rt, "key"),
			ImageID: someText.Draw(rt, "image"), LaunchedAt: maybeTime.Draw(rt, "launched"), Tags: rapid.MapOfN(someText, someText, 0, 2).Draw(rt, "tags"),
		}
		return wrote("PutEC2Instance "+instance+" "+i.State, func(tx store.Tx) error { return tx.PutEC2Instance(&i) })
	case 6:
		return wrote("DropEC2Instance "+instance, func(tx store.Tx) error { return tx.DropEC2Instance(instance) })
	case 7:
		return op{"FindEC2Instance " + instance, func(tx store.Tx) (any, error) { return tx.FindEC2Instance(instance) }}
	case 8:
		var ids []string
		if rapid.Bool().Draw(rt, "by id") {
			ids = []string{instance, instanceID(2)}
		}
		return op{fmt.Sprintf("EC2Instances %q", ids), func(tx store.Tx) (any, error) { return tx.EC2Instances(scope, ids) }}
	case 9:
		return op{"EC2State " + instance, func(tx store.Tx) (any, error) { return tx.EC2State(scope, instance) }}
	default:
		now := someTime.Draw(rt, "now")
		return op{fmt.Sprintf("ListEC2IDs %s", now), func(tx store.Tx) (any, error) {
			return walkEC2IDs(tx, scope, now, pages(tx, limit))
		}}
	}
}
