package agent

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/uuid"

	"ssmrun/internal/agent/journal"
	"ssmrun/internal/agent/state"
	"ssmrun/internal/agentlink"
	"ssmrun/internal/agentlink/linktest"
	"ssmrun/internal/executor"
	"ssmrun/internal/wire"
)

// TestKilledAgentRunsNothingTwice kills the agent's process in mid-script: the
// script lives on until the next agent ends it, and is never run again.
func TestKilledAgentRunsNothingTwice(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"default", noCgroup} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			p := b.spawn(mode)
			count, pids := filepath.Join(t.TempDir(), "count"), fifo(t, "pids")
			c := script(t)
			c.DocumentContent = document22(t,
				step{"first", map[string]any{"runCommand": "echo done"}, nil},
				step{"a", map[string]any{"runCommand": "echo x >> " + count + "; env > " + count + ".env; setsid sleep 1000 & echo $! $$ > " + pids + "; sleep 1000"}, nil},
				step{"b", map[string]any{"runCommand": "echo y >> " + count}, nil})
			jobID := b.srv.SendCommand(c)
			tree := strings.Fields(told(t, pids))
			must(t, p.cmd.Process.Kill())
			_ = p.cmd.Wait()
			_, n := b.srv.WaitKind("close", 0)
			for _, pid := range tree {
				if _, err := os.Stat("/proc/" + pid); err != nil {
					t.Errorf("process %s did not outlive the agent: %v", pid, err)
				}
			}
			b.spawn(mode)
			final, n := b.srv.WaitFinal(jobID, n)
			got := b.results(jobID)
			if s := got["first"]; s.Status != wire.StatusSuccess || s.StandardOutput != "done\n" {
				t.Errorf("step that was over: %+v", s)
			}
			if s := got["a"]; s.Status != wire.StatusFailed || s.Code != 137 || s.StartDateTime == "" {
				t.Errorf("step that ran: %+v", s)
			}
			contains(t, "stderr", got["a"].StandardError, "the agent ended while the step ran", "not run again")
			if s := got["b"]; s.Status != wire.StatusFailed || s.Code != -1 {
				t.Errorf("step after it: %+v", s)
			}
			if final.Reply.DocumentStatus != wire.StatusFailed {
				t.Errorf("document: %s", final.Reply.DocumentStatus)
			}
			for _, pid := range tree {
				gone(t, pid)
			}
			b.srv.SendCommand(c)
			if ack, _ := b.srv.WaitAck(jobID, n); ack.Ack.StatusCode != wire.AckDuplicateCommand {
				t.Errorf("offered again: %+v", ack.Ack)
			}
			if ran, _ := os.ReadFile(count); string(ran) != "x\n" {
				t.Errorf("what ran: %q", ran)
			}
			if env, _ := os.ReadFile(count + ".env"); strings.Contains(string(env), "SECRET_OF_THE_AGENT") {
				t.Errorf("the script inherited the agent's environment:\n%s", env)
			}
		})
	}
}

func TestSIGTERM(t *testing.T) {
	t.Parallel()
	b := setup(t)
	p := b.spawn("default")
	begun := fifo(t, "begun")
	jobID := b.srv.SendCommand(script(t, "echo $$ > "+begun, "sleep 1000"))
	pid := told(t, begun)
	rec, err := state.ReadProcess(b.dir)
	if err != nil || rec.PID != p.cmd.Process.Pid || !rec.Alive() {
		t.Errorf("process record %+v %v", rec, err)
	}
	must(t, p.cmd.Process.Signal(syscall.SIGTERM))
	final, n := b.srv.WaitFinal(jobID, 0)
	if s := final.Reply.RuntimeStatus["run"]; s.Status != wire.StatusFailed || s.Code != 137 || !strings.Contains(s.StandardError, "the agent was stopped") {
		t.Errorf("got %+v", final.Reply)
	}
	if end, _ := b.srv.WaitKind("close", n); end.Close != websocket.StatusNormalClosure {
		t.Errorf("closed with %v", end.Close)
	}
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("exit: %v", err)
	}
	gone(t, pid)
	if rec.Alive() {
		t.Error("the process counts as alive")
	}
}

func TestRepliesOutliveTheService(t *testing.T) {
	t.Parallel()
	for _, restart := range []bool{false, true} {
		b := setup(t)
		r := b.start()
		begun, release := fifo(t, "begun"), fifo(t, "release")
		p := script(t, "echo > "+begun, "read x < "+release, "echo done")
		jobID := b.srv.SendCommand(p)
		told(t, begun)
		b.srv.Stop()
		_, n := b.srv.WaitKind("close", 0)
		tell(t, release)
		awaitFinished(t, r.agent, p.CommandID)
		if restart {
			r.stop()
		}
		b.srv.Start()
		if restart {
			b.start()
		}
		final, n := b.srv.WaitFinal(jobID, n)
		if final.Reply.DocumentStatus != wire.StatusSuccess || final.Reply.RuntimeStatus["run"].StandardOutput != "done\n" {
			t.Errorf("restart %v: %+v", restart, final.Reply)
		}
		// What was acknowledged is not told again.
		e := b.run(script(t, "true"))
		for _, other := range b.srv.Events()[n:] {
			if other.JobID == jobID {
				t.Errorf("restart %v: told again: %+v", restart, other)
			}
		}
		_ = e
	}
}

