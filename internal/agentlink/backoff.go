package agentlink

import (
	"errors"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxRetryAfter bounds what a service may ask for with Retry-After.
const maxRetryAfter = 5 * time.Minute

// Backoff gives the pauses between attempts: each is anything between a tenth of
// a bound and the bound, which begins at Min and doubles up to Max. So wide a
// spread keeps a thousand agents that lost the same service at the same moment
// from coming back at the same moment. It is for one goroutine.
type Backoff struct {
	Min, Max time.Duration
	// Rand is where the jitter comes from; nil for the process's own.
	Rand *rand.Rand

	bound time.Duration
}

// Reset begins again at Min.
func (b *Backoff) Reset() { b.bound = 0 }

// Next gives the pause after a failed attempt. A service that said in its
// refusal when it wants to be asked again is not asked before, and not by all
// at once.
func (b *Backoff) Next(err error) time.Duration { return b.next(err, b.Max) }

// next is Next with another bound for the bound.
func (b *Backoff) next(err error, most time.Duration) time.Duration {
	if b.bound == 0 {
		b.bound = b.Min
	}
	bound := min(b.bound, most)
	b.bound = min(2*bound, most)
	wait := bound/10 + b.random(bound-bound/10)
	if after := retryAfter(err); after > 0 {
		wait = after + b.random(max(bound, after/2))
	}
	return wait
}

// random gives something from 0 to d.
func (b *Backoff) random(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	if b.Rand != nil {
		return time.Duration(b.Rand.Int64N(int64(d) + 1))
	}
	return time.Duration(rand.Int64N(int64(d) + 1))
}

// retryAfter is when a service that refused wants to be asked again; 0 where it
// did not say.
func retryAfter(err error) time.Duration {
	if e, ok := errors.AsType[*APIError](err); ok {
		return e.RetryAfter
	}
	return 0
}

// parseRetryAfter reads the header: seconds, or a date by the service's clock.
func parseRetryAfter(h http.Header, now time.Time) time.Duration {
	v := strings.TrimSpace(h.Get("Retry-After"))
	if v == "" {
		return 0
	}
	var d time.Duration
	if s, err := strconv.ParseUint(v, 10, 31); err == nil {
		d = time.Duration(s) * time.Second
	} else if t, err := http.ParseTime(v); err == nil {
		if date, err := http.ParseTime(h.Get("Date")); err == nil {
			now = date
		}
		d = t.Sub(now)
	}
	return min(max(0, d), maxRetryAfter)
}
