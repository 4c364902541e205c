package daemon_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"ssmrun/internal/agent"
	"ssmrun/internal/sigv4"
	"ssmrun/internal/testenv"
)

// send sends a document to one local agent.
func send(t *testing.T, s *testenv.Service, document string, parameters map[string][]string, agent int, change ...func(*ssm.SendCommandInput)) string {
	t.Helper()
	in := &ssm.SendCommandInput{DocumentName: aws.String(document), InstanceIds: []string{s.InstanceIDs[agent]}, Parameters: parameters}
	for _, c := range change {
		c(in)
	}
	out, err := s.SSM().SendCommand(testenv.Context(t), in)
	if err != nil {
		t.Fatal(err)
	}
	return aws.ToString(out.Command.CommandId)
}

func shell(lines ...string) map[string][]string { return map[string][]string{"commands": lines} }

// wait waits for the end of a command by the long poll and gives its status.
func wait(t *testing.T, s *testenv.Service, command string) types.Command {
	t.Helper()
	return waitBy(t, s.SSM(), command)
}

func waitBy(t *testing.T, client *ssm.Client, command string) types.Command {
	t.Helper()
	ctx := testenv.Context(t)
	revision := "-1"
	for {
		var header http.Header
		out, err := client.ListCommands(ctx, &ssm.ListCommandsInput{CommandId: aws.String(command)}, longPoll(revision, &header))
		if err != nil || len(out.Commands) != 1 {
			t.Fatalf("wait for %s: %d commands, %v", command, len(out.Commands), err)
		}
		switch c := out.Commands[0]; c.Status {
		case types.CommandStatusPending, types.CommandStatusInProgress:
			revision = header.Get("X-Ssmrun-Revision")
		default:
			return c
		}
	}
}

func invocation(t *testing.T, s *testenv.Service, command string, agent int) *ssm.GetCommandInvocationOutput {
	t.Helper()
	out, err := s.SSM().GetCommandInvocation(testenv.Context(t), &ssm.GetCommandInvocationInput{CommandId: aws.String(command), InstanceId: aws.String(s.InstanceIDs[agent])})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// run runs a document on one local agent to its end.
func run(t *testing.T, s *testenv.Service, document string, parameters map[string][]string, agent int) *ssm.GetCommandInvocationOutput {
	t.Helper()
	id := send(t, s, document, parameters, agent)
	wait(t, s, id)
	return invocation(t, s, id, agent)
}

func TestRunShellScript(t *testing.T) {
	t.Parallel()
	s := testenv.Start(t, testenv.Options{Agents: 1, Buckets: []string{"logs"}})
	for _, c := range []struct {
		name   string
		lines  []string
		status types.CommandInvocationStatus
		code   int32
		out    string
		err    string
	}{
		{"both streams", []string{"echo out", "echo err >&2"}, "Success", 0, "out\n", "err\n"},
		{"an exit code", []string{"echo before", "exit 7", "echo after"}, "Failed", 7, "before\n", "failed to run commands: exit status 7"},
		{"only the last code counts", []string{"false", "true"}, "Success", 0, "", ""},
		{"killed by itself", []string{"kill -9 $$"}, "Failed", 137, "", "failed to run commands: signal 9 ended the script"},
		{"a built environment", []string{`echo "$AWS_SSM_INSTANCE_ID $AWS_SSM_REGION_NAME ${AWS_ACCESS_KEY_ID-none} ${SSMRUN_TEST_BIN-none}"`}, "Success", 0, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := run(t, s, "AWS-RunShellScript", shell(c.lines...), 0)
			if c.name == "a built environment" {
				c.out = s.InstanceIDs[0] + " us-east-1 none none\n"
			}
			if got.Status != c.status || got.ResponseCode != c.code || aws.ToString(got.StandardOutputContent) != c.out || aws.ToString(got.StandardErrorContent) != c.err {
				t.Errorf("got %s, code %d, stdout %q, stderr %q", got.Status, got.ResponseCode, aws.ToString(got.StandardOutputContent), aws.ToString(got.StandardErrorContent))
			}
		})
	}
	t.Run("whole output in S3", func(t *testing.T) {
		t.Parallel()
		id := send(t, s, "AWS-RunShellScript", shell("head -c 200000 /dev/zero | tr '\\0' x"), 0, func(in *ssm.SendCommandInput) {
			in.OutputS3BucketName, in.OutputS3KeyPrefix = aws.String("logs"), aws.String("runs/")
		})
		wait(t, s, id)
		key := "runs/" + id + "/" + s.InstanceIDs[0] + "/awsrunShellScript/0.awsrunShellScript/stdout"
		head, err := s.S3().HeadObject(testenv.Context(t), &s3.HeadObjectInput{Bucket: aws.String("logs"), Key: aws.String(key)})
		if err != nil || aws.ToInt64(head.ContentLength) != 200_000 {
			t.Errorf("%s: %+v, %v", key, head, err)
		}
		got := invocation(t, s, id, 0)
		if n := len(aws.ToString(got.StandardOutputContent)); n != 24_000 {
			t.Errorf("%d characters of stdout", n)
		}
		if !strings.HasSuffix(aws.ToString(got.StandardOutputUrl), "/logs/"+key) {
			t.Errorf("address %s", aws.ToString(got.StandardOutputUrl))
		}
	})
	t.Run("execution timeout", func(t *testing.T) {
		t.Parallel()
		id := send(t, s, "AWS-RunShellScript", map[string][]string{"commands": {"echo started; sleep 600"}, "executionTimeout": {"5"}}, 0)
		cmd := wait(t, s, id)
		got := invocation(t, s, id, 0)
		if got.Status != "TimedOut" || aws.ToString(got.StatusDetails) != "ExecutionTimedOut" || got.ResponseCode != 137 || cmd.Status != "Failed" || cmd.ErrorCount != 1 {
			t.Errorf("invocation %s/%s code %d, command %s with %d errors", got.Status, aws.ToString(got.StatusDetails), got.ResponseCode, cmd.Status, cmd.ErrorCount)
		}
	})
}

