package sqlite

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

//go:embed migrations/*.sql
var embedded embed.FS

// applicationID marks the file as a store of this program ("ssmr"), so that a
// database of something else is refused instead of extended.
const applicationID = 0x73736d72

func migrations() fs.FS {
	sub, err := fs.Sub(embedded, "migrations")
	if err != nil {
		panic(err) // the name is a constant
	}
	return sub
}

// migrate brings the schema up to the newest file of dir. Files are named
// NNNN_what.sql with NNNN from 0001 upwards; user_version is the number of the
// last one that was applied. Each file is one transaction together with its
// number, so that a process killed in between leaves the version before or
// after, never a half.
func migrate(ctx context.Context, c *conn, dir fs.FS) error {
	names, err := fs.Glob(dir, "*.sql")
	if err != nil {
		return err
	}
	var app, version, tables int
	if err := c.get(ctx, "PRAGMA application_id", &app); err != nil {
		return err
	}
	if err := c.get(ctx, "PRAGMA user_version", &version); err != nil {
		return err
	}
	if err := c.get(ctx, "SELECT count(*) FROM sqlite_schema", &tables); err != nil {
		return err
	}
	switch {
	case tables > 0 && app != applicationID:
		return errors.New("it is a database of another program: use another path")
	case version > len(names):
		return fmt.Errorf("its schema is version %d, of a newer ssmrun; this one knows versions up to %d: "+
			"use the newer ssmrun, or another data folder", version, len(names))
	}
	for i, name := range names {
		n := i + 1
		if !strings.HasPrefix(name, fmt.Sprintf("%04d_", n)) {
			return fmt.Errorf("migration %s is not number %d", name, n)
		}
		if n <= version {
			continue
		}
		text, err := fs.ReadFile(dir, name)
		if err != nil {
			return err
		}
		if err := apply(ctx, c, n, string(text)); err != nil {
			return fmt.Errorf("apply migration %s: %w", name, err)
		}
	}
	return nil
}

func apply(ctx context.Context, c *conn, n int, text string) error {
	err := c.script(ctx, "BEGIN IMMEDIATE")
	if err != nil {
		return err
	}
	if err = c.script(ctx, text); err == nil {
		err = c.script(ctx, fmt.Sprintf("PRAGMA application_id = %d; PRAGMA user_version = %d", applicationID, n))
	}
	if err == nil {
		err = c.script(ctx, "COMMIT")
	}
	if err != nil {
		// Best effort: the error that counts is the one before.
		_ = c.script(context.WithoutCancel(ctx), "ROLLBACK")
	}
	return err
}