func awaitFinished(t *testing.T, a *Agent, commandID string) {
	t.Helper()
	deadline := time.Now().Add(linktest.Deadline)
	for time.Now().Before(deadline) {
		if e, ok := a.journal.Lookup(commandID); ok && e.Finished() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatal("the command does not end")
}

func TestUnacknowledgedFinalIsRepeatedAfterARestart(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.cfg.stopGrace = 10 * time.Millisecond
	b.srv.NoReplyAck = true
	r := b.start()
	jobID := b.srv.SendCommand(script(t, "true"))
	first, n := b.srv.WaitFinal(jobID, 0)
	r.stop()
	b.srv.Set(func(s *linktest.Settings) { s.NoReplyAck = false })
	b.start()
	if again, _ := b.srv.WaitFinal(jobID, n); again.MessageID != first.MessageID {
		t.Errorf("repeated as %s, was %s", again.MessageID, first.MessageID)
	}
}

// interrupted writes a journal as an agent leaves it that dies in mid-script.
func (b *bench) interrupted(h executor.Handle, cancelled bool) (commandID string) {
	b.t.Helper()
	p := script(b.t, "true")
	content, err := wire.Marshal(p)
	must(b.t, err)
	j, err := journal.Open(filepath.Join(b.dir, "journal"), journal.Options{})
	must(b.t, err)
	defer j.Close()
	e, err := j.Accept(p.CommandID, b.srv.JobID(p.CommandID), string(content), true)
	must(b.t, err)
	handle, err := json.Marshal(h)
	must(b.t, err)
	must(b.t, e.Begin(0, "run", "aws:runShellScript", handle))
	if cancelled {
		must(b.t, e.Cancel())
	}
	return p.CommandID
}

func TestInterruptedSteps(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name      string
		boot      string
		cancelled bool
		status    string
		note      string
	}{
		{"machine restarted", "another-boot", false, wire.StatusFailed, "the instance was restarted while the step ran"},
		{"agent ended", state.BootID(), false, wire.StatusFailed, "the agent ended while the step ran"},
		{"cancelled", state.BootID(), true, wire.StatusCancelled, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			id := b.interrupted(executor.Handle{BootID: tt.boot}, tt.cancelled)
			b.start()
			final, _ := b.srv.WaitFinal(b.srv.JobID(id), 0)
			s := final.Reply.RuntimeStatus["run"]
			if final.Reply.DocumentStatus != tt.status || s.Status != tt.status || s.Code != 137 {
				t.Errorf("got %+v", final.Reply)
			}
			contains(t, "stderr", s.StandardError, tt.note)
		})
	}
}

func TestDamagedJournal(t *testing.T) {
	t.Parallel()
	b := setup(t)
	begun := b.interrupted(executor.Handle{}, false)
	path := filepath.Join(b.dir, "journal", begun+".jsonl")
	data, err := os.ReadFile(path)
	must(t, err)
	must(t, os.WriteFile(path, data[:len(data)-9], 0o600)) // the step's beginning is cut off
	lost := uuid.NewString()
	must(t, os.WriteFile(filepath.Join(b.dir, "journal", lost+".jsonl"), []byte("noise\nmore\n"), 0o600))
	torn := uuid.NewString()
	must(t, os.WriteFile(filepath.Join(b.dir, "journal", torn+".jsonl"), []byte("12345678 {\"kind\":\"acc"), 0o600))
	b.start()
	final, _ := b.srv.WaitFinal(b.srv.JobID(begun), 0)
	if s := final.Reply.RuntimeStatus["run"]; s.Status != wire.StatusFailed || !strings.Contains(s.StandardError, "journal") {
		t.Errorf("cut off: %+v", final.Reply)
	}
	final, _ = b.srv.WaitFinal(b.srv.JobID(lost), 0)
	if final.Reply.DocumentStatus != wire.StatusFailed || !strings.Contains(final.Reply.DocumentTraceOutput, "journal") {
		t.Errorf("lost: %+v", final.Reply)
	}
	// The torn one was never accepted: it runs when it comes.
	for id, code := range map[string]string{begun: wire.AckDuplicateCommand, lost: wire.AckDuplicateCommand, torn: wire.AckOK} {
		p := script(t, "true")
		p.CommandID = id
		n := len(b.srv.Events())
		if ack, _ := b.srv.WaitAck(b.srv.SendCommand(p), n); ack.Ack.StatusCode != code {
			t.Errorf("%s offered: %+v, want %s", id, ack.Ack, code)
		}
	}
}

