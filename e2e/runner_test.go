package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"ssmrun"
	"ssmrun/internal/runner"
	"ssmrun/internal/testenv"
)

// through is a runner that talks to the service through a proxy.
func through(t *testing.T, s *testenv.Service) (*runner.Runner, *testenv.Proxy) {
	t.Helper()
	p := testenv.NewProxy(t, s.Endpoint)
	cfg := s.Config(s.Region)
	cfg.BaseEndpoint = aws.String(p.URL)
	return runner.New(runner.Config{
		SSM: ssm.NewFromConfig(cfg), EC2: ec2.NewFromConfig(cfg), Region: s.Region, Endpoint: p.URL,
		S3: func(region string) runner.S3 {
			return s3.NewFromConfig(cfg, func(o *s3.Options) { o.UsePathStyle, o.Region = true, region })
		},
	}), p
}

// modes runs a test on a service as it is, and on one that shows the races and
// throttles of AWS. The runner has to be right on both.
func modes(t *testing.T, test func(t *testing.T, start func(testenv.Options) *testenv.Service)) {
	t.Helper()
	for name, args := range map[string][]string{"consistent": nil, "aws-races": {"--emulate", "aws-races"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, func(o testenv.Options) *testenv.Service {
				t.Helper()
				o.Args = append(o.Args, args...)
				return testenv.Start(t, o)
			})
		})
	}
}

// counted is a request whose script leaves one line per run in a file.
func counted(t *testing.T, s *testenv.Service) (runner.Request, func() int) {
	t.Helper()
	count := filepath.Join(t.TempDir(), "count")
	req := runner.Request{
		InstanceIDs: s.InstanceIDs, Document: "AWS-RunShellScript", Timeout: time.Minute,
		Parameters: map[string]any{"commands": []any{"echo run >> " + count, "echo answered"}},
	}
	return req, func() int {
		b, _ := os.ReadFile(count)
		return strings.Count(string(b), "run\n")
	}
}

// TestNoScriptRunsTwice breaks calls in every way that makes an SDK or a person
// repeat them, on a real service with a real agent.
func TestNoScriptRunsTwice(t *testing.T) {
	t.Parallel()
	modes(t, noScriptRunsTwice)
}