func TestCancelKillsTheTree(t *testing.T) {
	t.Parallel()
	s := testenv.Start(t, testenv.Options{Agents: 1})
	ctx := testenv.Context(t)
	mark := filepath.Join(t.TempDir(), "pids")
	if err := syscall.Mkfifo(mark, 0o600); err != nil {
		t.Fatal(err)
	}
	id := send(t, s, "AWS-RunShellScript", shell("setsid sleep 600 & echo $! $$ > "+mark+"; sleep 600"), 0)
	b, err := os.ReadFile(mark) // returns when the script has written it
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.SSM().CancelCommand(ctx, &ssm.CancelCommandInput{CommandId: aws.String(id)}); err != nil {
		t.Fatal(err)
	}
	cmd := wait(t, s, id)
	if got := invocation(t, s, id, 0); cmd.Status != "Cancelled" || got.Status != "Cancelled" || got.ResponseCode != 137 {
		t.Errorf("command %s, invocation %s, code %d", cmd.Status, got.Status, got.ResponseCode)
	}
	for pid := range strings.FieldsSeq(string(b)) {
		if alive(pid) {
			t.Errorf("process %s of the script lives on", pid)
		}
	}
}

// alive tells whether a process exists and is no zombie.
func alive(pid string) bool {
	b, err := os.ReadFile("/proc/" + pid + "/stat")
	return err == nil && !strings.Contains(string(b), ") Z ")
}

