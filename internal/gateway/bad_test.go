package gateway_test

import (
	"crypto/sha256"
	"encoding/binary"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"ssmrun"
	"ssmrun/internal/wire"
)

// broken makes a whole frame and lets f break it.
func (b *bundle) broken(f func(raw []byte) []byte) []byte {
	b.t.Helper()
	frame, err := wire.NewFrame(wire.TypeAgentJobAck, time.Now(), wire.AgentJobAck{JobID: "j", StatusCode: wire.AckOK})
	b.must(err)
	return f(frame.Encode())
}

// TestBadFrames: each is logged and dropped, and the command of the same agent
// goes on to its end.
func TestBadFrames(t *testing.T) {
	t.Parallel()
	other := wire.JobID("c", "i-1123456789abcdef0")
	for _, c := range []struct {
		name string
		send func(f *far)
		log  string
	}{
		{"cut short", func(f *far) { f.raw(f.broken(func(raw []byte) []byte { return raw[:len(raw)-1] })) }, "bytes follow"},
		{"cut in the header", func(f *far) { f.raw(f.broken(func(raw []byte) []byte { return raw[:50] })) }, "fewer than"},
		{"empty", func(f *far) { f.raw(nil) }, "fewer than"},
		{"longer than it says", func(f *far) { f.raw(f.broken(func(raw []byte) []byte { return append(raw, 'x') })) }, "bytes follow"},
		{"says that it is huge", func(f *far) {
			f.raw(f.broken(func(raw []byte) []byte { binary.BigEndian.PutUint32(raw[116:], 1<<31); return raw }))
		}, "bytes follow"},
		{"wrong digest", func(f *far) { f.raw(f.broken(func(raw []byte) []byte { raw[80] ^= 1; return raw })) }, "digest does not match"},
		{"no type", func(f *far) { f.raw(f.broken(func(raw []byte) []byte { clear(raw[4:36]); return raw })) }, "no message type"},
		{"unknown type", func(f *far) { f.write("telemetry", map[string]int{"a": 1}) }, "unknown type"},
		{"garbage for a payload", func(f *far) {
			f.raw(f.broken(func(raw []byte) []byte {
				raw = append(raw[:120], "\x00\xff garbage"...)
				digest := sha256.Sum256(raw[120:])
				copy(raw[80:], digest[:])
				binary.BigEndian.PutUint32(raw[116:], uint32(len(raw)-120))
				return raw
			}))
		}, "malformed payload"},
		{"a payload of another form", func(f *far) { f.write(wire.TypeAgentJobReply, []int{1}) }, "malformed payload"},
		{"a reply that is none", func(f *far) {
			f.write(wire.TypeAgentJobReply, wire.AgentJobReply{JobID: wire.JobID("c", instance), Content: "garbage"})
		}, "drop a reply"},
		{"a reply for another instance", func(f *far) { f.reply(other, wire.StatusFailed, nil) }, "another instance"},
		{"a reply to what is no job", func(f *far) { f.reply("nonsense", wire.StatusFailed, nil) }, "drop a reply"},
		{"a text", func(f *far) { f.must(f.conn.Write(f.ctx, websocket.MessageText, []byte(`{"a":1}`))) }, "it is a text"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, time.Minute)
			f := b.connect()
			id := b.send()
			j := f.job()
			c.send(f)
			f.ack(j.JobID, wire.AckOK)
			f.reply(j.JobID, wire.StatusSuccess, done)
			if s := b.state(id); s.Status != ssmrun.Success {
				t.Errorf("state %s", s)
			}
			if !b.log.has(c.log) {
				t.Errorf("the log has nothing of %q", c.log)
			}
		})
	}
}

func (f *far) raw(b []byte) {
	f.t.Helper()
	f.must(f.conn.Write(f.ctx, websocket.MessageBinary, b))
}

// TestMessageOverTheLimit costs its sender the channel, and nobody a command.
func TestMessageOverTheLimit(t *testing.T) {
	t.Parallel()
	b := setup(t, time.Minute)
	f := b.connect()
	id := b.send()
	j := f.job()
	_ = f.conn.Write(b.ctx, websocket.MessageBinary, make([]byte, wire.MaxFrameBytes+1)) // it may be cut meanwhile
	if _, _, err := f.conn.Read(b.ctx); err == nil || b.ctx.Err() != nil {
		t.Errorf("the channel is open: %v", err)
	}
	again := b.connect()
	if k := again.job(); k.JobID != j.JobID {
		t.Errorf("job %s", k.JobID)
	}
	again.reply(j.JobID, wire.StatusSuccess, done)
	if s := b.state(id); s.Status != ssmrun.Success {
		t.Errorf("state %s", s)
	}
	b.until("it was not logged", func() bool { return b.log.has("a message is over the limit") })
}

