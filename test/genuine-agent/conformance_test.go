package genuineagent

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"ssmrun/internal/testenv"
)

// EnvReport names a file that the table goes into; else it is logged.
const envReport = "SSMRUN_AGENT_REPORT"

// subject is an agent on one channel.
type subject struct {
	agent    string
	longPoll bool
	hybrid   bool // an mi- id
	make     func(*testing.T, *testenv.Service, testenv.HostOptions) testenv.HostAgent
}

func (s subject) channel() string {
	if s.longPoll {
		return "ec2messages"
	}
	return "ssmmessages"
}

func (s subject) column() string { return s.agent + ", " + s.channel() }

func subjects() []subject {
	own := func(t *testing.T, s *testenv.Service, o testenv.HostOptions) testenv.HostAgent {
		return testenv.OwnAgent(t, s, o)
	}
	list := []subject{
		{"ssmrun-agent", false, true, own},
		{"ssmrun-agent", true, false, own},
	}
	if dir := os.Getenv(testenv.EnvGenuine); dir != "" {
		version := "amazon-ssm-agent " + testenv.GenuineVersion(dir)
		genuine := func(t *testing.T, s *testenv.Service, o testenv.HostOptions) testenv.HostAgent {
			return testenv.GenuineAgent(t, s, o, dir)
		}
		list = append(list, subject{version, false, true, genuine}, subject{version, true, false, genuine})
	}
	return list
}

func TestConformance(t *testing.T) {
	t.Parallel()
	var table report
	t.Cleanup(func() { table.write(t) })
	for _, s := range subjects() {
		table.columns = append(table.columns, s.column())
		t.Run(s.agent+"/"+s.channel(), func(t *testing.T) {
			t.Parallel()
			h := newHost(t, s)
			for _, c := range checks {
				ok := t.Run(c.name, func(t *testing.T) {
					in := *h
					in.T = t
					defer func() { table.add(s, c.name, t) }()
					c.run(&in)
				})
				if !ok {
					t.Logf("log of the agent:\n%s", h.agent.Log())
				}
			}
		})
	}
}

// newHost starts a service and an agent that is connected. adjust may change
// how the agent finds the service.
func newHost(t *testing.T, s subject, adjust ...func(*host, *testenv.HostOptions)) *host {
	t.Helper()
	h := &host{T: t, dir: t.TempDir()}
	h.Service = testenv.Start(t, testenv.Options{Buckets: []string{bucket}, KeepPorts: true, TLSDomain: domain})
	o := testenv.HostOptions{LongPoll: s.longPoll, Endpoint: h.Endpoint, TLS: h.TLSEndpoint, CA: h.CAFile, Domain: domain}
	if !s.hybrid {
		o.InstanceID = testenv.NewInstanceID()
	}
	for _, a := range adjust {
		a(h, &o)
	}
	h.agent = s.make(t, h.Service, o)
	h.agent.Start()
	h.id = o.InstanceID
	if h.id == "" {
		h.id = *h.onlyInstance().InstanceId
	}
	h.online()
	return h
}

// report is the table: a row for each check, a column for each subject.
type report struct {
	mu      sync.Mutex
	columns []string
	cells   map[string]map[string]string // check, column
}

func (r *report) add(s subject, name string, t *testing.T) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cells == nil {
		r.cells = map[string]map[string]string{}
	}
	if r.cells[name] == nil {
		r.cells[name] = map[string]string{}
	}
	word := "yes"
	switch {
	case t.Skipped():
		word = "not asked"
	case t.Failed():
		word = "NO"
	}
	r.cells[name][s.column()] = word
}

func (r *report) write(t *testing.T) {
	var b strings.Builder
	b.WriteString("| an agent |")
	for _, c := range r.columns {
		b.WriteString(" " + c + " |")
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(r.columns)) + "\n")
	for _, c := range checks {
		b.WriteString("| " + c.name + " |")
		for _, column := range r.columns {
			fmt.Fprintf(&b, " %s |", r.cells[c.name][column])
		}
		b.WriteString("\n")
	}
	if file := os.Getenv(envReport); file != "" {
		if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
			t.Errorf("write the table: %v", err)
		}
		return
	}
	t.Log("\n" + b.String())
}
