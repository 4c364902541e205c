package runner

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"ssmrun"
)

// id makes the n-th instance id.
func id(n int) string { return fmt.Sprintf("i-%017x", n) }

// ids makes n instance ids.
func ids(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = id(i + 1)
	}
	return list
}

// request is a script on these instances.
func request(ids ...string) Request {
	return Request{InstanceIDs: ids, Document: "AWS-RunShellScript", Parameters: map[string]any{"commands": []any{"echo hello-from-the-script"}}, Timeout: 10 * time.Minute}
}

// diary is an observer that keeps what it was told, and when.
type diary struct {
	mu     sync.Mutex
	start  time.Time
	events []Event
	lines  []string
	on     func(Event)
}

func newDiary() *diary { return &diary{start: time.Now()} }

func (d *diary) observe(e Event) {
	d.mu.Lock()
	d.events = append(d.events, e)
	d.lines = append(d.lines, fmt.Sprintf("%6s %s", short(time.Since(d.start)), e))
	d.mu.Unlock()
	if d.on != nil {
		d.on(e)
	}
}

func (d *diary) told() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.events)
}

func (d *diary) String() string { return strings.Join(d.lines, "\n") + "\n" }

func events[E Event](d *diary) []E {
	d.mu.Lock()
	defer d.mu.Unlock()
	var list []E
	for _, e := range d.events {
		if x, ok := e.(E); ok {
			list = append(list, x)
		}
	}
	return list
}

func TestRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := bubbleEnd(t, ids(3)...)
		f.plans[""] = plan{begin: 200 * time.Millisecond, end: 900 * time.Millisecond, out: "hello\n"}
		d := newDiary()
		res, err := New(f.config(t)).Run(context.Background(), request(ids(3)...), d.observe)
		if err != nil {
			t.Fatal(err)
		}
		if res.CommandID() == "" || len(res.Instances) != 3 || len(res.Failed()) != 0 {
			t.Fatalf("result %+v", res)
		}
		for n, i := range res.Instances {
			if i.ID != id(n+1) || i.Name != fmt.Sprintf("host-%d", n+1) || i.ExitCode != 0 || i.Plugins[0].Stdout.Head != "hello\n" || i.State.Status != ssmrun.Success {
				t.Errorf("instance %d: %+v", n, i)
			}
		}
		in := f.made("SendCommand")[0].in
		if in["MaxErrors"] != "100%" || in["TimeoutSeconds"] != 600.0 || in["MaxConcurrency"] != nil {
			t.Errorf("sent %v", in)
		}
		if got := in["Comment"].(string); !strings.HasPrefix(got, "ssmrun:") || len(got) != tokenLength {
			t.Errorf("comment %q", got)
		}
		// Plain polls, as documented: at 0.5 and 1.5 s after the send.
		var at []time.Duration
		for _, c := range f.made("ListCommands") {
			at = append(at, (c.at - f.made("SendCommand")[0].at).Round(10*time.Millisecond))
			if c.header.Get(headerWait) != "" {
				t.Error("a long poll to a service that gave no revision")
			}
		}
		if diff := cmp.Diff([]time.Duration{500 * time.Millisecond, 1500 * time.Millisecond}, at); diff != "" {
			t.Errorf("looks (-want +got)\n%s", diff)
		}
		if n := len(f.made("GetCommandInvocation")); n != 0 {
			t.Errorf("%d calls of GetCommandInvocation, where the list has it all", n)
		}
		if strings.Contains(d.String(), "hello") {
			t.Errorf("progress shows a parameter or an output:\n%s", d)
		}
	})
}

// BenchmarkRun is a run's own cost: seven calls over a real connection to a far
// end that is done at once.
func BenchmarkRun(b *testing.B) {
	f := portEnd(b, id(1))
	f.revisions = true
	f.plans[""] = plan{begin: time.Nanosecond, end: time.Nanosecond}
	r := New(f.config(b))
	for b.Loop() {
		if _, err := r.Run(b.Context(), request(id(1)), nil); err != nil {
			b.Fatal(err)
		}
	}
}
