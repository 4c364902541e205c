package runner

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ssmrun"
)

// A lost answer: the service has the command, and the caller does not know.
func TestLostAnswerIsAdopted(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		fault spoiler
		prep  func(*farEnd)
	}{
		{name: "connection closed", fault: dropAnswer},
		{name: "connection reset", fault: dropAnswer, prep: func(f *farEnd) { f.net.reset.Store(true) }},
		{name: "500", fault: acceptThen(500, "InternalServerError")},
		{name: "503", fault: acceptThen(503, "ServiceUnavailable")},
		{name: "502 of a proxy", fault: func(w http.ResponseWriter, _ *http.Request, accept func(http.ResponseWriter)) bool {
			accept(httptest.NewRecorder())
			w.WriteHeader(502)
			_, _ = w.Write([]byte("<html>bad gateway</html>"))
			return true
		}},
		{name: "408 of a proxy", fault: acceptThen(408, "")},
		{name: "never answered", fault: hang(true)},
		{name: "half an answer", fault: func(w http.ResponseWriter, _ *http.Request, accept func(http.ResponseWriter)) bool {
			rec := httptest.NewRecorder()
			accept(rec)
			w.Header().Set("Content-Length", "5000")
			_, _ = w.Write(rec.Body.Bytes()[:40])
			return true
		}},
		{name: "an answer without a command", fault: func(w http.ResponseWriter, _ *http.Request, accept func(http.ResponseWriter)) bool {
			accept(httptest.NewRecorder())
			answer(w, map[string]any{})
			return true
		}},
		{name: "lists lag behind", fault: dropAnswer, prep: func(f *farEnd) { f.listLag = 12 * time.Second }},
		{name: "lists fail at first", fault: dropAnswer, prep: func(f *farEnd) { f.spoil("ListCommands", times(9, refuseWith(500, "InternalServerError"))...) }},
		{name: "on the third page", fault: func(w http.ResponseWriter, r *http.Request, accept func(http.ResponseWriter)) bool {
			accept(httptest.NewRecorder())
			for range 5 { // of other callers, newer than ours
				accept(httptest.NewRecorder())
			}
			return cut(w, r, accept)
		}, prep: func(f *farEnd) {
			f.pageLimit, f.emptyPage = 2, true
			f.foreign = 5
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := bubbleEnd(t, id(1))
				f.plans[""] = plan{begin: time.Second, end: 20 * time.Second}
				if test.prep != nil {
					test.prep(f)
				}
				f.spoil("SendCommand", test.fault)
				d := newDiary()
				res, err := New(f.config(t)).Run(context.Background(), request(id(1)), d.observe)
				if err != nil {
					t.Fatal(err)
				}
				if n := len(f.made("SendCommand")); n != 1 {
					t.Errorf("SendCommand was called %d times", n)
				}
				if !res.Commands[0].Adopted || res.CommandID() != f.commands[0].id {
					t.Errorf("adopted %+v", res.Commands[0])
				}
				if sent := events[Sent](d); len(sent) != 1 || !sent[0].Adopted {
					t.Errorf("sent events %+v", sent)
				}
			})
		})
	}
}

// What may have been accepted and does not show is never sent again.
func TestAmbiguousSend(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		fault spoiler
		cause string
	}{
		{"connection closed", cut, "http://far.end: the connection was closed before an answer came"},
		{"500", refuseWith(500, "InternalServerError"), "InternalServerError"},
		{"never answered", hang(false), "no answer in time"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := bubbleEnd(t, id(1))
				f.spoil("SendCommand", test.fault)
				start := time.Now()
				res, err := New(f.config(t)).Run(context.Background(), request(id(1)), nil)
				var e *AmbiguousSendError
				if !errors.As(err, &e) || res != nil || KindOf(err) != KindAmbiguous {
					t.Fatalf("got %v, %v", res, err)
				}
				if n := len(f.made("SendCommand")); n != 1 {
					t.Errorf("SendCommand was called %d times", n)
				}
				if took := time.Since(start); took < adoptPatience {
					t.Errorf("gave up after %s", took)
				}
				if !strings.Contains(e.Cause, test.cause) {
					t.Errorf("cause %q", e.Cause)
				}
				comment := f.made("SendCommand")[0].in["Comment"].(string)
				if !strings.HasSuffix(comment, e.Token) || !strings.Contains(e.Check, e.Token) || !strings.Contains(err.Error(), e.Check) {
					t.Errorf("comment %q, error %v", comment, err)
				}
			})
		})
	}
}

