package bench

import (
	"context"
	"os/exec"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"ssmrun/internal/runner"
	"ssmrun/internal/testenv"
)

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
