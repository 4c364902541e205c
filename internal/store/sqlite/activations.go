package sqlite

import (
	"ssmrun/internal/store"
)

const (
	activationColumns = `account, region, id, code_hash, iam_role, description, default_name, instance_id,
		use_limit, use_count, created_at, expires_at, forgets_after`
	putActivation = `INSERT INTO activations (` + activationColumns + `) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)
		ON CONFLICT (id) DO UPDATE SET code_hash = excluded.code_hash, iam_role = excluded.iam_role,
		description = excluded.description, default_name = excluded.default_name, instance_id = excluded.instance_id,
		use_limit = excluded.use_limit, use_count = excluded.use_count, created_at = excluded.created_at,
		expires_at = excluded.expires_at, forgets_after = excluded.forgets_after
		WHERE activations.account = excluded.account AND activations.region = excluded.region`
	selectActivation = `SELECT ` + activationColumns + ` FROM activations WHERE id = ?`
	deleteActivation = `DELETE FROM activations WHERE id = ?`
)

// PutActivation refuses an id that another scope has.
func (t *tx) PutActivation(a *store.Activation) error {
	hash := a.CodeHash
	if hash == nil {
		hash = []byte{} // nil would be NULL
	}
	n, err := t.exec(putActivation, a.Scope.Account, a.Scope.Region, a.ID, hash, a.IamRole, a.Description, a.DefaultName,
		a.InstanceID, a.Limit, a.Count, micros(a.CreatedAt), micros(a.ExpiresAt), a.ForgetsAfter)
	if err == nil && n == 0 {
		err = t.refuse(errElsewhere)
	}
	return what(err, "put activation %s", a.ID)
}

func (t *tx) Activation(id string) (*store.Activation, error) {
	var a store.Activation
	err := t.one(func(s scanner) error {
		return s.Scan(&a.Scope.Account, &a.Scope.Region, &a.ID, &a.CodeHash, &a.IamRole, &a.Description, &a.DefaultName,
			&a.InstanceID, &a.Limit, &a.Count, at(&a.CreatedAt), at(&a.ExpiresAt), &a.ForgetsAfter)
	}, selectActivation, id)
	if err != nil {
		return nil, what(err, "find activation %s", id)
	}
	return &a, nil
}

func (t *tx) DeleteActivation(id string) error {
	_, err := t.exec(deleteActivation, id)
	return what(err, "delete activation %s", id)
}
