package sim_test

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"ssmrun/internal/sim"
	"ssmrun/internal/testenv"
)

// success checks that a command succeeded on so many, with the simulated output.
func (c client) success(id string, targets int) {
	c.t.Helper()
	cmd := c.until(id, "to be over", over)
	if cmd.Status != types.CommandStatusSuccess || int(cmd.TargetCount) != targets || int(cmd.CompletedCount) != targets || cmd.ErrorCount != 0 {
		c.t.Errorf("command %s is %s: %d of %d, %d errors", id, cmd.Status, cmd.CompletedCount, cmd.TargetCount, cmd.ErrorCount)
	}
	all := c.invocations(id)
	if len(all) != targets {
		c.t.Errorf("command %s has %d invocations, want %d", id, len(all), targets)
	}
	for instance, i := range all {
		if p := i.CommandPlugins; i.Status != types.CommandInvocationStatusSuccess || len(p) != 1 || p[0].ResponseCode != 0 ||
			!strings.Contains(*p[0].Output, "simulated on "+instance) {
			c.t.Errorf("%s: %s %+v", instance, i.Status, p)
		}
	}
}

// TestFleet: two hundred agents, every result once, and after a kill of the
// service and a start elsewhere everyone is back.
func TestFleet(t *testing.T) {
	t.Parallel()
	const agents = 200
	data := filepath.Join(t.TempDir(), "data")
	activations := activate(t, data, 120, 80)
	s := testenv.Start(t, testenv.Options{Data: data, Args: []string{"--log-level", "warn"}})
	state := filepath.Join(t.TempDir(), "sim.json")
	cfg := sim.Config{
		Agents: agents, Place: sim.File(filepath.Join(data, "endpoint.json")), Activations: activations, State: state,
		Sources: []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.0.2")},
	}
	f := run(t, cfg)
	first := f.wait()
	ids := slices.Compact(slices.Sorted(slices.Values(first.IDs)))
	if len(ids) != agents || first.Connected != agents || first.Again != 0 {
		t.Fatalf("%d ids, %d connected, %d", len(ids), first.Connected, first.Again)
	}
	c := client{t, s.SSM()}
	for _, id := range c.send(ids) {
		c.success(id, 50)
	}

	s.Kill()
	s.Restart()
	c = client{t, s.SSM()}
	if again := f.wait(); again.Again != 1 || !slices.Equal(again.IDs, first.IDs) {
		t.Errorf("after the restart: %d, other ids", again.Again)
	}
	for _, id := range c.send(ids) {
		c.success(id, 50)
	}
	r := f.stop()
	r.Duplicates = 0 // a slow machine's acknowledgements take longer than a resend
	if want := (sim.Report{Agents: agents, Jobs: 2 * agents, Answered: 2 * agents, Acknowledged: 2 * agents}); r != want {
		t.Errorf("report %+v, want %+v", r, want)
	}

	// Another simulator with the same state is the same instances, without any
	// activation.
	cfg.Activations, cfg.ExitCode = nil, 3
	f = run(t, cfg)
	if again := f.wait(); !slices.Equal(again.IDs, first.IDs) || again.Registered > 1 {
		t.Error("the state was not used")
	}
	sent := c.send(ids[:5])[0]
	if cmd := c.until(sent, "to be over", over); cmd.Status != types.CommandStatusFailed || cmd.ErrorCount != 5 {
		t.Errorf("with exit code 3: %s, %d errors", cmd.Status, cmd.ErrorCount)
	}
}

// TestAnsweredTwice: the first result stays, and the service counts it once.
func TestAnsweredTwice(t *testing.T) {
	t.Parallel()
	const agents = 40
	data := filepath.Join(t.TempDir(), "data")
	activations := activate(t, data, agents)
	s := testenv.Start(t, testenv.Options{Data: data, Args: []string{"--log-level", "warn"}})
	f := run(t, sim.Config{
		Agents: agents, Place: sim.File(filepath.Join(data, "endpoint.json")), Activations: activations,
		Answer: sim.Answer{Twice: 0.5},
	})
	c := client{t, s.SSM()}
	ids := f.wait().IDs
	sent := c.send(ids)[0]
	c.success(sent, agents)
	// What they say twice comes before their answers to another command.
	c.success(c.send(ids)[0], agents)
	c.success(sent, agents)
	if r := f.stop(); r.Twice != agents || r.Answered != 2*agents || r.Acknowledged != 2*agents || r.Owed != 0 {
		t.Errorf("report %+v", r)
	}
}

