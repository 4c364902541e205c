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

// looks gives when ListCommands was asked, counted from the send, to 10 ms.
func looks(f *farEnd) []time.Duration {
	var at []time.Duration
	for _, c := range f.made("ListCommands") {
		at = append(at, (c.at - f.made("SendCommand")[0].at).Round(10*time.Millisecond))
	}
	return at
}

func seconds(list ...float64) []time.Duration {
	at := make([]time.Duration, len(list))
	for i, s := range list {
		at[i] = time.Duration(s * float64(time.Second)).Round(10 * time.Millisecond)
	}
	return at
}

func runBubble(t *testing.T, f *farEnd, req Request) (*Result, *diary, error) {
	t.Helper()
	d := newDiary()
	res, err := New(f.config(t)).Run(context.Background(), req, d.observe)
	return res, d, err
}

func TestPolls(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		prep func(*farEnd)
		end  time.Duration
		want []time.Duration
	}{
		{name: "early looks, then every 5 s", end: 15 * time.Second, want: seconds(0.5, 1.5, 3.2, 8.2, 13.2, 18.2)},
		{name: "the list lags behind", end: time.Second, prep: func(f *farEnd) { f.listLag = 6 * time.Second }, want: seconds(0.5, 1.5, 3.2, 8.2)},
		{name: "a poll that fails once", end: time.Second, prep: func(f *farEnd) {
			f.spoil("ListCommands", times(3, refuseWith(400, "AccessDeniedException"))[:2]...)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := bubbleEnd(t, id(1))
				f.plans[""] = plan{end: test.end}
				if test.prep != nil {
					test.prep(f)
				}
				if _, _, err := runBubble(t, f, request(id(1))); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(test.want, looks(f)); test.want != nil && diff != "" {
					t.Errorf("looks (-want +got)\n%s", diff)
				}
			})
		})
	}
}

func TestThrottledPolls(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name     string
		throttle int // calls in a row; the SDK itself tries three times for one poll
	}{{"within a poll", 1}, {"a whole poll", 3}, {"two polls", 6}} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := bubbleEnd(t, id(1))
				f.plans[""] = plan{end: 30 * time.Second}
				f.spoil("ListCommands", times(test.throttle, throttle)...)
				if _, _, err := runBubble(t, f, request(id(1))); err != nil {
					t.Fatal(err)
				}
				// But for the SDK's own repeats.
				at := looks(f)[max(test.throttle-1, 1):]
				for i := 1; i < len(at); i++ {
					if gap := at[i] - at[i-1]; gap < pollEvery/2 {
						t.Errorf("a look %s after the one before, though throttled: %v", gap, looks(f))
					}
				}
			})
		})
	}
}

func TestLongPoll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := bubbleEnd(t, ids(3)...)
		f.revisions = true
		f.plans[""] = plan{begin: time.Second, end: 7300 * time.Millisecond}
		f.plans[id(2)] = plan{begin: time.Second, end: 64 * time.Second}
		start := time.Now()
		_, d, err := runBubble(t, f, request(ids(3)...))
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took > 64*time.Second+50*time.Millisecond {
			t.Errorf("the end was seen %s late", took-64*time.Second)
		}
		calls := f.made("ListCommands")
		if calls[0].header.Get(headerWait) != "" {
			t.Error("the first look waits, though no revision was seen")
		}
		for _, c := range calls[1:] {
			if !strings.HasSuffix(c.header.Get(headerWait), ";20") || !strings.Contains(c.header.Get("Authorization"), "x-ssmrun-wait") {
				t.Errorf("wait %q, signed %q", c.header.Get(headerWait), c.header.Get("Authorization"))
			}
		}
		if len(calls) > 8 {
			t.Errorf("%d calls", len(calls))
		}
		// Progress: at the change, then at least every 30 s.
		var at []time.Duration
		for _, p := range events[Progress](d) {
			at = append(at, p.Elapsed.Round(100*time.Millisecond))
		}
		if diff := cmp.Diff(seconds(7.3, 37.3, 64), at); diff != "" {
			t.Errorf("progress (-want +got)\n%s", diff)
		}
	})
}

// A short script on a service of our own is not waited for.
func TestLongPollIsQuick(t *testing.T) {
	t.Parallel()
	for _, answered := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			f := bubbleEnd(t, id(1))
			f.revisions, f.revisionOnSend = true, answered
			f.plans[""] = plan{begin: time.Millisecond, end: 5 * time.Millisecond}
			res, _, err := runBubble(t, f, request(id(1)))
			if err != nil {
				t.Fatal(err)
			}
			if took := res.Ended.Sub(res.Started); took > 15*time.Millisecond {
				t.Errorf("took %s, revision with the answer: %v", took, answered)
			}
			if first := f.made("ListCommands")[0].header.Get(headerWait); (first != "") != answered {
				t.Errorf("first look with %q", first)
			}
		})
	}
}

