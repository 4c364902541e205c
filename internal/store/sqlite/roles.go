package sqlite

import (
	"time"

	"ssmrun"
	"ssmrun/internal/store"
)

const (
	insertAccount = `INSERT INTO accounts (account) VALUES (?) ON CONFLICT DO NOTHING`
	putRole       = `INSERT INTO roles (account, name, detail) VALUES (?,?,?)
		ON CONFLICT (account, name) DO UPDATE SET detail = excluded.detail`
	selectRoles = `SELECT account, name, detail FROM roles WHERE account = ? `
	selectRole  = selectRoles + `AND name = ?`
	listRoles   = selectRoles + `AND name > ? ORDER BY name LIMIT ?`
	deleteRole  = `DELETE FROM roles WHERE account = ? AND name = ?`
)

// roleDetail is what of a role nobody looks for.
type roleDetail struct {
	Path, ID, Description, Trust string
	Services, Policies           []string
	MaxSession                   int
	CreatedAt                    *int64 // microseconds; nil for no time
	Tags                         map[string]string
}

func (t *tx) NewAccount(account string) (bool, error) {
	n, err := t.exec(insertAccount, account)
	return n > 0, what(err, "note account %s", account)
}

func (t *tx) PutRole(r *store.Role) error {
	d := roleDetail{
		Path: r.Path, ID: r.ID, Description: r.Description, Trust: r.Trust, Services: r.Services, Policies: r.Policies,
		MaxSession: r.MaxSession, Tags: r.Tags,
	}
	if !r.CreatedAt.IsZero() {
		at := r.CreatedAt.UnixMicro()
		d.CreatedAt = &at
	}
	detail, err := asJSON(d)
	if err != nil {
		return t.refuse(err)
	}
	_, err = t.exec(putRole, r.Account, r.Name, detail)
	return what(err, "put role %s", r.Name)
}

func (t *tx) roles(text string, args ...any) ([]store.Role, error) {
	var list []store.Role
	err := t.each(func(s scanner) error {
		var r store.Role
		var d roleDetail
		err := s.Scan(&r.Account, &r.Name, fromJSON{&d})
		r.Path, r.ID, r.Description, r.Trust = d.Path, d.ID, d.Description, d.Trust
		r.Services, r.Policies, r.MaxSession, r.Tags = d.Services, d.Policies, d.MaxSession, d.Tags
		if d.CreatedAt != nil {
			r.CreatedAt = time.UnixMicro(*d.CreatedAt).UTC()
		}
		list = append(list, r)
		return err
	}, text, args...)
	return list, err
}

func (t *tx) Role(account, name string) (*store.Role, error) {
	list, err := t.roles(selectRole, account, name)
	if err == nil && len(list) == 0 {
		err = ssmrun.ErrNotFound
	}
	if err != nil {
		return nil, what(err, "find role %s", name)
	}
	return &list[0], nil
}

func (t *tx) DeleteRole(account, name string) error {
	return what(t.execOne(deleteRole, account, name), "delete role %s", name)
}

func (t *tx) ListRoles(account string, p store.Page) ([]store.Role, string, error) {
	after, err := from(p, roleList)
	if err != nil {
		return nil, "", what(err, "list roles")
	}
	last := "" // every name is more
	if after != nil {
		last = after.ID
	}
	list, err := t.roles(listRoles, account, last, p.Limit+1)
	if err != nil || len(list) <= p.Limit {
		return list, "", what(err, "list roles")
	}
	list = list[:p.Limit]
	return list, position{List: roleList, ID: list[p.Limit-1].Name}.token(), nil
}
