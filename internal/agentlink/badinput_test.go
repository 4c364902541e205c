package agentlink_test

import (
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"ssmrun/internal/agentlink"
	"ssmrun/internal/agentlink/linktest"
	"ssmrun/internal/wire"

	"ssmrun/internal/testlog"
)

// TestBadFrames: whatever comes over the channel, the command after it is taken.
func TestBadFrames(t *testing.T) {
	t.Parallel()
	good := func(b *bundle, id string) wire.AgentJob {
		return wire.AgentJob{
			SchemaVersion: 1, JobID: b.srv.JobID(id), Topic: wire.JobTopic(wire.TopicSendCommand, "us-east-1", b.srv.InstanceID),
			Content: `{"CommandId":"` + id + `","DocumentContent":{}}`,
		}
	}
	frame := func(t *testing.T, typ string, v any) []byte {
		f, err := wire.NewFrame(typ, time.Now(), v)
		if err != nil {
			t.Fatal(err)
		}
		return f.Encode()
	}
	for name, bad := range map[string]struct {
		send   func(*testing.T, *bundle) []byte
		taken  int  // jobs that it brings
		closes bool // the channel cannot be read on
		log    string
	}{
		"empty":    {send: func(*testing.T, *bundle) []byte { return nil }, log: "fewer than the 120"},
		"no frame": {send: func(*testing.T, *bundle) []byte { return []byte("no frame") }, log: "fewer than the 120"},
		"cut": {send: func(t *testing.T, b *bundle) []byte {
			f := frame(t, wire.TypeAgentJob, good(b, "bad"))
			return f[:len(f)-5]
		}, log: "bytes follow"},
		"more than its length": {send: func(t *testing.T, b *bundle) []byte {
			return append(frame(t, wire.TypeAgentJob, good(b, "bad")), "more"...)
		}, log: "bytes follow"},
		"wrong digest": {send: func(t *testing.T, b *bundle) []byte {
			f := frame(t, wire.TypeAgentJob, good(b, "bad"))
			f[len(f)-3] ^= 1
			return f
		}, log: "digest does not match"},
		"oversize":     {send: func(*testing.T, *bundle) []byte { return make([]byte, wire.MaxFrameBytes+1) }, closes: true, log: "over the limit of 4194424 bytes"},
		"unknown type": {send: func(t *testing.T, _ *bundle) []byte { return frame(t, "agent_surprise", struct{}{}) }, log: "type=agent_surprise"},
		"session":      {send: func(t *testing.T, _ *bundle) []byte { return frame(t, wire.TypeInteractiveShell, struct{}{}) }, log: "type=interactive_shell"},
		"job of other types": {send: func(t *testing.T, _ *bundle) []byte {
			return frame(t, wire.TypeAgentJob, map[string]any{"JobId": 3})
		}, log: "JobId has the wrong type"},
		"payload no JSON": {send: func(*testing.T, *bundle) []byte {
			return wire.Frame{Type: wire.TypeAgentJob, SchemaVersion: 1, Created: time.Now(), ID: uuid.New(), Payload: []byte("{")}.Encode()
		}, log: "ends early"},
		"acknowledgement of nothing": {send: func(t *testing.T, _ *bundle) []byte {
			return frame(t, wire.TypeAgentJobReplyAck, wire.AgentJobReplyAck{AcknowledgedMessageID: uuid.NewString()})
		}},
		"acknowledgement without an id": {send: func(t *testing.T, _ *bundle) []byte {
			return frame(t, wire.TypeAgentJobReplyAck, wire.AgentJobReplyAck{AcknowledgedMessageID: "no uuid"})
		}, log: "is no UUID"},
		// Whether a job is one of this instance, or was taken before, is for the
		// Handler to see.
		"another instance's": {send: func(t *testing.T, b *bundle) []byte {
			j := good(b, "bad")
			j.JobID = wire.JobID("bad", "i-00000000000000000")
			return frame(t, wire.TypeAgentJob, j)
		}, taken: 1},
		"replayed": {send: func(t *testing.T, b *bundle) []byte {
			f := frame(t, wire.TypeAgentJob, good(b, "bad"))
			b.srv.SendRaw(f)
			return f
		}, taken: 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log testlog.Log
			b := setup(t, func(c *agentlink.Config, _ *linktest.Server) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
			_, n := b.srv.WaitKind("open", 0)
			b.srv.SendRaw(bad.send(t, b))
			if bad.closes {
				_, n = b.srv.WaitKind("open", n)
			}
			job := b.srv.SendCommand(command("good"))
			b.srv.WaitAck(job, n)
			for range bad.taken {
				if j := receive(t, "job", b.echo.jobs); j.JobID == job {
					t.Error("the last job came first")
				}
			}
			if j := receive(t, "job", b.echo.jobs); j.JobID != job {
				t.Errorf("took %s", j.JobID)
			}
			if got := log.String(); !strings.Contains(got, bad.log) {
				t.Errorf("the log has nothing of %q:\n%s", bad.log, got)
			}
		})
	}
}

