package bench

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"ssmrun/internal/testenv"
)

// listCommands is a call of ListCommands.
type listCommands struct {
	MaxResults int      `json:",omitempty"`
	NextToken  string   `json:",omitempty"`
	InstanceID string   `json:"InstanceId,omitempty"`
	Filters    []filter `json:",omitempty"`
}

type filter struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// commandPage is its answer, as far as it is looked at.
type commandPage struct {
	Commands []struct {
		CommandID string `json:"CommandId"`
	}
	NextToken string
}

const (
	pageRows  = 50
	deepPages = 2000
)

// history measures lists over a long history.
func history(t *testing.T, out *table) {
	commands := number(t, "SSMRUN_BENCH_HISTORY", 1_000_000)
	data := filepath.Join(t.TempDir(), "data")
	began := time.Now()
	size := fill(t, data, commands)
	t.Logf("filled in %s", time.Since(began).Round(time.Second))
	out.value(fmt.Sprintf("disk per command of one invocation, over %d", commands), fmt.Sprintf("%d bytes", size/commands), "")
	s := testenv.Start(t, testenv.Options{Data: data, Args: append(profiled("history"), "--log-level", "warn")})
	c := connect(t, s)
	now := time.Now()
	ago := func(d time.Duration) string { return now.Add(-d).UTC().Format("2006-01-02T15:04:05Z") }
	by := func(pairs ...string) func(int) listCommands {
		var in listCommands
		for n := 0; n < len(pairs); n += 2 {
			in.Filters = append(in.Filters, filter{pairs[n], pairs[n+1]})
		}
		return func(int) listCommands { return in }
	}
	half := historyLife / 2
	deep, reached := walk(c, deepPages)
	for _, row := range []struct {
		what string
		call func(n int) listCommands
	}{
		{"no filter", by()},
		{"no filter, 1 row", func(int) listCommands { return listCommands{MaxResults: 1} }},
		{fmt.Sprintf("no filter, %d rows deep, by token", reached), func(int) listCommands { return listCommands{NextToken: deep} }},
		{"Status Failed (one in 100)", by("Status", "Failed")},
		{"Status TimedOut (one in 10,000)", by("Status", "TimedOut")},
		{"Status Cancelled (none)", by("Status", "Cancelled")},
		{"DocumentName, one in 10", by("DocumentName", "AWS-RunPowerShellScript")},
		{"DocumentName, one in 10,000", by("DocumentName", "AWS-ConfigureDocker")},
		{"Status and DocumentName, none", by("Status", "TimedOut", "DocumentName", "AWS-ConfigureDocker")},
		{"InvokedAfter, half of all", by("InvokedAfter", ago(half))},
		{"InvokedBefore, half of all", by("InvokedBefore", ago(half))},
		{"InvokedAfter and InvokedBefore, one hour", by("InvokedAfter", ago(half), "InvokedBefore", ago(half-time.Hour))},
		{"Status Failed, InvokedAfter and InvokedBefore, a day", by("Status", "Failed", "InvokedAfter", ago(half), "InvokedBefore", ago(half-24*time.Hour))},
		{"InstanceId, one of 1,000", func(n int) listCommands { return listCommands{InstanceID: historyInstance(n * 37)} }},
		{"InstanceId and Status Failed", func(n int) listCommands {
			return listCommands{InstanceID: historyInstance(n*100 + 3), Filters: []filter{{"Status", "Failed"}}}
		}},
	} {
		times, rows := lists(c, row.call)
		out.times(fmt.Sprintf("ListCommands over %d: %s (%d rows)", commands, row.what, rows), times, "")
	}
	out.value("memory of the service after these (VmRSS)", mb(rss(t, s.PID())), "")
	s.Stop()
}

// lists makes a call until it was made 50 times or five seconds are over, three
// times at least, and gives the last one's number of rows.
func lists(c *connection, call func(n int) listCommands) (times []time.Duration, rows int) {
	for until := time.Now().Add(5 * time.Second); len(times) < 50 && (len(times) < 3 || time.Now().Before(until)); {
		in := call(len(times))
		if in.MaxResults == 0 {
			in.MaxResults = pageRows
		}
		var page commandPage
		times = append(times, c.call("ListCommands", in, &page))
		rows = len(page.Commands)
	}
	return times, rows
}

// walk goes through so many pages, or to the last but one, and
// gives the token of the next and how many rows were passed.
func walk(c *connection, pages int) (token string, rows int) {
	c.t.Helper()
	for range pages {
		var page commandPage
		c.call("ListCommands", listCommands{MaxResults: pageRows, NextToken: token}, &page)
		if page.NextToken == "" {
			break
		}
		token, rows = page.NextToken, rows+len(page.Commands)
	}
	return token, rows
}
