package sqlite

import (
	"context"
	"fmt"

	"ssmrun/internal/store"
)

// reader is a place in the pool of connections that read; its connection is
// opened when it is first used.
type reader struct {
	path string
	c    *conn
}

// View runs fn on one snapshot, taken at its first read; see store.Store. fn
// runs in the calling goroutine. Its reads fail once ctx has ended. A View
// inside a View takes a second connection of the pool and may wait for it in
// vain; a View inside an Update does not see what the Update has done.
func (db *DB) View(ctx context.Context, fn func(store.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("view store: %w", err)
	}
	if err := db.enter(); err != nil {
		return fmt.Errorf("view store: %w", err)
	}
	defer db.active.Done()

	var r *reader
	select {
	case r = <-db.readers:
	case <-ctx.Done():
		return fmt.Errorf("view store: %w", ctx.Err())
	}
	defer func() { db.readers <- r }()
	if err := r.begin(ctx); err != nil {
		return fmt.Errorf("view store %s: %w", db.path, explain(err))
	}
	t := &tx{db: db, c: r.c, ctx: ctx}
	defer func() {
		t.over = true
		r.end()
	}()
	return fn(t)
}

func (r *reader) begin(ctx context.Context) error {
	// A statement that is not bound to ctx costs no goroutine to watch it.
	ctx = context.WithoutCancel(ctx)
	if r.c == nil {
		c, err := openConn(ctx, r.path, readerParams)
		if err != nil {
			return err
		}
		r.c = c
	}
	err := r.c.exec(ctx, "BEGIN")
	if err != nil {
		r.drop()
	}
	return err
}

func (r *reader) end() {
	if err := r.c.exec(context.Background(), "ROLLBACK"); err != nil {
		r.drop()
	}
}

// drop closes a connection that does not do as it should; the next View opens
// a new one.
func (r *reader) drop() {
	_ = r.close()
}

func (r *reader) close() error {
	if r.c == nil {
		return nil
	}
	err := r.c.close()
	r.c = nil
	return err
}
