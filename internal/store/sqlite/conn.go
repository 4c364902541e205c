package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"net/url"
	"path/filepath"
	"strings"

	_ "modernc.org/sqlite" // the driver named "sqlite"
)

// Parameters that every connection of a kind is opened with. The fullfsync
// pair makes fsync reach the disk on macOS, where it otherwise stops in the
// drive's cache; other systems ignore it. cache_size is in KiB where negative.
const (
	common = "_busy_timeout=10000&_foreign_keys=1&_dqs=0&_error_rc=1&_defensive=1" +
		"&_pragma=fullfsync(1)&_pragma=checkpoint_fullfsync(1)"
	// temp_store keeps what undoes a SAVEPOINT in memory instead of in a file.
	//
	// The log is written back to the database every 4,000 pages (16 MiB)
	// instead of 1,000: a page that changes often is then written, and the
	// database synced, a quarter as often. A log that a long View made grow is
	// cut to 64 MiB.
	writerParams = common + "&_journal_mode=WAL&_synchronous=FULL&_pragma=cache_size(-16384)" +
		"&_pragma=temp_store(MEMORY)&_pragma=wal_autocheckpoint(4000)&_pragma=journal_size_limit(67108864)"
	readerParams = common + "&_query_only=1&_pragma=cache_size(-4096)"
	lockParams   = "_busy_timeout=0&_error_rc=1"
)

// conn is one connection with its prepared statements. One goroutine uses it
// at a time. The set of statement texts is bounded: they are constants, or put
// together from a fixed set of conditions (query.go).
type conn struct {
	pool       *sql.DB // of this one connection
	sql        *sql.Conn
	statements map[string]*sql.Stmt
}

func openConn(ctx context.Context, path, params string) (*conn, error) {
	p := filepath.ToSlash(path)
	if !strings.HasPrefix(p, "/") {
		p = "/" + p // a drive letter
	}
	u := url.URL{Scheme: "file", Path: p, RawQuery: params}
	pool, err := sql.Open("sqlite", u.String())
	if err != nil {
		return nil, err
	}
	c, err := pool.Conn(ctx)
	if err != nil {
		return nil, errors.Join(err, pool.Close())
	}
	return &conn{pool: pool, sql: c, statements: map[string]*sql.Stmt{}}, nil
}

// close ends the connection. SQLite undoes a transaction that is open.
func (c *conn) close() error {
	var errs []error
	for _, s := range c.statements {
		errs = append(errs, s.Close())
	}
	return errors.Join(append(errs, c.sql.Close(), c.pool.Close())...)
}

// prepare gives the statement of a text, from the second time on without
// compiling it.
func (c *conn) prepare(ctx context.Context, text string) (*sql.Stmt, error) {
	if s, ok := c.statements[text]; ok {
		return s, nil
	}
	s, err := c.sql.PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	c.statements[text] = s
	return s, nil
}

// exec runs a statement without rows.
func (c *conn) exec(ctx context.Context, text string) error {
	_, err := c.change(ctx, text)
	return err
}

// change runs a statement without rows and counts those it changed.
func (c *conn) change(ctx context.Context, text string, args ...any) (int64, error) {
	s, err := c.prepare(ctx, text)
	if err != nil {
		return 0, err
	}
	r, err := s.ExecContext(ctx, args...)
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

// insert runs a statement that adds a row, and gives the row's number.
func (c *conn) insert(ctx context.Context, text string, args ...any) (int64, error) {
	s, err := c.prepare(ctx, text)
	if err != nil {
		return 0, err
	}
	r, err := s.ExecContext(ctx, args...)
	if err != nil {
		return 0, err
	}
	return r.LastInsertId()
}

// get reads the first row of a query that is needed once.
func (c *conn) get(ctx context.Context, text string, into ...any) error {
	return c.sql.QueryRowContext(ctx, text).Scan(into...)
}

// script runs statements that are needed once.
func (c *conn) script(ctx context.Context, text string) error {
	_, err := c.sql.ExecContext(ctx, text)
	return err
}
