package bench

import (
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"ssmrun/internal/testenv"
	"ssmrun/internal/wire"
)

// benchDomain is the one whose names the services of this package answer to.
const benchDomain = "bench.test"

// agents measures this project's agent, and amazon-ssm-agent where its programs
// are given (SSMRUN_GENUINE_AGENT), one after the other, each over the websocket
// and over the long poll, with a relay in between that looks at the clock.
func agents(t *testing.T, out *table) {
	kinds := map[string]func(*testing.T, *testenv.Service, testenv.HostOptions) testenv.HostAgent{
		"ssmrun-agent": func(t *testing.T, s *testenv.Service, o testenv.HostOptions) testenv.HostAgent {
			return testenv.OwnAgent(t, s, o)
		},
	}
	names := []string{"ssmrun-agent"}
	if dir := os.Getenv(testenv.EnvGenuine); dir != "" {
		name := "amazon-ssm-agent " + testenv.GenuineVersion(dir)
		names = append(names, name)
		kinds[name] = func(t *testing.T, s *testenv.Service, o testenv.HostOptions) testenv.HostAgent {
			return testenv.GenuineAgent(t, s, o, dir)
		}
	}
	for _, name := range names {
		for _, longPoll := range []bool{false, true} {
			t.Run(name+" "+channelName(longPoll), func(t *testing.T) {
				oneAgent(t, out, name, longPoll, kinds[name])
			})
		}
	}
}

func channelName(longPoll bool) string {
	if longPoll {
		return wire.ChannelLongPoll
	}
	return wire.ChannelMessages
}

func oneAgent(t *testing.T, out *table, name string, longPoll bool, start func(*testing.T, *testenv.Service, testenv.HostOptions) testenv.HostAgent) {
	s := testenv.Start(t, testenv.Options{})
	w := &stopwatch{began: map[string]time.Time{}, took: map[string]time.Duration{}}
	tap := testenv.NewTap(t, s, benchDomain, w.hear)
	id := testenv.NewInstanceID()
	a := start(t, s, testenv.HostOptions{InstanceID: id, LongPoll: longPoll, Endpoint: tap.Plain, TLS: tap.TLS, CA: tap.CA, Domain: benchDomain})
	started := time.Now()
	a.Start()
	testenv.WaitFor(testenv.Context(t), t, "a connected agent", func() (bool, error) {
		o, err := s.SSM().GetConnectionStatus(t.Context(), &ssm.GetConnectionStatusInput{Target: &id})
		return err == nil && o.Status == types.ConnectionStatusConnected, err
	})
	of := ", " + name + ", " + channelName(longPoll)
	out.value("from the start of an unregistered agent until it is connected"+of, ms(time.Since(started)), "")
	var whole []time.Duration
	for range 55 {
		begun := time.Now()
		one(t, s, id)
		whole = append(whole, time.Since(begun))
	}
	out.times("from delivery of `true` to the final reply"+of, w.durations(50), goalFor(name))
	out.times("from SendCommand to the end in ListCommands"+of, whole[5:], "")
	time.Sleep(30 * time.Second) // rest is what is measured
	total := 0
	for _, pid := range a.PIDs() {
		total += rss(t, pid)
	}
	out.value("idle memory, all its processes (VmRSS)"+of, mb(total), map[bool]string{true: "< 15 MB"}[name == "ssmrun-agent"])
	a.Stop()
	s.Stop()
}

func goalFor(name string) string {
	if name == "ssmrun-agent" {
		return "median < 10 ms"
	}
	return ""
}

// one runs `true` and asks until it has ended, by long poll where it may.
func one(t *testing.T, s *testenv.Service, id string) {
	t.Helper()
	out, err := s.SSM().SendCommand(t.Context(), &ssm.SendCommandInput{
		InstanceIds: []string{id}, DocumentName: aws.String("AWS-RunShellScript"), Parameters: map[string][]string{"commands": {"true"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	testenv.WaitFor(testenv.Context(t), t, "the end of `true`", func() (bool, error) {
		list, err := s.SSM().ListCommands(t.Context(), &ssm.ListCommandsInput{CommandId: out.Command.CommandId})
		return err == nil && len(list.Commands) == 1 && list.Commands[0].Status == types.CommandStatusSuccess, err
	})
}

// stopwatch measures from the delivery of a job to its final reply.
type stopwatch struct {
	mu    sync.Mutex
	began map[string]time.Time
	took  map[string]time.Duration
	order []string
}

func (w *stopwatch) hear(m testenv.Said) {
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case m.Operation == wire.OpGetMessages && !m.Agent:
		var r wire.GetMessagesResponse
		if wire.Unmarshal(m.Bytes, &r) == nil {
			for _, one := range r.Messages {
				w.begin(one.MessageID, now)
			}
		}
	case m.Operation == wire.OpSendReply && m.Agent:
		var r wire.SendReplyRequest
		if wire.Unmarshal(m.Bytes, &r) == nil {
			w.end(r.MessageID, r.Payload, now)
		}
	case m.Operation == "" && !m.Text:
		f, err := wire.Decode(m.Bytes)
		if err != nil {
			return
		}
		var job wire.AgentJob
		var reply wire.AgentJobReply
		switch {
		case f.Type == wire.TypeAgentJob && wire.Unmarshal(f.Payload, &job) == nil:
			w.begin(job.JobID, now)
		case f.Type == wire.TypeAgentJobReply && wire.Unmarshal(f.Payload, &reply) == nil:
			w.end(reply.JobID, reply.Content, now)
		}
	}
}

func (w *stopwatch) begin(job string, now time.Time) {
	if _, ok := w.began[job]; !ok {
		w.began[job] = now
		w.order = append(w.order, job)
	}
}

func (w *stopwatch) end(job, content string, now time.Time) {
	if _, over := w.took[job]; !over && strings.Contains(content, `"documentStatus":"Success"`) {
		w.took[job] = now.Sub(w.began[job])
	}
}

// durations are those of the last n jobs.
func (w *stopwatch) durations(n int) (list []time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, job := range w.order[max(0, len(w.order)-n):] {
		if d, ok := w.took[job]; ok {
			list = append(list, d)
		}
	}
	return list
}
