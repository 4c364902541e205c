package provider

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"ssmrun/internal/testenv"
)

// findTerraform is sync.OnceValues, because every test asks.
var findTerraform = sync.OnceValues(func() (string, error) {
	if path := os.Getenv("SSMRUN_TEST_TERRAFORM"); path != "" {
		return path, nil
	}
	cmd := exec.Command("sh", "../../tools/terraform/find.sh")
	out, err := cmd.Output()
	return strings.TrimSpace(string(out)), err
})

// terraform is the path of a real Terraform.
func terraform(t testing.TB) string {
	t.Helper()
	path, err := findTerraform()
	if err != nil {
		testenv.NotRun(t, "the provider under a real Terraform", "no Terraform with actions was found", "make terraform")
	}
	return path
}

// workspace is a folder with a configuration, and Terraform in it.
type workspace struct {
	t         testing.TB
	dir       string
	terraform string
	env       []string
}

// inUse begins a configuration in which the provider has the local name aws, as
// the action's name implies.
const inUse = `
terraform {
  required_providers {
    aws = { source = "ssmrun/ssmrun" }
  }
}
`

// newWorkspace makes a workspace whose provider is this source's.
func newWorkspace(t testing.TB, env []string, config string) *workspace {
	t.Helper()
	w := &workspace{t: t, dir: t.TempDir(), terraform: terraform(t)}
	neighbours := t.TempDir()
	self, err := os.Executable()
	if err == nil {
		err = os.Symlink(self, filepath.Join(neighbours, neighbour))
	}
	if err != nil {
		t.Fatal(err)
	}
	rc := filepath.Join(w.dir, "terraform.rc")
	testenv.WriteFile(t, rc, fmt.Sprintf("provider_installation {\n  dev_overrides {\n    \"ssmrun/ssmrun\" = %q\n    \"example/aws\" = %q\n  }\n}\n",
		filepath.Dir(testenv.Binary(t, "terraform-provider-ssmrun")), neighbours), 0o600)
	// A provider with the race detector would sleep a second at every exit.
	w.env = append(slices.Clone(env), "TF_CLI_CONFIG_FILE="+rc, "TF_IN_AUTOMATION=1", "GORACE=atexit_sleep_ms=0 "+os.Getenv("GORACE"))
	w.write(config)
	return w
}

// attach starts the provider as a debugger does, and gives the environment
// variable that makes Terraform use it.
func attach(t testing.TB, env []string) string {
	t.Helper()
	cmd := exec.Command(testenv.Binary(t, "terraform-provider-ssmrun"), "-debug")
	cmd.Env = env
	out := &watched{more: make(chan struct{}, 1)}
	cmd.Stdout = out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	const name = "TF_REATTACH_PROVIDERS"
	limit := time.After(time.Minute)
	for {
		if _, rest, ok := strings.Cut(out.String(), name+"='"); ok {
			if value, _, ok := strings.Cut(rest, "'"); ok {
				return name + "=" + value
			}
		}
		select {
		case <-out.more:
		case <-limit:
			t.Fatalf("the provider says only %q", out)
		}
	}
}

func (w *workspace) write(config string) {
	w.t.Helper()
	testenv.WriteFile(w.t, filepath.Join(w.dir, "main.tf"), config, 0o600)
}

func (w *workspace) command(args ...string) *exec.Cmd {
	cmd := exec.CommandContext(testenv.Context(w.t), w.terraform, args...)
	cmd.Dir, cmd.Env = w.dir, w.env
	return cmd
}

// run runs Terraform and gives what it wrote, without the lines' wrapping, and
// its exit code.
func (w *workspace) run(args ...string) (out string, code int) {
	w.t.Helper()
	b, err := w.command(args...).CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		w.t.Fatal(err)
	}
	if exit != nil {
		code = exit.ExitCode()
	}
	return string(b), code
}

// apply applies, and fails the test where that fails.
func (w *workspace) apply(args ...string) string {
	w.t.Helper()
	out, code := w.run(append([]string{"apply", "-no-color", "-auto-approve"}, args...)...)
	if code != 0 {
		w.t.Fatalf("terraform apply: exit %d\n%s", code, out)
	}
	return out
}

// applyFails applies, and fails the test where that works.
func (w *workspace) applyFails(args ...string) string {
	w.t.Helper()
	out, code := w.run(append([]string{"apply", "-no-color", "-auto-approve"}, args...)...)
	if code != 1 {
		w.t.Fatalf("terraform apply: exit %d, want 1\n%s", code, out)
	}
	return out
}

