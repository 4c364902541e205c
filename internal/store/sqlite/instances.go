package sqlite

import (
	"errors"
	"time"

	"ssmrun"
	"ssmrun/internal/store"
)

const (
	instanceColumns = `account, region, id, name, ip_address, agent_name, agent_version, platform_type, platform_name,
		platform_version, activation_id, iam_role, public_key, fingerprint, registered_at, last_ping, stopped, default_name, key_at`
	selectInstances = `SELECT ` + instanceColumns + ` FROM instances `
	putInstance     = `INSERT INTO instances (` + instanceColumns + `) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)
		ON CONFLICT (id) DO UPDATE SET name = excluded.name, ip_address = excluded.ip_address,
		agent_name = excluded.agent_name, agent_version = excluded.agent_version,
		platform_type = excluded.platform_type, platform_name = excluded.platform_name,
		platform_version = excluded.platform_version, activation_id = excluded.activation_id,
		iam_role = excluded.iam_role, public_key = excluded.public_key, fingerprint = excluded.fingerprint,
		registered_at = excluded.registered_at, last_ping = excluded.last_ping, stopped = excluded.stopped,
		default_name = excluded.default_name, key_at = excluded.key_at
		WHERE instances.account = excluded.account AND instances.region = excluded.region`
	selectInstance = selectInstances + `WHERE account = ? AND region = ? AND id = ?`
	findInstance   = selectInstances + `WHERE id = ?`
	deleteInstance = `DELETE FROM instances WHERE account = ? AND region = ? AND id = ?`
	agentVersions  = `SELECT DISTINCT agent_version FROM instances WHERE account = ? AND region = ? AND agent_name = ?`
	updateSeen     = `UPDATE instances SET last_ping = ?, stopped = ? WHERE account = ? AND region = ? AND id = ?`
)

// PutInstance refuses an id that another scope has: it would make the other's
// instance disappear.
func (t *tx) PutInstance(i *ssmrun.Instance) error {
	n, err := t.exec(putInstance, i.Scope.Account, i.Scope.Region, i.ID, i.Name, i.IPAddress, i.AgentName, i.AgentVersion,
		i.PlatformType, i.PlatformName, i.PlatformVersion, i.ActivationID, i.IamRole, i.PublicKey, i.Fingerprint,
		micros(i.RegisteredAt), micros(i.LastPing), i.Stopped, i.DefaultName, micros(i.KeyAt))
	if err == nil && n == 0 {
		err = t.refuse(errElsewhere)
	}
	return what(err, "put instance %s", i.ID)
}

var errElsewhere = errors.New("the id belongs to another account or region")

func (t *tx) instances(text string, args ...any) ([]ssmrun.Instance, error) {
	var list []ssmrun.Instance
	err := t.each(func(s scanner) error {
		var i ssmrun.Instance
		err := s.Scan(&i.Scope.Account, &i.Scope.Region, &i.ID, &i.Name, &i.IPAddress, &i.AgentName, &i.AgentVersion,
			&i.PlatformType, &i.PlatformName, &i.PlatformVersion, &i.ActivationID, &i.IamRole, &i.PublicKey,
			&i.Fingerprint, at(&i.RegisteredAt), at(&i.LastPing), &i.Stopped, &i.DefaultName, at(&i.KeyAt))
		list = append(list, i)
		return err
	}, text, args...)
	return list, err
}

func (t *tx) instance(text string, args ...any) (*ssmrun.Instance, error) {
	list, err := t.instances(text, args...)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, ssmrun.ErrNotFound
	}
	return &list[0], nil
}

func (t *tx) Instance(scope ssmrun.Scope, id string) (*ssmrun.Instance, error) {
	i, err := t.instance(selectInstance, scope.Account, scope.Region, id)
	return i, what(err, "find instance %s", id)
}

func (t *tx) FindInstance(id string) (*ssmrun.Instance, error) {
	i, err := t.instance(findInstance, id)
	return i, what(err, "find instance %s", id)
}

// Seen answers ssmrun.ErrNotFound where the scope has no such instance.
func (t *tx) Seen(scope ssmrun.Scope, id string, at time.Time, stopped bool) error {
	err := t.execOne(updateSeen, micros(at), stopped, scope.Account, scope.Region, id)
	return what(err, "store heartbeat of %s", id)
}

func (t *tx) DeleteInstance(scope ssmrun.Scope, id string) error {
	return what(t.execOne(deleteInstance, scope.Account, scope.Region, id), "delete instance %s", id)
}

func (t *tx) AgentVersions(scope ssmrun.Scope, agentName string) ([]string, error) {
	var list []string
	err := t.each(func(s scanner) error {
		var v string
		err := s.Scan(&v)
		list = append(list, v)
		return err
	}, agentVersions, scope.Account, scope.Region, agentName)
	return list, what(err, "list the versions of %s", agentName)
}

func (t *tx) ListInstances(scope ssmrun.Scope, q store.InstanceQuery, p store.Page) ([]ssmrun.Instance, string, error) {
	list, next, err := t.listInstances(scope, q, p)
	return list, next, what(err, "list instances")
}

func (t *tx) listInstances(scope ssmrun.Scope, q store.InstanceQuery, p store.Page) ([]ssmrun.Instance, string, error) {
	after, err := from(p, instanceList)
	if err != nil {
		return nil, "", err
	}
	w := where{}
	w.add("account = ? AND region = ?", scope.Account, scope.Region)
	w.in("id", q.IDs)
	w.in("platform_type", q.PlatformTypes)
	w.in("agent_version", q.AgentVersions)
	w.in("activation_id", q.ActivationIDs)
	w.in("iam_role", q.IamRoles)
	// As Instance.ResourceType tells them apart.
	w.in("CASE WHEN substr(id, 1, 3) = 'mi-' THEN 'ManagedInstance' ELSE 'EC2Instance' END", q.ResourceTypes)
	if !q.AnyState {
		w.add("NOT EXISTS (SELECT 1 FROM ec2_instances e WHERE e.id = instances.id AND e.state <> 'running')")
	}
	if after != nil {
		w.add("id > ?", after.ID)
	}
	list, err := t.instances(selectInstances+w.text()+" ORDER BY id LIMIT ?", append(w.args, p.Limit+1)...)
	if err != nil || len(list) <= p.Limit {
		return list, "", err
	}
	list = list[:p.Limit]
	return list, position{List: instanceList, ID: list[p.Limit-1].ID}.token(), nil
}
