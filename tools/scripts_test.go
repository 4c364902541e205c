// Package tools tests the scripts of this folder, as they are called: by sh.
package tools

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// script is one call of a script: its environment is only what is listed here, so
// that a Terraform or a setting of the machine's cannot decide a test.
type script struct {
	dir  string   // working folder; "" for this one
	path []string // folders before the needed utilities on PATH
	env  []string
	args []string // for sh
}

type outcome struct {
	stdout, stderr string
	code           int
}

// command prepares the call. The cache is c unless s.env says otherwise.
func (s script) command(ctx context.Context, t *testing.T, c string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(ctx, "sh", s.args...)
	cmd.Dir = s.dir
	cmd.Env = append([]string{
		"PATH=" + strings.Join(append(slices.Clone(s.path), utilities(t)), ":"),
		"SSMRUN_CACHE=" + c,
		"HOME=" + os.Getenv("HOME"),
	}, s.env...)
	return cmd
}

func (s script) run(t *testing.T, c string) outcome {
	t.Helper()
	cmd := s.command(t.Context(), t, c)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("run sh: %v", err)
	}
	return outcome{strings.TrimSuffix(stdout.String(), "\n"), stderr.String(), cmd.ProcessState.ExitCode()}
}

// utilities makes a folder of links to what the scripts may call: it stands for the
// system's folders, less any terraform in them.
func utilities(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{
		"awk", "basename", "cat", "cp", "cut", "date", "dirname", "env", "find", "go", "grep", "head",
		"mkdir", "mktemp", "mv", "rm", "sed", "sh", "sha256sum", "sleep", "sort", "tr", "uname",
	} {
		path, err := exec.LookPath(name)
		if err != nil {
			t.Fatalf("look for %s: %v", name, err)
		}
		if path, err = filepath.EvalSymlinks(path); err != nil {
			t.Fatal(err)
		}
		// A link to a program that looks at its own name or place would mislead it.
		body := fmt.Sprintf("#!/bin/sh\nexec %s \"$@\"\n", path)
		if strings.Contains(path, "busybox") {
			body = fmt.Sprintf("#!/bin/sh\nexec %s %s \"$@\"\n", path, name)
		}
		write(t, filepath.Join(dir, name), body)
	}
	return dir
}

func write(t *testing.T, path, body string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(body), 0o755); err != nil {
		t.Fatal(err)
	}
}

// saying makes a folder with a terraform that prints the line when asked for its
// version, and returns the folder.
func saying(t *testing.T, line string) string {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "terraform"), "#!/bin/sh\n[ \"$1\" = version ] && echo '"+line+"'\n")
	return dir
}

func TestFindTerraform(t *testing.T) {
	t.Parallel()
	old, candidate, good := saying(t, "Terraform v1.11.4"), saying(t, "Terraform v1.14.0-rc1"), saying(t, "Terraform v1.15.0")
	tofu := saying(t, "OpenTofu v1.15.0")
	next := saying(t, "Terraform v2.0.1")
	for name, c := range map[string]struct {
		path, env []string
		want      string // of standard output
		code      int
		say       string // a part of standard error; "" for none at all
	}{
		"none":                        {code: 3},
		"an old one on PATH":          {path: []string{old}, code: 3},
		"a prerelease of the first":   {path: []string{candidate}, code: 3},
		"no Terraform by that name":   {path: []string{tofu}, code: 3},
		"a good one behind old ones":  {path: []string{old, tofu, good}, want: good + "/terraform"},
		"a new major version":         {path: []string{next}, want: next + "/terraform"},
		"another version than wanted": {path: []string{good}, env: []string{"TERRAFORM_VERSION=1.15.1"}, code: 3},
		"the wanted version":          {path: []string{next, good}, env: []string{"TERRAFORM_VERSION=1.15.0"}, want: good + "/terraform"},
		"given":                       {path: []string{good}, env: []string{"TERRAFORM=" + next + "/terraform"}, want: next + "/terraform"},
		"given by name":               {path: []string{good}, env: []string{"TERRAFORM=terraform"}, want: good + "/terraform"},
		"given, too old":              {path: []string{good}, env: []string{"TERRAFORM=" + old + "/terraform"}, code: 2, say: "Terraform 1.11.4: actions need 1.14"},
		"given, not there":            {path: []string{good}, env: []string{"TERRAFORM=/nowhere/terraform"}, code: 2, say: "not a program that can be run"},
		"given, no Terraform":         {path: []string{good}, env: []string{"TERRAFORM=" + tofu + "/terraform"}, code: 2, say: "does not answer as Terraform"},
		"a version without actions":   {env: []string{"TERRAFORM_VERSION=1.13.3"}, code: 2, say: "1.14 or newer"},
		"a version that is a path":    {env: []string{"TERRAFORM_VERSION=1.15.0/../x"}, code: 2, say: "give it as 1.15.9"},
		"no place for a cache":        {env: []string{"SSMRUN_CACHE=", "HOME="}, code: 2, say: "set SSMRUN_CACHE or HOME"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := script{path: c.path, env: c.env, args: []string{"terraform/find.sh"}}.run(t, t.TempDir())
			if got.stdout != c.want || got.code != c.code {
				t.Errorf("printed %q, exit code %d; want %q, %d; stderr: %s", got.stdout, got.code, c.want, c.code, got.stderr)
			}
			if !strings.Contains(got.stderr, c.say) || (c.say == "" && got.stderr != "") {
				t.Errorf("stderr %q; want %q in it", got.stderr, c.say)
			}
		})
	}
}