func TestServiceKilledInMidCommand(t *testing.T) {
	t.Parallel()
	s := testenv.Start(t, testenv.Options{Agents: 2})
	dir := t.TempDir()
	gate, count := filepath.Join(dir, "gate"), filepath.Join(dir, "count")
	if err := syscall.Mkfifo(gate, 0o600); err != nil {
		t.Fatal(err)
	}
	id := send(t, s, "AWS-RunShellScript", shell("echo run >> "+count, "cat "+gate, "echo finished"), 0)
	// Opening the gate for writing returns when the script reads it.
	w, err := os.OpenFile(gate, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	agent := s.AgentPID(s.InstanceIDs[0])
	s.Kill()
	if !alive(fmt.Sprint(agent)) {
		t.Fatal("the agent died with the service")
	}
	if err := w.Close(); err != nil { // the script ends while there is no service
		t.Fatal(err)
	}
	s.Restart()
	cmd := wait(t, s, id)
	got := invocation(t, s, id, 0)
	if cmd.Status != "Success" || aws.ToString(got.StandardOutputContent) != "finished\n" {
		t.Errorf("command %s, output %q", cmd.Status, aws.ToString(got.StandardOutputContent))
	}
	if b, _ := os.ReadFile(count); string(b) != "run\n" {
		t.Errorf("the script ran %d times", strings.Count(string(b), "run"))
	}
	if now := s.AgentPID(s.InstanceIDs[0]); now != agent {
		t.Errorf("the agent was not adopted: pid %d was %d", now, agent)
	}
}

func TestAgentKilledInMidCommand(t *testing.T) {
	t.Parallel()
	s := testenv.Start(t, testenv.Options{Agents: 1})
	dir := t.TempDir()
	mark, count := filepath.Join(dir, "mark"), filepath.Join(dir, "count")
	if err := syscall.Mkfifo(mark, 0o600); err != nil {
		t.Fatal(err)
	}
	id := send(t, s, "AWS-RunShellScript", shell("echo run >> "+count, "echo $$ > "+mark, "sleep 600"), 0)
	b, err := os.ReadFile(mark)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(s.AgentPID(s.InstanceIDs[0]), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	cmd := wait(t, s, id) // the service starts the agent again
	got := invocation(t, s, id, 0)
	if cmd.Status != "Failed" || got.ResponseCode != 137 || !strings.Contains(aws.ToString(got.StandardErrorContent), "agent") {
		t.Errorf("command %s, code %d, stderr %q", cmd.Status, got.ResponseCode, aws.ToString(got.StandardErrorContent))
	}
	if pid := strings.TrimSpace(string(b)); alive(pid) {
		t.Errorf("the script %s lives on", pid)
	}
	if b, _ := os.ReadFile(count); string(b) != "run\n" {
		t.Errorf("the script ran %d times", strings.Count(string(b), "run"))
	}
}

func TestDrain(t *testing.T) {
	t.Parallel()
	s := testenv.Start(t, testenv.Options{Agents: 1, Args: []string{"--drain", "1m"}})
	dir := t.TempDir()
	gate := filepath.Join(dir, "gate")
	if err := syscall.Mkfifo(gate, 0o600); err != nil {
		t.Fatal(err)
	}
	id := send(t, s, "AWS-RunShellScript", shell("cat "+gate), 0)
	w, err := os.OpenFile(gate, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	s.Signal(syscall.SIGTERM)
	// New commands are refused as soon as the signal has arrived.
	refused := false
	for ctx := testenv.Context(t); !refused && ctx.Err() == nil; {
		_, err := s.SSM().SendCommand(ctx, &ssm.SendCommandInput{DocumentName: aws.String("AWS-RunShellScript"), InstanceIds: s.InstanceIDs, Parameters: shell("true")},
			func(o *ssm.Options) { o.Retryer = aws.NopRetryer{} })
		if err != nil {
			got, _ := code(t, err)
			refused = got == "ServiceUnavailable"
		}
	}
	if !refused {
		t.Fatal("new commands are still taken")
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	<-s.Exited()
	if _, err := os.Stat(filepath.Join(filepath.Dir(s.Data), "ready.json")); err == nil {
		t.Error("the ready file is still there")
	}
	s.Restart()
	if cmd := wait(t, s, id); cmd.Status != "Success" {
		t.Errorf("what ran while draining ended %s", cmd.Status)
	}
}

func TestStopAtOnce(t *testing.T) {
	t.Parallel()
	s := testenv.Start(t, testenv.Options{Agents: 1, Args: []string{"--drain", "10m"}})
	mark := filepath.Join(t.TempDir(), "mark")
	if err := syscall.Mkfifo(mark, 0o600); err != nil {
		t.Fatal(err)
	}
	id := send(t, s, "AWS-RunShellScript", shell("echo $$ > "+mark, "sleep 600"), 0)
	pid, err := os.ReadFile(mark)
	if err != nil {
		t.Fatal(err)
	}
	agent := s.AgentPID(s.InstanceIDs[0])
	s.Signal(syscall.SIGTERM)
	s.Signal(os.Interrupt)
	<-s.Exited()
	if alive(strings.TrimSpace(string(pid))) || alive(fmt.Sprint(agent)) {
		t.Error("the agent or its script lives on")
	}
	s.Restart()
	cmd := wait(t, s, id)
	if got := invocation(t, s, id, 0); cmd.Status != "Failed" || !strings.Contains(aws.ToString(got.StandardErrorContent), "stop") {
		t.Errorf("command %s, stderr %q", cmd.Status, aws.ToString(got.StandardErrorContent))
	}
}

func TestNobodyGetsACommandTwice(t *testing.T) {
	t.Parallel()
	const agents, commands = 8, 5
	s := testenv.Start(t, testenv.Options{Agents: agents})
	count := filepath.Join(t.TempDir(), "count")
	var wg sync.WaitGroup
	ids := make([]string, commands)
	for n := range commands {
		wg.Go(func() {
			ids[n] = send(t, s, "AWS-RunShellScript", shell(fmt.Sprintf("echo $AWS_SSM_INSTANCE_ID-%d >> %s", n, count)), 0, func(in *ssm.SendCommandInput) {
				in.InstanceIds = s.InstanceIDs
			})
			if cmd := wait(t, s, ids[n]); cmd.Status != "Success" || cmd.CompletedCount != agents {
				t.Errorf("command %d: %s, %d done", n, cmd.Status, cmd.CompletedCount)
			}
		})
	}
	wg.Wait()
	b, err := os.ReadFile(count)
	if err != nil {
		t.Fatal(err)
	}
	times := map[string]int{}
	for l := range strings.FieldsSeq(string(b)) {
		times[l]++
	}
	if len(times) != agents*commands {
		t.Errorf("%d of %d invocations ran", len(times), agents*commands)
	}
	for l, n := range times {
		if n != 1 {
			t.Errorf("%s ran %d times", l, n)
		}
	}
}

// TestMoreThanAnAgentTakes: an agent runs five commands at once; the others wait
// at the service and come as soon as there is room.
func TestMoreThanAnAgentTakes(t *testing.T) {
	t.Parallel()
	s := testenv.Start(t, testenv.Options{Agents: 1})
	ids := make([]string, 12)
	for n := range ids {
		ids[n] = send(t, s, "AWS-RunShellScript", shell("sleep 0.3"), 0)
	}
	for _, id := range ids {
		if cmd := wait(t, s, id); cmd.Status != "Success" {
			t.Errorf("command %s", cmd.Status)
		}
	}
}

// TestRepeatedRequest sends the same signed SendCommand twice, as an SDK does
// when the answer was lost.
// TestABusyInstanceHoldsUpNobody: a command to several begins with one, and that
// one has no room.
func TestABusyInstanceHoldsUpNobody(t *testing.T) {
	t.Parallel()
	s := testenv.Start(t, testenv.Options{Agents: 3})
	ctx, client := testenv.Context(t), s.SSM()
	busy := slices.Index(s.InstanceIDs, slices.Min(s.InstanceIDs))
	gate := filepath.Join(t.TempDir(), "gate")
	var before []string
	for range 2 * agent.DefaultWorkers { // as many run as wait
		before = append(before, send(t, s, "AWS-RunShellScript", shell("while [ ! -e "+gate+" ]; do sleep 0.05; done"), busy))
	}
	out, err := client.SendCommand(ctx, &ssm.SendCommandInput{DocumentName: aws.String("AWS-RunShellScript"), InstanceIds: s.InstanceIDs, Parameters: shell("true")})
	if err != nil {
		t.Fatal(err)
	}
	id := aws.ToString(out.Command.CommandId)
	revision := "-1"
	for completed := int32(0); completed < 2; {
		var header http.Header
		list, err := client.ListCommands(ctx, &ssm.ListCommandsInput{CommandId: &id}, longPoll(revision, &header))
		if err != nil {
			t.Fatal(err)
		}
		completed, revision = list.Commands[0].CompletedCount, header.Get("X-Ssmrun-Revision")
	}
	if i := invocation(t, s, id, busy); i.Status != types.CommandInvocationStatusPending || aws.ToString(i.StatusDetails) != "Delayed" {
		t.Errorf("the busy one is %s, %s", i.Status, aws.ToString(i.StatusDetails))
	}
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range append(before, id) {
		if end := wait(t, s, c); end.Status != types.CommandStatusSuccess {
			t.Errorf("%s ended %s", c, end.Status)
		}
	}
}

func TestRepeatedRequest(t *testing.T) {
	t.Parallel()
	s := testenv.Start(t, testenv.Options{Agents: 1})
	body := fmt.Sprintf(`{"DocumentName":"AWS-RunShellScript","InstanceIds":[%q],"Parameters":{"commands":["true"]}}`, s.InstanceIDs[0])
	var ids []string
	for _, token := range []string{"one", "one", "two"} {
		r, err := http.NewRequestWithContext(testenv.Context(t), http.MethodPost, s.Endpoint, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Amz-Target", "AmazonSSM.SendCommand")
		r.Header.Set("Amz-Sdk-Invocation-Id", token)
		sigv4.Sign(r, []byte(body), sigv4.Keys{AccessKeyID: s.AccessKeyID, SecretAccessKey: s.SecretKey}, "ssm", s.Region, time.Now())
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		var out struct{ Command struct{ CommandId string } }
		decode(t, resp, &out)
		ids = append(ids, out.Command.CommandId)
	}
	if ids[0] == "" || ids[0] != ids[1] || ids[1] == ids[2] {
		t.Errorf("ids %v", ids)
	}
}

// TestAnotherRegionOnTheSameFolder: instances belong to a region, so another one
// gets agents of its own, and the first one finds its agents again.
func TestAnotherRegionOnTheSameFolder(t *testing.T) {
	t.Parallel()
	s := testenv.Start(t, testenv.Options{Agents: 1, Regions: []string{"us-east-1"}})
	data, first := s.Data, s.InstanceIDs[0]
	s.Stop()
	s = testenv.Start(t, testenv.Options{Agents: 1, Data: data, Regions: []string{"eu-west-1"}})
	if s.InstanceIDs[0] == first {
		t.Errorf("the agent of us-east-1 in eu-west-1")
	}
	run(t, s, "AWS-RunShellScript", shell("true"), 0)
	s.Stop()
	s = testenv.Start(t, testenv.Options{Agents: 1, Data: data, Regions: []string{"us-east-1"}})
	if s.InstanceIDs[0] != first {
		t.Errorf("%s instead of %s", s.InstanceIDs[0], first)
	}
}

func TestSecondServiceOnTheSameFolder(t *testing.T) {
	t.Parallel()
	s := testenv.Start(t, testenv.Options{})
	ready := filepath.Join(filepath.Dir(s.Data), "ready.json")
	out, err := exec.CommandContext(testenv.Context(t), testenv.Binary(t, "ssmrun"), "serve", "--data", s.Data, "--listen", "127.0.0.1:0", "--ready-file", ready).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "another ssmrun serve is using this data folder") {
		t.Errorf("got %v: %s", err, out)
	}
	if _, err := os.Stat(ready); err != nil {
		t.Errorf("the first one's ready file: %v", err)
	}
	if _, err := s.SSM().ListCommands(context.Background(), &ssm.ListCommandsInput{}); err != nil {
		t.Errorf("the first one: %v", err)
	}
}

// TestServeWithABadStore: a data folder that cannot be used ends the service with
// the file, why, and what to do.
func TestServeWithABadStore(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		file, content string
		says          []string
	}{
		"no database":    {"ssmrun.db", strings.Repeat("no database ", 1000), []string{"ssmrun.db", "restore it from a backup"}},
		"a bad identity": {"identity.json", "{", []string{"identity.json"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			data := filepath.Join(t.TempDir(), "data")
			testenv.WriteFile(t, filepath.Join(data, c.file), c.content, 0o600)
			wantNoStart(t, data, c.says...)
		})
	}
}

// wantNoStart starts a service that cannot be, and looks at what it says.
func wantNoStart(t *testing.T, data string, says ...string) {
	t.Helper()
	out, err := exec.CommandContext(testenv.Context(t), testenv.Binary(t, "ssmrun"), "serve", "--data", data, "--listen", "127.0.0.1:0").CombinedOutput()
	if err == nil || strings.Contains(string(out), "panic") {
		t.Errorf("%v: %s", err, out)
	}
	for _, text := range says {
		if !strings.Contains(string(out), text) {
			t.Errorf("it does not say %q: %s", text, out)
		}
	}
}

func TestServeRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, c := range map[string]struct {
		args []string
		says string
	}{
		"an open address":         {[]string{"--listen", "0.0.0.0:0"}, "TLS comes with --tls-listen"},
		"no port":                 {[]string{"--listen", "127.0.0.1"}, "HOST:PORT"},
		"a bucket that cannot be": {[]string{"--bucket", "Logs"}, "Logs"},
		"an account":              {[]string{"--account-id", "12"}, "12 digits"},
		"a region":                {[]string{"--region", "Virginia"}, "Virginia"},
		"a log level":             {[]string{"--log-level", "loud"}, "loud"},
		"documents that are none": {[]string{"--documents", filepath.Join(dir, "nowhere")}, "nowhere"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			args := append([]string{"serve", "--data", filepath.Join(t.TempDir(), "d"), "--listen", "127.0.0.1:0"}, c.args...)
			out, err := exec.CommandContext(testenv.Context(t), testenv.Binary(t, "ssmrun"), args...).CombinedOutput()
			if err == nil || !strings.Contains(string(out), c.says) {
				t.Errorf("got %v: %s", err, out)
			}
		})
	}
}
