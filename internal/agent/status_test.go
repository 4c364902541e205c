package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"ssmrun/internal/agent/systemd"
	"ssmrun/internal/agentlink/linktest"
)

// statusOf runs the status command.
func (b *bench) statusOf(args ...string) (int, string) {
	b.t.Helper()
	var out strings.Builder
	code := statusMain(append([]string{"--state", b.dir}, args...), &out, &out)
	return code, out.String()
}

// statusWhen waits until the status says what is wanted.
func (b *bench) statusWhen(what string, is func(r report) bool) report {
	b.t.Helper()
	deadline := time.Now().Add(linktest.Deadline)
	for {
		_, text := b.statusOf("--json")
		var r report
		must(b.t, json.Unmarshal([]byte(text), &r))
		if is(r) {
			return r
		}
		if time.Now().After(deadline) {
			b.t.Fatalf("never %s: %s", what, text)
		}
		wait(20 * time.Millisecond)
	}
}

// wait lets a moment pass between two looks at a file.
func wait(d time.Duration) { <-time.After(d) }

func TestStatus(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if code, text := b.statusOf(); code != ExitNotRunning || !strings.Contains(text, "no agent has run") {
		t.Errorf("before any agent: %d %s", code, text)
	}
	b.cfg.Workers = 1
	b.putPolicy("version: 1\n")
	r := b.start()
	b.statusWhen("connected", func(r report) bool { return r.Connected })
	hold := fifo(t, "hold")
	p := script(t, "echo x >"+hold, "read x <"+hold)
	p.DocumentName = "My\x1b[31mDoc"
	n := len(b.srv.Events())
	job := b.srv.SendCommand(p)
	told(t, hold)
	waits := script(t, "true")
	b.srv.WaitAck(b.srv.SendCommand(waits), n)
	got := b.statusWhen("one runs, one waits", func(r report) bool { return len(r.Running) == 1 && len(r.Waiting) == 1 })
	if c := got.Running[0]; c.ID != p.CommandID || c.Step != "run" || c.Document != p.DocumentName || time.Since(c.Since) > time.Minute || got.Waiting[0].ID != waits.CommandID {
		t.Errorf("%+v", got)
	}
	if got.InstanceID != b.srv.InstanceID || got.Region != "us-east-1" || got.Endpoint != b.srv.URL() || got.Channel != "ssmmessages" || got.PID != os.Getpid() ||
		got.LastHeartbeat.IsZero() || got.Policy.Path != b.cfg.PolicyFile || len(got.Policy.SHA256) != 64 || got.JournalFiles < 2 || got.JournalBytes == 0 || got.DiskFree == nil {
		t.Errorf("%+v", got)
	}
	code, text := b.statusOf()
	contains(t, "status", text, "connected for 0 s, up ", p.CommandID, "My?[31mDoc, step run, for ", waits.CommandID, "sha256 ", " free\n", "waiting    1\n")
	if code != ExitConnected || strings.Contains(text, "\x1b") {
		t.Errorf("code %d\n%s", code, text)
	}
	if fi, err := os.Stat(filepath.Join(b.dir, statusFile)); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", fi, err)
	}
	tell(t, hold)
	b.srv.WaitFinal(job, n)
	b.statusWhen("idle", func(r report) bool { return len(r.Running)+len(r.Waiting)+r.RepliesOwed == 0 })

	b.srv.Stop()
	got = b.statusWhen("without a connection", func(r report) bool { return !r.Connected && r.LastError != nil })
	contains(t, "last error", got.LastError.Text, "no connection to the service: ")
	if code, text := b.statusOf(); code != ExitNotConnected || !strings.Contains(text, "no connection for ") {
		t.Errorf("code %d\n%s", code, text)
	}
	b.srv.Start()
	b.statusWhen("connected again", func(r report) bool { return r.Connected })
	r.stop()
	got = b.statusWhen("stopped", func(r report) bool { return !r.Stopped.IsZero() })
	if got.Connected || got.InstanceID != b.srv.InstanceID {
		t.Errorf("%+v", got)
	}
}