// background is a Terraform that runs.
type background struct {
	t     testing.TB
	cmd   *exec.Cmd
	out   *watched
	ended chan struct{}
}

// start starts Terraform as the leader of a process group, as a shell does.
func (w *workspace) start(args ...string) *background {
	w.t.Helper()
	b := &background{t: w.t, cmd: w.command(args...), out: &watched{more: make(chan struct{}, 1)}, ended: make(chan struct{})}
	b.cmd.Stdout, b.cmd.Stderr = b.out, b.out
	b.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := b.cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	go func() {
		defer close(b.ended)
		_ = b.cmd.Wait()
	}()
	w.t.Cleanup(func() {
		_ = syscall.Kill(-b.cmd.Process.Pid, syscall.SIGKILL)
		<-b.ended
	})
	return b
}

// await waits until a text was written.
func (b *background) await(text string) {
	b.t.Helper()
	limit := time.After(time.Minute)
	for !strings.Contains(b.out.String(), text) {
		select {
		case <-b.out.more:
		case <-b.ended:
			if !strings.Contains(b.out.String(), text) {
				b.t.Fatalf("terraform ended without %q:\n%s", text, b.out)
			}
			return
		case <-limit:
			b.t.Fatalf("no %q in a minute:\n%s", text, b.out)
		}
	}
}

// wait gives the exit code.
func (b *background) wait() int {
	b.t.Helper()
	select {
	case <-b.ended:
	case <-time.After(time.Minute):
		b.t.Fatalf("terraform did not end:\n%s", b.out)
	}
	return b.cmd.ProcessState.ExitCode()
}

// watched keeps what is written and tells that there is more.
type watched struct {
	mu   sync.Mutex
	b    bytes.Buffer
	more chan struct{}
}

func (w *watched) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case w.more <- struct{}{}:
	default:
	}
	return w.b.Write(p)
}

func (w *watched) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.String()
}

// line is a line of Terraform's -json.
type line struct {
	Type      string    `json:"type"`
	Level     string    `json:"@level"`
	Timestamp time.Time `json:"@timestamp"`
	Hook      struct {
		Message string `json:"message"`
		Error   string `json:"error"`
	} `json:"hook"`
	Diagnostic struct {
		Severity, Summary, Detail string
	} `json:"diagnostic"`
}

func lines(t testing.TB, out string) []line {
	t.Helper()
	var all []line
	for s := range strings.SplitSeq(strings.TrimSpace(out), "\n") {
		var l line
		if err := json.Unmarshal([]byte(s), &l); err != nil {
			t.Fatalf("%v: %s", err, s)
		}
		all = append(all, l)
	}
	return all
}

// unwrapped undoes the wrapping of a diagnostic.
func unwrapped(s string) string { return strings.Join(strings.Fields(s), " ") }

func contains(t testing.TB, out string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(unwrapped(out), unwrapped(want)) {
			t.Errorf("no %q in:\n%s", want, out)
		}
	}
}

func lacks(t testing.TB, out string, unwanted ...string) {
	t.Helper()
	for _, s := range unwanted {
		if strings.Contains(unwrapped(out), unwrapped(s)) {
			t.Errorf("%q in:\n%s", s, out)
		}
	}
}

// commands gives the service's commands on an instance, the newest first.
func commands(t testing.TB, client *ssm.Client, instance string) []ssmtypes.Command {
	t.Helper()
	out, err := client.ListCommands(testenv.Context(t), &ssm.ListCommandsInput{InstanceId: &instance})
	if err != nil {
		t.Fatal(err)
	}
	return out.Commands
}

// invocation gives the outcome of a command on an instance.
func invocationOf(ctx context.Context, t testing.TB, client *ssm.Client, command, instance string) *ssm.GetCommandInvocationOutput {
	t.Helper()
	out, err := client.GetCommandInvocation(ctx, &ssm.GetCommandInvocationInput{CommandId: &command, InstanceId: &instance})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// gone fails the test unless a process has ended or is about to be reaped.
func gone(t testing.TB, pid string) {
	t.Helper()
	stat, err := os.ReadFile(filepath.Join("/proc", pid, "stat"))
	if err != nil {
		return
	}
	if i := bytes.LastIndexByte(stat, ')'); i < 0 || !bytes.HasPrefix(stat[i:], []byte(") Z")) {
		t.Errorf("process %s lives on: %s", pid, stat)
	}
}
