package sqlite

import (
	"context"
	"io/fs"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"ssmrun"
	"ssmrun/internal/store"
)

// TestOldDocuments: documents of the first schema become documents with
// versions, of which the lowest is the default.
func TestOldDocuments(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "store.db")
	c, err := openConn(ctx, path, writerParams)
	if err != nil {
		t.Fatal(err)
	}
	first, err := fs.ReadFile(migrations(), "0001_run.sql")
	if err != nil {
		t.Fatal(err)
	}
	if err := migrate(ctx, c, fstest.MapFS{"0001_run.sql": {Data: first}}); err != nil {
		t.Fatal(err)
	}
	err = c.script(ctx, `
		INSERT INTO documents_content VALUES ('111111111111', 'us-east-1', x'01', 'one'), ('111111111111', 'us-east-1', x'02', 'two');
		INSERT INTO documents VALUES
			('111111111111', 'us-east-1', 'Doc', 1, x'01', 'JSON', 'Command', '2.2', 1000000, '111111111111'),
			('111111111111', 'us-east-1', 'Doc', 3, x'02', 'YAML', 'Command', '2.2', 2000000, '111111111111')`)
	if err != nil {
		t.Fatal(err)
	}
	c.close()
	db, err := Open(ctx, path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	scope := ssmrun.Scope{Account: "111111111111", Region: "us-east-1"}
	err = db.View(ctx, func(tx store.Tx) error {
		d, err := tx.Document(scope, "Doc")
		if err != nil {
			return err
		}
		if d.Type != "Command" || d.Default != 1 || d.Latest != 3 || d.Next != 4 || d.CreatedAt.Unix() != 1 {
			t.Errorf("document %+v", d)
		}
		v, err := tx.DocumentVersion(scope, "Doc", "$LATEST")
		if err != nil {
			return err
		}
		want := &ssmrun.DocumentVersion{Number: 3, Content: "two", Format: "YAML", SchemaVersion: "2.2", CreatedAt: v.CreatedAt}
		if diff := cmp.Diff(want, v); diff != "" || v.CreatedAt.Unix() != 2 {
			t.Error(diff)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestContentsAreDropped: a content goes with the last that refers to it.
func TestContentsAreDropped(t *testing.T) {
	t.Parallel()
	db := testDB(t)
	ctx := context.Background()
	contents := func(want int) {
		t.Helper()
		var n int
		if err := db.write.get(ctx, "SELECT count(*) FROM documents_content", &n); err != nil || n != want {
			t.Errorf("%d contents, %v; want %d", n, err, want)
		}
	}
	update := func(fn func(store.Tx) error) {
		t.Helper()
		if err := db.Update(ctx, fn); err != nil {
			t.Fatal(err)
		}
	}
	put := func(number int64, content string) {
		t.Helper()
		update(func(tx store.Tx) error {
			return tx.PutDocumentVersion(testScope, "d", &ssmrun.DocumentVersion{Number: number, Content: content})
		})
	}
	update(func(tx store.Tx) error {
		return tx.PutDocument(&ssmrun.Document{Name: "d", Scope: testScope, Default: 1})
	})
	put(1, "one")
	put(2, "two")
	put(3, "two")
	contents(2)
	put(1, "other")
	contents(2)
	update(func(tx store.Tx) error { return tx.DeleteDocumentVersion(testScope, "d", 2) })
	contents(2)
	update(func(tx store.Tx) error { return tx.DeleteDocumentVersion(testScope, "d", 3) })
	contents(1)
	// A command keeps its own: see commands_content.
	update(func(tx store.Tx) error {
		return tx.InsertCommand(&ssmrun.Command{ID: "c", Scope: testScope, Content: "other", State: ssmrun.NewState}, "", nil)
	})
	update(func(tx store.Tx) error { return tx.DeleteDocument(testScope, "d") })
	contents(0)
}
