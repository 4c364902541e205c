package e2e

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"ssmrun/internal/testenv"
)

// demoTimeout bounds one demo, race detector and a loaded machine included.
const demoTimeout = 4 * time.Minute

// realNames are programs that the examples call, or that could be called for
// them. On the caller's PATH they are traps.
var realNames = []string{"yum", "systemctl", "git", "aws", "unzip", "nginx", "sudo", "uptime"}

// trapped is what a trap prints: one that runs where it cannot write its record
// is seen by what the demo shows of it.
const trapped = "THE REAL PROGRAM WAS CALLED"

// demo is a copy of what the demo needs of the tree, and a caller's surroundings.
type demo struct {
	script string
	temp   string // the caller's TMPDIR, which must be empty afterwards
	record string // what the traps write
	env    []string
}

func setupDemo(t *testing.T) *demo {
	t.Helper()
	root := testenv.Root(t)
	terraform := findTerraform(t, root)
	testenv.Binary(t, "ssmrun")
	bin := filepath.Dir(testenv.Binary(t, "terraform-provider-ssmrun"))

	dir := t.TempDir()
	for _, part := range []string{"examples", "tools/terraform", "tools/lib.sh"} {
		copyTree(t, filepath.Join(root, part), filepath.Join(dir, "tree", part))
	}
	d := &demo{
		script: filepath.Join(dir, "tree", "examples", "demo.sh"),
		record: filepath.Join(dir, "record"),
	}
	// Short, because sockets are made in it.
	temp, err := os.MkdirTemp("", "e2e")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(temp) })
	d.temp = temp
	traps := filepath.Join(dir, "traps")
	for _, name := range realNames {
		testenv.WriteFile(t, filepath.Join(traps, name), "#!/bin/sh\necho '"+trapped+": "+name+"'\necho "+name+" >>'"+d.record+"'\nexit 97\n", 0o755)
	}
	path := traps + string(os.PathListSeparator) + os.Getenv("PATH")
	// Settings of the caller's that must not lead the demo elsewhere.
	d.env = append(testenv.CleanEnv(), "PATH="+path, "TMPDIR="+d.temp, "DEMO_BIN="+bin, "TERRAFORM="+terraform,
		"AWS_ENDPOINT_URL=http://127.0.0.1:9", "AWS_PROFILE=nobody", "AWS_REGION=xx-nowhere-1",
		"TF_CLI_ARGS=-no-such-flag", "TF_DATA_DIR=/nonexistent", "TF_VAR_example_instance_id=i-00000000000000000")
	return d
}

// TestDemo runs the demo twice in a row: nothing of the first run may be in the
// way of the second.
func TestDemo(t *testing.T) {
	t.Parallel()
	d := setupDemo(t)
	for range 2 {
		out, code := d.run(t, nil)
		d.checkNothingIsLeft(t)
		if code != 0 {
			t.Errorf("exit code %d", code)
		}
		for _, want := range demoLines {
			if !regexp.MustCompile(`(?m)` + want).MatchString(out) {
				t.Errorf("the demo does not print %q", want)
			}
		}
		for text, want := range map[string]int{
			"exit code 0, commands sent: 1": 9, "exit code 0, commands sent: 0": 1, "exit code 1, commands sent: 1": 1,
			"NOT AS EXPECTED": 0, trapped: 0,
		} {
			if got := strings.Count(out, text); got != want {
				t.Errorf("%q is printed %d times instead of %d", text, got, want)
			}
		}
		if t.Failed() {
			t.Fatal(out)
		}
	}
}

// demoLines are what a user has to be shown: what Terraform printed, what the
// instances answered, and how the stand-ins were called.
var demoLines = []string{
	`All of them are STAND-INS`,
	`^\$ terraform apply$`,
	`^  \| Action started: action\.aws_ssm_send_command\.example \(triggered by terraform_data\.trigger\)$`,
	`^\$ terraform apply -invoke=action\.aws_ssm_send_command\.example$`,
	`^\$ terraform apply -invoke=action\.aws_ssm_send_command\.update_packages$`,
	`^\$ terraform apply -invoke=action\.aws_ssm_send_command\.deploy$`,
	`^\$ terraform apply .*-invoke=action\.aws_ssm_send_command\.deploy_app$`,
	`^  \| Apply complete! Resources: 1 added, 0 changed, 0 destroyed\. Actions: 1 invoked\.$`,
	`^  \| No changes\.`,
	`^  \| Hello World$`,
	`^  \| \(stand-in\) uptime$`,
	`^  \| \(stand-in\) yum update -y$`,
	`^    sudo systemctl reload nginx$`,
	`^    systemctl reload nginx$`,
	`^    aws s3 cp s3://my-app-bucket/app\.zip /tmp/$`,
	`cd:.*/var/www/html`,
	`^    i-[0-9a-f]{17}/awsrunShellScript/0\.awsrunShellScript/stderr$`,
	`^  \| ... Sent AWS-RunShellScript to 3 instances: command [0-9a-f-]{36}$`,
	`^  \| Error: `,
	`Failed, exit code 3`,
	`volume /data is not mounted`,
	`^All was as expected: 11 applies sent 10 commands`,
}

