package storetest

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"time"

	"ssmrun"
	"ssmrun/internal/store"
)

// model is package store's contract once more, on maps: what a driver answers
// is compared with it. It is a store.Tx whose changes are there at once; a
// test undoes them with a clone. Lists come in one page, whatever the limit.
type model struct {
	commands    map[commandKey]ssmrun.Command
	order       map[commandKey]int // in which commands were inserted
	inserted    int
	tokens      map[tokenKey]string
	invocations map[invocationKey]ssmrun.Invocation
	plugins     map[pluginKey]ssmrun.Plugin
	instances   map[string]ssmrun.Instance
	activations map[string]store.Activation
	tags        map[tagKey]string
	documents   documentsModel
	ec2         map[string]store.EC2Instance
	parameters  map[parameterKey][]store.Parameter // versions, the oldest first
	roles       map[roleKey]store.Role
	accounts    map[string]bool
}

type (
	commandKey struct {
		scope ssmrun.Scope
		id    string
	}
	tokenKey struct {
		scope         ssmrun.Scope
		caller, token string
	}
	invocationKey struct {
		commandKey
		instance string
	}
	pluginKey struct {
		invocationKey
		index int
	}
)

// errRefused is every error of the model that is not ssmrun.ErrNotFound.
var errRefused = errors.New("refused")

var _ store.Tx = (*model)(nil)

func newModel() *model {
	return &model{
		commands:    map[commandKey]ssmrun.Command{},
		order:       map[commandKey]int{},
		tokens:      map[tokenKey]string{},
		invocations: map[invocationKey]ssmrun.Invocation{},
		plugins:     map[pluginKey]ssmrun.Plugin{},
		instances:   map[string]ssmrun.Instance{},
		documents:   newDocumentsModel(),
		activations: map[string]store.Activation{},
		tags:        map[tagKey]string{},
		ec2:         map[string]store.EC2Instance{},
		parameters:  map[parameterKey][]store.Parameter{},
		roles:       map[roleKey]store.Role{},
		accounts:    map[string]bool{},
	}
}

// clone shares what values point to: nothing changes those.
func (m *model) clone() *model {
	c := *m
	c.commands, c.order, c.tokens = maps.Clone(m.commands), maps.Clone(m.order), maps.Clone(m.tokens)
	c.invocations, c.plugins = maps.Clone(m.invocations), maps.Clone(m.plugins)
	c.instances, c.documents = maps.Clone(m.instances), m.documents.clone()
	c.activations, c.tags = maps.Clone(m.activations), maps.Clone(m.tags)
	c.ec2, c.parameters = maps.Clone(m.ec2), maps.Clone(m.parameters)
	c.roles, c.accounts = maps.Clone(m.roles), maps.Clone(m.accounts)
	return &c
}

// find gives a copy of a value.
func find[K comparable, V any](m map[K]V, k K) (*V, error) {
	if v, ok := m[k]; ok {
		return &v, nil
	}
	return nil, ssmrun.ErrNotFound
}

// sorted gives the values that keep says, by order.
func sorted[K comparable, V any](m map[K]V, keep func(V) bool, order func(a, b V) int) []V {
	var list []V
	for _, v := range m {
		if keep(v) {
			list = append(list, v)
		}
	}
	slices.SortFunc(list, order)
	return list
}

func (m *model) InsertCommand(c *ssmrun.Command, token string, invocations []ssmrun.Invocation) error {
	key := commandKey{c.Scope, c.ID}
	if _, ok := m.commands[key]; ok {
		return errRefused
	}
	if token != "" {
		t := tokenKey{c.Scope, c.Caller, token}
		if _, ok := m.tokens[t]; ok {
			return errRefused
		}
		m.tokens[t] = c.ID
	}
	m.commands[key] = *c
	m.inserted++
	m.order[key] = m.inserted
	for _, i := range invocations {
		k := invocationKey{key, i.InstanceID}
		if _, ok := m.invocations[k]; ok || i.CommandID != c.ID || i.Scope != c.Scope || !i.RequestedAt.Equal(c.RequestedAt) {
			return errRefused
		}
		m.invocations[k] = i
	}
	return nil
}

func (m *model) CommandByToken(scope ssmrun.Scope, caller, token string) (*ssmrun.Command, error) {
	id, err := find(m.tokens, tokenKey{scope, caller, token})
	if err != nil {
		return nil, err
	}
	return find(m.commands, commandKey{scope, *id})
}

func (m *model) Command(scope ssmrun.Scope, id string) (*ssmrun.Command, error) {
	c, err := find(m.commands, commandKey{scope, id})
	if err == nil {
		c.Content, c.Parameters, c.InstanceIDs, c.Targets = "", nil, nil, nil
	}
	return c, err
}

func (m *model) ReadInput(c *ssmrun.Command) error {
	all, err := find(m.commands, commandKey{c.Scope, c.ID})
	if err == nil {
		c.Content, c.Parameters, c.InstanceIDs, c.Targets = all.Content, all.Parameters, all.InstanceIDs, all.Targets
	}
	return err
}

