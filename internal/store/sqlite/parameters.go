package sqlite

import (
	"fmt"
	"slices"

	"ssmrun"
	"ssmrun/internal/store"
)

const (
	insertParameter = `INSERT INTO parameters (account, region, name, version, type, description, key_id, allowed_pattern,
		tier, data_type) VALUES (?,?,?,?,?,?,?,?,?,?) ON CONFLICT DO NOTHING`
	updateParameter = `UPDATE parameters SET version = ?, type = ?, description = ?, key_id = ?, allowed_pattern = ?,
		tier = ?, data_type = ? WHERE account = ? AND region = ? AND name = ? AND version = ?`
	insertParameterVersion = `INSERT INTO parameters_versions (account, region, name, version, value, modified_at,
		modified_by) VALUES (?,?,?,?,?,?,?)`
	trimParameter    = `DELETE FROM parameters_versions WHERE account = ? AND region = ? AND name = ? AND version <= ?`
	deleteParameter  = `DELETE FROM parameters WHERE account = ? AND region = ? AND name = ?`
	countParameters  = `SELECT count(*) FROM parameters WHERE account = ? AND region = ?`
	selectParameters = `SELECT p.account, p.region, p.name, v.version, p.type, v.value, p.description, p.key_id,
		p.allowed_pattern, p.tier, p.data_type, v.modified_at, v.modified_by FROM parameters p
		CROSS JOIN parameters_versions v ON v.account = p.account AND v.region = p.region AND v.name = p.name `
	selectParameter = selectParameters + `WHERE p.account = ? AND p.region = ? AND p.name = ?
		AND v.version = p.version`
	selectParameterVersion = selectParameters + `WHERE p.account = ? AND p.region = ? AND p.name = ?
		AND v.version = ?`
)

// PutParameter takes versions from 1.
func (t *tx) PutParameter(p *store.Parameter, keep int64) error {
	return what(t.putParameter(p, keep), "put parameter %s", p.Name)
}

func (t *tx) putParameter(p *store.Parameter, keep int64) error {
	if p.Version < 1 || keep < 1 {
		return t.refuse(fmt.Errorf("version %d, of which %d are kept, is none", p.Version, keep))
	}
	var n int64
	var err error
	if p.Version == 1 {
		n, err = t.exec(insertParameter, p.Scope.Account, p.Scope.Region, p.Name, p.Version, p.Type, p.Description,
			p.KeyID, p.AllowedPattern, p.Tier, p.DataType)
	} else {
		n, err = t.exec(updateParameter, p.Version, p.Type, p.Description, p.KeyID, p.AllowedPattern, p.Tier, p.DataType,
			p.Scope.Account, p.Scope.Region, p.Name, p.Version-1)
	}
	if err == nil && n == 0 {
		err = ssmrun.ErrNotFound
	}
	if err != nil {
		return err
	}
	value := p.Value
	if value == nil {
		value = []byte{} // nil would be NULL
	}
	if _, err := t.exec(insertParameterVersion, p.Scope.Account, p.Scope.Region, p.Name, p.Version, value,
		micros(p.ModifiedAt), p.ModifiedBy); err != nil {
		return err
	}
	_, err = t.exec(trimParameter, p.Scope.Account, p.Scope.Region, p.Name, p.Version-keep)
	return err
}

func (t *tx) parameters(text string, args ...any) ([]store.Parameter, error) {
	var list []store.Parameter
	err := t.each(func(s scanner) error {
		var p store.Parameter
		err := s.Scan(&p.Scope.Account, &p.Scope.Region, &p.Name, &p.Version, &p.Type, &p.Value, &p.Description,
			&p.KeyID, &p.AllowedPattern, &p.Tier, &p.DataType, at(&p.ModifiedAt), &p.ModifiedBy)
		list = append(list, p)
		return err
	}, text, args...)
	return list, err
}

func (t *tx) Parameter(scope ssmrun.Scope, name string, version int64) (*store.Parameter, error) {
	text, args := selectParameter, []any{scope.Account, scope.Region, name}
	if version != 0 {
		text, args = selectParameterVersion, append(args, version)
	}
	list, err := t.parameters(text, args...)
	if err == nil && len(list) == 0 {
		err = ssmrun.ErrNotFound
	}
	if err != nil {
		return nil, what(err, "find parameter %s", name)
	}
	return &list[0], nil
}

func (t *tx) DeleteParameter(scope ssmrun.Scope, name string) error {
	return what(t.execOne(deleteParameter, scope.Account, scope.Region, name), "delete parameter %s", name)
}

func (t *tx) CountParameters(scope ssmrun.Scope) (int, error) {
	n := 0
	err := t.one(func(s scanner) error { return s.Scan(&n) }, countParameters, scope.Account, scope.Region)
	return n, what(err, "count parameters")
}

func (t *tx) ListParameters(scope ssmrun.Scope, q store.ParameterQuery, p store.Page) ([]store.Parameter, string, error) {
	list, next, err := t.listParameters(scope, q, p)
	return list, next, what(err, "list parameters")
}

func (t *tx) listParameters(scope ssmrun.Scope, q store.ParameterQuery, p store.Page) ([]store.Parameter, string, error) {
	after, err := from(p, parameterList)
	if err != nil {
		return nil, "", err
	}
	w := where{}
	w.add("p.account = ? AND p.region = ?", scope.Account, scope.Region)
	w.in("p.name", q.Names)
	w.prefix("p.name", q.Prefixes)
	if len(q.Parts) > 0 {
		w.add("EXISTS (SELECT 1 FROM json_each(?) WHERE instr(p.name, value) > 0)", list(q.Parts))
	}
	w.under(q, after != nil)
	w.in("p.type", q.Types)
	w.in("p.key_id", q.KeyIDs)
	w.prefix("p.key_id", q.KeyIDPrefixes)
	w.in("p.tier", q.Tiers)
	w.in("p.data_type", q.DataTypes)
	if after != nil {
		w.add("p.name > ?", after.ID)
	}
	rows, err := t.parameters(selectParameters+w.text()+" AND v.version = p.version ORDER BY p.name LIMIT ?",
		append(w.args, p.Limit+1)...)
	if err != nil || len(rows) <= p.Limit {
		return rows, "", err
	}
	rows = rows[:p.Limit]
	return rows, position{List: parameterList, ID: rows[p.Limit-1].Name}.token(), nil
}

// under selects by q.Under. One path is a part of the index: from "/a/" up to
// "/a0", 0 being what comes after the slash.
func (w *where) under(q store.ParameterQuery, paged bool) {
	if len(q.Under) == 0 {
		return
	}
	root := slices.Contains(q.Under, "/")
	switch {
	case root && q.Deep:
		return
	case root || len(q.Under) > 1:
	case paged:
		w.add("+p.name >= ? AND p.name < ?", q.Under[0], q.Under[0][:len(q.Under[0])-1]+"0")
	default:
		w.add("p.name >= ? AND p.name < ?", q.Under[0], q.Under[0][:len(q.Under[0])-1]+"0")
	}
	if len(q.Under) == 1 && q.Deep {
		return
	}
	// The rest of the name, which has no slash where one level is wanted.
	w.add(`EXISTS (SELECT 1 FROM json_each(?) WHERE (value = '/' OR substr(p.name, 1, length(value)) = value)
		AND (? OR instr(substr(p.name, length(value) + 1), '/') = 0))`, list(q.Under), q.Deep)
}
