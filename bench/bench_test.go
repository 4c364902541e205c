// Package bench measures the whole product: `make bench` runs it and prints a
// table. Nothing here fails for being slow; a command that is lost or run twice
// does fail.
package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"ssmrun/internal/runner"
	"ssmrun/internal/testenv"
)

// table collects the rows.
type table struct {
	buf bytes.Buffer
	w   *tabwriter.Writer
}

func newTable() *table {
	t := &table{}
	t.w = tabwriter.NewWriter(&t.buf, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t.w, "what\tmedian\tp90\tmost\tn\tgoal")
	return t
}

func (t *table) times(what string, d []time.Duration, goal string) {
	slices.Sort(d)
	fmt.Fprintf(t.w, "%s\t%s\t%s\t%s\t%d\t%s\n", what, ms(d[len(d)/2]), ms(d[len(d)*9/10]), ms(d[len(d)-1]), len(d), goal)
}

func (t *table) value(what, value, goal string) {
	fmt.Fprintf(t.w, "%s\t%s\t\t\t\t%s\n", what, value, goal)
}

func ms(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000) }

func TestTable(t *testing.T) {
	if os.Getenv("SSMRUN_BENCH") == "" {
		t.Skip("a benchmark: run it with make bench")
	}
	out := newTable()
	shells(t, out)
	latency(t, out)
	process(t, out)
	action(t, out)
	memory(t, out)
	fleet(t, out)
	sizes(t, out)
	if err := out.w.Flush(); err != nil {
		t.Fatal(err)
	}
	fmt.Printf("\n%s/%s, %d CPUs, %s\n\n%s\n", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version(), out.buf.String())
}

// shells measures what is the operating system's: fork, exec and exit of sh.
func shells(t *testing.T, out *table) {
	out.times("sh -c true alone (fork, exec, exit)", repeat(t, 200, func() {
		if err := exec.Command("sh", "-c", "true").Run(); err != nil {
			t.Fatal(err)
		}
	}), "")
}

func repeat(t *testing.T, n int, fn func()) []time.Duration {
	t.Helper()
	for range min(n/10+1, 5) {
		fn() // the first ones are cold
	}
	d := make([]time.Duration, n)
	for i := range d {
		started := time.Now()
		fn()
		d[i] = time.Since(started)
	}
	return d
}

// latency measures from the SendCommand call to the terminal status, seen
// through the long poll, as the runner sees it: its checks before are left out.
func latency(t *testing.T, out *table) {
	s := testenv.Start(t, testenv.Options{Agents: 1})
	ctx := t.Context()
	cfg := aws.Config{Region: s.Region, BaseEndpoint: aws.String(s.Endpoint), Credentials: credentials.NewStaticCredentialsProvider(s.AccessKeyID, s.SecretKey, "")}
	spy := &timedSSM{Client: ssm.NewFromConfig(cfg)}
	r := runner.New(runner.Config{SSM: spy, EC2: ec2.NewFromConfig(cfg), Region: s.Region, Endpoint: s.Endpoint})
	req := runner.Request{InstanceIDs: s.InstanceIDs, Document: "AWS-RunShellScript", Parameters: map[string]any{"commands": "true"}, Timeout: time.Minute}
	var whole, shown []time.Duration
	for n := range 210 {
		started := time.Now()
		if _, err := r.Run(ctx, req, nil); err != nil {
			t.Fatal(err)
		}
		if n >= 10 {
			whole = append(whole, time.Since(started))
			shown = append(shown, spy.seen.Sub(spy.sent))
		}
	}
	out.times("SendCommand call to terminal status by long poll, `true`", shown, "median < 15 ms")
	out.times("the runner's whole run, checks and results included", whole, "")
	s.Stop()
}

// timedSSM notes when SendCommand was called and when ListCommands first showed
// the end.
type timedSSM struct {
	*ssm.Client
	sent, seen time.Time
	over       bool
}

func (s *timedSSM) SendCommand(ctx context.Context, in *ssm.SendCommandInput, o ...func(*ssm.Options)) (*ssm.SendCommandOutput, error) {
	s.sent, s.over = time.Now(), false
	return s.Client.SendCommand(ctx, in, o...)
}

func (s *timedSSM) ListCommands(ctx context.Context, in *ssm.ListCommandsInput, o ...func(*ssm.Options)) (*ssm.ListCommandsOutput, error) {
	out, err := s.Client.ListCommands(ctx, in, o...)
	if err == nil && len(out.Commands) == 1 && out.Commands[0].Status == "Success" && !s.over {
		s.seen, s.over = time.Now(), true
	}
	return out, err
}

