package control

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"ssmrun"
	"ssmrun/internal/store"
)

// Keys of targets. Those of tags are "tag:KEY".
const (
	targetInstances     = "instanceids" // in any case
	targetTag           = "tag:"
	targetTagKey        = "tag-key"
	targetGroup         = "resource-groups:Name"
	targetResourceTypes = "resource-groups:ResourceTypeFilters"
)

// resourceTypes are the values of ResourceTypeFilters that are instances.
var resourceTypes = map[string]string{
	"AWS::EC2::Instance": "EC2Instance", "AWS::SSM::ManagedInstance": "ManagedInstance",
}

// resolve gives the instances a command is for, by id. Those named by
// InstanceIds have to be known; those that targets select need not.
func (ch *changes) resolve(cmd *ssmrun.Command) ([]target, error) {
	if len(cmd.InstanceIDs) > 0 {
		return ch.named(cmd.Scope, cmd.InstanceIDs)
	}
	s, err := ch.selected(cmd.Scope, cmd.Targets)
	if err != nil {
		return nil, err
	}
	return ch.load(cmd.Scope, s)
}

func (ch *changes) named(scope ssmrun.Scope, ids []string) ([]target, error) {
	var list []target
	valid := true
	for _, id := range ids {
		i, err := ch.tx.Instance(scope, id)
		switch {
		case errors.Is(err, ssmrun.ErrNotFound):
			valid = false
			continue
		case err != nil:
			return nil, fmt.Errorf("read instance %s: %w", id, err)
		}
		// A machine that does not run is not managed, whatever its agent was.
		state, err := ch.tx.EC2State(scope, id)
		if err != nil {
			return nil, err
		}
		valid = valid && state == store.EC2Running
		list = append(list, target{Instance: i})
	}
	if !valid {
		// AWS names neither the instances nor the account here.
		return nil, ssmrun.Errorf(ssmrun.CodeInvalidInstanceID, "Instances not in a valid state for account")
	}
	return sorted(list), nil
}

func sorted(list []target) []target {
	slices.SortFunc(list, func(a, b target) int { return strings.Compare(a.ID, b.ID) })
	return list
}

// selection is what targets select: all have to hold.
type selection struct {
	ids     map[string]bool // nil: any
	byID    []string        // ids that a target names itself
	byTag   bool            // something else than an id has to hold, too
	kinds   []string        // of resources, as ssmrun.Instance.ResourceType; nil: any
	nothing bool
}

// keep narrows a selection to ids.
func (s *selection) keep(ids []string) {
	in := make(map[string]bool, len(ids))
	for _, id := range ids {
		if s.ids == nil || s.ids[id] {
			in[id] = true
		}
	}
	s.ids = in
	s.nothing = s.nothing || len(in) == 0
}

func (ch *changes) selected(scope ssmrun.Scope, targets []ssmrun.Target) (*selection, error) {
	s := &selection{}
	return s, ch.narrow(s, scope, targets)
}

// narrow lets each target narrow the selection: AND between targets, OR
// between the values of one.
func (ch *changes) narrow(s *selection, scope ssmrun.Scope, targets []ssmrun.Target) error {
	for _, t := range targets {
		switch {
		case strings.EqualFold(t.Key, targetInstances):
			s.byID = t.Values
			s.keep(t.Values)
		case t.Key == targetTagKey:
			s.byTag = true
			var ids []string
			for _, key := range t.Values {
				list, err := ch.tx.TaggedIDs(scope, taggedInstance, key, nil)
				if err != nil {
					return fmt.Errorf("find instances with tag %s: %w", key, err)
				}
				ids = append(ids, list...)
			}
			s.keep(ids)
		case t.Key == targetGroup:
			s.byTag = true
			group, ok := ch.c.cfg.Groups[groupName(t.Values)]
			if !ok {
				s.keep(nil) // as on AWS: a group that does not exist is empty
				continue
			}
			if err := ch.narrow(s, scope, group); err != nil {
				return err
			}
		case t.Key == targetResourceTypes:
			s.kinds = nil
			for _, v := range t.Values {
				if kind, ok := resourceTypes[v]; ok {
					s.kinds = append(s.kinds, kind)
				}
			}
		default:
			s.byTag = true
			key, ok := strings.CutPrefix(t.Key, targetTag)
			if !ok {
				s.keep(nil) // no instance has a property of that name
				continue
			}
			ids, err := ch.tx.TaggedIDs(scope, taggedInstance, key, t.Values)
			if err != nil {
				return fmt.Errorf("find instances with tag %s: %w", key, err)
			}
			s.keep(ids)
		}
	}
	return nil
}

// taggedInstance is what the tags of instances are kept under.
const taggedInstance = "ManagedInstance"

// groupName reads the value of a resource group's target: its name, or its ARN.
func groupName(values []string) string {
	if len(values) != 1 {
		return ""
	}
	if _, name, ok := strings.Cut(values[0], ":group/"); ok && strings.HasPrefix(values[0], "arn:") {
		name, _, _ = strings.Cut(name, "/") // newer ARNs end in an id
		return name
	}
	return values[0]
}

// loadAtOnce is how many instances are read with one query.
const loadAtOnce = 500

// load reads the instances of a selection. Ids that a target named itself and
// that nobody has are part of it, as instances that cannot be reached, unless
// tags had to hold as well: nobody has none.
func (ch *changes) load(scope ssmrun.Scope, s *selection) ([]target, error) {
	if s.nothing || s.ids == nil {
		return nil, nil
	}
	wanted := make([]string, 0, len(s.ids))
	for id := range s.ids {
		wanted = append(wanted, id)
	}
	slices.Sort(wanted)
	var list []target
	found := map[string]bool{}
	for part := range slices.Chunk(wanted, loadAtOnce) {
		instances, _, err := ch.tx.ListInstances(scope, store.InstanceQuery{IDs: part, ResourceTypes: s.kinds}, store.Page{Limit: loadAtOnce})
		if err != nil {
			return nil, fmt.Errorf("list the instances of a target: %w", err)
		}
		for i := range instances {
			found[instances[i].ID] = true
			list = append(list, target{Instance: &instances[i]})
		}
	}
	if !s.byTag && s.kinds == nil {
		for _, id := range s.byID {
			if s.ids[id] && !found[id] {
				found[id] = true
				list = append(list, target{Instance: &ssmrun.Instance{ID: id, Scope: scope}, unknown: true})
			}
		}
	}
	return sorted(list), nil
}