// TestStatusOfAnAgentThatWasKilled: the process is gone, its file says what was.
func TestStatusOfAnAgentThatWasKilled(t *testing.T) {
	t.Parallel()
	b := setup(t)
	p := b.spawn("yes")
	b.statusWhen("connected", func(r report) bool { return r.Connected })
	must(t, p.cmd.Process.Kill())
	_ = p.cmd.Wait()
	code, text := b.statusOf()
	contains(t, "status", text, "not running: it was killed, or the host was", b.srv.InstanceID, b.srv.URL())
	if code != ExitNotRunning {
		t.Errorf("code %d", code)
	}
	must(t, os.Remove(filepath.Join(b.dir, statusFile)))
	if code, text := b.statusOf(); code != ExitNotRunning || !strings.Contains(text, b.srv.InstanceID) {
		t.Errorf("without its file: code %d\n%s", code, text)
	}
	must(t, os.WriteFile(filepath.Join(b.dir, statusFile), []byte("{"), 0o600))
	if code, text := b.statusOf(); code != ExitNotReadable {
		t.Errorf("with a broken file: code %d\n%s", code, text)
	}
	for _, args := range [][]string{{"--frob"}, {"x"}} {
		if code, _ := b.statusOf(args...); code != ExitUsage {
			t.Errorf("%q: code %d", args, code)
		}
	}
	if code, text := b.statusOf("--help"); code != ExitOK || !strings.Contains(text, "--state") && !strings.Contains(text, "-state") {
		t.Errorf("help: code %d\n%s", code, text)
	}
}

// TestNarrow: the report fits a small terminal.
func TestNarrow(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	free := uint64(3 << 30)
	r := report{Alive: true, JournalFiles: 4, JournalBytes: 12 << 10, DiskFree: &free, Status: Status{
		PID: 123, Started: now.Add(-3 * time.Hour), Version: "0.1.0", InstanceID: "mi-0123456789abcdef0", Region: "us-east-1", Endpoint: "https://ssm.example.com:8443",
		Connected: true, ConnectedSince: now.Add(-12 * time.Minute), Channel: "ssmmessages", LastHeartbeat: now.Add(-2 * time.Minute), RunAs: "deploy",
		Running:   []StatusCommand{{"a74b728d-ad7c-422d-8cd2-3b973e972c52", "AWS-RunShellScript", "run", now.Add(-3 * time.Second)}},
		Policy:    &StatusPolicy{Path: "/etc/ssmrun/policy.yaml", SHA256: strings.Repeat("ab", 32)},
		LastError: &StatusError{now.Add(-50 * time.Hour), "heartbeat failed"},
	}}
	const want = `agent      connected for 12 min, up 3 h, pid 123
instance   mi-0123456789abcdef0 us-east-1
service    https://ssm.example.com:8443
channel    ssmmessages, a websocket
heartbeat  2 min ago
version    0.1.0
scripts    run as deploy
policy     /etc/ssmrun/policy.yaml
           sha256 abababababababab...
running    1
           a74b728d-ad7c-422d-8cd2-3b973e972c52
             AWS-RunShellScript, step run, for 3 s
waiting    0
replies    0 owed to the service
journal    12.0 KiB
disk       3.0 GiB free
last error 2 days ago:
           heartbeat failed
`
	got := r.text(now)
	if got != want {
		t.Errorf("got\n%s", got)
	}
	for line := range strings.Lines(got) {
		if len(line) > 52 {
			t.Errorf("%d columns: %s", len(line), line)
		}
	}
}

// TestLongTextsAreWrapped: of an error, and of a policy that cannot be used.
func TestLongTextsAreWrapped(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	r := report{Alive: true, Status: Status{
		PID: 123, Started: now, Channel: "ec2messages",
		Policy:    &StatusPolicy{Path: "/etc/ssmrun/policy.yaml", Error: strings.Repeat("wörd ", 30)},
		LastError: &StatusError{now, "call https://" + strings.Repeat("x", 80) + "/ " + strings.Repeat("again ", 20)},
	}}
	got := r.text(now)
	contains(t, "status", got, "channel    ec2messages, polling as the websocket cannot be\n           opened\n", "\n           https://xxx", "refuses every command: wörd ")
	for line := range strings.Lines(got) {
		if n := utf8.RuneCountInString(line) - 1; n > 60 && !strings.Contains(line, "xxx") {
			t.Errorf("%d columns: %s", n, line)
		}
	}
}

