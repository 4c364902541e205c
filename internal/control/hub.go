package control

import (
	"context"
	"fmt"
	"sync"
	"time"

	"ssmrun"
	"ssmrun/internal/store"
)

// hub wakes those who wait for a command to change.
type hub struct {
	mu      sync.Mutex
	waiters map[string]map[chan struct{}]struct{}
}

func newHub() *hub { return &hub{waiters: map[string]map[chan struct{}]struct{}{}} }

func (h *hub) subscribe(id string) (<-chan struct{}, func()) {
	ch := make(chan struct{}, 1)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.waiters[id] == nil {
		h.waiters[id] = map[chan struct{}]struct{}{}
	}
	h.waiters[id][ch] = struct{}{}
	return ch, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.waiters[id], ch)
		if len(h.waiters[id]) == 0 {
			delete(h.waiters, id)
		}
	}
}

func (h *hub) publish(id string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, key := range []string{id, anyCommand} {
		for ch := range h.waiters[key] {
			select {
			case ch <- struct{}{}:
			default:
			}
		}
	}
}

// anyCommand is the key of those who wait for whatever change.
const anyCommand = ""

// WaitRevision returns when the command's Revision is not revision, when limit
// has passed or ctx is done, whichever comes first; the caller reads the
// command afterwards. A command that does not exist returns at once.
func (c *Controller) WaitRevision(ctx context.Context, scope ssmrun.Scope, id string, revision int64, limit time.Duration) error {
	changed, stop := c.hub.subscribe(id)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		// Read after subscribing: a change in between is then seen either way.
		now := revision
		err := c.cfg.Store.View(ctx, func(tx store.Tx) error {
			cmd, err := tx.Command(scope, id)
			if err == nil {
				now = cmd.Revision
			}
			return err
		})
		if err != nil && ctx.Err() == nil {
			return fmt.Errorf("wait for command %s: %w", id, err)
		}
		if now != revision || ctx.Err() != nil {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil
		}
	}
}

// WaitIdle returns when no agent is known to be running anything in these
// scopes, or when ctx is done: with how many invocations still run.
func (c *Controller) WaitIdle(ctx context.Context, scopes []ssmrun.Scope) (running int, err error) {
	changed, stop := c.hub.subscribe(anyCommand)
	defer stop()
	for {
		running = 0
		err := c.cfg.Store.View(context.WithoutCancel(ctx), func(tx store.Tx) error {
			for _, scope := range scopes {
				list, _, err := tx.ListInvocations(scope, store.CommandQuery{Statuses: []string{string(ssmrun.InProgress)}}, store.Page{Limit: 1000})
				if err != nil {
					return err
				}
				running += len(list)
			}
			return nil
		})
		if err != nil {
			return 0, fmt.Errorf("look for what runs: %w", err)
		}
		if running == 0 {
			return 0, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return running, nil
		}
	}
}
