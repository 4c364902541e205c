package runner

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"ssmrun"
)

func TestTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := bubbleEnd(t, ids(4)...)
		f.plans[id(1)] = plan{end: time.Second}
		f.plans[id(2)] = plan{begin: time.Second} // runs for ever
		f.plans[id(3)] = plan{never: true}
		f.plans[id(4)] = plan{end: time.Second, state: ssmrun.State{Status: ssmrun.Failed, Details: ssmrun.DetailsFailed}, exit: 3, err: "no such host\n"}
		req := request(ids(4)...)
		req.Timeout = time.Minute
		start := time.Now()
		res, _, err := runBubble(t, f, req)
		var e *TimeoutError
		if !errors.As(err, &e) || res != e.Result || KindOf(err) != KindTimeout {
			t.Fatalf("got %v", err)
		}
		if took := time.Since(start); took < time.Minute || took > 62*time.Second {
			t.Errorf("took %s", took)
		}
		if diff := cmp.Diff([][]string{{id(2)}, {id(3)}}, [][]string{e.Running, e.Stopped}); diff != "" {
			t.Errorf("running and stopped (-want +got)\n%s", diff)
		}
		cancels := f.made("CancelCommand")
		if len(cancels) != 1 || !cmp.Equal(texts(cancels[0].in["InstanceIds"]), []string{id(3)}) {
			t.Errorf("cancels %+v", cancels)
		}
		title, detail := Explain(err, ReportOptions{})
		golden(t, "timeout.golden", title+"\n\n"+detail+"\n\n"+err.Error()+"\n")
	})
}

func TestTimeoutThatCannotCleanUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := bubbleEnd(t, id(1))
		f.plans[""] = plan{never: true}
		f.spoil("CancelCommand", refuseWith(400, "AccessDeniedException"))
		req := request(id(1))
		req.Timeout = time.Minute
		_, _, err := runBubble(t, f, req)
		var e *TimeoutError
		if !errors.As(err, &e) || e.StopErr == nil {
			t.Fatalf("got %v", err)
		}
		if _, detail := Explain(err, ReportOptions{}); !strings.Contains(detail, "AccessDeniedException") || !strings.Contains(detail, "ssmrun cancel "+f.commands[0].id) {
			t.Errorf("detail %q", detail)
		}
	})
}

// What ends in the very moment of the timeout is a result.
func TestTimeoutThatComesTooLate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := bubbleEnd(t, id(1))
		f.plans[""] = plan{end: 59 * time.Second}
		req := request(id(1))
		req.Timeout = time.Minute // the last poll before it is at 58.2 s
		if _, _, err := runBubble(t, f, req); err != nil {
			t.Fatal(err)
		}
	})
}

func TestInterrupt(t *testing.T) {
	t.Parallel()
	why := errors.New("ctrl-c")
	for _, test := range []struct {
		name    string
		prep    func(*farEnd)
		after   time.Duration // of the send; negative: before it
		running int
		late    bool
		failed  bool // the cancel
	}{
		{name: "while it runs", after: 10 * time.Second},
		{name: "with the long poll", prep: func(f *farEnd) { f.revisions = true }, after: 10 * time.Second},
		{name: "at once", after: 0},
		{name: "before it has begun", prep: func(f *farEnd) { f.plans[""] = plan{never: true} }, after: 10 * time.Second},
		{name: "a script that does not stop", prep: func(f *farEnd) { f.plans[id(2)] = plan{deaf: true} }, after: 10 * time.Second, running: 1},
		{name: "the cancel is refused", prep: func(f *farEnd) { f.spoil("CancelCommand", times(9, refuseWith(400, "AccessDeniedException"))...) }, after: 10 * time.Second, running: 2, failed: true},
		{name: "the cancel fails once", prep: func(f *farEnd) { f.spoil("CancelCommand", refuseWith(500, "InternalServerError"), throttle) }, after: 10 * time.Second},
		{name: "when the results are read", prep: func(f *farEnd) { f.plans[""] = plan{end: time.Second}; f.rowLag = 20 * time.Second }, after: 4 * time.Second, late: true, running: 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := bubbleEnd(t, ids(2)...)
				f.plans[""] = plan{begin: time.Second}
				if test.prep != nil {
					test.prep(f)
				}
				ctx, cancel := context.WithCancelCause(context.Background())
				defer cancel(nil)
				d := newDiary()
				var interrupted time.Time
				told := 0
				d.on = func(e Event) {
					if _, ok := e.(Sent); ok {
						stop := func() { interrupted = time.Now(); told = d.told(); cancel(why) }
						if test.after == 0 {
							stop()
						} else {
							time.AfterFunc(test.after, stop)
						}
					}
				}
				res, err := New(f.config(t)).Run(ctx, request(ids(2)...), d.observe)
				took := time.Since(interrupted)
				var e *CancelledError
				if !errors.As(err, &e) || res != e.Result || res == nil || !errors.Is(err, why) || KindOf(err) != KindCancelled {
					t.Fatalf("got %v, %v", res, err)
				}
				if len(e.Running) != test.running || e.Late != test.late || (e.CancelErr != nil) != test.failed {
					t.Errorf("got %+v", e)
				}
				if !test.late && !test.failed {
					for _, i := range ids(2)[test.running:] {
						if _, ok := f.commands[0].cancelled[i]; !ok {
							t.Errorf("%s was not cancelled", i)
						}
					}
				}
				if took > cancelWait+lastLook {
					t.Errorf("took %s after the interrupt", took)
				}
				if d.told() != told {
					t.Errorf("told after the interrupt: %v", d.lines[told:])
				}
				title, detail := Explain(err, ReportOptions{})
				if !strings.Contains(title+detail, "Interrupted") || !strings.Contains(detail, f.commands[0].id) {
					t.Errorf("explained as %q: %q", title, detail)
				}
			})
		})
	}
}