// TestServiceManager: the manager hears that the agent is ready, alive, reloads
// and stops, and how it is.
func TestServiceManager(t *testing.T) {
	t.Parallel()
	b := setup(t)
	socket := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	must(t, err)
	defer conn.Close()
	var mu sync.Mutex
	var all []string
	heard := make(chan struct{}, 1000)
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := conn.Read(buf)
			if err != nil {
				return
			}
			mu.Lock()
			all = append(all, strings.Split(string(buf[:n]), "\n")[0])
			mu.Unlock()
			heard <- struct{}{}
		}
	}()
	until := func(want string) {
		t.Helper()
		timeout := time.After(linktest.Deadline)
		for {
			mu.Lock()
			text := strings.Join(all, "\n") + "\n"
			mu.Unlock()
			if strings.Contains(text, want+"\n") {
				return
			}
			select {
			case <-heard:
			case <-timeout:
				t.Fatalf("no %s in\n%s", want, text)
			}
		}
	}
	forget := func() {
		mu.Lock()
		defer mu.Unlock()
		all = nil
	}
	b.cfg.Notify = systemd.New(func(k string) string {
		return map[string]string{"NOTIFY_SOCKET": socket, "WATCHDOG_USEC": "60000"}[k]
	}, os.Getpid())
	// The service is away: the agent is ready all the same.
	b.srv.Stop()
	r := b.startAlone()
	until("READY=1")
	until("STATUS=" + b.srv.InstanceID + " has no connection to " + b.srv.URL())
	until("WATCHDOG=1")
	b.srv.Start()
	until("STATUS=" + b.srv.InstanceID + " connected, idle")

	// An agent whose lock is held is stuck, and says so by its silence.
	r.agent.mu.Lock()
	for range 3 { // one may be on its way
		forget()
		wait(80 * time.Millisecond)
	}
	mu.Lock()
	if len(all) > 0 {
		t.Errorf("a stuck agent says %q", all)
	}
	mu.Unlock()
	r.agent.mu.Unlock()
	until("WATCHDOG=1")

	forget()
	r.agent.Reload()
	until("RELOADING=1")
	until("READY=1")
	r.stop()
	until("STOPPING=1")
	until("STATUS=stopped")
}

// TestNotReadyWhereRegistrationIsRefused: the start has failed then.
func TestNotReadyWhereRegistrationIsRefused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	must(t, os.Remove(filepath.Join(b.dir, "registration.json")))
	b.cfg.Activation.ID, b.cfg.Activation.Code, b.cfg.Region = b.srv.ActivationID, "wrong", "us-east-1"
	socket := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	must(t, err)
	defer conn.Close()
	b.cfg.Notify = systemd.New(func(k string) string { return map[string]string{"NOTIFY_SOCKET": socket}[k] }, os.Getpid())
	a, err := New(b.cfg)
	must(t, err)
	if err := a.Run(context.Background()); err == nil {
		t.Fatal("it registered")
	}
	must(t, conn.SetReadDeadline(time.Now().Add(50*time.Millisecond)))
	for buf := make([]byte, 4096); ; {
		n, err := conn.Read(buf)
		if err != nil {
			return
		}
		if strings.Contains(string(buf[:n]), "READY") {
			t.Errorf("it says %q", buf[:n])
		}
	}
}

func TestJournalLog(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	last := &troubles{}
	l := slog.New(remembering{newLogger(&out, slog.LevelDebug, true).Handler(), last}).With("a", 1)
	l.Info("hello", "retry_in", 1234567*time.Microsecond, "text", "two\nlines")
	l.Warn("careful", "error", errors.New("it is hot"), "took", 90*time.Minute+1)
	l.Error("no")
	l.Debug("d")
	want := "<6>msg=hello a=1 retry_in=1.2s text=\"two\\nlines\"\n<4>msg=careful a=1 error=\"it is hot\" took=1h30m0s\n<3>msg=no a=1\n<7>msg=d a=1\n"
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", &out, want)
	}
	if got := last.get(); got == nil || got.Text != "no" {
		t.Errorf("%+v", got)
	}
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() { l.Warn("w", "i", i); l.Info("i", "i", i) })
	}
	wg.Wait()
	for line := range strings.Lines(out.String()[len(want):]) {
		if !strings.HasPrefix(line, "<4>msg=w") && !strings.HasPrefix(line, "<6>msg=i") {
			t.Errorf("mixed up: %s", line)
		}
	}
	out.Reset()
	newLogger(&out, slog.LevelInfo, false).Info("x", "d", 3*time.Millisecond+7)
	if got := out.String(); !strings.HasPrefix(got, "time=") || !strings.HasSuffix(got, " level=INFO msg=x d=3ms\n") {
		t.Errorf("got %s", got)
	}
}

func TestSize(t *testing.T) {
	t.Parallel()
	for n, want := range map[uint64]string{0: "0 bytes", 1023: "1023 bytes", 1024: "1.0 KiB", 5 << 40: "5.0 TiB", 5 << 50: "5120.0 TiB"} {
		if got := size(n); got != want {
			t.Error(fmt.Sprint(n, " is ", got))
		}
	}
}
