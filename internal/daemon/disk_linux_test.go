package daemon_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"ssmrun/internal/testenv"
)

// smallDisk mounts a file system of 8 MiB, or skips the test where this process
// may not.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=8m"); err != nil {
		t.Skipf("NOT RUN: mounting a small disk: %v (run the tests as root)", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return dir
}

// fill leaves no room on the disk that dir is on, and gives what frees it.
func fill(t *testing.T, dir string) (free func()) {
	t.Helper()
	path := filepath.Join(dir, "ballast")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	return func() {
		if err := os.Remove(path); err != nil {
			t.Error(err)
		}
	}
}

// TestServicesFullDisk: while the disk with the service's data is full, what is to
// be kept is refused with the reason, to callers, to S3's clients and to agents;
// the agent keeps what the service could not, and with room again nothing is lost.
func TestServicesFullDisk(t *testing.T) {
	t.Parallel()
	dir := smallDisk(t)
	s := testenv.Start(t, testenv.Options{Data: filepath.Join(dir, "data"), Buckets: []string{"logs"}})
	ctx, client := testenv.Context(t), s.SSM()
	activation, secret := activate(t, client, &ssm.CreateActivationInput{})
	log := startAgent(t, s, filepath.Join(t.TempDir(), "state"), "--activation-file", activationFile(t, s, activation, secret))
	awaitLine(t, log, "connected to the service")
	agent := infoIDs(describe(t, client))[0]
	begin := func(lines ...string) string {
		t.Helper()
		out, err := client.SendCommand(ctx, &ssm.SendCommandInput{
			InstanceIds: []string{agent}, DocumentName: aws.String("AWS-RunShellScript"), Parameters: shell(lines...), OutputS3BucketName: aws.String("logs"),
		})
		if err != nil {
			t.Fatal(err)
		}
		return aws.ToString(out.Command.CommandId)
	}
	result := func(id string) *ssm.GetCommandInvocationOutput {
		t.Helper()
		waitBy(t, client, id)
		out, err := client.GetCommandInvocation(ctx, &ssm.GetCommandInvocationInput{CommandId: &id, InstanceId: &agent})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	// An output that does not fit costs the output, not the command.
	large := result(begin("head -c 8000000 /dev/zero"))
	const told = "upload to s3://logs/"
	if text := aws.ToString(large.StandardErrorContent); large.Status != "Success" || !strings.Contains(text, told) || !strings.Contains(text, "InsufficientStorage") || !strings.Contains(text, "disk is full: free some space there") {
		t.Errorf("an output that does not fit: %s %q", large.Status, text)
	}

	begun, gate := filepath.Join(t.TempDir(), "begun"), filepath.Join(t.TempDir(), "gate")
	for _, f := range []string{begun, gate} {
		if err := syscall.Mkfifo(f, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	id := begin("echo x > "+begun, "cat "+gate, "echo done")
	if _, err := os.ReadFile(begun); err != nil {
		t.Fatal(err)
	}
	free := fill(t, dir)
	never := filepath.Join(t.TempDir(), "never")
	for n := 0; n < 5; { // the last pages of the store may have room for some
		_, err := client.SendCommand(ctx, &ssm.SendCommandInput{
			InstanceIds: []string{agent}, DocumentName: aws.String("AWS-RunShellScript"), Parameters: shell("# "+strings.Repeat("x", 20_000), "echo x >> "+never),
		}, func(o *ssm.Options) { o.Retryer = aws.NopRetryer{} })
		if err == nil {
			continue
		}
		n++
		if got, text := code(t, err); got != "ServiceUnavailable" || text != "The disk of the service's data folder is full. Nothing of this call was kept: free some space there and call again." {
			t.Fatalf("on a full disk: %s %q", got, text)
		}
	}
	if err := os.WriteFile(gate, nil, 0); err != nil { // the script ends
		t.Fatal(err)
	}
	testenv.WaitFor(ctx, t, "a reply that could not be kept", func() (bool, error) { return strings.Contains(s.Log(), "keep the reply of "+id), nil })
	testenv.WaitFor(ctx, t, "the log to say which disk is full", func() (bool, error) {
		log := s.Log()
		return strings.Contains(log, "ssmrun.db") && strings.Contains(log, "database or disk is full") && strings.Contains(log, "free some space on its disk"), nil
	})
	free()
	if got := result(id); got.Status != "Success" || aws.ToString(got.StandardOutputContent) != "done\n" {
		t.Errorf("the one that ended meanwhile: %s %q", got.Status, aws.ToString(got.StandardOutputContent))
	}
	if got := result(begin("echo again")); got.Status != "Success" {
		t.Errorf("with room again: %s", got.Status)
	}
}

// TestServeOnAFullDisk: the service does not start, and says why; with room it
// does, and knows what it knew.
func TestServeOnAFullDisk(t *testing.T) {
	t.Parallel()
	dir := smallDisk(t)
	s := testenv.Start(t, testenv.Options{Data: filepath.Join(dir, "data")})
	a := registered(t, s)
	command := a.send()
	s.Kill()
	free := fill(t, dir)
	wantNoStart(t, s.Data, s.Data) // which of its files finds no room first is open
	wantNoStart(t, filepath.Join(dir, "fresh"), "fresh/ssmrun.db: database or disk is full", "free some space on its disk")
	free()
	s.Restart()
	a.success(a.message().MessageID)
	a.wantSuccess(command)
}
