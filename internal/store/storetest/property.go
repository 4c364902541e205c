package storetest

import (
	"errors"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"ssmrun"
	"ssmrun/internal/store"
)

// testModel runs random Updates and Views on the driver and on the model and
// compares every answer. An Update has some operations and ends well, with an
// error or with a panic; one of its operations may be refused.
func testModel(t *testing.T, open func(t *testing.T) store.Store) {
	rapid.Check(t, func(rt *rapid.T) {
		s := open(t)
		defer func() {
			if err := s.Close(); err != nil {
				rt.Errorf("Close: %v", err)
			}
		}()
		m := newModel()
		rt.Repeat(map[string]func(*rapid.T){
			"update": func(rt *rapid.T) {
				ops := rapid.SliceOfN(rapid.Custom(operation), 1, 6).Draw(rt, "operations")
				end := rapid.SampledFrom([]string{"ok", "ok", "ok", "ok", "error", "panic"}).Draw(rt, "end")
				m = modelUpdate(rt, t, s, m, ops, end)
			},
			"view": func(rt *rapid.T) {
				ops := rapid.SliceOfN(rapid.Custom(reading), 1, 6).Draw(rt, "operations")
				if err := s.View(t.Context(), func(tx store.Tx) error {
					for _, op := range ops {
						op.compare(rt, tx, m)
					}
					return nil
				}); err != nil {
					rt.Fatalf("View: %v", err)
				}
			},
		})
	})
}

// modelUpdate gives the model as it is after an Update.
func modelUpdate(rt *rapid.T, t *testing.T, s store.Store, m *model, ops []op, end string) *model {
	boom := errors.New("boom")
	var after *model
	var refused bool
	var err error
	panicked := caught(func() {
		err = s.Update(t.Context(), func(tx store.Tx) error {
			after, refused = m.clone(), false
			for _, op := range ops {
				if refused = op.compare(rt, tx, after); refused {
					return nil // swallowed: Update has to answer with it
				}
			}
			switch end {
			case "error":
				return boom
			case "panic":
				panic(boom)
			}
			return nil
		})
	})
	switch {
	case panicked != nil && panicked != any(boom):
		panic(panicked) // rapid's own, or the driver's
	case refused:
		if err == nil {
			rt.Fatalf("Update = nil, although a write of it was refused")
		}
		return m
	case end == "error":
		if err != boom { //nolint:errorlint // it has to come back as it is
			rt.Fatalf("Update = %v, want fn's error", err)
		}
		return m
	case end == "panic":
		if panicked == nil {
			rt.Fatalf("Update did not panic as fn did; error %v", err)
		}
		return m
	case err != nil:
		rt.Fatalf("Update: %v", err)
	}
	return after
}

// op is something to do in a transaction, with its arguments drawn.
type op struct {
	name string
	do   func(tx store.Tx) (any, error)
}

func (o op) String() string { return o.name }

// compare does it on both and compares the answers; refused tells that both
// refused it.
func (o op) compare(rt *rapid.T, tx store.Tx, m *model) (refused bool) {
	want, wantErr := o.do(m)
	got, err := o.do(tx)
	switch {
	case wantErr == nil && err != nil:
		rt.Fatalf("%s: %v", o.name, err)
	case errors.Is(wantErr, ssmrun.ErrNotFound):
		if !errors.Is(err, ssmrun.ErrNotFound) {
			rt.Fatalf("%s: error %v, want not found", o.name, err)
		}
		return false
	case wantErr != nil:
		if err == nil || errors.Is(err, ssmrun.ErrNotFound) {
			rt.Fatalf("%s: error %v, want it refused", o.name, err)
		}
		return true
	}
	if d := gocmp.Diff(want, got, cmpopts.EquateEmpty()); d != "" {
		rt.Fatalf("%s (-want +got):\n%s", o.name, d)
	}
	return false
}

// The generators draw from few values, so that things meet.
var (
	someScope    = rapid.SampledFrom(scopes)
	someCommand  = rapid.Map(rapid.IntRange(0, 5), commandID)
	someInstance = rapid.SampledFrom([]string{instanceID(1), instanceID(2), instanceID(3), "mi-00000000000000004"})
	someCaller   = rapid.SampledFrom([]string{"ann", "bob"})
	someToken    = rapid.SampledFrom([]string{"", "", "t1", "t2"})
	someDocument = rapid.SampledFrom([]string{"A", "B"})
	someName     = rapid.SampledFrom([]string{"first", "second"})
	someState    = rapid.SampledFrom([]ssmrun.State{ssmrun.NewState, delayed, inProgress, success, failed, timedOut})
	// someTime is one of few minutes, with a millisecond now and then.
	someTime = rapid.Custom(func(rt *rapid.T) time.Time {
		return at(rapid.IntRange(0, 5).Draw(rt, "minute")).Add(time.Duration(rapid.IntRange(0, 1).Draw(rt, "ms")) * time.Millisecond)
	})
	maybeTime = rapid.Custom(func(rt *rapid.T) time.Time {
		if rapid.Bool().Draw(rt, "zero") {
			return time.Time{}
		}
		return someTime.Draw(rt, "time")
	})
	someText   = rapid.String()
	someOutput = rapid.Custom(func(rt *rapid.T) ssmrun.OutputLocation {
		return ssmrun.OutputLocation{Region: someText.Draw(rt, "region"), Bucket: someText.Draw(rt, "bucket"), Prefix: someText.Draw(rt, "prefix")}
	})
	someCounts = rapid.Custom(func(rt *rapid.T) ssmrun.Counts {
		n := rapid.IntRange(0, 60_000)
		return ssmrun.Counts{
			Target: n.Draw(rt, "target"), Completed: n.Draw(rt, "completed"), Errors: n.Draw(rt, "errors"),
			InFlight: n.Draw(rt, "in flight"), CancelRequested: rapid.Bool().Draw(rt, "cancel"),
		}
	})
	someQuery = rapid.Custom(func(rt *rapid.T) store.CommandQuery {
		var q store.CommandQuery
		optional := func(name string, set func()) {
			if rapid.IntRange(0, 3).Draw(rt, name) == 0 {
				set()
			}
		}
		optional("by command", func() { q.CommandID = someCommand.Draw(rt, "command") })
		optional("by instance", func() { q.InstanceID = someInstance.Draw(rt, "instance") })
		optional("by after", func() { q.InvokedAfter = someTime.Draw(rt, "after") })
		optional("by before", func() { q.InvokedBefore = someTime.Draw(rt, "before") })
		optional("by status", func() {
			q.Statuses = rapid.SliceOfN(rapid.SampledFrom([]string{"Pending", "Delayed", "InProgress", "Success", "Failed", "DeliveryTimedOut"}), 1, 3).Draw(rt, "statuses")
		})
		optional("by document", func() { q.Document = someDocument.Draw(rt, "document") })
		optional("by executing", func() { q.Executing = true })
		optional("by complete", func() { q.Complete = true })
		return q
	})
)