// TestReplayedFrames: the same frames once more, under the same ids, change
// nothing; a reply is acknowledged each time, because the agent may have missed
// that.
func TestReplayedFrames(t *testing.T) {
	t.Parallel()
	b := setup(t, time.Minute)
	f := b.connect()
	id := b.send()
	j := f.job()
	reply, err := wire.NewAgentJobReply(j.JobID, wire.TopicSendCommand, wire.Reply{DocumentStatus: wire.StatusSuccess, RuntimeStatus: done})
	b.must(err)
	ack := f.write(wire.TypeAgentJobAck, wire.AgentJobAck{JobID: j.JobID, StatusCode: wire.AckOK})
	last := f.write(wire.TypeAgentJobReply, reply)
	for range 3 {
		f.raw(ack.Encode())
		f.raw(last.Encode())
	}
	for range 4 {
		frame := f.read()
		var a wire.AgentJobReplyAck
		b.must(wire.Unmarshal(frame.Payload, &a))
		if frame.Type != wire.TypeAgentJobReplyAck || a.AcknowledgedMessageID != last.ID.String() {
			t.Errorf("frame %s %+v", frame.Type, a)
		}
	}
	if s, p := b.state(id), b.plugin(id); s.Status != ssmrun.Success || p.Stdout != "a\nb\n" {
		t.Errorf("state %s, plugin %+v", s, p)
	}
}

// TestOutOfOrder: the end overtakes the step's result, that the first word, and all
// of them the acknowledgement. Nothing is lost, and nothing goes back.
func TestOutOfOrder(t *testing.T) {
	t.Parallel()
	b := setup(t, time.Minute)
	f := b.connect()
	id := b.send()
	j := f.job()
	f.reply(j.JobID, wire.StatusSuccess, nil)
	f.reply(j.JobID, wire.StatusInProgress, done)
	f.reply(j.JobID, wire.StatusInProgress, nil)
	f.ack(j.JobID, wire.AckBufferFull)
	f.ack(j.JobID, wire.AckOK)
	f.ack(j.JobID, wire.AckParseError)
	other := b.send()
	f.reply(f.job().JobID, wire.StatusSuccess, done)
	if s, p := b.state(id), b.plugin(id); s.Status != ssmrun.Success || p.Stdout != "a\nb\n" {
		t.Errorf("state %s, plugin %+v", s, p)
	}
	if s := b.state(other); s.Status != ssmrun.Success {
		t.Errorf("the next one: %s", s)
	}
}

// TestFlood: hundreds of replies, faster than they can be kept. All are
// acknowledged, and what comes after them is served.
func TestFlood(t *testing.T) {
	t.Parallel()
	b := setup(t, time.Minute)
	f := b.connect()
	id := b.send()
	j := f.job()
	reply, err := wire.NewAgentJobReply(j.JobID, wire.TopicSendCommand, wire.Reply{DocumentStatus: wire.StatusInProgress, DocumentTraceOutput: strings.Repeat("x", 10_000)})
	b.must(err)
	const many = 400 // several times what the window holds
	go func() {
		for range many {
			frame, err := wire.NewFrame(wire.TypeAgentJobReply, time.Now(), reply)
			if err != nil || f.conn.Write(b.ctx, websocket.MessageBinary, frame.Encode()) != nil {
				return
			}
		}
	}()
	for range many {
		if frame := f.read(); frame.Type != wire.TypeAgentJobReplyAck {
			t.Fatalf("frame %s", frame.Type)
		}
	}
	f.reply(j.JobID, wire.StatusSuccess, done)
	if s := b.state(id); s.Status != ssmrun.Success {
		t.Errorf("state %s", s)
	}
}

// TestNonsenseIsReadSlowly: after some of it, each more is followed by a pause.
func TestNonsenseIsReadSlowly(t *testing.T) {
	t.Parallel()
	b := setup(t, time.Minute)
	f := b.connect()
	id := b.send()
	j := f.job()
	begun := time.Now()
	for range 23 {
		f.raw([]byte("nonsense"))
	}
	f.reply(j.JobID, wire.StatusSuccess, done)
	if took := time.Since(begun); took < time.Second {
		t.Errorf("23 bad frames were read in %s", took)
	}
	if s := b.state(id); s.Status != ssmrun.Success {
		t.Errorf("state %s", s)
	}
}