// A command that changes all the time is not asked for all the time.
func TestLongPollIsSpaced(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := bubbleEnd(t, ids(50)...)
		f.revisions = true
		for n := range 50 {
			f.plans[id(n+1)] = plan{begin: time.Duration(4*n) * time.Millisecond, end: time.Duration(4*n+204) * time.Millisecond}
		}
		_, _, err := runBubble(t, f, request(ids(50)...))
		if err != nil {
			t.Fatal(err)
		}
		if n := len(f.made("ListCommands")); n > burst+12 {
			t.Errorf("%d calls in 0.4 s", n)
		}
	})
}

func TestLongPollThatIsCut(t *testing.T) {
	t.Parallel()
	slow := func(wait time.Duration, then spoiler) spoiler {
		return func(w http.ResponseWriter, r *http.Request, accept func(http.ResponseWriter)) bool {
			if r.Header.Get(headerWait) == "" {
				return false
			}
			select {
			case <-time.After(wait):
			case <-r.Context().Done():
			}
			return then(w, r, accept)
		}
	}
	for _, test := range []struct {
		name string
		cut  spoiler
		long int // long polls that are tried
	}{
		{"closed after 10 s", slow(10*time.Second, cut), maxCuts},
		{"504 after 10 s", slow(10*time.Second, refuseWith(504, "")), maxCuts},
		{"never answered", slow(time.Hour, cut), maxCuts},
		{"answered at once, unchanged", func(_ http.ResponseWriter, r *http.Request, _ func(http.ResponseWriter)) bool {
			r.Header.Set(headerWait, "0;0") // somebody on the way answers for the service
			return false
		}, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := bubbleEnd(t, id(1))
				f.revisions = true
				f.plans[""] = plan{end: 3 * time.Minute}
				f.spoil("ListCommands", times(200, test.cut)...)
				res, d, err := runBubble(t, f, request(id(1)))
				if err != nil {
					t.Fatal(err)
				}
				long := 0
				for _, c := range f.made("ListCommands") {
					if c.header.Get(headerWait) != "" {
						long++
					}
				}
				if long != test.long {
					t.Errorf("%d long polls, want %d", long, test.long)
				}
				if n := len(f.made("ListCommands")); n > 45 {
					t.Errorf("%d calls in 3 minutes", n)
				}
				if late := res.Ended.Sub(res.Started) - 3*time.Minute; late > pollEvery+time.Second {
					t.Errorf("the end was seen %s late", late)
				}
				if n := events[Notice](d); len(n) > 0 {
					t.Errorf("notices %v", n)
				}
			})
		})
	}
}

// The service is away for a while; what it runs goes on.
func TestOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := bubbleEnd(t, id(1))
		f.plans[""] = plan{end: 40 * time.Second}
		c := f.config(t)
		d := newDiary()
		d.on = func(e Event) {
			if _, ok := e.(Sent); ok {
				f.net.hangUp()
				f.net.refuse.Store(1000)
				time.AfterFunc(time.Minute, func() { f.net.refuse.Store(0) })
			}
		}
		if _, err := New(c).Run(context.Background(), request(id(1)), d.observe); err != nil {
			t.Fatal(err)
		}
		notices := events[Notice](d)
		if len(notices) != 2 || !strings.Contains(notices[0].Text, "connection refused") || !strings.Contains(notices[0].Text, f.commands[0].id) || !strings.Contains(notices[1].Text, "answers again") {
			t.Errorf("notices %v", notices)
		}
		if n := len(events[Progress](d)); n < 2 {
			t.Errorf("%d progress events in a minute", n)
		}
	})
}

