package conformance

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/sts"

	"ssmrun/internal/testenv"
)

// What <group> may be: a group of nothing that there is, one without members,
// and one of the nodes that have a tag.
const (
	groupMissing = "conformance-none"
	groupEmpty   = "conformance-empty"
	groupOfNodes = "conformance-nodes"
	groupTag     = "conformance"
	groupValue   = "yes"
)

// bucket is where outputs go.
const bucket = "conformance-outputs"

// haste is how much shorter a long sleep is on a hurried service.
const haste = 50

// world is the services that a run needs: few, and shared by the cases.
type world struct {
	services map[place]*station
}

// station is a service with its nodes.
type station struct {
	*testenv.Service
	caller string // ARN
	nodes  []string
	// pausable are nodes that one case at a time may keep from answering.
	pausable []string
	pausing  sync.Mutex
	mu       sync.Mutex
	busy     map[string]int // cases per node
	lacks    string         // why the service is not what it should be; "" where it is
}

// build starts the services that the plans need.
func build(t *testing.T, plans []*plan) *world {
	t.Helper()
	w := &world{services: map[place]*station{}}
	help := helpOfServe(t)
	for _, p := range []place{still, atWork, hurried, racing} {
		if !slices.ContainsFunc(plans, func(one *plan) bool { return one.place == p }) {
			continue
		}
		s := &station{busy: map[string]int{}}
		switch p {
		case atWork:
			o := testenv.Options{Agents: 6, Buckets: []string{bucket}}
			if strings.Contains(help, "--resource-group") {
				o.Args = []string{"--resource-group", groupOfNodes + "=tag:" + groupTag + "=" + groupValue, "--resource-group", groupEmpty + "=tag:" + groupTag + "=nobody"}
			}
			s.Service = testenv.Start(t, o)
			s.pausable, s.nodes = s.InstanceIDs[:2], s.InstanceIDs[2:]
		case still:
			s.startStill(t)
		case hurried:
			s.Service = testenv.Start(t, testenv.Options{Agents: 2, Args: []string{"--local-agent-path", hurriedPath(t)}})
			s.nodes = s.InstanceIDs
		case racing:
			o := testenv.Options{Agents: 2, Args: []string{"--emulate", "aws-races"}}
			if !strings.Contains(help, "--emulate") {
				o.Args, s.lacks = nil, "`ssmrun serve` has no --emulate"
			}
			s.Service = testenv.Start(t, o)
			s.nodes = s.InstanceIDs
		}
		slices.Sort(s.nodes)
		slices.Sort(s.pausable)
		who, err := s.STS().GetCallerIdentity(testenv.Context(t), &sts.GetCallerIdentityInput{})
		if err != nil {
			t.Fatalf("ask who the caller is: %v", err)
		}
		s.caller = *who.Arn
		w.services[p] = s
	}
	return w
}

// helpOfServe tells which flags the service has.
func helpOfServe(t *testing.T) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), testenv.Binary(t, "ssmrun"), "serve", "--help").CombinedOutput()
	if err != nil {
		t.Fatalf("ssmrun serve --help: %v\n%s", err, out)
	}
	return string(out)
}

// hurriedPath is a PATH with a `sleep` that makes long ones short, so that a
// script of minutes is over in seconds and nothing else of it changes.
func hurriedPath(t *testing.T) string {
	t.Helper()
	real, err := exec.LookPath("sleep")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	script := fmt.Sprintf("#!/bin/sh\ncase $1 in\n*[!0-9]* | '') ;;\n*) [ \"$1\" -lt %d ] || set -- $(($1 / %d)) ;;\nesac\nexec %s \"$@\"\n", longest, haste, real)
	testenv.WriteFile(t, filepath.Join(dir, "sleep"), script, 0o755)
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil { //nolint:gosec // the agents look into it
		t.Fatal(err)
	}
	return dir + ":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
}

// startStill starts a service whose only agent worked and was killed, so that
// nobody said goodbye. A service's own agent it would start again; so the agent
// is the test's.
func (s *station) startStill(t *testing.T) {
	t.Helper()
	first := testenv.Start(t, testenv.Options{Agents: 1})
	s.nodes = first.InstanceIDs
	dir := filepath.Join(first.Data, "agents", s.nodes[0])
	first.Stop()
	s.Service = testenv.Start(t, testenv.Options{Data: first.Data})
	agent := exec.CommandContext(t.Context(), testenv.Binary(t, "ssmrun-agent"), "--state", dir,
		"--endpoint-file", filepath.Join(s.Data, "endpoint.json"), "--work-dir", filepath.Join(dir, "work"))
	agent.Env = testenv.CleanEnv()
	if err := agent.Start(); err != nil {
		t.Fatal(err)
	}
	// At work is who has done something: being Online may be a memory.
	ctx, input := t.Context(), map[string]any{
		"DocumentName": "AWS-RunShellScript", "InstanceIds": s.nodes, "Parameters": map[string]any{"commands": []string{"true"}},
	}
	var sent *answer
	err := until(ctx, testenv.StartTimeout, "the agent is there", func() (bool, error) {
		var err error
		sent, err = call(ctx, s.Service, "SendCommand", input)
		return err == nil && sent.problem() == "", err
	})
	if err == nil {
		err = settle(ctx, s.Service, textAt(sent.body, "Command", "CommandId"))
	}
	err = errors.Join(err, agent.Process.Kill())
	_ = agent.Wait() // killed
	if err != nil {
		t.Fatalf("have an agent that worked and is gone: %v", err)
	}
}

// lease gives n nodes, sorted, and gives them back with done. Nodes to be paused
// are for one case at a time.
func (s *station) lease(n int, pause bool) (ids []string, done func()) {
	if pause && len(s.pausable) >= n {
		s.pausing.Lock()
		return s.pausable[:n], s.pausing.Unlock
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	ids = slices.Clone(s.nodes)
	slices.SortStableFunc(ids, func(a, b string) int { return s.busy[a] - s.busy[b] })
	ids = ids[:min(n, len(ids))]
	for _, id := range ids {
		s.busy[id]++
	}
	slices.Sort(ids)
	return ids, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, id := range ids {
			s.busy[id]--
		}
	}
}

// pause keeps the agents of nodes from doing anything, until go on is called.
// The service does not notice: their connections stay.
func (s *station) pause(ids []string) (goOn func(), err error) {
	var pids []int
	goOn = func() {
		for _, pid := range pids {
			_ = syscall.Kill(pid, syscall.SIGCONT)
		}
	}
	for _, id := range ids {
		pid := s.AgentPID(id)
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
			return goOn, fmt.Errorf("pause the agent of %s: %w", id, err)
		}
		pids = append(pids, pid)
	}
	return goOn, nil
}
