package sqlite

import (
	"errors"
	"time"

	"ssmrun"
)

const (
	selectScopes = `SELECT n FROM scopes`
	// The oldest commands are at the end of the index.
	selectOldest = `SELECT n FROM commands INDEXED BY commands_by_time
		WHERE scope = ? AND newest_first > ? AND open = 0 ORDER BY newest_first DESC LIMIT ?`

	deletePlugins = `DELETE FROM plugins WHERE rowid IN (SELECT rowid FROM plugins WHERE command = ? LIMIT ?)`
	// The table has no rowid.
	deleteInvocations = `DELETE FROM invocations WHERE command = ? AND instance_id <= coalesce((SELECT instance_id
		FROM invocations WHERE command = ? ORDER BY instance_id LIMIT 1 OFFSET ?), '~')`
	selectContentOf = `SELECT content FROM commands_input WHERE n = ?`
	deleteInput     = `DELETE FROM commands_input WHERE n = ?`
	deleteCommand   = `DELETE FROM commands WHERE n = ?`
	deleteContent   = `DELETE FROM commands_content WHERE n = ?
		AND NOT EXISTS (SELECT 1 FROM commands_input WHERE content = ?)`
)

func (t *tx) Forget(before time.Time, limit int) (more bool, err error) {
	more, err = t.forget(before, limit)
	return more, what(err, "forget commands")
}

func (t *tx) forget(before time.Time, limit int) (bool, error) {
	var scopes []int64
	err := t.each(func(s scanner) error {
		var n int64
		err := s.Scan(&n)
		scopes = append(scopes, n)
		return err
	}, selectScopes)
	if err != nil {
		return false, err
	}
	left := int64(limit)
	for _, scope := range scopes {
		old, err := t.oldest(scope, before, limit)
		if err != nil {
			return false, err
		}
		for _, n := range old {
			if left <= 0 {
				return true, nil
			}
			if left, err = t.remove(n, left); err != nil {
				return false, err
			}
		}
	}
	return left <= 0, nil
}

// oldest gives the oldest commands of a scope that are over.
func (t *tx) oldest(scope int64, before time.Time, limit int) ([]int64, error) {
	var list []int64
	err := t.each(func(s scanner) error {
		var n int64
		err := s.Scan(&n)
		list = append(list, n)
		return err
	}, selectOldest, scope, newestFirst(before), limit)
	return list, err
}

// remove removes a command from its leaves on, at most left rows of it; what
// is gone then is gone, the rest comes next time.
func (t *tx) remove(n, left int64) (int64, error) {
	gone, err := t.exec(deletePlugins, n, left)
	if left -= gone; err != nil || left <= 0 {
		return left, err
	}
	gone, err = t.exec(deleteInvocations, n, n, left-1)
	if left -= gone; err != nil || left <= 0 {
		return left, err
	}
	var content int64
	err = t.one(func(s scanner) error { return s.Scan(&content) }, selectContentOf, n)
	if err != nil && !errors.Is(err, ssmrun.ErrNotFound) {
		return left, err
	}
	if _, err := t.exec(deleteInput, n); err != nil {
		return left, err
	}
	if _, err := t.exec(deleteContent, content, content); err != nil {
		return left, err
	}
	_, err = t.exec(deleteCommand, n)
	return left - 1, err
}
