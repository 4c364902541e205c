package sqlite

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"

	"ssmrun/internal/store"
)

// ErrClosed is what Update and View answer after Close.
var ErrClosed = errors.New("the store is closed")

// Options are what a store may be given; the zero value is usable.
type Options struct {
	// Logger hears of trouble that no caller sees, such as a group that had to
	// be run again. nil: nothing is logged. No value of a row is ever logged.
	Logger *slog.Logger
}

// DB is an open store. All methods may be called by many goroutines at once.
type DB struct {
	path    string
	log     *slog.Logger
	lock    *conn
	write   *conn
	writer  *writer
	readers chan *reader // those that are free
	scopes  sync.Map     // of ssmrun.Scope: its number, see numbers.go

	mu     sync.RWMutex
	closed bool
	active sync.WaitGroup
	once   sync.Once
	err    error
}

var _ store.Store = (*DB)(nil)

// Open opens the store in the file path, which must be absolute, and makes it
// where there is none (mode 0600; the folder must exist). It brings an older
// schema up to date and refuses a newer one. While it is open, another Open of
// the same file fails at once, from whatever process; the lock is the file
// path + ".lock" and ends with the process that holds it.
//
// ctx bounds the opening only.
func Open(ctx context.Context, path string, o Options) (*DB, error) {
	db := &DB{path: path, log: o.Logger}
	if db.log == nil {
		db.log = slog.New(slog.DiscardHandler)
	}
	if err := db.open(ctx); err != nil {
		_ = db.closeAll() // why it could not be opened says more
		return nil, fmt.Errorf("open store %s: %w", path, hinted(err))
	}
	return db, nil
}

func (db *DB) open(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := checkPath(db.path); err != nil {
		return err
	}
	var err error
	if db.lock, err = lockFile(ctx, db.path+".lock"); err != nil {
		return err
	}
	if err := makeFile(db.path); err != nil {
		return err
	}
	if db.write, err = openConn(ctx, db.path, writerParams); err != nil {
		return err
	}
	if err := checkWritable(db.write); err != nil {
		return err
	}
	if err := checkLog(ctx, db.write); err != nil {
		return err
	}
	if err := migrate(ctx, db.write, migrations()); err != nil {
		return err
	}
	n := min(max(runtime.GOMAXPROCS(0), 4), 16)
	db.readers = make(chan *reader, n)
	for range n {
		db.readers <- &reader{path: db.path}
	}
	db.writer = newWriter(db, db.write)
	go db.writer.loop()
	return nil
}

// Close waits for the Updates and Views that run, closes the file and lets go
// of its lock. Later Updates and Views answer ErrClosed. It is safe twice, and
// at once from several goroutines; each gets the same answer. It must not be
// called inside an Update or a View, which it would wait for.
func (db *DB) Close() error {
	db.once.Do(func() {
		db.mu.Lock()
		db.closed = true
		db.mu.Unlock()
		db.active.Wait()
		if err := db.closeAll(); err != nil {
			db.err = fmt.Errorf("close store %s: %w", db.path, hinted(err))
		}
	})
	return db.err
}

func (db *DB) closeAll() error {
	var errs []error
	if db.writer != nil {
		db.writer.close()
	}
	// The writer's connection goes after the readers': the last connection of
	// a file writes the log into the database and removes it.
	for range cap(db.readers) {
		errs = append(errs, (<-db.readers).close())
	}
	for _, c := range []*conn{db.write, db.lock} {
		if c != nil {
			errs = append(errs, c.close())
		}
	}
	return errors.Join(errs...)
}

// enter counts a caller in; it fails once the store is closed.
func (db *DB) enter() error {
	db.mu.RLock()
	defer db.mu.RUnlock()
	if db.closed {
		return ErrClosed
	}
	db.active.Add(1)
	return nil
}
