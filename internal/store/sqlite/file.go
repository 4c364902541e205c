package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// checkPath refuses a path that another working directory would change, and a
// folder that is not there.
func checkPath(path string) error {
	if !filepath.IsAbs(path) {
		return errors.New("the path is not absolute")
	}
	dir := filepath.Dir(path)
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("the folder %s does not exist: make it first", dir)
	case err != nil:
		return err
	case !info.IsDir():
		return fmt.Errorf("%s is not a folder", dir)
	}
	return nil
}

// makeFile makes an empty file with mode 0600 where there is none, and takes
// the rights of others away from one that is there. SQLite gives its log the
// same mode. An existing file is never opened here: closing it would drop the
// locks that SQLite holds on it in the same process.
func makeFile(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err == nil {
		return f.Close()
	}
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return errors.New("it is not a regular file")
	}
	if info.Mode().Perm()&0o077 != 0 {
		return os.Chmod(path, info.Mode().Perm()&0o700)
	}
	return nil
}

// lockFile holds the store for this process: an exclusive transaction on an
// empty database beside the store, which SQLite locks in the way of each
// operating system, and which ends with the process. The store's own file
// cannot serve, since the readers need it.
func lockFile(ctx context.Context, path string) (*conn, error) {
	if err := makeFile(path); err != nil {
		return nil, fmt.Errorf("make its lock file: %w", err)
	}
	c, err := openConn(ctx, path, lockParams)
	if err != nil {
		return nil, fmt.Errorf("open its lock file: %w", err)
	}
	if err = checkWritable(c); err == nil {
		err = c.exec(ctx, "BEGIN EXCLUSIVE")
	}
	if err == nil {
		return c, nil
	}
	_ = c.close() // the error before is the one that counts
	if code(err) == codeBusy {
		return nil, errInUse
	}
	return nil, fmt.Errorf("lock %s: %w", path, err)
}

var errInUse = errors.New("another ssmrun has it open: stop that one, or use another data folder")

// checkLog makes sure of WAL mode: SQLite stays in the old mode without an
// error where the file system does not have what WAL needs.
func checkLog(ctx context.Context, c *conn) error {
	var mode string
	if err := c.get(ctx, "PRAGMA journal_mode", &mode); err != nil {
		return err
	}
	if mode != "wal" {
		return fmt.Errorf("its file system cannot do write-ahead logging (journal mode %s): use a local disk", mode)
	}
	return nil
}

// checkWritable makes sure of what SQLite would tell with the first write only:
// a file that may not be written it opens to read, and its BEGIN EXCLUSIVE on
// one locks out nobody.
func checkWritable(c *conn) error {
	return c.sql.Raw(func(driver any) error {
		d, ok := driver.(interface {
			IsReadOnly(schema string) (bool, error)
		})
		if !ok {
			return fmt.Errorf("the driver %T does not tell whether a file may be written", driver)
		}
		switch readOnly, err := d.IsReadOnly("main"); {
		case err != nil:
			return err
		case readOnly:
			return errors.New("it may not be written; " + hints[codeReadonly])
		}
		return nil
	})
}
