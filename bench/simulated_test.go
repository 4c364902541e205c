package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"ssmrun/internal/sim"
	"ssmrun/internal/testenv"
)

// simulator is ssmrun-sim as a process of its own.
type simulator struct {
	cmd   *exec.Cmd
	out   *bufio.Reader
	first sim.Connected
}

// activationLimit is how many instances may register with one activation.
const activationLimit = 1000

// simulate registers and connects simulated agents, each with role tokens of its
// own. All carry the tag fleet=sim afterwards.
func simulate(t *testing.T, s *testenv.Service, agents int) *simulator {
	t.Helper()
	f := launch(t, s, agents)
	tag(t, s, f.first.IDs)
	return f
}

// launch registers and connects simulated agents, by TLS where the service has it.
func launch(t *testing.T, s *testenv.Service, agents int, args ...string) *simulator {
	t.Helper()
	args = append(args, "--agents", fmt.Sprint(agents))
	if s.TLSEndpoint != "" {
		args = append(args, "--endpoint", s.TLSEndpoint, "--ca-file", s.CAFile)
	} else {
		args = append(args, "--endpoint-file", filepath.Join(s.Data, "endpoint.json"))
	}
	for left := agents; left > 0; left -= activationLimit {
		a, err := s.SSM().CreateActivation(t.Context(), &ssm.CreateActivationInput{
			IamRole: aws.String(testenv.DefaultRole), RegistrationLimit: aws.Int32(activationLimit),
			ExpirationDate: aws.Time(time.Now().Add(24 * time.Hour)),
		})
		if err != nil {
			t.Fatal(err)
		}
		args = append(args, "--activation", *a.ActivationId+":"+*a.ActivationCode)
	}
	f := &simulator{cmd: exec.Command(testenv.Binary(t, "ssmrun-sim"), args...)}
	f.cmd.Env, f.cmd.Stderr = testenv.CleanEnv(), os.Stderr
	out, err := f.cmd.StdoutPipe()
	if err == nil {
		err = f.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = f.cmd.Process.Kill()
		_ = f.cmd.Wait()
	})
	f.out = bufio.NewReaderSize(out, 1<<20)
	f.read(t, &f.first)
	return f
}

func (f *simulator) read(t *testing.T, into any) {
	t.Helper()
	b, err := f.out.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(b, into)
	}
	if err != nil {
		t.Fatalf("the simulator said %.100q: %v", b, err)
	}
}

// stop ends the simulator and gives its report.
func (f *simulator) stop(t *testing.T) (r sim.Report) {
	t.Helper()
	_ = f.cmd.Process.Signal(syscall.SIGTERM)
	f.read(t, &r)
	if err := f.cmd.Wait(); err != nil {
		t.Errorf("the simulator ended with %v", err)
	}
	return r
}

