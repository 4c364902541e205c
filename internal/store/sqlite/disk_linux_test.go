package sqlite_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"ssmrun"
	"ssmrun/internal/store"
	"ssmrun/internal/store/sqlite"
)

// mountSmall mounts a file system of 2 MiB, or skips the test where this
// process may not.
func mountSmall(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=2m"); err != nil {
		t.Skipf("NOT RUN: mounting a small disk: %v (run the tests as root)", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return dir
}

// TestDiskFull fills the disk: the Updates that do not fit fail with a clear
// error, what was stored before is there, and with space again all goes on.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	dir := mountSmall(t)
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "store.db")
	db, err := sqlite.Open(t.Context(), path, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	put := func(n int) error {
		return db.Update(t.Context(), func(tx store.Tx) error {
			c, i, p := command(n)
			p[0].Stdout = strings.Repeat("x", 20_000)
			if err := tx.InsertCommand(c, "", i); err != nil {
				return err
			}
			return tx.PutPlugin(scope, &p[0])
		})
	}
	n := 0
	for err = put(n); err == nil && n < 1000; err = put(n) {
		n++
	}
	if err == nil || !strings.Contains(err.Error(), "disk is full") || !strings.Contains(err.Error(), "free some space") ||
		!strings.Contains(err.Error(), path) {
		t.Fatalf("after %d commands: %v, want an error of a full disk", n, err)
	}
	if got := ssmrun.ErrorCode(err); got != ssmrun.CodeUnavailable || !strings.Contains(ssmrun.ErrorMessage(err), "disk of the service's data folder is full") {
		t.Errorf("callers see %s %q", got, ssmrun.ErrorMessage(err))
	}
	if n == 0 {
		t.Fatal("nothing fitted on the disk")
	}
	for range 3 { // it stays an error, and spoils nothing
		if err := put(n); err == nil {
			t.Fatal("a command fitted on a full disk")
		}
	}
	there := func(want int) {
		t.Helper()
		err := db.View(t.Context(), func(tx store.Tx) error {
			list, _, err := tx.ListCommands(scope, store.CommandQuery{}, store.Page{Limit: 10_000})
			if len(list) != want {
				t.Errorf("%d commands, want %d", len(list), want)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
	there(n)
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if err := put(n); err != nil {
		t.Errorf("with space again: %v", err)
	}
	there(n + 1)
	if err := db.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}

// TestReadOnlyDisk opens a store that may be read but not written.
func TestReadOnlyDisk(t *testing.T) {
	t.Parallel()
	dir := mountSmall(t)
	path := filepath.Join(dir, "store.db")
	if err := open(t, path).Close(); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	refused(t, path, "check that this user may")
	refused(t, filepath.Join(dir, "new.db"), "read-only file system")
	_, err := sqlite.Open(t.Context(), filepath.Join(dir, "new.db"), sqlite.Options{})
	if !errors.Is(err, syscall.EROFS) {
		t.Errorf("error %v does not wrap the system's", err)
	}
}

// TestNoPermission opens a store whose files belong to somebody else.
func TestNoPermission(t *testing.T) {
	t.Parallel()
	if os.Geteuid() == 0 {
		t.Skip("NOT RUN: root may write every file (run the tests as another user)")
	}
	path := filepath.Join(t.TempDir(), "store.db")
	if err := open(t, path).Close(); err != nil {
		t.Fatal(err)
	}
	for _, f := range []string{path, path + ".lock"} {
		if err := os.Chmod(f, 0o400); err != nil {
			t.Fatal(err)
		}
		refused(t, path, "check that this user may")
		if err := os.Chmod(f, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
