package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"

	"ssmrun/internal/agent/state"
	"ssmrun/internal/agentlink/linktest"
	"ssmrun/internal/wire"
)

// build makes the program as it is shipped.
func build(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ssmrun-agent")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", path, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return path
}

// TestSmall: the agent is made to be forgotten. It registers, runs a command and
// then sits there with less than 20 MB.
func TestSmall(t *testing.T) {
	t.Parallel()
	binary := build(t)
	info, err := os.Stat(binary)
	if err != nil {
		t.Fatal(err)
	}
	srv := linktest.New(t)
	dir := t.TempDir()
	activation := filepath.Join(dir, "activation.json")
	if err := state.WriteActivation(activation, state.Activation{ID: srv.ActivationID, Code: srv.ActivationCode, Region: "us-east-1"}); err != nil {
		t.Fatal(err)
	}
	endpoint := filepath.Join(dir, "endpoint.json")
	if err := state.WriteEndpoint(endpoint, state.Endpoint{URL: srv.URL(), S3: srv.URL(), Region: "us-east-1", PID: os.Getpid()}); err != nil {
		t.Fatal(err)
	}
	log := new(strings.Builder)
	cmd := exec.Command(binary, "--state", filepath.Join(dir, "state"), "--endpoint-file", endpoint, "--activation-file", activation, "--local")
	cmd.Env, cmd.Stderr = []string{}, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("agent:\n%s", log)
		}
	})
	srv.WaitKind("open", 0)
	idle := resident(t, cmd.Process.Pid)
	for i := range 20 {
		jobID := srv.SendCommand(wire.SendCommandPayload{
			CommandID: uuid.NewString(), OutputS3BucketName: "logs",
			DocumentContent: []byte(`{"schemaVersion":"2.2","mainSteps":[{"action":"aws:runShellScript","name":"run","inputs":{"runCommand":["echo hello"]}}]}`),
		})
		if e, _ := srv.WaitFinal(jobID, 0); e.Reply.DocumentStatus != wire.StatusSuccess {
			t.Fatalf("command %d: %+v", i, e.Reply)
		}
	}
	after := resident(t, cmd.Process.Pid)
	t.Logf("binary %.1f MB; resident when connected %.1f MB, after 20 commands with uploads %.1f MB", float64(info.Size())/1e6, idle/1e6, after/1e6)
	if idle > 20e6 {
		t.Errorf("an idle agent takes %.1f MB, more than 20", idle/1e6)
	}
}

// resident is the memory of a process in bytes.
func resident(t *testing.T, pid int) float64 {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Skipf("no /proc: %v", err)
	}
	for l := range strings.SplitSeq(string(b), "\n") {
		var kb float64
		if _, err := fmt.Sscanf(l, "VmRSS: %f kB", &kb); err == nil {
			return kb * 1024
		}
	}
	t.Skip("no VmRSS")
	return 0
}

// TestDependencies: of AWS's SDK only S3, and no database.
func TestDependencies(t *testing.T) {
	t.Parallel()
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	deps := strings.Fields(string(out))
	for _, d := range deps {
		service, isService := strings.CutPrefix(d, "github.com/aws/aws-sdk-go-v2/service/")
		switch {
		case isService && !strings.HasPrefix(service, "s3") && !strings.HasPrefix(service, "internal/"),
			d == "database/sql", strings.Contains(d, "sqlite"), strings.Contains(d, "spf13"),
			d == "testing", strings.HasSuffix(d, "/linktest"),
			d == "ssmrun/internal/store", d == "ssmrun/internal/control", d == "ssmrun/internal/gateway":
			t.Errorf("the agent depends on %s", d)
		}
	}
	if len(deps) < 50 {
		t.Errorf("only %d dependencies were listed", len(deps))
	}
}
