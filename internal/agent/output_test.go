package agent

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"ssmrun"
	"ssmrun/internal/agentlink/linktest"
	"ssmrun/internal/document"
	"ssmrun/internal/wire"
)

// memoryPeak is the largest resident set of a process so far, in bytes.
func memoryPeak(t *testing.T, pid int) int64 {
	t.Helper()
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		t.Skipf("no /proc: %v", err)
	}
	for l := range strings.SplitSeq(string(b), "\n") {
		if f := strings.Fields(l); len(f) == 3 && f[0] == "VmHWM:" {
			kb, err := strconv.ParseInt(f[1], 10, 64)
			must(t, err)
			return kb << 10
		}
	}
	t.Skip("no VmHWM")
	return 0
}

// TestGigabyteOfOutput: the script is not slowed down for ever, the agent stays
// small, the head is reported, and the rest of the document goes on.
func TestGigabyteOfOutput(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("writes 1 GiB")
	}
	b := setup(t)
	p := b.spawn("default")
	c := script(t, "head -c 1073741824 /dev/zero | tr '\\0' x", "head -c 50000000 /dev/zero | tr '\\0' e >&2")
	e := b.run(c)
	got := e.Reply.RuntimeStatus["run"]
	if e.Reply.DocumentStatus != wire.StatusSuccess {
		t.Fatalf("got %s: %.300s", got.Status, got.StandardError)
	}
	want := strings.Repeat("x", ssmrun.MaxStreamChars-len(ssmrun.MarkStream)) + ssmrun.MarkStream
	if got.StandardOutput != want || len(got.StandardError) != ssmrun.MaxStreamChars || len(got.Output) != ssmrun.MaxJoinedChars {
		t.Errorf("reported %d, %d and %d characters", len(got.StandardOutput), len(got.StandardError), len(got.Output))
	}
	peak := memoryPeak(t, p.cmd.Process.Pid)
	t.Logf("the agent's peak is %.1f MB", float64(peak)/1e6)
	if limit := int64(100 << 20); peak > limit { // a test binary under the race detector is large by itself
		t.Errorf("the agent grew to %d bytes, more than %d", peak, limit)
	}
}

func TestReplyFitsTheWire(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start()
	e := b.run(script(t, "head -c 60000 /dev/zero", "head -c 60000 /dev/zero >&2", "exit 5"))
	got := e.Reply.RuntimeStatus["run"]
	if e.Size > wire.MaxReplyBytes || got.Status != wire.StatusFailed || got.Code != 5 || got.StandardOutput == "" {
		t.Errorf("reply of %d bytes: %s %d, %d characters", e.Size, got.Status, got.Code, len(got.StandardOutput))
	}
}

func TestNoteSurvivesALongStderr(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start()
	e := b.run(script(t, "head -c 90000 /dev/zero | tr '\\0' e >&2", "exit 5"))
	got := e.Reply.RuntimeStatus["run"].StandardError
	if len(got) != ssmrun.MaxStreamChars || !strings.HasSuffix(got, ssmrun.MarkStream+"\nfailed to run commands: exit status 5") {
		t.Errorf("%d characters, end %q", len(got), got[max(0, len(got)-80):])
	}
}

func TestOutputInS3(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start()
	p := script(t)
	p.OutputS3BucketName, p.OutputS3KeyPrefix = "logs", "/some/prefix/"
	builtin, _ := document.BuiltIn("AWS-RunShellScript")
	p.DocumentContent = builtin.Document.JSON()
	p.Parameters = map[string]any{"commands": []string{"echo out", "echo err >&2", "exit 3"}}
	e := b.run(p)
	got := e.Reply.RuntimeStatus["aws:runShellScript"]
	prefix := "some/prefix/" + p.CommandID + "/" + b.srv.InstanceID + "/awsrunShellScript"
	if got.OutputS3BucketName != "logs" || got.OutputS3KeyPrefix != prefix || got.StepName != "0.awsrunShellScript" {
		t.Errorf("where it lies: %+v", got)
	}
	for name, want := range map[string]string{"stdout": "out\n", "stderr": "err\nfailed to run commands: exit status 3"} {
		data, ok := b.srv.Object("logs/" + prefix + "/0.awsrunShellScript/" + name)
		if !ok || string(data) != want {
			t.Errorf("%s: %v %q", name, ok, data)
		}
	}
	if got.StandardError != "err\nfailed to run commands: exit status 3" {
		t.Errorf("stderr: %q", got.StandardError)
	}
	// Empty streams make no objects; schema 2.2 uses the step's name, and no
	// prefix leaves none.
	p = script(t, "echo only")
	p.OutputS3BucketName = "logs"
	b.run(p)
	dir := "logs/" + p.CommandID + "/" + b.srv.InstanceID + "/awsrunShellScript/run/"
	if data, ok := b.srv.Object(dir + "stdout"); !ok || string(data) != "only\n" {
		t.Errorf("stdout: %v %q; objects %v", ok, data, b.srv.Objects())
	}
	if _, ok := b.srv.Object(dir + "stderr"); ok {
		t.Error("an empty stderr was uploaded")
	}
}

func TestFailedUploadsAreTold(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.cfg.stopGrace = 100 * time.Millisecond
	r := b.start()
	p := script(t, "echo out")
	p.OutputS3BucketName = "missing"
	got := b.run(p).Reply.RuntimeStatus["run"]
	if got.Status != wire.StatusSuccess || got.StandardOutput != "out\n" {
		t.Errorf("got %+v", got)
	}
	contains(t, "stderr", got.StandardError, "upload to s3://missing/", "NoSuchBucket")

	b.srv.Set(func(s *linktest.Settings) { s.S3Fail = -1 })
	p = script(t, "echo out")
	p.OutputS3BucketName = "logs"
	got = b.run(p).Reply.RuntimeStatus["run"]
	contains(t, "stderr", got.StandardError, "upload to s3://logs/", "InternalError")

	// An agent that stops does not wait for S3.
	b.srv.Set(func(s *linktest.Settings) { s.S3Fail = -1 })
	p = script(t, "echo out")
	p.OutputS3BucketName = "logs"
	jobID := b.srv.SendCommand(p)
	b.srv.WaitAck(jobID, 0)
	stopped := time.Now()
	r.stop()
	if d := time.Since(stopped); d > 20*time.Second {
		t.Errorf("the stop took %v", d)
	}
}

func TestBucketInAnotherRegionIsFollowed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.srv.S3Redirect = "eu-west-1"
	b.start()
	file, _ := noise(t, 9*mib, 11)
	for i, line := range []string{"echo out", "cat " + file} {
		got := b.run(inBucket(script(t, line), "logs")).Reply.RuntimeStatus["run"]
		if got.StandardError != "" || len(b.srv.Objects()) != i+1 {
			t.Errorf("objects %v, stderr %q", b.srv.Objects(), got.StandardError)
		}
	}
}

func TestOutputFilesAreRemoved(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start()
	p := script(t, "echo out")
	p.OutputS3BucketName = "logs"
	b.run(p)
	left, _ := filepath.Glob(filepath.Join(b.dir, "orchestration", "*"))
	if len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