// process measures `ssmrun run -- true` as a whole process.
func process(t *testing.T, out *table) {
	s := testenv.Start(t, testenv.Options{Agents: 1})
	bin := testenv.Binary(t, "ssmrun")
	out.times("ssmrun run ID -- true, whole process", repeat(t, 50, func() {
		cmd := exec.Command(bin, "run", "-q", s.InstanceIDs[0], "--", "true")
		cmd.Env = s.Env()
		if b, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, b)
		}
	}), "< 100 ms")
	s.Stop()
}

// action measures the Terraform action's share of an apply: from action_start
// to action_complete as -json tells them.
func action(t *testing.T, out *table) {
	terraform := os.Getenv("SSMRUN_TEST_TERRAFORM")
	s := testenv.Start(t, testenv.Options{Agents: 1})
	dir := t.TempDir()
	testenv.WriteFile(t, filepath.Join(dir, "terraform.rc"), fmt.Sprintf("provider_installation {\n  dev_overrides {\n    \"ssmrun/ssmrun\" = %q\n  }\n  direct {}\n}\n", filepath.Dir(testenv.Binary(t, "terraform-provider-ssmrun"))), 0o600)
	testenv.WriteFile(t, filepath.Join(dir, "main.tf"), fmt.Sprintf(`
terraform {
  required_providers {
    aws = { source = "ssmrun/ssmrun" }
  }
}
action "aws_ssm_send_command" "bench" {
  config {
    instance_ids  = [%q]
    document_name = "AWS-RunShellScript"
    parameters    = { commands = ["true"] }
  }
}
`, s.InstanceIDs[0]), 0o600)
	var share, whole []time.Duration
	for range 11 {
		started := time.Now()
		cmd := exec.Command(terraform, "apply", "-json", "-auto-approve", "-invoke=action.aws_ssm_send_command.bench")
		cmd.Dir, cmd.Env = dir, append(s.Env(), "TF_CLI_CONFIG_FILE="+filepath.Join(dir, "terraform.rc"))
		b, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, b)
		}
		whole = append(whole, time.Since(started))
		share = append(share, between(t, b, "action_start", "action_complete"))
	}
	out.times("Terraform: action_start to action_complete", share[1:], "< 150 ms")
	out.times("Terraform: the whole apply -invoke", whole[1:], "")
	s.Stop()
}

func between(t *testing.T, log []byte, from, to string) time.Duration {
	t.Helper()
	at := map[string]time.Time{}
	for line := range bytes.Lines(log) {
		var e struct {
			Type string    `json:"type"`
			At   time.Time `json:"@timestamp"`
		}
		if json.Unmarshal(line, &e) == nil {
			at[e.Type] = e.At
		}
	}
	if at[from].IsZero() || at[to].IsZero() {
		t.Fatalf("no %s and %s in:\n%s", from, to, log)
	}
	return at[to].Sub(at[from])
}

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

func rss(t *testing.T, pid int) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "VmRSS:" {
			kb, _ := strconv.Atoi(f[1])
			return kb * 1024
		}
	}
	return 0
}

func mb(n int) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }

// fleet sends 4 commands to 50 of 100 agents each: 200 invocations.
func fleet(t *testing.T, out *table) {
	const agents = 100
	s := testenv.Start(t, testenv.Options{Agents: agents})
	count := filepath.Join(t.TempDir(), "count")
	client := s.SSM()
	started := time.Now()
	var wg sync.WaitGroup
	for n := range 4 {
		wg.Go(func() {
			ids := s.InstanceIDs[:50]
			if n%2 == 1 {
				ids = s.InstanceIDs[50:]
			}
			cfg := runner.Config{SSM: client, Region: s.Region, Endpoint: s.Endpoint}
			_, err := runner.New(cfg).Run(t.Context(), runner.Request{
				InstanceIDs: ids, Document: "AWS-RunShellScript", Timeout: 2 * time.Minute,
				Parameters: map[string]any{"commands": fmt.Sprintf("echo $AWS_SSM_INSTANCE_ID-%d >> %s", n, count)},
			}, nil)
			if err != nil {
				t.Errorf("command %d: %v", n, err)
			}
		})
	}
	wg.Wait()
	took := time.Since(started)
	b, err := os.ReadFile(count)
	if err != nil {
		t.Fatal(err)
	}
	times := map[string]int{}
	for l := range strings.FieldsSeq(string(b)) {
		times[l]++
	}
	twice := 0
	for _, n := range times {
		if n > 1 {
			twice++
		}
	}
	if len(times) != 200 || twice > 0 {
		t.Errorf("%d of 200 invocations ran, %d of them twice", len(times), twice)
	}
	out.value("200 invocations on 100 agents, all processes on this machine", fmt.Sprintf("%s, %d lost, %d twice", ms(took), 200-len(times), twice), "0 lost, 0 twice")
	s.Stop()
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
