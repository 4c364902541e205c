package sqlite

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"ssmrun"
	"ssmrun/internal/store"
)

var testScope = ssmrun.Scope{Account: "000000000000", Region: "us-east-1"}

func testDB(t *testing.T) *DB {
	t.Helper()
	db, err := Open(context.Background(), filepath.Join(t.TempDir(), "store.db"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// putDocument writes a document with so many bytes that no other has.
func putDocument(tx store.Tx, name string, size int) error {
	if err := tx.PutDocument(&ssmrun.Document{Name: name, Scope: testScope, Default: 1, Next: 2}); err != nil {
		return err
	}
	return tx.PutDocumentVersion(testScope, name, &ssmrun.DocumentVersion{Number: 1, Content: name + strings.Repeat("x", size)})
}

func hasDocumentNamed(t *testing.T, db *DB, name string) bool {
	t.Helper()
	err := db.View(context.Background(), func(tx store.Tx) error {
		_, err := tx.Document(testScope, name)
		return err
	})
	if err != nil && !errors.Is(err, ssmrun.ErrNotFound) {
		t.Fatal(err)
	}
	return err == nil
}

// together runs Updates that wait at the same time, so that the writer takes
// them as one group after hold, and gives their errors. A panic of one is its
// error.
func together(db *DB, fns ...func(store.Tx) error) []error {
	running, release, held := make(chan struct{}), make(chan struct{}), make(chan error)
	go func() {
		once := false
		held <- db.Update(context.Background(), func(tx store.Tx) error {
			if !once { // it may be run again
				once = true
				close(running)
				<-release
			}
			return putDocument(tx, "held", 1)
		})
	}()
	<-running
	errs := make([]error, len(fns))
	ended := make(chan int)
	for n, fn := range fns {
		go func() {
			defer func() {
				if v := recover(); v != nil {
					errs[n] = fmt.Errorf("panic: %v", v)
				}
				ended <- n
			}()
			errs[n] = db.Update(context.Background(), fn)
		}()
		synctest.Wait() // it waits for the writer, in this order
	}
	close(release)
	for range fns {
		<-ended
	}
	return append(errs, <-held)
}

// commits counts the transactions that the writer has committed since it was
// last asked.
func commits(t *testing.T, db *DB) func() int64 {
	t.Helper()
	last := db.writer.commits.Load()
	return func() int64 {
		now := db.writer.commits.Load()
		n := now - last
		last = now
		return n
	}
}

func TestGroupIsOneCommit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		db := testDB(t)
		count := commits(t, db)
		boom := errors.New("boom")
		var fns []func(store.Tx) error
		for n := range 60 {
			fns = append(fns, func(tx store.Tx) error {
				// Each sees what those before it in the group have done.
				if n > 0 && n%3 == 1 {
					if _, err := tx.Document(testScope, fmt.Sprint("doc", n-1)); err != nil {
						return err
					}
				}
				if err := putDocument(tx, fmt.Sprint("doc", n), 100); err != nil {
					return err
				}
				switch n % 3 {
				case 1:
					return boom
				case 2:
					panic("boom")
				}
				return nil
			})
		}
		errs := together(db, fns...)
		if n := count(); n != 1 {
			t.Errorf("61 Updates that waited together took %d commits, want 1", n)
		}
		for n, err := range errs[:60] {
			switch {
			case n%3 == 0 && err != nil, n%3 == 1 && err != boom, n%3 == 2 && (err == nil || err.Error() != "panic: boom"):
				t.Errorf("Update %d: %v", n, err)
			}
			if got := hasDocumentNamed(t, db, fmt.Sprint("doc", n)); got != (n%3 == 0) {
				t.Errorf("document %d is there: %v", n, got)
			}
		}
		if errs[60] != nil {
			t.Errorf("the Update before them: %v", errs[60])
		}
	})
}

// TestFailedGroup limits the database's size: one Update of a group does not
// fit, and its neighbours must not suffer.
func TestFailedGroup(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		db := testDB(t)
		var pages int
		ctx := context.Background()
		if err := db.write.get(ctx, "PRAGMA page_count", &pages); err != nil {
			t.Fatal(err)
		}
		if err := db.write.script(ctx, fmt.Sprintf("PRAGMA max_page_count = %d", pages+20)); err != nil {
			t.Fatal(err)
		}
		runs := 0
		errs := together(db,
			func(tx store.Tx) error { return putDocument(tx, "small before", 100) },
			func(tx store.Tx) error { runs++; return putDocument(tx, "big", 1<<20) },
			func(tx store.Tx) error {
				_ = putDocument(tx, "swallowed", 1<<20)
				return putDocument(tx, "beside it", 100)
			},
			func(tx store.Tx) error { return putDocument(tx, "small after", 100) },
		)
		for n, want := range []bool{true, false, false, true, true} {
			if (errs[n] == nil) != want {
				t.Errorf("Update %d: %v", n, errs[n])
			}
			if errs[n] != nil && !strings.Contains(errs[n].Error(), "full") {
				t.Errorf("Update %d: %v does not say that the disk is full", n, errs[n])
			}
		}
		for name, want := range map[string]bool{"small before": true, "big": false, "swallowed": false, "beside it": false, "small after": true, "held": true} {
			if got := hasDocumentNamed(t, db, name); got != want {
				t.Errorf("document %q is there: %v, want %v", name, got, want)
			}
		}
		if runs == 0 || runs > 2 {
			t.Errorf("the Update that does not fit ran %d times", runs)
		}
	})
}

