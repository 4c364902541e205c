package awsapi

import (
	"sync"
	"time"

	"ssmrun"
)

// races makes the service as inconsistent as AWS was observed to be, for tests
// of clients (`ssmrun serve --emulate aws-races`): what was just accepted cannot
// be seen at first, pages are shorter than asked, and calls are throttled now
// and then. It is made of clocks and counters, not of chance, so that a test
// that passes goes on passing. A nil *races is none of it. It also leaves out the
// long poll, which AWS does not have.
type races struct {
	now func() time.Time

	mu     sync.Mutex
	sent   map[string]time.Time // by command id
	calls  map[string]int       // by operation
	writes []time.Time          // of documents, the latest
}

// How long AWS was observed to take, and how often it was to be expected to
// refuse.
const (
	raceUnseen  = 200 * time.Millisecond // a command in lists and in GetCommandInvocation
	raceChanged = 400 * time.Millisecond // a document until it is Active
	// raceThrottled: of the calls of one operation that reads, each so-manieth
	// is throttled, beginning with the second.
	raceThrottled = 6
	// More than raceWrites writes of documents in raceWritesIn are throttled.
	raceWrites   = 3
	raceWritesIn = 1600 * time.Millisecond
)

func newRaces(now func() time.Time) *races {
	return &races{now: now, sent: map[string]time.Time{}, calls: map[string]int{}}
}

// writesDocuments are the operations that AWS throttles together.
var writesDocuments = map[string]bool{"CreateDocument": true, "UpdateDocument": true}

// neverThrottled: a command that is refused is not sent, which is another test.
var neverThrottled = map[string]bool{"SendCommand": true, "CancelCommand": true}

// throttle refuses a call now and then.
func (r *races) throttle(operation string) error {
	if r == nil || neverThrottled[operation] {
		return nil
	}
	refused := ssmrun.Errorf(ssmrun.CodeThrottling, "Rate exceeded")
	r.mu.Lock()
	defer r.mu.Unlock()
	if writesDocuments[operation] {
		now := r.now()
		for len(r.writes) > 0 && now.Sub(r.writes[0]) > raceWritesIn {
			r.writes = r.writes[1:]
		}
		if len(r.writes) >= raceWrites {
			return refused
		}
		r.writes = append(r.writes, now)
		return nil
	}
	r.calls[operation]++
	if r.calls[operation]%raceThrottled == 2 {
		return refused
	}
	return nil
}

// accepted notes a command that has just been sent.
func (r *races) accepted(commandID string) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	for id, at := range r.sent {
		if now.Sub(at) > raceUnseen {
			delete(r.sent, id)
		}
	}
	r.sent[commandID] = now
}

// unseen tells whether a command cannot be seen yet.
func (r *races) unseen(commandID string) bool {
	if r == nil {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	at, ok := r.sent[commandID]
	return ok && r.now().Sub(at) < raceUnseen
}

// limit shortens a page.
func (r *races) limit(n int) int {
	if r == nil {
		return n
	}
	return max(1, n/2)
}

// startsEmpty tells whether a list of documents by filters begins with an empty
// page and a token, whatever matches.
func (r *races) startsEmpty(filters []documentFilter, token string) bool {
	return r != nil && len(filters) > 0 && token == ""
}

// changing tells whether a document that was changed at a time is not Active
// yet.
func (r *races) changing(at time.Time) bool {
	return r != nil && r.now().Sub(at) < raceChanged
}
