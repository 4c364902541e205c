package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"ssmrun"
	"ssmrun/internal/store"
)

var (
	errOver     = errors.New("the transaction is over")
	errReadOnly = errors.New("a View may not write: use Update")
)

// tx is a transaction of either kind. It is used by one goroutine at a time.
type tx struct {
	db     *DB
	c      *conn
	ctx    context.Context
	writes bool
	over   bool
	met    numbers
	// err is the first failure of a statement. After one, SQLite may have
	// ended the transaction, and the next statement would be committed by
	// itself: so nothing runs any more.
	err error
}

var _ store.Tx = (*tx)(nil)

// usable tells why a statement may not run.
func (t *tx) usable(write bool) error {
	switch {
	case t.over:
		return errOver
	case t.err != nil:
		return t.err
	case write && !t.writes:
		return errReadOnly
	}
	return t.ctx.Err()
}

// fail keeps the failure of a statement.
func (t *tx) fail(err error) error {
	t.err = fmt.Errorf("store %s: %w", t.db.path, explain(err))
	return t.err
}

// refuse keeps a failure that was found before a statement ran.
func (t *tx) refuse(err error) error {
	if t.err == nil {
		t.err = err
	}
	return err
}

// exec changes rows and counts them.
func (t *tx) exec(text string, args ...any) (int64, error) {
	if err := t.usable(true); err != nil {
		return 0, err
	}
	n, err := t.c.change(context.WithoutCancel(t.ctx), text, args...)
	if err != nil {
		return 0, t.fail(err)
	}
	return n, nil
}

// insert adds a row and gives its number.
func (t *tx) insert(text string, args ...any) (int64, error) {
	if err := t.usable(true); err != nil {
		return 0, err
	}
	n, err := t.c.insert(context.WithoutCancel(t.ctx), text, args...)
	if err != nil {
		return 0, t.fail(err)
	}
	return n, nil
}

// execOne changes one row; ssmrun.ErrNotFound where there is none.
func (t *tx) execOne(text string, args ...any) error {
	n, err := t.exec(text, args...)
	if err == nil && n == 0 {
		err = ssmrun.ErrNotFound
	}
	return err
}

// scanner is a row.
type scanner interface{ Scan(into ...any) error }

// each reads the rows of a query.
func (t *tx) each(scan func(scanner) error, text string, args ...any) error {
	if err := t.usable(false); err != nil {
		return err
	}
	return t.rows(scan, text, args...)
}

// one reads the only row of a query; ssmrun.ErrNotFound where there is none.
func (t *tx) one(scan func(scanner) error, text string, args ...any) error {
	found := false
	err := t.each(func(s scanner) error {
		found = true
		return scan(s)
	}, text, args...)
	if err == nil && !found {
		err = ssmrun.ErrNotFound
	}
	return err
}

// changeOne changes one row and reads what it returns.
func (t *tx) changeOne(scan func(scanner) error, text string, args ...any) error {
	if err := t.usable(true); err != nil {
		return err
	}
	return t.one(scan, text, args...)
}

func (t *tx) rows(scan func(scanner) error, text string, args ...any) error {
	ctx := context.WithoutCancel(t.ctx)
	s, err := t.c.prepare(ctx, text)
	if err != nil {
		return t.fail(err)
	}
	rows, err := s.QueryContext(ctx, args...)
	if err != nil {
		return t.fail(err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return t.fail(err)
		}
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return t.fail(err)
	}
	return nil
}

// what puts the thing before an error, nil stays nil.
func what(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), err)
}

var _ scanner = (*sql.Rows)(nil)
