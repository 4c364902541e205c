package runner

import (
	"math"
	"time"

	"ssmrun"
)

func (f *farEnd) plan(id string) plan {
	p, ok := f.plans[id]
	if !ok {
		p = f.plans[""]
	}
	if p.state == (ssmrun.State{}) {
		p.state = ssmrun.State{Status: ssmrun.Success, Details: ssmrun.DetailsSuccess}
	}
	return p
}

// changes gives the moments at which an instance's state changes, and the state
// from then on.
func (f *farEnd) changes(c *farCommand, id string) (at []time.Duration, states []ssmrun.State) {
	p := f.plan(id)
	add := func(d time.Duration, s ssmrun.State) { at, states = append(at, d), append(states, s) }
	add(0, ssmrun.NewState)
	cancel, cancelled := time.Duration(math.MaxInt64), false
	if t, ok := c.cancelled[id]; ok {
		cancel, cancelled = t.Sub(c.sent), true
	}
	limit := time.Duration(c.in["TimeoutSeconds"].(float64)) * time.Second
	begin := p.begin
	if p.never {
		begin = math.MaxInt64
	}
	if cancelled && cancel < begin {
		add(cancel, ssmrun.State{Status: ssmrun.Cancelled, Details: ssmrun.DetailsCancelled})
		return at, states
	}
	if begin > limit {
		add(limit+12*time.Second, ssmrun.State{Status: ssmrun.TimedOut, Details: ssmrun.DetailsDeliveryTimedOut})
		return at, states
	}
	add(begin, ssmrun.State{Status: ssmrun.InProgress, Details: ssmrun.DetailsInProgress})
	if cancelled && !p.deaf && (p.end == 0 || cancel < p.end) {
		add(cancel+200*time.Millisecond, ssmrun.State{Status: ssmrun.Cancelled, Details: ssmrun.DetailsCancelled})
		return at, states
	}
	if p.end > 0 {
		add(p.end, p.state)
	}
	return at, states
}

func (f *farEnd) state(c *farCommand, id string, elapsed time.Duration) (s ssmrun.State, revision int) {
	at, states := f.changes(c, id)
	for i, d := range at {
		if elapsed >= d {
			s, revision = states[i], i
		}
	}
	return s, revision
}

// row is a command as lists show it, and as it was when it was sent.
func (f *farEnd) row(c *farCommand, fresh bool) map[string]any {
	elapsed := time.Since(c.sent)
	if fresh {
		elapsed = 0
	}
	counts := ssmrun.Counts{Target: len(c.ids)}
	begun := false
	for _, id := range c.ids {
		s, _ := f.state(c, id, elapsed)
		begun = begun || s.Status != ssmrun.Pending
		switch {
		case !s.Terminal():
			continue
		case s.Details == ssmrun.DetailsDeliveryTimedOut:
			counts.DeliveryTimedOut++
		case s.Status == ssmrun.Cancelled:
			counts.Cancelled++
		case s.Details == ssmrun.DetailsUndeliverable:
			counts.Refused++
		case s.Status != ssmrun.Success:
			counts.Errors++
		default:
			counts.Succeeded++
		}
		counts.Completed++
	}
	state := ssmrun.NewState
	if begun {
		state = ssmrun.State{Status: ssmrun.InProgress, Details: ssmrun.DetailsInProgress}
	}
	if event, over := ssmrun.Outcome(counts, 1<<30); over {
		state, _, _ = ssmrun.Next(ssmrun.CommandLevel, state, event)
	}
	if f.force != nil && !fresh {
		state = *f.force
	}
	row := map[string]any{
		"CommandId": c.id, "DocumentName": c.in["DocumentName"], "Comment": c.in["Comment"], "InstanceIds": c.ids,
		"RequestedDateTime": epoch(c.sent), "Status": state.Status, "StatusDetails": state.Details, "TargetCount": counts.Target,
		"CompletedCount": counts.Completed, "ErrorCount": counts.Errors, "DeliveryTimedOutCount": counts.DeliveryTimedOut,
	}
	for _, k := range []string{"OutputS3BucketName", "OutputS3KeyPrefix", "OutputS3Region", "Parameters"} {
		if c.in[k] != nil {
			row[k] = c.in[k]
		}
	}
	return row
}

func (f *farEnd) revision(c *farCommand) int {
	n := 1
	for _, id := range c.ids {
		_, r := f.state(c, id, time.Since(c.sent))
		n += r
	}
	return n
}

// nextChange is how long until something changes; 0 for never.
func (f *farEnd) nextChange(c *farCommand) time.Duration {
	elapsed, next := time.Since(c.sent), time.Duration(0)
	for _, id := range c.ids {
		at, _ := f.changes(c, id)
		for _, d := range at {
			if d > elapsed && (next == 0 || d-elapsed < next) {
				next = d - elapsed
			}
		}
	}
	return next
}