// FuzzJournalFile starts an agent on a journal file of any content: it must
// start, and answer for the command or run it, but never both.
func FuzzJournalFile(f *testing.F) {
	f.Add([]byte("noise\n"))
	f.Add([]byte(""))
	b := setup(f)
	id := b.interrupted(executor.Handle{}, false)
	path := filepath.Join(b.dir, "journal", id+".jsonl")
	data, err := os.ReadFile(path)
	must(f, err)
	f.Add(data)
	f.Add(data[:len(data)-3])
	f.Add(append(data, data...))
	f.Fuzz(func(t *testing.T, data []byte) {
		dir := filepath.Join(t.TempDir(), "state")
		must(t, os.MkdirAll(filepath.Join(dir, "journal"), 0o700))
		must(t, os.WriteFile(filepath.Join(dir, "journal", id+".jsonl"), data, 0o600))
		a, err := New(Config{StateDir: dir, Endpoint: FixedEndpoint("http://127.0.0.1:1", "")})
		must(t, err)
		a.identity = agentlink.Identity{InstanceID: b.srv.InstanceID}
		must(t, a.recover())
		if e, ok := a.journal.Lookup(id); ok && !e.Finished() && (len(a.queue) != 1 || len(e.Steps()) > 0 || e.Damaged() != nil) {
			t.Errorf("the command is neither reported nor queued (queue %d, steps %d, damaged %v)", len(a.queue), len(e.Steps()), e.Damaged())
		} else if ok && e.Finished() && len(a.queue) > 0 {
			t.Error("the command is both reported and queued")
		}
		must(t, a.Close())
	})
}

func TestOneAgentPerFolder(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start()
	if _, err := New(b.cfg); !errors.Is(err, state.ErrLocked) {
		t.Errorf("second agent: %v", err)
	}
}

func TestLoneliness(t *testing.T) {
	t.Parallel()
	t0 := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	l := loneliness{grace: 2 * time.Minute}
	for i, tt := range []struct {
		at     time.Duration
		lonely bool
		over   bool
	}{
		{0, false, false},
		{10 * time.Minute, false, false},
		{11 * time.Minute, true, false},
		{12*time.Minute + 59*time.Second, true, false},
		{13 * time.Minute, false, false}, // it was there again, or a script ran
		{14 * time.Minute, true, false},
		{15*time.Minute + 59*time.Second, true, false},
		{2 * time.Minute, true, false}, // the clock was set back
		{3*time.Minute + 59*time.Second, true, false},
		{4 * time.Minute, true, true},
	} {
		if got := l.over(t0.Add(tt.at), tt.lonely); got != tt.over {
			t.Errorf("step %d: over = %v", i, got)
		}
	}
}

// TestOrphanEnds: a local agent ends two minutes, by its clock, after its last
// script, once the service is gone; what it has to tell waits for the next.
func TestOrphanEnds(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var offset atomic.Int64
	var dead atomic.Bool
	b.cfg.Local = true
	b.cfg.Now = func() time.Time { return time.Now().Add(time.Duration(offset.Load())) }
	b.cfg.Endpoint = func() (state.Endpoint, error) {
		e := state.NewEndpoint(b.srv.URL(), "", "us-east-1", time.Now())
		if dead.Load() {
			e.StartTime++ // the pid is another process's now
		}
		return e, nil
	}
	r := b.start()
	begun, release := fifo(t, "begun"), fifo(t, "release")
	p := script(t, "echo > "+begun, "read x < "+release)
	jobID := b.srv.SendCommand(p)
	told(t, begun)
	b.srv.Stop()
	_, n := b.srv.WaitKind("close", 0)
	dead.Store(true)
	for range 10 { // a script runs: it stays
		offset.Add(int64(time.Hour))
		select {
		case <-r.done:
			t.Fatal("it ended while a script ran")
		case <-time.After(2 * b.cfg.orphanPoll):
		}
	}
	tell(t, release)
	awaitFinished(t, r.agent, p.CommandID)
	// Whichever reading of the clock began the loneliness, this is beyond it.
	deadline := time.After(linktest.Deadline)
	for ended := false; !ended; {
		offset.Add(int64(time.Minute))
		select {
		case <-r.done:
			ended = true
		case <-time.After(20 * time.Millisecond):
		case <-deadline:
			t.Fatal("it does not end")
		}
	}
	if r.err != nil {
		t.Error(r.err)
	}
	b.srv.Start()
	b.cfg.Local, b.cfg.Now = false, nil
	b.cfg.Endpoint = FixedEndpoint(b.srv.URL(), "")
	b.start()
	if final, _ := b.srv.WaitFinal(jobID, n); final.Reply.DocumentStatus != wire.StatusSuccess {
		t.Errorf("got %+v", final.Reply)
	}
}

func TestJournalThatIsNoFolder(t *testing.T) {
	t.Parallel()
	b := setup(t)
	path := filepath.Join(b.dir, "journal")
	must(t, os.WriteFile(path, nil, 0o600))
	if _, err := New(b.cfg); err == nil || !strings.Contains(err.Error(), "make journal folder") || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v", err)
	}
	must(t, os.Remove(path))
	b.start() // and the folder is free again
}
