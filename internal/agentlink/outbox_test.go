package agentlink

import (
	"testing"
	"time"

	"github.com/google/uuid"
)

func TestOutboxIsBounded(t *testing.T) {
	t.Parallel()
	for name, size := range map[string]int{"count": 10, "bytes": maxHeldBytes / 100} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOutbox(time.Second, time.Minute)
			most := min(maxHeld, maxHeldBytes/size)
			var ids []uuid.UUID
			for range most + 20 {
				ids = append(ids, uuid.New())
				o.add(Reply{ID: ids[len(ids)-1], Payload: make([]byte, size), Tracked: true})
				o.send(outgoing{reply: Reply{ID: ids[len(ids)-1], Payload: make([]byte, size)}})
			}
			if o.waiting() != most {
				t.Errorf("%d tracked replies are held, want %d", o.waiting(), most)
			}
			if n := o.dropped(); n != 20 {
				t.Errorf("%d of what is sent once gave way, want 20", n)
			}
			once, tracked, _ := o.take(time.Now())
			if once[0].reply.ID != ids[20] || len(once) != most {
				t.Error("not the oldest gave way")
			}
			if tracked[0].ID != ids[0] || len(tracked) != most {
				t.Error("a tracked reply gave way")
			}
			// There is room for the others once half is gone, and that is said once.
			rooms := 0
			for i, r := range tracked {
				known, room := o.acked(r.ID)
				if !known {
					t.Fatal("a reply was lost")
				}
				if room {
					rooms++
					if i+1 < most/2 || i > most/2+1 {
						t.Errorf("room after %d of %d", i+1, most)
					}
				}
			}
			if rooms != 1 {
				t.Errorf("room was told %d times", rooms)
			}
			select {
			case <-o.drained():
			default:
				t.Error("not drained")
			}
		})
	}
}

func TestBackoff(t *testing.T) {
	t.Parallel()
	b := Backoff{Min: time.Second, Max: 30 * time.Second}
	for round := range 200 {
		b.Reset()
		for _, bound := range []time.Duration{1, 2, 4, 8, 16, 30, 30} {
			bound *= time.Second
			if d := b.Next(nil); d < bound/10 || d > bound {
				t.Fatalf("round %d: a pause of %v, want %v at most and a tenth at least", round, d, bound)
			}
		}
		after := &APIError{Status: 503, RetryAfter: 20 * time.Second}
		if d := b.Next(after); d < 20*time.Second || d > 50*time.Second {
			t.Fatalf("a pause of %v, where the service asked for 20 s", d)
		}
	}
}
