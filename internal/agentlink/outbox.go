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
	// Tracked replies are sent until they are acknowledged; others once, if a way
	// to the service is open.
	Tracked bool
}

// Bounds of what an outbox holds of each kind. Of what is sent once the oldest
// gives way: it tells least. A tracked reply that finds no room is not held here:
// its sender has it on disk, and is asked for it when there is room.
const (
	maxHeld      = 1000
	maxHeldBytes = 8 << 20
)

// outbox holds what is to be sent: acknowledgements and untracked replies once,
// tracked replies in order, until they are acknowledged.
type outbox struct {
	min, max time.Duration // pauses between sendings of a tracked reply

	mu           sync.Mutex
	once         []outgoing // in order
	onceBytes    int
	lost         int // of once, since lostSince was asked
	tracked      []*pending
	trackedBytes int
	refused      bool          // a tracked reply found no room
	wake         chan struct{} // has one element when there may be something to send
	empty        chan struct{} // closed while no tracked reply waits
}

// outgoing is something to be sent once: a frame that belongs to the present
// control channel, or a reply.
type outgoing struct {
	frame []byte
	reply Reply
}

func (m outgoing) size() int { return len(m.frame) + len(m.reply.Payload) }

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

// send queues what is sent once, and drops the oldest where there is no room.
func (o *outbox) send(m outgoing) {
	o.mu.Lock()
	o.once = append(o.once, m)
	o.onceBytes += m.size()
	for len(o.once) > maxHeld || o.onceBytes > maxHeldBytes && len(o.once) > 1 {
		o.onceBytes -= o.once[0].size()
		o.once = o.once[1:]
		o.lost++
	}
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
	if len(o.tracked) >= maxHeld || o.trackedBytes+len(r.Payload) > maxHeldBytes {
		o.refused = true
		return
	}
	if len(o.tracked) == 0 {
		o.empty = make(chan struct{})
	}
	o.tracked = append(o.tracked, &pending{reply: r, pause: o.min})
	o.trackedBytes += len(r.Payload)
	o.signal()
}

// acked drops a reply and tells whether it was there, and whether there is room
// again for one that was refused.
func (o *outbox) acked(id uuid.UUID) (known, room bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i, p := range o.tracked {
		if p.reply.ID != id {
			continue
		}
		o.tracked = append(o.tracked[:i], o.tracked[i+1:]...)
		o.trackedBytes -= len(p.reply.Payload)
		if len(o.tracked) == 0 {
			o.tracked = nil
			close(o.empty)
		}
		room = o.refused && len(o.tracked) <= maxHeld/2 && o.trackedBytes <= maxHeldBytes/2
		o.refused = o.refused && !room
		return true, room
	}
	return false, false
}

// restart makes every tracked reply due at once on a new way to the service.
// What was to be sent once belonged to the last one and is forgotten, unless it
// is kept because that one is still there.
func (o *outbox) restart(keep bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !keep {
		o.once, o.onceBytes = nil, 0
	}
	for _, p := range o.tracked {
		p.due, p.pause = time.Time{}, o.min
	}
}

// take gives what is due at now, what is sent once first, and when the next is
// due; zero for nothing. now is a reading of the monotonic clock: steps of the
// wall clock do not delay a reply.
func (o *outbox) take(now time.Time) (once []outgoing, replies []Reply, next time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	once, o.once, o.onceBytes = o.once, nil, 0
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
	return once, replies, next
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

// dropped tells how many messages gave way since it was asked last.
func (o *outbox) dropped() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := o.lost
	o.lost = 0
	return n
}