// What certainly was not accepted is sent again.
func TestSafeRepeats(t *testing.T) {
	t.Parallel()
	skewed := func(w http.ResponseWriter, _ *http.Request, _ func(http.ResponseWriter)) bool {
		w.Header().Set("Date", time.Now().Add(20*time.Minute).UTC().Format(http.TimeFormat))
		awsError(w, 400, "InvalidSignatureException", "Signature expired")
		return true
	}
	for _, test := range []struct {
		name   string
		faults []spoiler
		refuse int32
		calls  int
	}{
		{name: "throttled", faults: times(5, throttle), calls: 6},
		{name: "throttled with 503", faults: times(2, refuseWith(503, "SlowDown")), calls: 3},
		{name: "no connection", refuse: 2, calls: 1},
		{name: "clock 20 minutes off", faults: []spoiler{skewed}, calls: 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := bubbleEnd(t, id(1))
				f.spoil("SendCommand", test.faults...)
				d := newDiary()
				c := f.config(t)
				d.on = func(e Event) {
					if _, ok := e.(Validated); ok && test.refuse > 0 {
						f.net.hangUp()
						f.net.refuse.Store(test.refuse)
					}
				}
				res, err := New(c).Run(context.Background(), request(id(1)), d.observe)
				if err != nil {
					t.Fatal(err)
				}
				if n := len(f.made("SendCommand")); n != test.calls {
					t.Errorf("SendCommand was called %d times, want %d", n, test.calls)
				}
				if len(f.commands) != 1 || res.Commands[0].Adopted {
					t.Errorf("%d commands; %+v", len(f.commands), res.Commands)
				}
			})
		})
	}
}

func TestSendRefused(t *testing.T) {
	t.Parallel()
	secret := "a-secret-value-in-a-parameter"
	for _, test := range []struct {
		name   string
		faults []spoiler
		refuse int32
		kind   Kind
		field  Field
		text   string
		calls  int
	}{
		{name: "throttled for ever", faults: times(20, throttle), kind: KindNotSent, text: "ThrottlingException", calls: sendAttempts},
		{name: "no connection", refuse: 100, kind: KindUnreachable, text: "connection refused", calls: 0},
		{name: "instances", faults: []spoiler{refuseWith(400, "InvalidInstanceId")}, kind: KindInvalid, field: FieldInstanceIDs, text: "refuses the instances", calls: 1},
		{name: "document", faults: []spoiler{refuseWith(400, "InvalidDocument")}, kind: KindInvalid, field: FieldDocument, text: "refuses document", calls: 1},
		{name: "parameters", faults: []spoiler{refuseWith(400, "InvalidParameters")}, kind: KindInvalid, field: FieldParameters, text: "refuses the parameters", calls: 1},
		{name: "not allowed", faults: []spoiler{refuseWith(400, "AccessDeniedException")}, kind: KindDenied, text: "ssm:SendCommand", calls: 1},
		{name: "credentials expired", faults: []spoiler{refuseWith(400, "ExpiredTokenException")}, kind: KindCredentials, text: "ExpiredTokenException", calls: 1},
		{name: "a value in the message", faults: []spoiler{func(w http.ResponseWriter, _ *http.Request, _ func(http.ResponseWriter)) bool {
			awsError(w, 400, "ValidationException", "Value '["+secret+"]' at 'parameters' failed")
			return true
		}}, kind: KindNotSent, text: "(value not shown)", calls: 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := bubbleEnd(t, id(1))
				f.spoil("SendCommand", test.faults...)
				d := newDiary()
				d.on = func(e Event) {
					if _, ok := e.(Validated); ok && test.refuse > 0 {
						f.net.hangUp()
						f.net.refuse.Store(test.refuse)
					}
				}
				before := int32(3) // the checks before the send are made at once
				req := request(id(1))
				req.Parameters["commands"] = []any{secret}
				res, err := New(f.config(t)).Run(context.Background(), req, d.observe)
				var e *SendError
				if !errors.As(err, &e) || res != nil || KindOf(err) != test.kind || e.Field != test.field {
					t.Fatalf("got %v, %#v", res, err)
				}
				title, detail := Explain(err, ReportOptions{})
				if all := err.Error() + title + detail; !strings.Contains(all, test.text) || strings.Contains(all, secret) {
					t.Errorf("texts %q %q %q", err, title, detail)
				}
				if n := f.net.dials.Load(); test.refuse > 0 && n > before+dialAttempts {
					t.Errorf("%d dials", n-before)
				}
				if n := len(f.made("SendCommand")); n != test.calls || len(f.commands) != 0 {
					t.Errorf("SendCommand was called %d times, want %d; %d commands", n, test.calls, len(f.commands))
				}
				if n := len(f.made("ListCommands")); n != 0 {
					t.Errorf("looked for a command that certainly is not there, %d times", n)
				}
			})
		})
	}
}

