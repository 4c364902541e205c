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
	w := loneliness{grace: a.cfg.OrphanGrace}
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if w.over(a.cfg.Now(), !a.busy() && !a.serviceThere()) {
			end(errOrphaned)
			return
		}
	}
}

// loneliness measures for how long nothing has run and no service been there.
type loneliness struct {
	grace time.Duration
	since time.Time // zero: not lonely
}

// over tells whether the grace has passed at now.
func (l *loneliness) over(now time.Time, lonely bool) bool {
	switch {
	case !lonely:
		l.since = time.Time{}
	case l.since.IsZero() || now.Before(l.since): // the clock was set back
		l.since = now
	}
	return lonely && now.Sub(l.since) >= l.grace
}

// busy tells whether a command runs, or waits for a reboot. What is queued while nothing runs waits
// for the service and keeps nobody.
func (a *Agent) busy() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.running > 0 || len(a.parked) > 0
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
