package sqlite

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
)

func TestMigrate(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	c, err := openConn(ctx, filepath.Join(t.TempDir(), "store.db"), writerParams)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	version := func(want int) {
		t.Helper()
		var got int
		if err := c.get(ctx, "PRAGMA user_version", &got); err != nil || got != want {
			t.Errorf("user_version = %d, %v; want %d", got, err, want)
		}
	}
	tables := func() (names string) {
		t.Helper()
		if err := c.get(ctx, "SELECT coalesce(group_concat(name, ' '), '') FROM sqlite_schema WHERE type = 'table'", &names); err != nil {
			t.Fatal(err)
		}
		return names
	}
	one := file("CREATE TABLE a (x) STRICT")
	if err := migrate(ctx, c, fstest.MapFS{"0001_a.sql": file("CREATE TABLE a (x INTEGER) STRICT; CREATE TABLE b (y TEXT) STRICT")}); err != nil {
		t.Fatal(err)
	}
	version(1)
	if got := tables(); got != "a b" {
		t.Errorf("tables %s", got)
	}
	// A file that was applied is not read again; a new one is.
	dir := fstest.MapFS{"0001_a.sql": one, "0002_c.sql": file("ALTER TABLE a ADD COLUMN z TEXT; CREATE TABLE c (x INTEGER) STRICT")}
	for range 2 {
		if err := migrate(ctx, c, dir); err != nil {
			t.Fatal(err)
		}
		version(2)
	}
	// A file that fails leaves nothing of itself, but those before it.
	dir["0003_d.sql"] = file("CREATE TABLE d (x INTEGER) STRICT")
	dir["0004_e.sql"] = file("CREATE TABLE e (x INTEGER) STRICT; CREATE TABLE a (x INTEGER) STRICT")
	err = migrate(ctx, c, dir)
	if err == nil || !strings.Contains(err.Error(), "0004_e.sql") || !strings.Contains(err.Error(), "table a already exists") {
		t.Errorf("a migration that fails: %v", err)
	}
	version(3)
	if got := tables(); got != "a b c d" {
		t.Errorf("tables %s after a migration that failed", got)
	}
	delete(dir, "0004_e.sql")
	dir["0005_f.sql"] = file("CREATE TABLE f (x INTEGER) STRICT")
	if err := migrate(ctx, c, dir); err == nil || !strings.Contains(err.Error(), "0005_f.sql") {
		t.Errorf("a number left out: %v", err)
	}
	version(3)
	if err := migrate(ctx, c, fstest.MapFS{"0001_a.sql": one}); err == nil || !strings.Contains(err.Error(), "newer ssmrun") {
		t.Errorf("a schema of a newer program: %v", err)
	}
}

// TestEmbeddedMigrations holds for every file that is ever added.
func TestEmbeddedMigrations(t *testing.T) {
	t.Parallel()
	db := testDB(t)
	var broken int
	ctx := context.Background()
	if err := db.write.get(ctx, "SELECT count(*) FROM pragma_foreign_key_check", &broken); err != nil || broken != 0 {
		t.Errorf("foreign_key_check: %d, %v", broken, err)
	}
	var loose string
	err := db.write.get(ctx, `SELECT coalesce(group_concat(name, ' '), '') FROM pragma_table_list
		WHERE schema = 'main' AND type = 'table' AND NOT strict AND name NOT LIKE 'sqlite_%'`, &loose)
	if err != nil || loose != "" {
		t.Errorf("tables that are not STRICT: %s, %v", loose, err)
	}
	// Every row belongs to an account and a region: by name, by the number of
	// their scope, or by the number of a command that has it. Roles are those of
	// an account in all its regions.
	for _, column := range []string{"account", "region"} {
		var without string
		err := db.write.get(ctx, `SELECT coalesce(group_concat(l.name, ' '), '') FROM pragma_table_list l
			WHERE l.schema = 'main' AND l.type = 'table' AND l.name NOT LIKE 'sqlite_%' AND l.name <> 'commands_input'
			AND NOT ('`+column+`' = 'region' AND l.name IN ('accounts', 'roles'))
			AND NOT EXISTS (SELECT 1 FROM pragma_table_info(l.name) c WHERE c.name IN ('`+column+`', 'scope', 'command'))`, &without)
		if err != nil || without != "" {
			t.Errorf("tables without %s: %s, %v", column, without, err)
		}
	}
}
