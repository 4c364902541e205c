package sqlite_test

import (
	"context"
	"path/filepath"
	"testing"

	"ssmrun/internal/store"
	"ssmrun/internal/store/sqlite"
	"ssmrun/internal/store/storetest"
)

func TestSuite(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) store.Store {
		db, err := sqlite.Open(context.Background(), filepath.Join(t.TempDir(), "store.db"), sqlite.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return db
	})
}
