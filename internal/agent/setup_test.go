package agent

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"ssmrun/internal/agent/state"
	"ssmrun/internal/agentlink"
	"ssmrun/internal/agentlink/linktest"
	"ssmrun/internal/executor"
	"ssmrun/internal/wire"
)

// asAgent makes the test binary an agent: a real process that can be killed.
// With the value noCgroup it holds process trees by supervisors.
const (
	asAgent  = "SSMRUN_TEST_AS_AGENT"
	noCgroup = "no-cgroup"
)

func TestMain(m *testing.M) {
	if executor.IsSupervisor(os.Args) {
		os.Exit(executor.SuperviseMain(os.Args))
	}
	switch os.Getenv(asAgent) {
	case "":
	case noCgroup:
		cfg, err := parseFlags(os.Args[1:], os.Stdout, os.Stderr)
		if err != nil {
			panic(err)
		}
		cfg.Executor.NoCgroup = true
		os.Exit(run(context.Background(), cfg, os.Stderr))
	default:
		os.Exit(Main(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

var testIdentity = sync.OnceValue(func() agentlink.Identity {
	id, err := agentlink.NewIdentity("us-east-1")
	if err != nil {
		panic(err)
	}
	return id
})

// bench is a server and the folder of an agent that is registered with it.
type bench struct {
	t   testing.TB
	srv *linktest.Server
	dir string
	cfg Config
}

func setup(t testing.TB) *bench {
	t.Helper()
	b := &bench{t: t, srv: linktest.New(t), dir: filepath.Join(t.TempDir(), "state")}
	id := testIdentity()
	id.InstanceID = b.srv.InstanceID
	b.srv.Know(id.Fingerprint, &id.Key.PublicKey)
	must(t, os.MkdirAll(b.dir, 0o700))
	must(t, state.Write(filepath.Join(b.dir, "registration.json"), id))
	log := t.Output()
	if _, bench := t.(*testing.B); bench {
		log = io.Discard
	}
	b.cfg = Config{
		StateDir: b.dir, Endpoint: FixedEndpoint(b.srv.URL(), b.srv.URL()),
		Logger:      slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Timing:      agentlink.Timing{BackoffMin: 20 * time.Millisecond, BackoffMax: 100 * time.Millisecond},
		Platform:    Platform{Type: "Linux", Name: "Test GNU/Linux", Version: "1", ComputerName: "host"},
		Queue:       5, // as the genuine agent has; what is in it outlives restarts
		orphanPoll:  10 * time.Millisecond,
		resumeDelay: 50 * time.Millisecond,
	}
	return b
}

// running is an agent in this process.
type running struct {
	agent *Agent
	stop  func() // asks it to stop and waits
	done  chan struct{}
	err   error
}

// start runs an agent and waits until it is connected.
func (b *bench) start() *running {
	b.t.Helper()
	n := len(b.srv.Events())
	r := b.startAlone()
	b.srv.WaitKind("open", n)
	return r
}

// startAlone runs an agent.
func (b *bench) startAlone() *running {
	b.t.Helper()
	a, err := New(b.cfg)
	must(b.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{agent: a, done: make(chan struct{})}
	go func() {
		defer close(r.done)
		r.err = a.Run(ctx)
	}()
	r.stop = func() { cancel(); <-r.done }
	b.t.Cleanup(r.stop)
	return r
}

// process is an agent in a process of its own.
type process struct {
	cmd *exec.Cmd
	log *strings.Builder
}

// spawn runs an agent as a process and waits until it is connected.
func (b *bench) spawn(mode string, args ...string) *process {
	b.t.Helper()
	n := len(b.srv.Events())
	self, err := os.Executable()
	must(b.t, err)
	p := &process{cmd: exec.Command(self, append([]string{"--state", b.dir, "--endpoint", b.srv.URL(), "--s3-endpoint", b.srv.URL(), "--local"}, args...)...), log: new(strings.Builder)}
	p.cmd.Env = []string{asAgent + "=" + mode, "SECRET_OF_THE_AGENT=x"}
	p.cmd.Stderr = p.log
	must(b.t, p.cmd.Start())
	b.t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
		if b.t.Failed() {
			b.t.Logf("agent process:\n%s", p.log)
		}
	})
	b.srv.WaitKind("open", n)
	return p
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// steps is a document of schema 2.2; a step is name, then its inputs.
type step struct {
	name   string
	inputs map[string]any
	extra  map[string]any
}

func document22(t testing.TB, steps ...step) json.RawMessage {
	t.Helper()
	var main []map[string]any
	for _, s := range steps {
		m := map[string]any{"action": "aws:runShellScript", "name": s.name, "inputs": s.inputs}
		maps.Copy(m, s.extra)
		main = append(main, m)
	}
	b, err := json.Marshal(map[string]any{"schemaVersion": "2.2", "mainSteps": main})
	must(t, err)
	return b
}

// script is a command of one step that runs these lines.
func script(t testing.TB, lines ...string) wire.SendCommandPayload {
	return wire.SendCommandPayload{
		CommandID: uuid.NewString(), DocumentName: "test", CloudWatchOutputEnabled: "false",
		DocumentContent: document22(t, step{name: "run", inputs: map[string]any{"runCommand": lines}}),
	}
}

// run sends a command and waits for its end.
func (b *bench) run(p wire.SendCommandPayload) linktest.Event {
	b.t.Helper()
	n := len(b.srv.Events())
	e, _ := b.srv.WaitFinal(b.srv.SendCommand(p), n)
	return e
}

// results gathers what the replies told about a command's plugins.
func (b *bench) results(jobID string) map[string]wire.PluginStatus {
	all := map[string]wire.PluginStatus{}
	for _, e := range b.srv.Events() {
		if e.Kind == wire.TypeAgentJobReply && e.JobID == jobID {
			maps.Copy(all, e.Reply.RuntimeStatus)
		}
	}
	return all
}

// fifo makes a named pipe: a script that reads it waits for the test, and one
// that writes it tells the test something.
func fifo(t testing.TB, name string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	must(t, mkfifo(path))
	return path
}

// told waits until a script has written to a fifo.
func told(t testing.TB, path string) string {
	t.Helper()
	type answer struct {
		b   []byte
		err error
	}
	c := make(chan answer, 1)
	go func() {
		b, err := os.ReadFile(path)
		c <- answer{b, err}
	}()
	select {
	case a := <-c:
		must(t, a.err)
		return strings.TrimSpace(string(a.b))
	case <-time.After(linktest.Deadline):
		t.Fatal("the script said nothing")
		return ""
	}
}

// tell lets a script go on that reads a fifo.
func tell(t testing.TB, path string) {
	t.Helper()
	must(t, os.WriteFile(path, []byte("go\n"), 0))
}

func contains(t testing.TB, what, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("%s lacks %q:\n%s", what, p, text)
		}
	}
}
