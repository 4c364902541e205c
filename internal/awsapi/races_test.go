package awsapi

import (
	"testing"
	"time"

	"ssmrun"
)

func TestRaces(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	r := newRaces(func() time.Time { return now })
	r.accepted("c")
	if !r.unseen("c") || r.unseen("other") {
		t.Error("what was just sent can be seen, or another cannot")
	}
	now = now.Add(raceUnseen)
	if r.unseen("c") {
		t.Error("a command stays unseen")
	}
	if got := []int{r.limit(50), r.limit(3), r.limit(1)}; got[0] != 25 || got[1] != 1 || got[2] != 1 {
		t.Errorf("pages of %v", got)
	}
	if !r.changing(now) || r.changing(now.Add(-raceChanged)) {
		t.Error("a document that was changed just now is Active, or one that was not is not")
	}
	throttled := func(operation string, n int) (list []int) {
		for i := range n {
			if err := r.throttle(operation); ssmrun.ErrorCode(err) == ssmrun.CodeThrottling {
				list = append(list, i+1)
			}
		}
		return list
	}
	if got := throttled("ListCommands", 9); len(got) != 2 || got[0] != 2 || got[1] != 8 {
		t.Errorf("reads that were throttled: %v", got)
	}
	if got := throttled("SendCommand", 9); len(got) != 0 {
		t.Errorf("commands that were throttled: %v", got)
	}
	if got := throttled("CreateDocument", 4); len(got) != 1 || got[0] != 4 {
		t.Errorf("writes that were throttled: %v", got)
	}
	now = now.Add(raceWritesIn + time.Millisecond)
	if err := r.throttle("UpdateDocument"); err != nil {
		t.Errorf("after a pause: %v", err)
	}
}

// TestNoRaces: without the setting there are none.
func TestNoRaces(t *testing.T) {
	t.Parallel()
	var r *races
	r.accepted("c")
	for range 20 {
		if r.unseen("c") || r.limit(7) != 7 || r.changing(time.Now()) || r.throttle("CreateDocument") != nil {
			t.Fatal("there are races")
		}
	}
}