// TestFailedCommit breaks the commit of a group: deferred constraints are
// checked there. Every Update of it is run again alone.
func TestFailedCommit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		db := testDB(t)
		orphan := func(inner store.Tx) error {
			tx := inner.(*tx)
			if _, err := tx.exec("PRAGMA defer_foreign_keys = ON"); err != nil {
				return err
			}
			_, err := tx.exec(putDocumentVersion, "a", "r", "no document", 1, "", "", "", []byte("x"), "", "", "null", nil, "", "null", "")
			return err
		}
		runs := map[string]int{}
		errs := together(db,
			func(tx store.Tx) error { runs["before"]++; return putDocument(tx, "before", 100) },
			orphan,
			func(tx store.Tx) error { runs["after"]++; return putDocument(tx, "after", 100) },
		)
		if errs[0] != nil || errs[1] == nil || errs[2] != nil || errs[3] != nil {
			t.Errorf("errors %v, want one for the second", errs)
		}
		if !strings.Contains(fmt.Sprint(errs[1]), "commit in store "+db.path) {
			t.Errorf("the failed commit's error is %v", errs[1])
		}
		for _, name := range []string{"before", "after"} {
			if !hasDocumentNamed(t, db, name) || runs[name] != 2 {
				t.Errorf("the Update %q: stored %v, run %d times", name, hasDocumentNamed(t, db, name), runs[name])
			}
		}
		// Alone from the beginning, it fails alone too.
		if err := db.Update(context.Background(), orphan); err == nil {
			t.Error("a commit that cannot be succeeded")
		}
		if err := db.Update(context.Background(), func(tx store.Tx) error { return putDocument(tx, "later", 1) }); err != nil {
			t.Errorf("the Update after a failed commit: %v", err)
		}
	})
}

// TestCancelledWhileWaiting ends contexts of Updates that wait behind one that
// runs: they return at once, and their fn is never called.
func TestCancelledWhileWaiting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		db := testDB(t)
		running, release, held := make(chan struct{}), make(chan struct{}), make(chan error)
		go func() {
			held <- db.Update(context.Background(), func(store.Tx) error {
				close(running)
				<-release
				return nil
			})
		}()
		<-running
		cause := errors.New("the caller went away")
		ctx, cancel := context.WithCancelCause(context.Background())
		waiting := make(chan error)
		for range 10 {
			go func() {
				waiting <- db.Update(ctx, func(store.Tx) error {
					t.Error("fn ran after its context had ended")
					return nil
				})
			}()
		}
		synctest.Wait()
		cancel(cause)
		for range 10 { // the one before still runs
			if err := <-waiting; !errors.Is(err, context.Canceled) {
				t.Errorf("Update = %v", err)
			}
		}
		close(release)
		if err := <-held; err != nil {
			t.Error(err)
		}
	})
}

// lateContext ends between Update's look at it and Update's wait.
type lateContext struct {
	context.Context
	looks int
}

func (c *lateContext) Err() error {
	if c.looks++; c.looks == 1 {
		return nil
	}
	return c.Context.Err()
}

func TestCancelledBeforeItsTurn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		db := testDB(t)
		ended, cancel := context.WithCancel(context.Background())
		cancel()
		for range 100 { // by chance the writer takes it or the context ends it
			synctest.Wait() // the writer is free
			err := db.Update(&lateContext{Context: ended}, func(store.Tx) error {
				t.Error("fn ran after its context had ended")
				return nil
			})
			if !errors.Is(err, context.Canceled) {
				t.Fatalf("Update = %v", err)
			}
		}
	})
}

func TestPragmas(t *testing.T) {
	t.Parallel()
	db := testDB(t)
	ctx := context.Background()
	reader, err := openConn(ctx, db.path, readerParams)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.close()
	for _, c := range []struct {
		conn   *conn
		pragma string
		want   int
	}{
		{db.write, "synchronous", 2},
		{db.write, "foreign_keys", 1},
		{db.write, "busy_timeout", 10000},
		{db.write, "fullfsync", 1},
		{db.write, "checkpoint_fullfsync", 1},
		{db.write, "application_id", applicationID},
		{reader, "query_only", 1},
		{reader, "busy_timeout", 10000},
	} {
		var got int
		if err := c.conn.get(ctx, "PRAGMA "+c.pragma, &got); err != nil || got != c.want {
			t.Errorf("%s = %d, %v; want %d", c.pragma, got, err, c.want)
		}
	}
	var mode string
	if err := db.write.get(ctx, "PRAGMA journal_mode", &mode); err != nil || mode != "wal" {
		t.Errorf("journal_mode = %s, %v", mode, err)
	}
}