// TestDemoInterrupted stops it as a terminal does, by a signal to its process
// group, and as kill does: at each of these points everything has to be gone.
func TestDemoInterrupted(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, at string
		signal   syscall.Signal
		group    bool
		code     int
	}{
		{"Ctrl-C while the service starts", "== A Run Command service", syscall.SIGINT, true, 130},
		{"Ctrl-C before an apply", "== Example 1", syscall.SIGINT, true, 130},
		{"Ctrl-C during an apply", "$ terraform apply", syscall.SIGINT, true, 130},
		{"SIGINT to the script alone", "$ terraform apply", syscall.SIGINT, false, 130},
		{"SIGTERM to the script alone", "$ terraform apply -invoke", syscall.SIGTERM, false, 143},
		{"SIGHUP to all", "== Example 2", syscall.SIGHUP, true, 129},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := setupDemo(t)
			out, code := d.run(t, func(process *os.Process, line string) bool {
				if !strings.HasPrefix(line, c.at) {
					return false
				}
				pid := process.Pid
				if c.group {
					pid = -pid
				}
				if err := syscall.Kill(pid, c.signal); err != nil {
					t.Errorf("send the signal: %v", err)
				}
				return true
			})
			if code != c.code {
				t.Errorf("exit code %d instead of %d", code, c.code)
			}
			d.checkNothingIsLeft(t)
			if t.Failed() {
				t.Log(out)
			}
		})
	}
}

// TestDemoNotices: a demo that cannot fail shows nothing. Here a stand-in fails,
// and with it the examples that call it last.
func TestDemoNotices(t *testing.T) {
	t.Parallel()
	d := setupDemo(t)
	standIn := filepath.Join(filepath.Dir(d.script), "demo", "stand-in.sh")
	b, err := os.ReadFile(standIn)
	if err != nil {
		t.Fatal(err)
	}
	testenv.WriteFile(t, standIn, string(b)+"[ \"$name\" != systemctl ] || exit 1\n", 0o755)
	out, code := d.run(t, nil)
	if code != 1 || !strings.Contains(out, "NOT AS EXPECTED: Terraform ended with exit code 1 instead of 0") {
		t.Errorf("exit code %d:\n%s", code, out)
	}
	d.checkNothingIsLeft(t)
}

// run runs the demo and gives its output and exit code. at is called with every
// line, until it gives true.
func (d *demo) run(t *testing.T, at func(*os.Process, string) bool) (string, int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), demoTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", d.script)
	cmd.Env = d.env
	cmd.Dir = t.TempDir()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // as an interactive shell does
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	w := &lineWriter{seen: func(line string) {
		if at != nil && at(cmd.Process, line) {
			at = nil
		}
	}}
	cmd.Stdout, cmd.Stderr = w, w
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("run the demo: %v", err)
	}
	if ctx.Err() != nil {
		t.Fatalf("the demo did not end in %s:\n%s", demoTimeout, w)
	}
	return w.String(), cmd.ProcessState.ExitCode()
}

// checkNothingIsLeft wants no file, no process, and no call of a real program.
func (d *demo) checkNothingIsLeft(t *testing.T) {
	t.Helper()
	if b, err := os.ReadFile(d.record); err == nil {
		t.Errorf("real programs were called: %q", b)
	}
	entries, err := os.ReadDir(d.temp)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		t.Errorf("the demo left %s", e.Name())
	}
	for _, p := range processes(t, d.temp) {
		t.Errorf("the demo left a process: %s", p)
	}
}

// processes gives the command lines of the processes that have to do with a
// folder: it stands in their arguments or their environment.
func processes(t *testing.T, dir string) []string {
	t.Helper()
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, p := range dirs {
		args, _ := os.ReadFile(filepath.Join(p, "cmdline"))
		env, _ := os.ReadFile(filepath.Join(p, "environ"))
		if bytes.Contains(args, []byte(dir)) || bytes.Contains(env, []byte(dir)) {
			found = append(found, filepath.Base(p)+" "+string(bytes.ReplaceAll(args, []byte{0}, []byte(" "))))
		}
	}
	return found
}

func findTerraform(t *testing.T, root string) string {
	t.Helper()
	if path := os.Getenv("SSMRUN_TEST_TERRAFORM"); path != "" {
		return path
	}
	out, err := exec.Command("sh", filepath.Join(root, "tools", "terraform", "find.sh")).Output()
	if err != nil {
		testenv.NotRun(t, "the tests of the demo", "there is no Terraform with actions", "make terraform")
	}
	return strings.TrimSpace(string(out))
}

func copyTree(t *testing.T, from, to string) {
	t.Helper()
	info, err := os.Stat(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		t.Fatal(err)
	}
	if info.IsDir() {
		err = os.CopyFS(to, os.DirFS(from))
	} else {
		var b []byte
		if b, err = os.ReadFile(from); err == nil {
			err = os.WriteFile(to, b, 0o644)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

// lineWriter keeps what is written, and reports each whole line.
type lineWriter struct {
	mu   sync.Mutex
	all  bytes.Buffer
	line []byte
	seen func(string)
}

var _ io.Writer = (*lineWriter)(nil)

func (w *lineWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all.Write(p)
	for _, b := range p {
		if b != '\n' {
			w.line = append(w.line, b)
			continue
		}
		w.seen(string(w.line))
		w.line = w.line[:0]
	}
	return len(p), nil
}

func (w *lineWriter) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.all.String()
}
