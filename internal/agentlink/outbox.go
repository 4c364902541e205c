package agentlink

import (
	"sync"
	"time"

	"github.com/google/uuid"
)

// Reply is a reply to a job, packed and ready for the wire.
type Reply struct {
	// ID names the message. Repeating a reply repeats its ID, so that whichever
	// sending is acknowledged, the reply is.
	ID uuid.UUID
	// Payload is a wire.AgentJobReply as JSON, of at most wire.MaxReplyBytes.
	Payload []byte
	// Tracked replies are sent until they are acknowledged; others once, if the
	// channel is open.
	Tracked bool
}

// outbox holds what is to be sent: acknowledgements and untracked replies once,
// tracked replies in order, until they are acknowledged.
type outbox struct {
	min, max time.Duration // pauses between sendings of a tracked reply

	mu      sync.Mutex
	once    [][]byte // encoded frames, in order
	tracked []*pending
	wake    chan struct{} // has one element when there may be something to send
	empty   chan struct{} // closed while no tracked reply waits
}

type pending struct {
	reply Reply
	due   time.Time
	pause time.Duration
}

func newOutbox(min, max time.Duration) *outbox {
	o := &outbox{min: min, max: max, wake: make(chan struct{}, 1), empty: make(chan struct{})}
	close(o.empty)
	return o
}

func (o *outbox) signal() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// frame queues an encoded frame that is sent once on the present session.
func (o *outbox) frame(b []byte) {
	o.mu.Lock()
	o.once = append(o.once, b)
	o.mu.Unlock()
	o.signal()
}

// add queues a tracked reply. One that is queued already stays as it is.
func (o *outbox) add(r Reply) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, p := range o.tracked {
		if p.reply.ID == r.ID {
			return
		}
	}
	if len(o.tracked) == 0 {
		o.empty = make(chan struct{})
	}
	o.tracked = append(o.tracked, &pending{reply: r, pause: o.min})
	o.signal()
}

// acked drops a reply and tells whether it was there.
func (o *outbox) acked(id uuid.UUID) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i, p := range o.tracked {
		if p.reply.ID == id {
			o.tracked = append(o.tracked[:i], o.tracked[i+1:]...)
			if len(o.tracked) == 0 {
				o.tracked = nil
				close(o.empty)
			}
			return true
		}
	}
	return false
}

// restart forgets what belonged to the last session and makes every tracked
// reply due at once.
func (o *outbox) restart() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.once = nil
	for _, p := range o.tracked {
		p.due, p.pause = time.Time{}, o.min
	}
}

// take gives what is due at now, frames first, and when the next is due; zero
// for nothing. now is a reading of the monotonic clock: steps of the wall clock
// do not delay a reply.
func (o *outbox) take(now time.Time) (frames [][]byte, replies []Reply, next time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	frames, o.once = o.once, nil
	for _, p := range o.tracked {
		if !p.due.After(now) {
			replies = append(replies, p.reply)
			p.due = now.Add(p.pause)
			p.pause = min(2*p.pause, o.max)
		}
		if next.IsZero() || p.due.Before(next) {
			next = p.due
		}
	}
	return frames, replies, next
}

// drained is closed once no tracked reply waits.
func (o *outbox) drained() <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.empty
}

func (o *outbox) waiting() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.tracked)
}
