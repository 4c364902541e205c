package gateway

import (
	"context"
	"sync"
)

// Bounds of what one agent may have said that is not durable yet.
const (
	maxWords     = 64
	maxWordBytes = 8 << 20
)

// window bounds what of one agent's words is on its way into the store. Beyond
// it nothing more is read of that agent, so that one that floods the service
// fills its own connection and not the service's memory.
type window struct {
	mu    sync.Mutex
	words int
	bytes int
	freed chan struct{} // closed, and forgotten, by leave; nil: nobody waits
}

// enter waits until there is room for a word of n bytes; one that is bigger than
// the bound comes in alone.
func (w *window) enter(ctx context.Context, n int) error {
	for {
		w.mu.Lock()
		if w.words == 0 || w.words < maxWords && w.bytes+n <= maxWordBytes {
			w.words++
			w.bytes += n
			w.mu.Unlock()
			return nil
		}
		if w.freed == nil {
			w.freed = make(chan struct{})
		}
		freed := w.freed
		w.mu.Unlock()
		select {
		case <-freed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// leave gives back the room of a word of n bytes.
func (w *window) leave(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.words--
	w.bytes -= n
	if w.freed != nil {
		close(w.freed)
		w.freed = nil
	}
}

// talking holds the windows of the instances whose agents talk by calls: these
// need no mailbox, because an agent may reply to what it was handed before the
// service, or its polls, began.
type talking struct {
	mu      sync.Mutex
	windows map[string]*shared
}

// shared is a window with how many use it.
type shared struct {
	window
	users int
}

// enter waits for room in an instance's window, and gives what leaves it.
func (t *talking) enter(ctx context.Context, instanceID string, n int) (leave func(), err error) {
	t.mu.Lock()
	w := t.windows[instanceID]
	if w == nil {
		if t.windows == nil {
			t.windows = map[string]*shared{}
		}
		w = &shared{}
		t.windows[instanceID] = w
	}
	w.users++
	t.mu.Unlock()
	done := func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if w.users--; w.users == 0 {
			delete(t.windows, instanceID)
		}
	}
	if err := w.enter(ctx, n); err != nil {
		done()
		return nil, err
	}
	return func() { w.leave(n); done() }, nil
}
