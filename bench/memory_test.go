package bench

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"ssmrun/internal/testenv"
)

// memory measures what idle processes hold: the service with three agents, and
// the agents, after a command and half a minute of rest.
func memory(t *testing.T, out *table) {
	s := testenv.Start(t, testenv.Options{Agents: 3})
	cmd := exec.Command(testenv.Binary(t, "ssmrun"), "run", "-q", "--all", "--", "true")
	cmd.Env = s.Env()
	if b, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, b)
	}
	time.Sleep(30 * time.Second) // rest is what is measured
	out.value("memory of the idle service, 3 agents (VmRSS)", mb(rss(t, s.PID())), "< 60 MB")
	worst := 0
	for _, id := range s.InstanceIDs {
		worst = max(worst, rss(t, s.AgentPID(id)))
	}
	out.value("memory of an idle local agent (VmRSS)", mb(worst), "")
	s.Stop()
	out.value("memory of an idle ssmrun-agent (VmRSS)", mb(agentAlone(t)), "< 20 MB")
}

// agentAlone measures the small program.
func agentAlone(t *testing.T) int {
	s := testenv.Start(t, testenv.Options{Agents: 1})
	id := s.InstanceIDs[0]
	dir := filepath.Join(s.Data, "agents", id)
	s.Stop() // the local agent makes room for the small one on the same state
	s = testenv.Start(t, testenv.Options{Data: s.Data})
	cmd := exec.Command(testenv.Binary(t, "ssmrun-agent"), "--state", dir, "--endpoint-file", filepath.Join(s.Data, "endpoint.json"), "--work-dir", filepath.Join(dir, "work"))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	for ctx := testenv.Context(t); ctx.Err() == nil; time.Sleep(50 * time.Millisecond) {
		run := exec.Command(testenv.Binary(t, "ssmrun"), "run", "-q", "--wait", "20s", id, "--", "true")
		run.Env = s.Env()
		if run.Run() == nil {
			break
		}
	}
	time.Sleep(30 * time.Second)
	defer s.Stop()
	return rss(t, cmd.Process.Pid)
}

func sizes(t *testing.T, out *table) {
	for _, name := range []string{"ssmrun", "ssmrun-agent", "terraform-provider-ssmrun"} {
		info, err := os.Stat(testenv.Binary(t, name))
		if err != nil {
			t.Fatal(err)
		}
		out.value("size of "+name, mb(int(info.Size())), "")
	}
}