// What is in the cache is used, from any working folder; PATH comes before it.
func TestFindTerraformInCache(t *testing.T) {
	t.Parallel()
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	cache := t.TempDir()
	where := script{args: []string{"-c", "me=test here=$PWD/terraform; . ./lib.sh; . terraform/lib.sh; built_path $(default_version)"}}.run(t, cache)
	if where.code != 0 || !strings.HasPrefix(where.stdout, cache+"/terraform-1.") {
		t.Fatalf("the place in the cache is %+v", where)
	}
	write(t, where.stdout, "#!/bin/sh\n")

	got := script{dir: t.TempDir(), args: []string{here + "/terraform/find.sh"}}.run(t, cache)
	if got.stdout != where.stdout || got.code != 0 {
		t.Errorf("got %+v; want the one in the cache, %s", got, where.stdout)
	}
	got = script{args: []string{"terraform/build.sh"}}.run(t, cache)
	if got.stdout != where.stdout || got.code != 0 || got.stderr != "" {
		t.Errorf("build.sh: got %+v; want the one in the cache, %s", got, where.stdout)
	}
	good := saying(t, "Terraform v1.15.0")
	got = script{path: []string{good}, args: []string{"terraform/find.sh"}}.run(t, cache)
	if got.stdout != good+"/terraform" {
		t.Errorf("got %+v; want the one on PATH, in %s", got, good)
	}
	got = script{dir: good, env: []string{"TERRAFORM=./terraform"}, args: []string{here + "/terraform/build.sh"}}.run(t, cache)
	if got.stdout != good+"/./terraform" && got.stdout != good+"/terraform" {
		t.Errorf("TERRAFORM=./terraform: got %+v; want an absolute path", got)
	}
}

// making is a script that makes $SSMRUN_CACHE/thing/program: its build writes one
// line to a log, and ends when it can read a line from the named pipe.
const making = `set -eu; me=test; . ./lib.sh
build() { echo "$$" >>"$LOG"; read -r answer <"$PIPE"; [ "$answer" = yes ] || return; echo '#!/bin/sh' >"$1"; chmod +x "$1"; }
cached "$SSMRUN_CACHE/thing/program" '' build
echo done`

type workshop struct{ cache, log, pipe string }

