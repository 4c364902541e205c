package sqlite

import (
	"time"

	"ssmrun"
	"ssmrun/internal/store"
)

const (
	putEC2Instance = `INSERT INTO ec2_instances (account, region, id, state, detail) VALUES (?,?,?,?,?)
		ON CONFLICT (id) DO UPDATE SET state = excluded.state, detail = excluded.detail
		WHERE ec2_instances.account = excluded.account AND ec2_instances.region = excluded.region`
	dropEC2Instance    = `DELETE FROM ec2_instances WHERE id = ?`
	selectEC2Instances = `SELECT account, region, id, state, detail FROM ec2_instances `
	findEC2Instance    = selectEC2Instances + `WHERE id = ?`
	selectEC2State     = `SELECT state FROM ec2_instances WHERE account = ? AND region = ? AND id = ?`
	// Each part is in the order of an index, so that a page costs what is on it.
	// "mi-" is where the ids of hybrid nodes begin.
	listEC2IDs = `SELECT id FROM instances WHERE account = ? AND region = ? AND id > ? AND id < 'mi-'
		UNION SELECT id FROM ec2_instances WHERE account = ? AND region = ? AND id > ?
		UNION SELECT instance_id FROM activations WHERE account = ? AND region = ? AND instance_id > ?
			AND use_count < use_limit AND expires_at > ?
		ORDER BY 1 LIMIT ?`
)

// ec2Detail is what of an EC2 instance nobody looks for.
type ec2Detail struct {
	Profile, PrivateIP, PrivateDNS, PublicIP, AvailabilityZone string
	InstanceType, Architecture, Platform, KeyName, ImageID     string
	LaunchedAt                                                 int64 // microseconds
	Launched                                                   bool
	Tags                                                       map[string]string
}

func (t *tx) PutEC2Instance(i *store.EC2Instance) error {
	d := ec2Detail{
		Profile: i.Profile, PrivateIP: i.PrivateIP, PrivateDNS: i.PrivateDNS, PublicIP: i.PublicIP,
		AvailabilityZone: i.AvailabilityZone, InstanceType: i.InstanceType, Architecture: i.Architecture,
		Platform: i.Platform, KeyName: i.KeyName, ImageID: i.ImageID, Tags: i.Tags,
	}
	if !i.LaunchedAt.IsZero() {
		d.LaunchedAt, d.Launched = i.LaunchedAt.UnixMicro(), true
	}
	detail, err := asJSON(d)
	if err != nil {
		return t.refuse(err)
	}
	n, err := t.exec(putEC2Instance, i.Scope.Account, i.Scope.Region, i.ID, i.State, detail)
	if err == nil && n == 0 {
		err = t.refuse(errElsewhere)
	}
	return what(err, "put EC2 instance %s", i.ID)
}

func (t *tx) DropEC2Instance(id string) error {
	_, err := t.exec(dropEC2Instance, id)
	return what(err, "drop EC2 instance %s", id)
}

func (t *tx) ec2Instances(text string, args ...any) ([]store.EC2Instance, error) {
	var list []store.EC2Instance
	err := t.each(func(s scanner) error {
		var i store.EC2Instance
		var d ec2Detail
		err := s.Scan(&i.Scope.Account, &i.Scope.Region, &i.ID, &i.State, fromJSON{&d})
		i.Profile, i.PrivateIP, i.PrivateDNS, i.PublicIP = d.Profile, d.PrivateIP, d.PrivateDNS, d.PublicIP
		i.AvailabilityZone, i.InstanceType, i.Architecture = d.AvailabilityZone, d.InstanceType, d.Architecture
		i.Platform, i.KeyName, i.ImageID, i.Tags = d.Platform, d.KeyName, d.ImageID, d.Tags
		if d.Launched {
			i.LaunchedAt = time.UnixMicro(d.LaunchedAt).UTC()
		}
		list = append(list, i)
		return err
	}, text, args...)
	return list, err
}

func (t *tx) FindEC2Instance(id string) (*store.EC2Instance, error) {
	list, err := t.ec2Instances(findEC2Instance, id)
	if err == nil && len(list) == 0 {
		err = ssmrun.ErrNotFound
	}
	if err != nil {
		return nil, what(err, "find EC2 instance %s", id)
	}
	return &list[0], nil
}

func (t *tx) EC2Instances(scope ssmrun.Scope, ids []string) ([]store.EC2Instance, error) {
	w := where{}
	w.add("account = ? AND region = ?", scope.Account, scope.Region)
	w.in("id", ids)
	list, err := t.ec2Instances(selectEC2Instances+w.text()+" ORDER BY id", w.args...)
	return list, what(err, "list EC2 instances")
}

func (t *tx) EC2State(scope ssmrun.Scope, id string) (string, error) {
	state := store.EC2Running
	err := t.each(func(s scanner) error { return s.Scan(&state) }, selectEC2State, scope.Account, scope.Region, id)
	return state, what(err, "find the state of EC2 instance %s", id)
}

func (t *tx) ListEC2IDs(scope ssmrun.Scope, now time.Time, p store.Page) ([]string, string, error) {
	after, err := from(p, ec2List)
	if err != nil {
		return nil, "", what(err, "list EC2 instances")
	}
	last := "" // every id is more
	if after != nil {
		last = after.ID
	}
	var ids []string
	err = t.each(func(s scanner) error {
		var id string
		err := s.Scan(&id)
		ids = append(ids, id)
		return err
	}, listEC2IDs, scope.Account, scope.Region, last, scope.Account, scope.Region, last,
		scope.Account, scope.Region, last, micros(now), p.Limit+1)
	if err != nil || len(ids) <= p.Limit {
		return ids, "", what(err, "list EC2 instances")
	}
	ids = ids[:p.Limit]
	return ids, position{List: ec2List, ID: ids[p.Limit-1]}.token(), nil
}