// TestNonsenseIsReadSlowly: after some of it, each more is followed by a pause,
// and what comes after it is taken.
func TestNonsenseIsReadSlowly(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	_, n := b.srv.WaitKind("open", 0)
	begun := time.Now()
	for range 22 {
		b.srv.SendRaw([]byte("nonsense"))
	}
	b.srv.WaitAck(b.srv.SendCommand(command("good")), n)
	if took := time.Since(begun); took < time.Second {
		t.Errorf("22 bad frames were read in %s", took)
	}
}

// TestEarlyClosesSlowDown: a service that closes every channel at once is not
// asked for another without a pause that grows.
func TestEarlyClosesSlowDown(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *agentlink.Config, s *linktest.Server) {
		s.Channel = linktest.ChannelShort
		c.Timing.BackoffMin, c.Timing.BackoffMax = 10*time.Millisecond, 640*time.Millisecond
	})
	first, n := b.srv.WaitKind("spoilt channel", 0)
	last := first
	for range 6 {
		last, n = b.srv.WaitKind("spoilt channel", n)
	}
	// Six pauses of bounds 10 to 320 ms are a tenth of 630 ms at least.
	if took := last.At.Sub(first.At); took < 63*time.Millisecond {
		t.Errorf("six channels more within %v", took)
	}
}

// TestKeyChangeSurvivesAKill: the agent is killed at each moment of a change of
// keys, and the next one on the same disk still speaks for the instance.
func TestKeyChangeSurvivesAKill(t *testing.T) {
	t.Parallel()
	for _, lose := range []bool{false, true} {
		b := setup(t, func(_ *agentlink.Config, s *linktest.Server) { s.NewKeys, s.LoseKeyAnswer = true, lose })
		b.srv.WaitKind(wire.OpUpdateManagedInstancePublicKey, 0)
		b.srv.WaitKind("open", 0)
		b.stop()
		var disks [][]byte
		for len(b.saved) > 0 {
			disk, err := json.Marshal(<-b.saved)
			if err != nil {
				t.Fatal(err)
			}
			disks = append(disks, disk)
		}
		if want := map[bool]int{false: 2, true: 1}[lose]; len(disks) != want {
			t.Fatalf("answer lost: %v: saved %d times, want %d", lose, len(disks), want)
		}
		// Killed after the first save, the second one may not be on the disk.
		for _, disk := range disks {
			var id agentlink.Identity
			if err := json.Unmarshal(disk, &id); err != nil {
				t.Fatal(err)
			}
			b.srv.Forget()
			_, n := b.srv.WaitKind("close", 0)
			n = max(n, len(b.srv.Events()))
			again := run(t, b, id)
			b.srv.WaitKind("open", n)
			if got := again(); id.Next != nil && (got == nil || got.Next != nil || !got.Key.Equal(id.Next)) {
				t.Error("the new key did not take the old one's place")
			}
		}
	}
}

// TestPlannedKeyIsTriedAgain: killed before the service heard of the new key, the
// next agent offers the same one.
func TestPlannedKeyIsTriedAgain(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *agentlink.Config, s *linktest.Server) {
		next, err := agentlink.NewIdentity("us-east-1")
		if err != nil {
			t.Error(err)
		}
		c.Identity.Next = next.Key
		s.NewKeys = true
	})
	b.srv.WaitKind("open", 0)
	if got := receive(t, "changed key", b.saved); got.Next != nil || got.Key.Equal(testKey().Key) {
		t.Error("the planned key was not the one that was taken")
	}
}

// TestUnsavedKeyIsNotTold: where the new key cannot be kept, the service does not
// hear of it, now or later: an agent killed then would be lost.
func TestUnsavedKeyIsNotTold(t *testing.T) {
	t.Parallel()
	fails := 3
	saves := make(chan agentlink.Identity, 10)
	b := setup(t, func(c *agentlink.Config, s *linktest.Server) {
		s.NewKeys = true
		c.SaveIdentity = func(i agentlink.Identity) error {
			if fails--; fails >= 0 {
				return errDisk
			}
			saves <- i
			return nil
		}
	})
	n := 0
	for range 3 {
		_, n = b.srv.WaitKind("open", n)
		b.srv.Forget()
		b.srv.Cut()
	}
	b.srv.WaitKind(wire.OpUpdateManagedInstancePublicKey, 0)
	planned := receive(t, "saved key", saves)
	if planned.Next == nil {
		t.Error("the service heard of a key that was not saved first")
	}
	tells := 0
	for _, e := range b.srv.Events() {
		if e.Kind == wire.OpUpdateManagedInstancePublicKey {
			tells++
		}
	}
	if tells != 1 {
		t.Errorf("the service was told of a key %d times", tells)
	}
}