func (m *model) UpdateCommand(c *ssmrun.Command) error {
	old, err := find(m.commands, commandKey{c.Scope, c.ID})
	if err != nil {
		return err
	}
	old.State, old.Counts, old.Turn = c.State, c.Counts, c.Turn
	old.Revision++
	c.Revision = old.Revision
	m.commands[commandKey{c.Scope, c.ID}] = *old
	return nil
}

// selects tells whether q selects a thing by its status and time.
func selects(q store.CommandQuery, s ssmrun.State, at time.Time) bool {
	switch {
	case len(q.Statuses) > 0 && !slices.Contains(q.Statuses, string(s.Status)) && !slices.Contains(q.Statuses, string(s.Details)),
		!q.InvokedAfter.IsZero() && at.Before(q.InvokedAfter),
		!q.InvokedBefore.IsZero() && !at.Before(q.InvokedBefore),
		q.Executing && !q.Complete && s.Terminal(),
		q.Complete && !q.Executing && !s.Terminal():
		return false
	}
	return true
}

func (m *model) ListCommands(scope ssmrun.Scope, q store.CommandQuery, _ store.Page) ([]ssmrun.Command, string, error) {
	list := sorted(m.commands, func(c ssmrun.Command) bool {
		if q.InstanceID != "" {
			if _, ok := m.invocations[invocationKey{commandKey{scope, c.ID}, q.InstanceID}]; !ok {
				return false
			}
		}
		return c.Scope == scope && selects(q, c.State, c.RequestedAt) &&
			(q.CommandID == "" || q.CommandID == c.ID) && (q.Document == "" || q.Document == c.Document)
	}, func(a, b ssmrun.Command) int {
		return cmp.Or(b.RequestedAt.Compare(a.RequestedAt), cmp.Compare(m.order[commandKey{scope, a.ID}], m.order[commandKey{scope, b.ID}]))
	})
	for i := range list {
		list[i].Content = ""
	}
	return list, "", nil
}

func (m *model) Invocation(scope ssmrun.Scope, command, instance string) (*ssmrun.Invocation, error) {
	return find(m.invocations, invocationKey{commandKey{scope, command}, instance})
}

func (m *model) UpdateInvocation(i *ssmrun.Invocation) error {
	old, err := m.Invocation(i.Scope, i.CommandID, i.InstanceID)
	if err != nil {
		return err
	}
	changed := *i
	changed.RequestedAt = old.RequestedAt
	m.invocations[invocationKey{commandKey{i.Scope, i.CommandID}, i.InstanceID}] = changed
	return nil
}

func (m *model) ListInvocations(scope ssmrun.Scope, q store.CommandQuery, _ store.Page) ([]ssmrun.Invocation, string, error) {
	return sorted(m.invocations, func(i ssmrun.Invocation) bool {
		// As the service has it: a command that is over has no open invocation.
		if q.CommandID == "" && q.InstanceID == "" && !i.State.Terminal() && (len(q.Statuses) > 0 || q.Executing && !q.Complete) &&
			m.commands[commandKey{scope, i.CommandID}].State.Terminal() {
			return false
		}
		return i.Scope == scope && selects(q, i.State, i.RequestedAt) &&
			(q.CommandID == "" || q.CommandID == i.CommandID) && (q.InstanceID == "" || q.InstanceID == i.InstanceID) &&
			(q.Document == "" || q.Document == m.commands[commandKey{scope, i.CommandID}].Document)
	}, func(a, b ssmrun.Invocation) int {
		return cmp.Or(b.RequestedAt.Compare(a.RequestedAt),
			cmp.Compare(m.order[commandKey{scope, a.CommandID}], m.order[commandKey{scope, b.CommandID}]), cmp.Compare(b.InstanceID, a.InstanceID))
	}), "", nil
}

func (m *model) InvocationsAfter(scope ssmrun.Scope, command, instance string, limit int) ([]ssmrun.Invocation, error) {
	list := sorted(m.invocations, func(i ssmrun.Invocation) bool {
		return i.Scope == scope && i.CommandID == command && i.InstanceID > instance
	}, func(a, b ssmrun.Invocation) int { return cmp.Compare(a.InstanceID, b.InstanceID) })
	return list[:min(len(list), limit)], nil
}

func (m *model) CountOpenInvocations(scope ssmrun.Scope) (int, error) {
	list := sorted(m.invocations, func(i ssmrun.Invocation) bool {
		// As the service has it: a command that is over has no open invocation.
		return i.Scope == scope && !i.State.Terminal() && !m.commands[commandKey{scope, i.CommandID}].State.Terminal()
	}, func(a, b ssmrun.Invocation) int { return 0 })
	return len(list), nil
}

