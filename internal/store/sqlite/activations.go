package sqlite

import (
	"ssmrun"
	"ssmrun/internal/store"
)

const (
	activationColumns = `account, region, id, code_hash, iam_role, description, default_name, instance_id,
		use_limit, use_count, created_at, expires_at, forgets_after, tags`
	putActivation = `INSERT INTO activations (` + activationColumns + `) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)
		ON CONFLICT (id) DO UPDATE SET code_hash = excluded.code_hash, iam_role = excluded.iam_role,
		description = excluded.description, default_name = excluded.default_name, instance_id = excluded.instance_id,
		use_limit = excluded.use_limit, use_count = excluded.use_count, created_at = excluded.created_at,
		expires_at = excluded.expires_at, forgets_after = excluded.forgets_after, tags = excluded.tags
		WHERE activations.account = excluded.account AND activations.region = excluded.region`
	selectActivations = `SELECT ` + activationColumns + ` FROM activations `
	selectActivation  = selectActivations + `WHERE id = ?`
	activationsOf     = selectActivations + `WHERE instance_id = ? AND instance_id <> '' ORDER BY id`
	deleteActivation  = `DELETE FROM activations WHERE id = ?`
)

// PutActivation refuses an id that another scope has.
func (t *tx) PutActivation(a *store.Activation) error {
	hash := a.CodeHash
	if hash == nil {
		hash = []byte{} // nil would be NULL
	}
	tags, err := asJSON(a.Tags)
	if err != nil {
		return t.refuse(err)
	}
	n, err := t.exec(putActivation, a.Scope.Account, a.Scope.Region, a.ID, hash, a.IamRole, a.Description, a.DefaultName,
		a.InstanceID, a.Limit, a.Count, micros(a.CreatedAt), micros(a.ExpiresAt), a.ForgetsAfter, tags)
	if err == nil && n == 0 {
		err = t.refuse(errElsewhere)
	}
	return what(err, "put activation %s", a.ID)
}

func (t *tx) activations(text string, args ...any) ([]store.Activation, error) {
	var list []store.Activation
	err := t.each(func(s scanner) error {
		var a store.Activation
		err := s.Scan(&a.Scope.Account, &a.Scope.Region, &a.ID, &a.CodeHash, &a.IamRole, &a.Description, &a.DefaultName,
			&a.InstanceID, &a.Limit, &a.Count, at(&a.CreatedAt), at(&a.ExpiresAt), &a.ForgetsAfter, fromJSON{&a.Tags})
		list = append(list, a)
		return err
	}, text, args...)
	return list, err
}

func (t *tx) Activation(id string) (*store.Activation, error) {
	list, err := t.activations(selectActivation, id)
	if err == nil && len(list) == 0 {
		err = ssmrun.ErrNotFound
	}
	if err != nil {
		return nil, what(err, "find activation %s", id)
	}
	return &list[0], nil
}

func (t *tx) ActivationsOf(instanceID string) ([]store.Activation, error) {
	list, err := t.activations(activationsOf, instanceID)
	return list, what(err, "find the activations of %s", instanceID)
}

func (t *tx) ListActivations(scope ssmrun.Scope, q store.ActivationQuery, p store.Page) ([]store.Activation, string, error) {
	list, next, err := t.listActivations(scope, q, p)
	return list, next, what(err, "list activations")
}

func (t *tx) listActivations(scope ssmrun.Scope, q store.ActivationQuery, p store.Page) ([]store.Activation, string, error) {
	after, err := from(p, activationList)
	if err != nil {
		return nil, "", err
	}
	w := where{}
	w.add("account = ? AND region = ?", scope.Account, scope.Region)
	w.in("id", q.IDs)
	w.in("default_name", q.DefaultNames)
	w.in("iam_role", q.IamRoles)
	if after != nil {
		w.add("id > ?", after.ID)
	}
	list, err := t.activations(selectActivations+w.text()+" ORDER BY id LIMIT ?", append(w.args, p.Limit+1)...)
	if err != nil || len(list) <= p.Limit {
		return list, "", err
	}
	list = list[:p.Limit]
	return list, position{List: activationList, ID: list[p.Limit-1].ID}.token(), nil
}

func (t *tx) DeleteActivation(id string) error {
	_, err := t.exec(deleteActivation, id)
	return what(err, "delete activation %s", id)
}
