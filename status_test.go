package ssmrun_test

import (
	"testing"

	"pgregory.net/rapid"

	"ssmrun"
)

// TestTerminalStatesAreFinal: no row of the table leads out of a terminal
// state, so that late replies change nothing.
func TestTerminalStatesAreFinal(t *testing.T) {
	t.Parallel()
	for _, row := range ssmrun.Transitions {
		for _, from := range row.From {
			if from.Terminal() {
				t.Errorf("%s: %s leads from %s to %s", row.Level, row.Event, from, row.To)
			}
		}
	}
}

// TestOneWay: an event has at most one row for a state.
func TestOneWay(t *testing.T) {
	t.Parallel()
	type key struct {
		level ssmrun.Level
		event ssmrun.Event
		from  ssmrun.State
	}
	seen := map[key]bool{}
	for _, row := range ssmrun.Transitions {
		for _, from := range row.From {
			k := key{row.Level, row.Event, from}
			if seen[k] {
				t.Errorf("%s: two rows for %s in %s", row.Level, row.Event, from)
			}
			seen[k] = true
		}
	}
}

// TestCountsFollowTheTable: exactly the rows that end an invocation add one to
// Completed and to one of the counters that explain it.
func TestCountsFollowTheTable(t *testing.T) {
	t.Parallel()
	for _, row := range ssmrun.Transitions {
		c := row.Counts
		explained := c.Errors + c.DeliveryTimedOut + c.Succeeded + c.Cancelled + c.Terminated + c.Refused
		want := 0
		if row.Level == ssmrun.InvocationLevel && row.To.Terminal() {
			want = 1
		}
		if c.Completed != want || explained != want {
			t.Errorf("%s %s: completed %d, explained %d, want %d", row.Level, row.Event, c.Completed, explained, want)
		}
	}
}

// TestAnyHistoryKeepsTheCounts drives invocations with random events and
// compares the counters with the states they are in.
func TestAnyHistoryKeepsTheCounts(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 6).Draw(t, "instances")
		states := make([]ssmrun.State, n)
		for i := range states {
			states[i] = ssmrun.NewState
		}
		counts := ssmrun.Counts{Target: n}
		maxErrors := rapid.IntRange(0, n+1).Draw(t, "max errors")
		for range rapid.IntRange(0, 40).Draw(t, "events") {
			if n == 0 {
				break
			}
			i := rapid.IntRange(0, n-1).Draw(t, "instance")
			event := ssmrun.Event(rapid.IntRange(int(ssmrun.EventSent), int(ssmrun.EventRateExceeded)).Draw(t, "event"))
			before := states[i]
			to, add, ok := ssmrun.Next(ssmrun.InvocationLevel, before, event)
			if before.Terminal() && ok {
				t.Fatalf("%s left by %s", before, event)
			}
			if !ok && to != before {
				t.Fatalf("no row for %s in %s, but the state became %s", event, before, to)
			}
			states[i] = to
			counts.Add(add)
		}
		over, errors, late := 0, 0, 0
		for _, s := range states {
			if s.Terminal() {
				over++
			}
			switch s.Details {
			case ssmrun.DetailsFailed, ssmrun.DetailsExecutionTimedOut:
				errors++
			case ssmrun.DetailsDeliveryTimedOut:
				late++
			}
		}
		if counts.Completed != over || counts.Errors != errors || counts.DeliveryTimedOut != late {
			t.Fatalf("counts %+v do not fit the states %v", counts, states)
		}
		event, ended := ssmrun.Outcome(counts, maxErrors)
		if ended != (over == n) {
			t.Fatalf("outcome after %d of %d invocations: %v", over, n, ended)
		}
		if !ended {
			return
		}
		to, _, ok := ssmrun.Next(ssmrun.CommandLevel, ssmrun.NewState, event)
		if !ok || !to.Terminal() {
			t.Fatalf("outcome %s does not end a command", event)
		}
		if to.Status == ssmrun.Success && errors+late+counts.Cancelled+counts.Terminated > 0 {
			t.Fatalf("a command with %+v is a success", counts)
		}
	})
}

func TestOutcome(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name      string
		counts    ssmrun.Counts
		maxErrors int
		want      ssmrun.Event
	}{
		{"all well", ssmrun.Counts{Target: 2, Completed: 2, Succeeded: 2}, 0, ssmrun.EventSucceeded},
		{"one failed, no budget", ssmrun.Counts{Target: 2, Completed: 2, Succeeded: 1, Errors: 1}, 0, ssmrun.EventFailed},
		{"one failed of a budget of one", ssmrun.Counts{Target: 2, Completed: 2, Succeeded: 1, Errors: 1}, 1, ssmrun.EventFailed},
		{"one failed of a budget of two", ssmrun.Counts{Target: 2, Completed: 2, Succeeded: 1, Errors: 1}, 2, ssmrun.EventIncomplete},
		{"nobody matched", ssmrun.Counts{}, 0, ssmrun.EventNoInstances},
		{"all refused", ssmrun.Counts{Target: 2, Completed: 2, Refused: 2}, 0, ssmrun.EventFailed},
		{"one refused", ssmrun.Counts{Target: 2, Completed: 2, Succeeded: 1, Refused: 1}, 0, ssmrun.EventSucceeded},
		{"delivery timed out", ssmrun.Counts{Target: 1, Completed: 1, DeliveryTimedOut: 1}, 0, ssmrun.EventDeliveryTimedOut},
		{"delivery timed out within the budget", ssmrun.Counts{Target: 3, Completed: 3, Succeeded: 2, DeliveryTimedOut: 1}, 3, ssmrun.EventIncomplete},
		{"cancelled", ssmrun.Counts{Target: 2, Completed: 2, Succeeded: 1, Cancelled: 1}, 0, ssmrun.EventCancelled},
		{"stopped by errors", ssmrun.Counts{Target: 5, Completed: 5, Errors: 3, Terminated: 2, ErrorsBeyondLimit: true}, 2, ssmrun.EventFailed},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got, ok := ssmrun.Outcome(c.counts, c.maxErrors); !ok || got != c.want {
				t.Errorf("got %s, %v; want %s", got, ok, c.want)
			}
		})
	}
}