func noScriptRunsTwice(t *testing.T, start func(testenv.Options) *testenv.Service) {
	s := start(testenv.Options{Agents: 1})
	for _, c := range []struct {
		name    string
		set     func(*testenv.Proxy)
		adopted bool
		fails   bool
		runs    int
	}{
		{"nothing breaks", func(*testenv.Proxy) {}, false, false, 1},
		{"the answer of SendCommand is lost", func(p *testenv.Proxy) { p.Next("SendCommand", testenv.DropAnswer) }, true, false, 1},
		{"SendCommand answers 500 after accepting", func(p *testenv.Proxy) { p.Next("SendCommand", testenv.BreakAfter) }, true, false, 1},
		{"SendCommand is throttled twice", func(p *testenv.Proxy) { p.Next("SendCommand", testenv.Throttle, testenv.Throttle) }, false, false, 1},
		{"a read is cut", func(p *testenv.Proxy) { p.Next("ListCommands", testenv.DropAnswer) }, false, false, 1},
		{"every long poll is cut", func(p *testenv.Proxy) {
			p.Next("ListCommands", testenv.Pass, testenv.Refuse, testenv.Refuse, testenv.Refuse)
		}, false, false, 1},
		{"reads break", func(p *testenv.Proxy) {
			p.Next("ListCommands", testenv.Break)
			p.Next("ListCommandInvocations", testenv.Break)
			p.Next("DescribeInstanceInformation", testenv.Break)
			p.Next("DescribeDocument", testenv.Break)
		}, false, false, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r, p := through(t, s)
			c.set(p)
			req, runs := counted(t, s)
			req.Outputs = runner.OutputsOfAll
			adopted := false
			result, err := r.Run(testenv.Context(t), req, func(e runner.Event) {
				if sent, ok := e.(runner.Sent); ok {
					adopted = sent.Adopted
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			if adopted != c.adopted || runs() != c.runs {
				t.Errorf("adopted %v, ran %d times", adopted, runs())
			}
			if got := result.Instances[0].Plugins[0].Stdout.Head; got != "answered\n" {
				t.Errorf("output %q", got)
			}
		})
	}
}

// TestAmbiguousSendIsNotRepeated: the answer is lost and nothing can be looked
// up any more.
func TestAmbiguousSendIsNotRepeated(t *testing.T) {
	t.Parallel()
	s := testenv.Start(t, testenv.Options{Agents: 1})
	r, p := through(t, s)
	p.Next("SendCommand", testenv.DropAnswer)
	p.Always("ListCommands", testenv.Empty)
	req, runs := counted(t, s)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	_, err := r.Run(ctx, req, nil)
	if runner.KindOf(err) != runner.KindAmbiguous || !strings.Contains(err.Error(), "may have been accepted") {
		t.Errorf("got %v", err)
	}
	if n := p.Seen("SendCommand"); n != 1 || runs() > 1 {
		t.Errorf("SendCommand was called %d times, the script ran %d times", n, runs())
	}
}

// TestTimeoutLeavesWhatRuns: what has begun is left alone and named, what has
// not is cancelled.
func TestTimeoutLeavesWhatRuns(t *testing.T) {
	t.Parallel()
	modes(t, timeoutLeavesWhatRuns)
}

func timeoutLeavesWhatRuns(t *testing.T, start func(testenv.Options) *testenv.Service) {
	s := start(testenv.Options{Agents: 2})
	dir := t.TempDir()
	started, gate := filepath.Join(dir, "started"), filepath.Join(dir, "gate")
	for _, f := range []string{started, gate} {
		if err := syscall.Mkfifo(f, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r, _ := through(t, s)
	ctx := testenv.Context(t)
	first := s.InstanceIDs[0]
	go func() { _, _ = os.ReadFile(started) }()
	result, err := r.Run(ctx, runner.Request{
		InstanceIDs: s.InstanceIDs, Document: "AWS-RunShellScript", Timeout: 3 * time.Second, MaxConcurrency: "1",
		Parameters: map[string]any{"commands": []any{"echo > " + started, "cat " + gate}},
	}, nil)
	if runner.KindOf(err) != runner.KindTimeout {
		t.Fatalf("got %v", err)
	}
	_, detail := runner.Explain(err, runner.ReportOptions{})
	if !strings.Contains(detail, first) || !strings.Contains(detail, "cancel") || !strings.Contains(detail, result.CommandID()) {
		t.Errorf("the text does not say how to go on:\n%s", detail)
	}
	for _, i := range result.Instances {
		want := ssmrun.InProgress
		if i.ID != first {
			want = ssmrun.Cancelled
		}
		if i.State.Status != want {
			t.Errorf("%s is %s, want %s", i.ID, i.State, want)
		}
	}
	w, err := os.OpenFile(gate, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_ = w.Close()
}

// TestInterruptCancels: a cancelled context cancels the command on the service.
func TestInterruptCancels(t *testing.T) {
	t.Parallel()
	modes(t, interruptCancels)
}

func interruptCancels(t *testing.T, start func(testenv.Options) *testenv.Service) {
	s := start(testenv.Options{Agents: 1})
	mark := filepath.Join(t.TempDir(), "mark")
	if err := syscall.Mkfifo(mark, 0o600); err != nil {
		t.Fatal(err)
	}
	r, _ := through(t, s)
	ctx, interrupt := context.WithCancel(testenv.Context(t))
	go func() {
		_, _ = os.ReadFile(mark) // the script has begun
		interrupt()
	}()
	result, err := r.Run(ctx, runner.Request{
		InstanceIDs: s.InstanceIDs, Document: "AWS-RunShellScript", Timeout: time.Minute,
		Parameters: map[string]any{"commands": fmt.Sprintf("echo $$ > %s; sleep 600", mark)},
	}, nil)
	if runner.KindOf(err) != runner.KindCancelled || result == nil || result.Instances[0].State.Status != ssmrun.Cancelled {
		t.Fatalf("got %v, %+v", err, result)
	}
	shown, err := r.Show(testenv.Context(t), result.CommandID(), runner.OutputsOfAll)
	if err != nil || shown.Commands[0].State.Status != ssmrun.Cancelled {
		t.Errorf("on the service: %+v, %v", shown, err)
	}
}

// TestOfflineInstanceIsRefused: its agent is known and gone.
func TestOfflineInstanceIsRefused(t *testing.T) {
	t.Parallel()
	modes(t, offlineInstanceIsRefused)
}

func offlineInstanceIsRefused(t *testing.T, start func(testenv.Options) *testenv.Service) {
	s := start(testenv.Options{Agents: 1})
	data, id := s.Data, s.InstanceIDs[0]
	s.Stop() // with its agent
	s = start(testenv.Options{Data: data})
	r, p := through(t, s)
	_, err := r.Run(testenv.Context(t), runner.Request{
		InstanceIDs: []string{id}, Document: "AWS-RunShellScript", Parameters: map[string]any{"commands": "true"},
	}, nil)
	_, detail := runner.Explain(err, runner.ReportOptions{})
	if runner.KindOf(err) != runner.KindInvalid || !strings.Contains(err.Error()+detail, id) || p.Seen("SendCommand") != 0 {
		t.Errorf("got %v", err)
	}
}