func TestInterruptBeforeTheSend(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := bubbleEnd(t)
		f.ec2[id(1)] = "pending"
		ctx, cancel := context.WithCancel(context.Background())
		time.AfterFunc(10*time.Second, cancel)
		req := request(id(1))
		req.WaitForInstances = time.Minute
		start := time.Now()
		res, err := New(f.config(t)).Run(ctx, req, nil)
		var e *CancelledError
		if !errors.As(err, &e) || res != nil || e.Result != nil || time.Since(start) > 11*time.Second {
			t.Errorf("got %v, %v after %s", res, err, time.Since(start))
		}
		if n := len(f.made("SendCommand")); n != 0 {
			t.Error("something was sent")
		}
	})
}

// The interrupt comes while the answer to SendCommand is on its way.
func TestInterruptDuringTheSend(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		fault  []spoiler
		sent   bool // it is known, and cancelled
		adopt  bool // it had to be looked for
		within time.Duration
	}{
		{"answered soon", []spoiler{slowly(2 * time.Second)}, true, false, 4 * time.Second},
		{"never answered, accepted", []spoiler{hang(true)}, true, true, sendGrace + 2*time.Second},
		{"never answered, unknown", []spoiler{hang(false)}, false, false, sendGrace + adoptAfterInterrupt + 2*time.Second},
		{"refused soon", []spoiler{slowRefusal}, false, false, 2 * time.Second},
		{"between two tries", times(20, throttle), false, false, 2 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := bubbleEnd(t, id(1))
				f.plans[""] = plan{}
				f.spoil("SendCommand", test.fault...)
				ctx, cancel := context.WithCancel(context.Background())
				d := newDiary()
				told := 0
				time.AfterFunc(time.Second, func() { told = d.told(); cancel() })
				start := time.Now()
				res, err := New(f.config(t)).Run(ctx, request(id(1)), d.observe)
				if d.told() != told {
					t.Errorf("told after the interrupt: %v", d.lines[told:])
				}
				if took := time.Since(start) - time.Second; took > test.within {
					t.Errorf("took %s after the interrupt", took)
				}
				if test.sent {
					var e *CancelledError
					if !errors.As(err, &e) || res == nil || len(f.commands[0].cancelled) != 1 || len(e.Running) != 0 || res.Commands[0].Adopted != test.adopt {
						t.Errorf("got %v, %v, cancelled %v", res, err, f.commands[0].cancelled)
					}
					return
				}
				if kind := KindOf(err); kind != KindAmbiguous && kind != KindCancelled || res != nil || (kind == KindAmbiguous) != (test.name == "never answered, unknown") || len(f.commands) > 0 {
					t.Errorf("got %v, %v", res, err)
				}
			})
		})
	}
}

func slowRefusal(w http.ResponseWriter, r *http.Request, accept func(http.ResponseWriter)) bool {
	time.Sleep(1500 * time.Millisecond)
	return throttle(w, r, accept)
}