// tag tags instances with fleet=sim, 16 calls at a time.
func tag(t *testing.T, s *testenv.Service, ids []string) {
	t.Helper()
	client := s.SSM()
	var wg sync.WaitGroup
	for part := range slices.Chunk(ids, len(ids)/16+1) {
		wg.Go(func() {
			for _, id := range part {
				_, err := client.AddTagsToResource(t.Context(), &ssm.AddTagsToResourceInput{
					ResourceType: types.ResourceTypeForTaggingManagedInstance, ResourceId: &id,
					Tags: []types.Tag{{Key: aws.String("fleet"), Value: aws.String("sim")}},
				})
				if err != nil {
					t.Errorf("tag %s: %v", id, err)
					return
				}
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
}

// everywhere sends a command to all with the tag and waits until the service has
// all results.
func everywhere(t *testing.T, s *testenv.Service) types.Command {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	client := s.SSM()
	sent, err := client.SendCommand(ctx, &ssm.SendCommandInput{
		DocumentName: aws.String("AWS-RunShellScript"), Parameters: map[string][]string{"commands": {"true"}},
		Targets:        []types.Target{{Key: aws.String("tag:fleet"), Values: []string{"sim"}}},
		MaxConcurrency: aws.String("100%"), MaxErrors: aws.String("100%"),
	})
	if err != nil {
		t.Fatal(err)
	}
	for tick := time.NewTicker(20 * time.Millisecond); ; <-tick.C {
		out, err := client.ListCommands(ctx, &ssm.ListCommandsInput{CommandId: sent.Command.CommandId})
		if err != nil {
			t.Fatal(err)
		}
		switch c := out.Commands[0]; c.Status {
		case types.CommandStatusPending, types.CommandStatusInProgress:
		default:
			tick.Stop()
			return c
		}
	}
}

// rest is how long processes rest before their memory is read.
const rest = 15 * time.Second

// simulated measures one command to thousands of simulated agents.
func simulated(t *testing.T, out *table) {
	const rounds = 5
	agents := number(t, "SSMRUN_BENCH_AGENTS", 10000)
	s := testenv.Start(t, testenv.Options{Args: append(profiled("simulated"), "--log-level", "warn")})
	empty := rss(t, s.PID())
	before := cpu(t, s.PID())
	f := simulate(t, s, agents)
	out.value(fmt.Sprintf("%d simulated agents register", agents), seconds(f.first.Registered), "")
	out.value(fmt.Sprintf("%d simulated agents connect, role tokens included", agents), seconds(f.first.Seconds), "")
	out.value("processor time of the service for both and the tags, per agent", micros(cpu(t, s.PID())-before, agents), "")
	out.value("processor time of the simulator for both, per agent", micros(cpu(t, f.cmd.Process.Pid), agents), "")
	time.Sleep(rest) // rest is what is measured
	full := rss(t, s.PID())
	out.value(fmt.Sprintf("memory of the service, %d agents (VmRSS)", agents), fmt.Sprintf("%s, %d KB per agent", mb(full), (full-empty)/agents/1000), "< 100 KB per agent")
	out.value(fmt.Sprintf("memory of the simulator, %d agents (VmRSS)", agents), mb(rss(t, f.cmd.Process.Pid)), "")

	// A service that stops leaves no log beside its database, so that its size can
	// be told; and the agents have to come back.
	s.Stop()
	size := diskUse(t, s.Data)
	s.Restart()
	ready := time.Now()
	var again sim.Connected
	f.read(t, &again)
	out.value(fmt.Sprintf("%d simulated agents are back after the service was started again", agents), seconds(time.Since(ready).Seconds()), "")
	began, simBegan := cpu(t, s.PID()), cpu(t, f.cmd.Process.Pid)
	var took []time.Duration
	for range rounds {
		started := time.Now()
		c := everywhere(t, s)
		took = append(took, time.Since(started))
		if int(c.TargetCount) != agents || c.CompletedCount != c.TargetCount || c.ErrorCount != 0 || c.Status != types.CommandStatusSuccess {
			t.Errorf("command %s is %s: %d of %d of %d, %d errors", *c.CommandId, c.Status, c.CompletedCount, c.TargetCount, agents, c.ErrorCount)
		}
	}
	after := rss(t, s.PID())
	service, simulator := cpu(t, s.PID())-began, cpu(t, f.cmd.Process.Pid)-simBegan
	// Offered again is not run again: the simulator knows what it has taken, as an
	// agent does, so that it took as many commands as were sent.
	r := f.stop(t)
	if int(r.Jobs) != rounds*agents || r.Answered != r.Jobs || r.Owed != 0 {
		t.Errorf("the simulator took %d commands, answered %d and owes %d; want %d and nothing", r.Jobs, r.Answered, r.Owed, rounds*agents)
	}
	slices.Sort(took)
	median := took[rounds/2]
	out.value(fmt.Sprintf("a command to %d simulated agents by tag, until all results are recorded", agents),
		fmt.Sprintf("%s, %.0f invocations/s, %d lost, %d offered again", ms(median), float64(agents)/median.Seconds(), int64(rounds*agents)-r.Acknowledged, r.Duplicates), "0 lost, 0 twice")
	out.value("  slowest and fastest of 5", fmt.Sprintf("%s, %s", ms(took[rounds-1]), ms(took[0])), "")
	out.value("  processor time of the service per invocation", micros(service, rounds*agents), "")
	out.value("  processor time of the simulator per invocation", micros(simulator, rounds*agents), "")
	out.value("  memory of the service afterwards (VmRSS)", mb(after), "")
	s.Stop()
	out.value("  disk per invocation", fmt.Sprintf("%d bytes", (diskUse(t, s.Data)-size)/(rounds*agents)), "")
}

// overTLS measures what agents that are connected by TLS hold.
func overTLS(t *testing.T, out *table) {
	agents := number(t, "SSMRUN_BENCH_AGENTS", 10000)
	s := testenv.Start(t, testenv.Options{Args: append(profiled("tls"), "--log-level", "warn"), TLSDomain: "bench.test"})
	empty, before := rss(t, s.PID()), cpu(t, s.PID())
	f := launch(t, s, agents)
	out.value(fmt.Sprintf("processor time of the service to register and connect %d agents by TLS, per agent", agents), micros(cpu(t, s.PID())-before, agents), "")
	time.Sleep(rest) // rest is what is measured
	full := rss(t, s.PID())
	out.value(fmt.Sprintf("memory of the service, %d agents by TLS (VmRSS)", agents), fmt.Sprintf("%s, %d KB per agent", mb(full), (full-empty)/agents/1000), "< 100 KB per agent")
	if r := f.stop(t); r.Owed != 0 {
		t.Errorf("the simulator owes %d answers", r.Owed)
	}
}

// diskUse is how big the database is, its log included.
func diskUse(t *testing.T, data string) (sum int) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(data, "ssmrun.db*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if info, err := os.Stat(f); err == nil {
			sum += int(info.Size())
		}
	}
	return sum
}

func seconds(s float64) string { return fmt.Sprintf("%.1f s", s) }

// micros is a duration's share of each of n.
func micros(d time.Duration, n int) string {
	return fmt.Sprintf("%.0f µs", float64(d.Microseconds())/float64(n))
}
