package sqlite

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"ssmrun/internal/store"
)

// Bounds of a group. The first Update of a group waits for the last, so a
// group ends after a while even when more Updates keep coming.
const (
	maxGroup     = 512
	maxGroupTime = 20 * time.Millisecond
)

// update is one call of Update on its way through the writer.
type update struct {
	ctx  context.Context
	turn chan *tx     // the writer lets fn run; again after a failed group
	ran  chan outcome // fn has run
	done chan error   // the answer
}

// outcome is how one run of fn ended.
type outcome struct {
	err error
	// gone: fn did not return: it panicked, or called runtime.Goexit. Nobody
	// waits for an answer.
	gone bool
}

// Update runs fn in a transaction that may write and returns when its changes
// are durable; see store.Store. fn runs in the calling goroutine: a panic is
// the caller's, and undoes fn's changes.
//
// A ctx that ends before fn starts means that nothing is done, and its error
// is returned. Once fn has started ctx has no effect any more: Update answers
// what became of it.
//
// A statement that failed inside fn (ssmrun.ErrNotFound is no failure) cannot
// be swallowed: the rest of the transaction answers the same error, and Update
// undoes it and returns that error even if fn returns nil.
func (db *DB) Update(ctx context.Context, fn func(store.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("update store: %w", err)
	}
	if err := db.enter(); err != nil {
		return fmt.Errorf("update store: %w", err)
	}
	defer db.active.Done()

	u := &update{ctx: ctx, turn: make(chan *tx, 1), ran: make(chan outcome, 1), done: make(chan error, 1)}
	select {
	case db.writer.updates <- u:
	case <-ctx.Done():
		return fmt.Errorf("update store: %w", ctx.Err())
	}
	for {
		select {
		case t := <-u.turn:
			u.run(t, fn)
		case err := <-u.done:
			return err
		}
	}
}

// run calls fn and tells the writer, whatever fn does.
func (u *update) run(t *tx, fn func(store.Tx) error) {
	out := outcome{gone: true}
	defer func() {
		t.over = true
		u.ran <- out
	}()
	err := fn(t)
	out = outcome{err: err}
}

// writer owns the connection that writes.
type writer struct {
	db      *DB
	c       *conn
	updates chan *update // not buffered: who sends is waiting
	stop    chan struct{}
	stopped chan struct{}
	// commits counts those that succeeded; less than the Updates where groups
	// formed.
	commits atomic.Int64
}

func newWriter(db *DB, c *conn) *writer {
	return &writer{db: db, c: c, updates: make(chan *update), stop: make(chan struct{}), stopped: make(chan struct{})}
}

// close ends the loop. The caller has made sure that no Update is under way.
func (w *writer) close() {
	close(w.stop)
	<-w.stopped
}

func (w *writer) loop() {
	defer close(w.stopped)
	for {
		select {
		case u := <-w.updates:
			w.group(u)
		case <-w.stop:
			return
		}
	}
}

// ran is an Update of a group that waits for its answer.
type ran struct {
	u   *update
	err error
}

// group runs first and every Update that waits meanwhile in one transaction,
// commits it, and answers all.
func (w *writer) group(first *update) {
	var (
		answers []ran
		good    bool // something is to be committed
		lost    error
	)
	if err := w.exec("BEGIN IMMEDIATE"); err != nil {
		first.done <- w.fail("begin", err)
		return
	}
	began := time.Now()
	for u := first; u != nil; u = w.waiting(len(answers), began) {
		if err := u.ctx.Err(); err != nil {
			u.done <- fmt.Errorf("update store: %w", err)
			continue
		}
		var out outcome
		out, lost = w.one(u)
		if !out.gone {
			answers = append(answers, ran{u, out.err})
			good = good || out.err == nil
		}
		if lost != nil {
			break
		}
	}
	switch {
	case lost != nil:
	case good:
		lost = w.commit()
	default:
		lost = w.exec("ROLLBACK")
	}
	if lost == nil {
		for _, a := range answers {
			a.u.done <- a.err
		}
		return
	}
	w.undo()
	if len(answers) == 1 {
		err := answers[0].err
		if err == nil {
			err = w.fail("commit", lost)
		}
		answers[0].u.done <- err
		return
	}
	if len(answers) > 1 {
		w.db.log.Warn("a group of updates failed; each is run again alone",
			"store", w.db.path, "updates", len(answers), "error", lost)
	}
	for _, a := range answers {
		w.alone(a.u)
	}
}

// waiting gives the next Update that waits, nil where there is none or the
// group is full.
func (w *writer) waiting(n int, began time.Time) *update {
	if n >= maxGroup || n > 0 && time.Since(began) > maxGroupTime {
		return nil
	}
	select {
	case u := <-w.updates:
		return u
	default:
		return nil
	}
}

// one lets an Update run inside the transaction. An error means that the
// transaction is gone, with the changes of all before it.
func (w *writer) one(u *update) (outcome, error) {
	if err := w.exec("SAVEPOINT one"); err != nil {
		return outcome{err: w.fail("begin", err)}, err
	}
	t := &tx{db: w.db, c: w.c, ctx: context.Background(), writes: true}
	u.turn <- t
	out := <-u.ran
	if out.err == nil {
		out.err = t.err
	}
	if out.err == nil && !out.gone {
		return out, w.exec("RELEASE one")
	}
	err := w.exec("ROLLBACK TO one")
	if err == nil {
		err = w.exec("RELEASE one")
	}
	if err != nil && t.err != nil {
		err = t.err // why SQLite ended the transaction; err only says that it did
	}
	return out, err
}

// alone runs an Update of a failed group once more, in its own transaction.
func (w *writer) alone(u *update) {
	if err := w.exec("BEGIN IMMEDIATE"); err != nil {
		u.done <- w.fail("begin", err)
		return
	}
	out, lost := w.one(u)
	if lost == nil && out.err == nil && !out.gone {
		if lost = w.commit(); lost == nil {
			u.done <- nil
			return
		}
	}
	w.undo()
	if out.gone {
		return
	}
	if out.err == nil {
		out.err = w.fail("commit", lost)
	}
	u.done <- out.err
}

func (w *writer) commit() error {
	err := w.exec("COMMIT")
	if err == nil {
		w.commits.Add(1)
	}
	return err
}

// undo leaves whatever transaction there is. It fails where SQLite has already
// done so.
func (w *writer) undo() { _ = w.exec("ROLLBACK") }

func (w *writer) exec(text string) error { return w.c.exec(context.Background(), text) }

func (w *writer) fail(what string, err error) error {
	return fmt.Errorf("%s in store %s: %w", what, w.db.path, explain(err))
}
