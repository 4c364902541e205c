package agent

import (
	"context"
	"io"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// newLogger makes the log: a line per event, key=value. For the journal it has
// no time, which the journal adds, and begins with the level as <3> to <7>.
func newLogger(w io.Writer, level slog.Leveler, journal bool) *slog.Logger {
	if !journal {
		return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level, ReplaceAttr: readable}))
	}
	p := &prefixed{w: w}
	return slog.New(&journalHandler{p: p, inner: slog.NewTextHandler(p, &slog.HandlerOptions{
		Level: level,
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey) {
				return slog.Attr{}
			}
			return readable(groups, a)
		},
	})})
}

// readable rounds durations to what a person reads.
func readable(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() != slog.KindDuration {
		return a
	}
	d := a.Value.Duration()
	switch abs := d.Abs(); {
	case abs >= time.Minute:
		d = d.Round(time.Second)
	case abs >= time.Second:
		d = d.Round(100 * time.Millisecond)
	default:
		d = d.Round(time.Millisecond)
	}
	return slog.Duration(a.Key, d)
}

// prefixed puts a prefix before each line; a handler writes a line at once.
type prefixed struct {
	mu     sync.Mutex
	w      io.Writer
	prefix string
}

// Write implements io.Writer.
func (p *prefixed) Write(b []byte) (int, error) {
	if _, err := p.w.Write(append([]byte(p.prefix), b...)); err != nil {
		return 0, err
	}
	return len(b), nil
}

// journalHandler puts the priority of syslog before each line.
type journalHandler struct {
	p     *prefixed
	inner slog.Handler
}

// Enabled implements slog.Handler.
func (h *journalHandler) Enabled(ctx context.Context, l slog.Level) bool {
	return h.inner.Enabled(ctx, l)
}

// Handle implements slog.Handler.
func (h *journalHandler) Handle(ctx context.Context, r slog.Record) error {
	h.p.mu.Lock()
	defer h.p.mu.Unlock()
	switch {
	case r.Level >= slog.LevelError:
		h.p.prefix = "<3>"
	case r.Level >= slog.LevelWarn:
		h.p.prefix = "<4>"
	case r.Level >= slog.LevelInfo:
		h.p.prefix = "<6>"
	default:
		h.p.prefix = "<7>"
	}
	return h.inner.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h *journalHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &journalHandler{h.p, h.inner.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (h *journalHandler) WithGroup(name string) slog.Handler {
	return &journalHandler{h.p, h.inner.WithGroup(name)}
}

// StatusError is the last thing that went wrong.
type StatusError struct {
	At   time.Time `json:"at"`
	Text string    `json:"text"`
}

// troubles remembers the last warning or error that was logged.
type troubles struct {
	mu   sync.Mutex
	last *StatusError
	poke func() // hears of each; nil for nobody
}

func (t *troubles) get() *StatusError {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.last
}

// note takes note of one.
func (t *troubles) note(at time.Time, text string) {
	t.mu.Lock()
	t.last = &StatusError{at.UTC().Truncate(time.Millisecond), text}
	poke := t.poke
	t.mu.Unlock()
	if poke != nil {
		poke()
	}
}

// remembering is a handler that tells troubles what passes.
type remembering struct {
	slog.Handler

	troubles *troubles
}

// saying are the attributes that say what went wrong.
var saying = []string{"error", "reason", "cause"}

// Handle implements slog.Handler.
func (h remembering) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelWarn {
		text := r.Message
		r.Attrs(func(a slog.Attr) bool {
			if slices.Contains(saying, a.Key) {
				text += ": " + a.Value.String()
			}
			return true
		})
		h.troubles.note(r.Time, text)
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h remembering) WithAttrs(attrs []slog.Attr) slog.Handler {
	return remembering{h.Handler.WithAttrs(attrs), h.troubles}
}

// WithGroup implements slog.Handler.
func (h remembering) WithGroup(name string) slog.Handler {
	return remembering{h.Handler.WithGroup(name), h.troubles}
}
