package sqlite

import (
	"errors"

	"ssmrun"
)

// Scopes and commands have numbers in the database. A transaction remembers
// those that it has met; those of scopes, which are few and never removed, are
// remembered for good once they have been committed.

const (
	selectScope = `SELECT n FROM scopes WHERE account = ? AND region = ?`
	insertScope = `INSERT INTO scopes (account, region) VALUES (?,?)`
	selectN     = `SELECT n FROM commands WHERE scope = ? AND id = ?`
)

type commandKey struct {
	scope ssmrun.Scope
	id    string
}

// numbers is what a transaction has met.
type numbers struct {
	scopes   map[ssmrun.Scope]int64
	commands map[commandKey]int64
	// invocations that were written, and so are there.
	invocations map[invocationKey]bool
}

type invocationKey struct {
	command  int64
	instance string
}

func (t *tx) meetInvocation(command int64, instance string) {
	if t.met.invocations == nil {
		t.met.invocations = map[invocationKey]bool{}
	}
	t.met.invocations[invocationKey{command, instance}] = true
}

// scope gives the number of a scope; ssmrun.ErrNotFound where nothing was ever
// sent in it.
func (t *tx) scope(s ssmrun.Scope) (int64, error) {
	if n, ok := t.db.scopes.Load(s); ok {
		return n.(int64), nil //nolint:forcetypeassert // it holds nothing else
	}
	if n, ok := t.met.scopes[s]; ok {
		return n, nil
	}
	var n int64
	err := t.one(func(row scanner) error { return row.Scan(&n) }, selectScope, s.Account, s.Region)
	if err != nil {
		return 0, err
	}
	if !t.writes {
		t.db.scopes.Store(s, n) // a snapshot holds only what is committed
		return n, nil
	}
	t.meetScope(s, n)
	return n, nil
}

func (t *tx) meetScope(s ssmrun.Scope, n int64) {
	if t.met.scopes == nil {
		t.met.scopes = map[ssmrun.Scope]int64{}
	}
	t.met.scopes[s] = n
}

// makeScope gives the number of a scope, a new one where it has none.
func (t *tx) makeScope(s ssmrun.Scope) (int64, error) {
	n, err := t.scope(s)
	if !errors.Is(err, ssmrun.ErrNotFound) {
		return n, err
	}
	if n, err = t.insert(insertScope, s.Account, s.Region); err != nil {
		return 0, err
	}
	t.meetScope(s, n)
	return n, nil
}

// number gives the number of a command; ssmrun.ErrNotFound where the scope has
// none of that id.
func (t *tx) number(s ssmrun.Scope, id string) (int64, error) {
	if n, ok := t.met.commands[commandKey{s, id}]; ok {
		return n, nil
	}
	scope, err := t.scope(s)
	if err != nil {
		return 0, err
	}
	var n int64
	if err := t.one(func(row scanner) error { return row.Scan(&n) }, selectN, scope, id); err != nil {
		return 0, err
	}
	t.meet(s, id, n)
	return n, nil
}

func (t *tx) meet(s ssmrun.Scope, id string, n int64) {
	if t.met.commands == nil {
		t.met.commands = map[commandKey]int64{}
	}
	t.met.commands[commandKey{s, id}] = n
}

// absent makes nothing of ssmrun.ErrNotFound: what is not there has no rows.
func absent(err error) (bool, error) {
	if errors.Is(err, ssmrun.ErrNotFound) {
		return true, nil
	}
	return false, err
}
