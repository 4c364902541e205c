package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ssmrun"
	"ssmrun/internal/store"
	"ssmrun/internal/store/sqlite"
)

// refused opens a path that cannot be opened, and wants the parts in the error.
func refused(t *testing.T, path string, parts ...string) {
	t.Helper()
	db, err := sqlite.Open(t.Context(), path, sqlite.Options{})
	if err == nil {
		_ = db.Close()
		t.Fatalf("opened %s, want an error with %q", path, parts)
	}
	for _, part := range append([]string{"open store " + path + ": "}, parts...) {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q does not say %q", err, part)
		}
	}
}

func insert(t *testing.T, db *sqlite.DB, n int) {
	t.Helper()
	if err := db.Update(t.Context(), func(tx store.Tx) error {
		c, i, _ := command(n)
		return tx.InsertCommand(c, "", i)
	}); err != nil {
		t.Fatal(err)
	}
}

func TestReopen(t *testing.T) {
	t.Parallel()
	// A name with all that means something in a URI.
	path := filepath.Join(t.TempDir(), "a?b#c %20&=;.db")
	for n := range 3 {
		db := open(t, path)
		insert(t, db, n)
		if err := db.View(t.Context(), func(tx store.Tx) error {
			list, _, err := tx.ListCommands(scope, store.CommandQuery{}, store.Page{Limit: 10})
			if len(list) != n+1 {
				t.Errorf("%d commands at the %d. start", len(list), n+1)
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	files, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files { // the log is gone after a clean close
		if f != path && f != path+".lock" {
			t.Errorf("left behind: %s", f)
		}
	}
}

func TestFileMode(t *testing.T) {
	t.Parallel()
	for name, old := range map[string]os.FileMode{"new": 0, "old and open to all": 0o666} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "store.db")
			if old != 0 {
				if err := os.WriteFile(path, nil, 0o600); err != nil {
					t.Fatal(err)
				}
				if err := os.Chmod(path, old); err != nil {
					t.Fatal(err)
				}
			}
			insert(t, open(t, path), 1)
			files, err := filepath.Glob(path + "*")
			if err != nil {
				t.Fatal(err)
			}
			if len(files) < 4 { // the database, its log, the log's index, the lock
				t.Errorf("only the files %v", files)
			}
			for _, f := range files {
				info, err := os.Stat(f)
				if err != nil {
					t.Fatal(err)
				}
				if info.Mode() != 0o600 {
					t.Errorf("%s has mode %v, want 0600", filepath.Base(f), info.Mode())
				}
			}
		})
	}
}

func TestSecondOpener(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "store.db")
	db := open(t, path)
	refused(t, path, "another ssmrun has it open")
	out, err := startJob(t, "open", path).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "another ssmrun has it open") {
		t.Errorf("another process: %v, %s", err, out)
	}
	insert(t, db, 1) // the first one goes on
	// What refused did must not have taken the first one's lock away.
	out, err = startJob(t, "open", path).CombinedOutput()
	if err == nil {
		t.Errorf("another process after a refusal: %s", out)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if out, err := startJob(t, "open", path).CombinedOutput(); err != nil {
		t.Errorf("another process after Close: %v, %s", err, out)
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	refused(t, "store.db", "not absolute")
	refused(t, filepath.Join(dir, "missing", "store.db"), "does not exist", filepath.Join(dir, "missing"))
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	refused(t, filepath.Join(file, "store.db"), "folder")
	folder := filepath.Join(dir, "folder")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	refused(t, folder, "not a regular file")

	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := sqlite.Open(ended, filepath.Join(dir, "x.db"), sqlite.Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("Open with a context that has ended: %v", err)
	}

	text := filepath.Join(dir, "text")
	if err := os.WriteFile(text, []byte(strings.Repeat("this is no database\n", 500)), 0o600); err != nil {
		t.Fatal(err)
	}
	refused(t, text, "not a database", "backup")

	foreign := filepath.Join(dir, "foreign")
	other, err := sql.Open("sqlite", foreign)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Exec("CREATE TABLE mine (x)"); err != nil {
		t.Fatal(err)
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	refused(t, foreign, "another program")
	if b, err := os.ReadFile(foreign); err != nil || strings.Contains(string(b), "invocations") {
		t.Errorf("the other program's database was extended (%v)", err)
	}
	// A refusal lets go of the lock.
	refused(t, foreign, "another program")
}

func TestNewerSchema(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "store.db")
	if err := open(t, path).Close(); err != nil {
		t.Fatal(err)
	}
	raw, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := raw.Exec("PRAGMA user_version = 1000"); err != nil {
		t.Fatal(err)
	}
	if err := raw.Close(); err != nil {
		t.Fatal(err)
	}
	refused(t, path, "version 1000", "newer ssmrun")
}

// TestDamaged overwrites a part of the file: what is hurt is an error that
// says so, in Open or in its first use, and never a wrong answer.
func TestDamaged(t *testing.T) {
	t.Parallel()
	const commands = 200
	path := filepath.Join(t.TempDir(), "store.db")
	db := open(t, path)
	for n := range commands {
		insert(t, db, n)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	damage := func(from int) {
		b := slices.Clone(whole)
		for i := from; i < len(b); i++ {
			b[i] = 0xa5
		}
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	damage(100) // the schema
	refused(t, path, "damaged", "backup")

	// Some of the rows, in whole pages: SQLite has no checksums, and what is left
	// of half a page may read as a page in which a row is missing.
	damage(len(whole) * 9 / 10 / 4096 * 4096)
	db = open(t, path)
	hurt := 0
	for n := range commands {
		want, _, _ := command(n)
		err := db.View(t.Context(), func(tx store.Tx) error {
			got, err := tx.Command(scope, want.ID)
			if err == nil {
				err = tx.ReadInput(got)
			}
			if err == nil && (got.Content != want.Content || !got.RequestedAt.Equal(want.RequestedAt)) {
				t.Errorf("command %d is %+v", n, got)
			}
			return err
		})
		if err == nil {
			continue
		}
		hurt++
		if errors.Is(err, ssmrun.ErrNotFound) || !strings.Contains(err.Error(), "damaged") || !strings.Contains(err.Error(), path) {
			t.Errorf("a damaged command: %v", err)
		}
	}
	if hurt == 0 || hurt == commands {
		t.Errorf("%d of %d commands are damaged; the test needs some", hurt, commands)
	}
	err = db.Update(t.Context(), func(tx store.Tx) error {
		for n := commands; n < 2*commands; n++ {
			c, i, _ := command(n)
			if err := tx.InsertCommand(c, "", i); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("an Update that meets damaged pages: %v", err)
	}
}

func TestClosed(t *testing.T) {
	t.Parallel()
	db := open(t, filepath.Join(t.TempDir(), "store.db"))
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	fn := func(store.Tx) error { return nil }
	if err := db.Update(t.Context(), fn); !errors.Is(err, sqlite.ErrClosed) {
		t.Errorf("Update = %v, want ErrClosed", err)
	}
	if err := db.View(t.Context(), fn); !errors.Is(err, sqlite.ErrClosed) {
		t.Errorf("View = %v, want ErrClosed", err)
	}
}
