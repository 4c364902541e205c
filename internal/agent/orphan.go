package agent

import (
	"context"
	"errors"
	"time"
)

// errOrphaned is why a local agent ends whose service does not come back.
var errOrphaned = errors.New("the service is gone, and no other has taken its place")

// watchService ends a local agent that nobody needs any more: its service's
// process is gone and the channel closed, nothing runs, and that for
// OrphanGrace.
func (a *Agent) watchService(ctx context.Context, end context.CancelCauseFunc) {
	tick := time.NewTicker(a.cfg.orphanPoll)
	defer tick.Stop()
	var lonely time.Time // since when; zero: not
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if a.busy() || a.serviceThere() {
			lonely = time.Time{}
			continue
		}
		now := a.cfg.Now()
		if lonely.IsZero() {
			lonely = now
		}
		if now.Sub(lonely) >= a.cfg.OrphanGrace {
			end(errOrphaned)
			return
		}
	}
}

// busy tells whether a command runs. What is queued while nothing runs waits
// for the service and keeps nobody.
func (a *Agent) busy() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.running > 0
}

// serviceThere tells whether the channel is open, or the service's process at
// least alive: it may be starting, or busy.
func (a *Agent) serviceThere() bool {
	a.mu.Lock()
	link := a.link
	a.mu.Unlock()
	if link != nil && link.Status().Connected {
		return true
	}
	e, err := a.cfg.Endpoint()
	return err == nil && e.PID != 0 && e.Alive()
}