// A real connection, reset by the kernel.
func TestResetOnARealConnection(t *testing.T) {
	t.Parallel()
	f := portEnd(t, id(1))
	f.revisions = true
	f.plans[""] = plan{begin: time.Millisecond, end: 2 * time.Millisecond}
	f.spoil("SendCommand", func(w http.ResponseWriter, _ *http.Request, accept func(http.ResponseWriter)) bool {
		accept(httptest.NewRecorder())
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return true
		}
		_ = c.(*net.TCPConn).SetLinger(0)
		c.Close()
		return true
	})
	res, err := New(f.config(t)).Run(t.Context(), request(id(1)), nil)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(f.made("SendCommand")); n != 1 || !res.Commands[0].Adopted {
		t.Errorf("SendCommand was called %d times; %+v", n, res.Commands)
	}
}

func TestManyInstances(t *testing.T) {
	t.Parallel()
	all := ids(120)
	t.Run("as several commands", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			f := bubbleEnd(t, all...)
			f.plans[id(77)] = plan{end: time.Second, state: ssmrun.State{Status: ssmrun.Failed, Details: ssmrun.DetailsFailed}, exit: 3}
			d := newDiary()
			res, err := New(f.config(t)).Run(context.Background(), request(all...), d.observe)
			if _, ok := errors.AsType[*RunError](err); !ok {
				t.Fatal(err)
			}
			if len(res.Commands) != 3 || len(res.Instances) != 120 || len(res.Failed()) != 1 || res.Failed()[0].ID != id(77) {
				t.Errorf("%d commands, %d instances, failed %v", len(res.Commands), len(res.Instances), res.Failed())
			}
			tokens := map[string]bool{}
			for i, c := range f.made("SendCommand") {
				tokens[c.in["Comment"].(string)] = true
				if n := len(texts(c.in["InstanceIds"])); n != []int{50, 50, 20}[i] {
					t.Errorf("command %d has %d instances", i, n)
				}
			}
			if len(tokens) != 3 {
				t.Errorf("%d tokens", len(tokens))
			}
			last := events[Progress](d)[len(events[Progress](d))-1]
			if want := (Counts{Target: 120, Completed: 120, Errors: 1}); last.Counts != want {
				t.Errorf("counts %+v", last.Counts)
			}
		})
	})
	t.Run("one of them refused", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			f := bubbleEnd(t, all...)
			f.spoil("SendCommand", nil, refuseWith(400, "InvalidInstanceId"))
			res, err := New(f.config(t)).Run(context.Background(), request(all...), nil)
			if _, ok := errors.AsType[*RunError](err); !ok {
				t.Fatal(err)
			}
			failed := res.Failed()
			if len(res.Commands) != 2 || len(failed) != 50 || failed[0].ID != id(51) || !strings.HasPrefix(failed[0].Problem, "not sent: ") {
				t.Errorf("%d commands, %d failed, %+v", len(res.Commands), len(failed), failed[0])
			}
		})
	})
	t.Run("one of them lost", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			f := bubbleEnd(t, all...)
			f.spoil("SendCommand", nil, cut)
			res, err := New(f.config(t)).Run(context.Background(), request(all...), nil)
			if _, ok := errors.AsType[*RunError](err); !ok {
				t.Fatal(err)
			}
			if failed := res.Failed(); len(failed) != 50 || !strings.Contains(failed[0].Problem, "may have been accepted") {
				t.Errorf("%d failed, %+v", len(failed), failed[0])
			}
			if n := len(f.made("SendCommand")); n != 3 {
				t.Errorf("SendCommand was called %d times", n)
			}
		})
	})
}

func TestWhatIsSent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := bubbleEnd(t, id(1))
		f.buckets["logs"] = "eu-west-1"
		req := request(id(1))
		req.Parameters = map[string]any{"commands": "true", "executionTimeout": 60, "workingDirectory": nil}
		req.Comment, req.MaxErrors, req.MaxConcurrency, req.DocumentVersion = "deploy of web", "10%", "2", "1"
		req.OutputBucket, req.OutputPrefix, req.Timeout = "logs", "runs", 10*time.Second
		_, d, err := runBubble(t, f, req)
		if err != nil {
			t.Fatal(err)
		}
		if n := events[Notice](d); len(n) > 0 {
			t.Errorf("notices %v", n)
		}
		in := f.made("SendCommand")[0].in
		p := in["Parameters"].(map[string]any)
		for _, pair := range [][2]any{
			{texts(p["commands"])[0], "true"},
			{texts(p["executionTimeout"])[0], "60"},
			{len(p), 2},
			{in["MaxErrors"], "10%"},
			{in["MaxConcurrency"], "2"},
			{in["DocumentVersion"], "1"},
			{in["TimeoutSeconds"], 30.0},
			{in["OutputS3BucketName"], "logs"},
			{in["OutputS3KeyPrefix"], "runs"},
			{in["OutputS3Region"], "eu-west-1"},
		} {
			if pair[0] != pair[1] {
				t.Errorf("got %v, want %v", pair[0], pair[1])
			}
		}
		if c := in["Comment"].(string); !strings.HasPrefix(c, "deploy of web ssmrun:") || len(c) > ssmrun.MaxCommentLength {
			t.Errorf("comment %q", c)
		}
	})
}