// TestCancel: commands that take long are ended by a cancel, and silent agents
// tell nothing.
func TestCancel(t *testing.T) {
	t.Parallel()
	const agents = 10
	data := filepath.Join(t.TempDir(), "data")
	activations := activate(t, data, agents)
	s := testenv.Start(t, testenv.Options{Data: data, Args: []string{"--log-level", "warn"}})
	f := run(t, sim.Config{
		Agents: agents, Place: sim.File(filepath.Join(data, "endpoint.json")), Activations: activations,
		Answer: sim.Answer{Delay: time.Hour, Silent: 0.2},
	})
	c := client{t, s.SSM()}
	sent := c.send(f.wait().IDs)[0]
	taken := func(types.Command) bool {
		for _, i := range c.invocations(sent) {
			if i.Status == types.CommandInvocationStatusPending {
				return false
			}
		}
		return true
	}
	c.until(sent, "to be taken by all", taken)
	if _, err := c.CancelCommand(t.Context(), &ssm.CancelCommandInput{CommandId: &sent}); err != nil {
		t.Fatal(err)
	}
	c.until(sent, "to have 8 results", func(cmd types.Command) bool { return cmd.CompletedCount == 8 })
	counts := map[types.CommandInvocationStatus]int{}
	for _, i := range c.invocations(sent) {
		counts[i.Status]++
	}
	if counts[types.CommandInvocationStatusCancelled] != 8 || len(counts) != 2 {
		t.Errorf("statuses %v", counts)
	}
	if r := f.stop(); r.Jobs != agents || r.Cancels < agents || r.Answered != 8 {
		t.Errorf("report %+v", r)
	}
	s.Kill() // it would drain for what the silent ones owe
}

// TestMainProgram: the flags, the service's own key in place of role tokens, and
// the end.
func TestMainProgram(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	a := activate(t, data, 3)[0]
	s := testenv.Start(t, testenv.Options{Data: data, Args: []string{"--log-level", "warn"}})
	connected := filepath.Join(t.TempDir(), "connected.json")
	p := start(t, "--agents", "3", "--ready-file", filepath.Join(filepath.Dir(data), "ready.json"), "--activation", a.ID+":"+a.Code,
		"--connected-file", connected)
	var first, written sim.Connected
	p.line(&first)
	b, err := os.ReadFile(connected)
	if err == nil {
		err = json.Unmarshal(b, &written)
	}
	if err != nil || written.Connected != 3 || !slices.Equal(written.IDs, first.IDs) {
		t.Errorf("connected file: %+v, %v", written, err)
	}
	c := client{t, s.SSM()}
	c.success(c.send(first.IDs)[0], 3)
	var r sim.Report
	p.end(&r)
	r.Duplicates = 0 // see TestFleet
	if want := (sim.Report{Agents: 3, Jobs: 3, Answered: 3, Acknowledged: 3}); r != want {
		t.Errorf("report %+v, want %+v", r, want)
	}
	audit, err := os.ReadFile(filepath.Join(data, "audit.log"))
	if err != nil || bytes.Contains(audit, []byte("RequestManagedInstanceRoleToken")) || !bytes.Contains(audit, []byte("CreateControlChannel")) {
		t.Errorf("role tokens were asked for, or no channel: %v", err)
	}
}

// TestTooFewActivations: what was registered is kept, and the error says what to
// do.
func TestTooFewActivations(t *testing.T) {
	t.Parallel()
	data, state := filepath.Join(t.TempDir(), "data"), filepath.Join(t.TempDir(), "sim.json")
	activations := activate(t, data, 2, 3)
	testenv.Start(t, testenv.Options{Data: data, Args: []string{"--log-level", "warn"}})
	cfg := sim.Config{Agents: 5, Place: sim.File(filepath.Join(data, "endpoint.json")), State: state, Activations: activations[:1]}
	f, err := sim.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "2 of 5") || !strings.Contains(err.Error(), "another --activation") {
		t.Errorf("got %v", err)
	}
	cfg.Activations = activations[1:]
	if ids := run(t, cfg).wait().IDs; len(ids) != 5 {
		t.Errorf("%d agents", len(ids))
	}
}
