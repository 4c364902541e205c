package sqlite_test

import (
	"bufio"
	"context"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"ssmrun/internal/store"
	"ssmrun/internal/store/sqlite"
)

// TestKilled kills a process that writes, again and again on the same file:
// every command whose Update had returned is there, whole, and no command is
// there in part.
func TestKilled(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "store.db")
	var acknowledged []int
	for round := range 4 {
		acknowledged = append(acknowledged, writeUntilKilled(t, path, 40+60*round)...)
		db, err := sqlite.Open(t.Context(), path, sqlite.Options{})
		if err != nil {
			t.Fatalf("open after a kill: %v", err)
		}
		checkWhole(t, db, acknowledged)
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// writeUntilKilled kills the writing process after so many lines, and gives
// the numbers it had printed by its death.
func writeUntilKilled(t *testing.T, path string, lines int) (numbers []int) {
	t.Helper()
	cmd := startJob(t, "write", path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for s := bufio.NewScanner(out); s.Scan(); {
		n, err := strconv.Atoi(s.Text())
		if err != nil {
			t.Fatalf("the writer printed %q", s.Text())
		}
		numbers = append(numbers, n)
		if len(numbers) == lines {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Wait(); err == nil || len(numbers) < lines {
		t.Fatalf("the writer ended by itself after %d lines: %v %s", len(numbers), err, stderr.String())
	}
	return numbers
}

func checkWhole(t *testing.T, db *sqlite.DB, acknowledged []int) {
	t.Helper()
	err := db.View(context.Background(), func(tx store.Tx) error {
		for _, n := range acknowledged {
			c, _, _ := command(n)
			if _, err := tx.Command(scope, c.ID); err != nil {
				t.Errorf("command %d was acknowledged and is lost: %v", n, err)
			}
		}
		list, _, err := tx.ListCommands(scope, store.CommandQuery{}, store.Page{Limit: 100_000})
		if err != nil {
			return err
		}
		for _, c := range list {
			instance := c.InstanceIDs[0]
			if _, err := tx.Invocation(scope, c.ID, instance); err != nil {
				t.Errorf("command %s has no invocation: %v", c.ID, err)
			}
			if p, err := tx.Plugins(scope, c.ID, instance); err != nil || len(p) != 1 {
				t.Errorf("command %s has plugins %v: %v", c.ID, p, err)
			}
			if err := tx.ReadInput(&c); err != nil || c.Content == "" {
				t.Errorf("command %s has no content: %v", c.ID, err)
			}
		}
		t.Logf("%d acknowledged, %d stored", len(acknowledged), len(list))
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