func TestLost(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		prep func(*farEnd)
		over bool
		text string
	}{
		{name: "polls are refused", prep: func(f *farEnd) { f.spoil("ListCommands", times(50, refuseWith(400, "AccessDeniedException"))...) }, text: "AccessDeniedException"},
		{name: "never listed", prep: func(f *farEnd) { f.listLag = time.Hour }, text: "does not list it"},
		{name: "results are refused", prep: func(f *farEnd) {
			f.spoil("ListCommandInvocations", times(50, refuseWith(400, "AccessDeniedException"))...)
		}, over: true, text: "AccessDeniedException"},
		{name: "pages go round", prep: func(f *farEnd) {
			f.spoil("ListCommandInvocations", times(50, func(w http.ResponseWriter, _ *http.Request, _ func(http.ResponseWriter)) bool {
				answer(w, map[string]any{"CommandInvocations": []any{}, "NextToken": "again"})
				return true
			})...)
		}, over: true, text: "the same page again"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := bubbleEnd(t, id(1))
				test.prep(f)
				res, _, err := runBubble(t, f, request(id(1)))
				var e *LostError
				if !errors.As(err, &e) || res == nil || e.Over != test.over || KindOf(err) != KindLost {
					t.Fatalf("got %v, %#v", res, err)
				}
				title, detail := Explain(err, ReportOptions{})
				for _, s := range []string{err.Error(), title + detail} {
					if !strings.Contains(s, test.text) || !strings.Contains(s, f.commands[0].id) {
						t.Errorf("text %q", s)
					}
				}
			})
		})
	}
}

func TestRowsLagBehind(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := bubbleEnd(t, ids(70)...)
		f.rowLag, f.pageLimit, f.emptyPage = 3*time.Second, 7, true
		f.plans[""] = plan{end: 400 * time.Millisecond, out: "done"}
		res, _, err := runBubble(t, f, request(ids(70)...))
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range res.Instances {
			if i.State.Status != ssmrun.Success || i.Plugins[0].Stdout.Head != "done" {
				t.Fatalf("%+v", i)
			}
		}
	})
}

// What AWS calls a success, and on some instances nothing ran.
func TestNeverASilentNoOp(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		prep   func(*farEnd)
		failed []string
		text   string
	}{
		{"undeliverable", func(f *farEnd) {
			f.plans[id(2)] = plan{end: time.Second, state: ssmrun.State{Status: ssmrun.Failed, Details: ssmrun.DetailsUndeliverable}}
		}, []string{id(2)}, "Undeliverable, the instance did not answer"},
		{"another spelling", func(f *farEnd) {
			f.plans[id(2)] = plan{end: time.Second, state: ssmrun.State{Status: ssmrun.Failed, Details: "Invalid Platform"}}
		}, []string{id(2)}, "InvalidPlatform, the document is not for its platform"},
		{"no invocation", func(f *farEnd) { f.plans[id(3)] = plan{end: time.Second, hidden: true} }, []string{id(3)}, "nothing ran"},
		{"nothing found", func(f *farEnd) {
			f.force = &ssmrun.State{Status: ssmrun.Success, Details: ssmrun.DetailsNoInstancesInTag}
		}, ids(3), "Success/NoInstancesInTag"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := bubbleEnd(t, ids(3)...)
				test.prep(f)
				res, _, err := runBubble(t, f, request(ids(3)...))
				var e *RunError
				if !errors.As(err, &e) || KindOf(err) != KindFailed {
					t.Fatalf("got %v", err)
				}
				var failed []string
				for _, i := range res.Failed() {
					failed = append(failed, i.ID)
				}
				if diff := cmp.Diff(test.failed, failed); diff != "" {
					t.Errorf("failed (-want +got)\n%s", diff)
				}
				if _, detail := Explain(err, ReportOptions{}); !strings.Contains(detail, test.text) {
					t.Errorf("report lacks %q:\n%s", test.text, detail)
				}
			})
		})
	}
}

func TestSkippedEverywhere(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := bubbleEnd(t, id(1))
		skip := ssmrun.State{Status: ssmrun.Success, Details: ssmrun.DetailsSkipped}
		f.plans[""] = plan{end: time.Second, steps: []step{{name: "windows", state: skip}, {name: "mac", state: skip}}}
		res, _, err := runBubble(t, f, request(id(1)))
		if err != nil || len(res.Warnings) != 1 || !strings.Contains(res.Warnings[0], "nothing ran on "+id(1)) {
			t.Errorf("%v, warnings %v", err, res.Warnings)
		}
	})
}

func TestEachInstance(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := bubbleEnd(t, ids(3)...)
		f.revisions = true
		f.rowLag = 50 * time.Millisecond // the last one shows when the command is over
		for n := range 3 {
			f.plans[id(n+1)] = plan{end: time.Duration(3-n) * time.Second, out: "x"}
		}
		req := request(ids(3)...)
		req.Each = true
		_, d, err := runBubble(t, f, req)
		if err != nil {
			t.Fatal(err)
		}
		var order []string
		for _, e := range events[InstanceDone](d) {
			order = append(order, e.Instance.ID)
		}
		if diff := cmp.Diff([]string{id(3), id(2), id(1)}, order); diff != "" {
			t.Errorf("ends (-want +got)\n%s", diff)
		}
	})
}