func newWorkshop(t *testing.T) workshop {
	t.Helper()
	dir := t.TempDir()
	w := workshop{filepath.Join(dir, "cache"), filepath.Join(dir, "log"), filepath.Join(dir, "pipe")}
	if err := syscall.Mkfifo(w.pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w workshop) script() script {
	return script{env: []string{"LOG=" + w.log, "PIPE=" + w.pipe, "PATH=" + os.Getenv("PATH")}, args: []string{"-c", making}}
}

// left lists the cache, once all is over.
func (w workshop) left(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir(w.cache)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// Six at once: one builds, five say that they wait, and all end with it in place.
func TestCacheBuildsOnce(t *testing.T) {
	t.Parallel()
	w := newWorkshop(t)
	const n = 6
	// Were there two builds, no sixth would wait, and nothing would end.
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	said := make(chan string)
	outputs := make([]bytes.Buffer, n)
	var calls []*exec.Cmd
	for i := range n {
		cmd := w.script().command(ctx, t, w.cache)
		cmd.Stdout = &outputs[i]
		stderr, err := cmd.StderrPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		calls = append(calls, cmd)
		go func() {
			for lines := bufio.NewScanner(stderr); lines.Scan(); {
				said <- lines.Text()
			}
			said <- ""
		}()
	}
	waiting, ended := 0, 0
	for ended < n {
		switch line := <-said; {
		case line == "":
			ended++
		case strings.Contains(line, "waiting for it"):
			if waiting++; waiting == n-1 {
				if err := os.WriteFile(w.pipe, []byte("yes\n"), 0); err != nil {
					t.Error(err)
				}
			}
		}
	}
	for i, cmd := range calls {
		if err := cmd.Wait(); err != nil || outputs[i].String() != "done\n" {
			t.Errorf("call %d: %v, printed %q", i, err, outputs[i].String())
		}
	}
	log, err := os.ReadFile(w.log)
	if err != nil || bytes.Count(log, []byte("\n")) != 1 {
		t.Errorf("the builds were %q, %v; want one", log, err)
	}
	if got := w.left(t); !slices.Equal(got, []string{"thing"}) {
		t.Errorf("the cache holds %q", got)
	}
}

// A lock whose owner was killed does not stop the next call.
func TestCacheTakesLockOfTheDead(t *testing.T) {
	t.Parallel()
	w := newWorkshop(t)
	gone := exec.CommandContext(t.Context(), "true")
	if err := gone.Run(); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(w.cache, "thing.lock", "pid"), fmt.Sprintln(gone.Process.Pid))
	go os.WriteFile(w.pipe, []byte("yes\n"), 0) //nolint:errcheck // without it the build does not end
	got := w.script().run(t, w.cache)
	if got.stdout != "done" || got.code != 0 {
		t.Errorf("got %+v", got)
	}
	if got := w.left(t); !slices.Equal(got, []string{"thing"}) {
		t.Errorf("the cache holds %q", got)
	}
}

// A build that fails leaves nothing behind, so the next call tries again.
func TestCacheAfterFailure(t *testing.T) {
	t.Parallel()
	w := newWorkshop(t)
	go os.WriteFile(w.pipe, []byte("no\n"), 0) //nolint:errcheck // without it the build does not end
	got := w.script().run(t, w.cache)
	if got.stdout != "" || got.code != 2 || !strings.Contains(got.stderr, "not built") {
		t.Errorf("got %+v", got)
	}
	if got := w.left(t); len(got) != 0 {
		t.Errorf("the cache holds %q", got)
	}
}

func TestTool(t *testing.T) {
	t.Parallel()
	cache := t.TempDir()
	got := script{args: []string{"tool.sh", "hammer"}}.run(t, cache)
	if got.code != 2 || got.stdout != "" || !strings.Contains(got.stderr, "golangci-lint tfplugindocs gofumpt") {
		t.Errorf("an unknown tool: got %+v", got)
	}

	// The smallest of them, built.
	got = script{args: []string{"tool.sh", "gofumpt"}}.run(t, cache)
	if got.code != 0 || !strings.HasPrefix(got.stdout, cache+"/gofumpt-") {
		t.Fatalf("got %+v", got)
	}
	if out, err := exec.CommandContext(t.Context(), got.stdout, "-version").Output(); err != nil || !bytes.HasPrefix(out, []byte("v0.")) {
		t.Errorf("gofumpt -version printed %q, %v", out, err)
	}
}

// SIGTERM in mid-build ends the script at once, and the cache is as it was.
func TestToolStops(t *testing.T) {
	t.Parallel()
	cache := t.TempDir()
	// A cache of Go's own makes the build long enough to be stopped.
	cmd := script{env: []string{"GOCACHE=" + t.TempDir()}, args: []string{"tool.sh", "golangci-lint"}}.command(t.Context(), t, cache)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stderr)
	if !lines.Scan() || !strings.Contains(lines.Text(), "building") {
		t.Errorf("said %q", lines.Text())
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	// Until Go and what it has started have let go of the pipe.
	if _, err := io.Copy(io.Discard, stderr); err != nil {
		t.Error(err)
	}
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 143 {
		t.Errorf("exit code %d; want 143", code)
	}
	if left, err := os.ReadDir(cache); err != nil || len(left) != 0 {
		t.Errorf("the cache holds %v, %v", left, err)
	}
}
