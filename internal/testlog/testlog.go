// Package testlog is for tests: what is written while it is read, as a log is.
// Nothing but tests, and what only they import, imports it.
package testlog

import (
	"bytes"
	"log/slog"
	"sync"
)

// Log keeps what is written to it. Its zero value is ready, and it may be used by
// several goroutines.
type Log struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements io.Writer.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// String is what was written so far.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// Logger logs into it, as text, from level info on.
func (l *Log) Logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }
