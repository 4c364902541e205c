package sim_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"ssmrun/internal/sim"
	"ssmrun/internal/testenv"
)

// process is the real program.
type process struct {
	t   *testing.T
	cmd *exec.Cmd
	out *bufio.Reader
	err bytes.Buffer
}

func start(t *testing.T, args ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command(testenv.Binary(t, "ssmrun-sim"), args...)}
	p.cmd.Env, p.cmd.Stderr = testenv.CleanEnv(), &p.err
	out, err := p.cmd.StdoutPipe()
	if err == nil {
		err = p.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	p.out = bufio.NewReader(out)
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
	})
	return p
}

// line reads the next line of its output.
func (p *process) line(into any) {
	p.t.Helper()
	b, err := p.out.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(b, into)
	}
	if err != nil {
		p.t.Fatalf("read %q: %v\n%s", b, err, &p.err)
	}
}

// end asks it to end and reads its report.
func (p *process) end(r *sim.Report) {
	p.t.Helper()
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	p.line(r)
	if err := p.cmd.Wait(); err != nil {
		p.t.Errorf("it ended with %v\n%s", err, &p.err)
	}
}

func TestUsage(t *testing.T) {
	t.Parallel()
	here := "--endpoint=http://127.0.0.1:1"
	for want, args := range map[string][]string{
		"--agents 0":           {here},
		"where is the service": {"--agents=1"},
		"give one of":          {"--agents=1", here, "--ready-file=x"},
		"--endpoint:":          {"--agents=1", "--endpoint=nowhere"},
		"--silent 2":           {"--agents=1", here, "--silent=2"},
		"--exit-code 256":      {"--agents=1", here, "--exit-code=256"},
		"ID:CODE":              {"--agents=1", here, "--activation=x"},
		"unexpected argument":  {"--agents=1", here, "x"},
		"-source":              {"--agents=1", here, "--source=x"},
		"--ca-file:":           {"--agents=1", here, "--ca-file=/no/such.pem"},
		"may open":             {"--agents=100000000", here},
	} {
		var out, err bytes.Buffer
		if code := sim.Main(t.Context(), args, &out, &err); code != sim.ExitUsage || !strings.Contains(err.String(), want) || out.Len() > 0 {
			t.Errorf("%q: exit code %d, %s", args, code, &err)
		}
	}
	var out, err bytes.Buffer
	if code := sim.Main(t.Context(), []string{"--help"}, &out, &err); code != sim.ExitOK || !strings.Contains(out.String(), "-twice") || err.Len() > 0 {
		t.Errorf("help: exit code %d, %s%s", code, &out, &err)
	}
	missing := filepath.Join(t.TempDir(), "ready.json")
	if code := sim.Main(t.Context(), []string{"--agents=1", "--ready-file", missing}, &out, &err); code != sim.ExitFailed || !strings.Contains(err.String(), "ready.json") {
		t.Errorf("no service: exit code %d, %s", code, &err)
	}
}