func (m *model) OpenInvocations(scope ssmrun.Scope, instance string) ([]ssmrun.Invocation, error) {
	return sorted(m.invocations, func(i ssmrun.Invocation) bool {
		return i.Scope == scope && i.InstanceID == instance && !i.State.Terminal()
	}, func(a, b ssmrun.Invocation) int {
		return cmp.Or(a.RequestedAt.Compare(b.RequestedAt), cmp.Compare(m.order[commandKey{scope, a.CommandID}], m.order[commandKey{scope, b.CommandID}]))
	}), nil
}

// DueInvocations gives all: which of those with the same Next are among the
// first is the driver's choice.
func (m *model) DueInvocations(now time.Time, _ int) ([]ssmrun.Invocation, error) {
	return sorted(m.invocations, func(i ssmrun.Invocation) bool { return !i.Next.IsZero() && !i.Next.After(now) },
		compareDue), nil
}

// compareDue orders by Next, and those of the same by what they are.
func compareDue(a, b ssmrun.Invocation) int {
	return cmp.Or(a.Next.Compare(b.Next), cmp.Compare(a.Scope.Account, b.Scope.Account), cmp.Compare(a.Scope.Region, b.Scope.Region),
		cmp.Compare(a.CommandID, b.CommandID), cmp.Compare(a.InstanceID, b.InstanceID))
}

func (m *model) NextDue() (time.Time, bool, error) {
	list, err := m.DueInvocations(time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC), 0)
	if len(list) == 0 {
		return time.Time{}, false, err
	}
	return list[0].Next, true, err
}

func (m *model) Plugins(scope ssmrun.Scope, command, instance string) ([]ssmrun.Plugin, error) {
	at := invocationKey{commandKey{scope, command}, instance}
	var list []ssmrun.Plugin
	for k, p := range m.plugins {
		if k.invocationKey == at {
			list = append(list, p)
		}
	}
	slices.SortFunc(list, func(a, b ssmrun.Plugin) int { return cmp.Compare(a.Index, b.Index) })
	return list, nil
}

func (m *model) PutPlugin(scope ssmrun.Scope, p *ssmrun.Plugin) error {
	at := invocationKey{commandKey{scope, p.CommandID}, p.InstanceID}
	if _, err := find(m.invocations, at); err != nil {
		return err
	}
	m.plugins[pluginKey{at, p.Index}] = *p
	return nil
}

// Forget forgets all at once, whatever the limit.
func (m *model) Forget(before time.Time, _ int) (bool, error) {
	for key, c := range m.commands {
		if c.State.Terminal() && c.RequestedAt.Before(before) {
			delete(m.commands, key)
			maps.DeleteFunc(m.invocations, func(k invocationKey, _ ssmrun.Invocation) bool { return k.commandKey == key })
			maps.DeleteFunc(m.plugins, func(k pluginKey, _ ssmrun.Plugin) bool { return k.commandKey == key })
			maps.DeleteFunc(m.tokens, func(k tokenKey, id string) bool { return k.scope == key.scope && id == key.id })
		}
	}
	return false, nil
}

func (m *model) PutInstance(i *ssmrun.Instance) error {
	if old, ok := m.instances[i.ID]; ok && old.Scope != i.Scope {
		return errRefused
	}
	m.instances[i.ID] = *i
	return nil
}

func (m *model) Instance(scope ssmrun.Scope, id string) (*ssmrun.Instance, error) {
	i, err := m.FindInstance(id)
	if err == nil && i.Scope != scope {
		return nil, ssmrun.ErrNotFound
	}
	return i, err
}

func (m *model) FindInstance(id string) (*ssmrun.Instance, error) { return find(m.instances, id) }

func (m *model) Seen(scope ssmrun.Scope, id string, at time.Time, stopped bool) error {
	i, err := m.Instance(scope, id)
	if err != nil {
		return err
	}
	i.LastPing, i.Stopped = at, stopped
	m.instances[id] = *i
	return nil
}

func (m *model) ListInstances(scope ssmrun.Scope, q store.InstanceQuery, _ store.Page) ([]ssmrun.Instance, string, error) {
	in := func(list []string, s string) bool { return len(list) == 0 || slices.Contains(list, s) }
	return sorted(m.instances, func(i ssmrun.Instance) bool {
		e, told := m.ec2[i.ID]
		return i.Scope == scope && (q.AnyState || !told || e.State == store.EC2Running) && in(q.IDs, i.ID) && in(q.PlatformTypes, i.PlatformType) && in(q.AgentVersions, i.AgentVersion) &&
			in(q.ActivationIDs, i.ActivationID) && in(q.IamRoles, i.IamRole) && in(q.ResourceTypes, i.ResourceType())
	}, func(a, b ssmrun.Instance) int { return cmp.Compare(a.ID, b.ID) }), "", nil
}

func (m *model) PutActivation(a *store.Activation) error {
	if old, ok := m.activations[a.ID]; ok && old.Scope != a.Scope {
		return errRefused
	}
	m.activations[a.ID] = *a
	return nil
}

func (m *model) Activation(id string) (*store.Activation, error) { return find(m.activations, id) }

func (m *model) DeleteActivation(id string) error {
	delete(m.activations, id)
	return nil
}
