package wire

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"pgregory.net/rapid"
)

// golden is one frame, field by field, written down by hand.
var golden = strings.Join([]string{
	"00000074", // header length 116
	"6167656e745f6a6f625f61636b" + "20202020202020202020202020202020202020", // agent_job_ack, padded to 32
	"00000001",                         // schema version
	"000001a20479c8b2",                 // created: 2026-11-22T18:16:59.826Z in ms
	"0000000000000000",                 // sequence number
	"0000000000000000",                 // flags
	"8899aabbccddeeff0011223344556677", // message id, low half first
	"44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a", // SHA-256 of {}
	"00000000", // payload type
	"00000002", // payload length
	"7b7d",     // {}
}, "")

func goldenBytes(t testing.TB) []byte {
	t.Helper()
	b, err := hex.DecodeString(golden)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func goldenFrame() Frame {
	return Frame{
		Type:          TypeAgentJobAck,
		SchemaVersion: 1,
		Created:       time.Date(2026, 11, 22, 18, 16, 59, 826e6, time.UTC),
		ID:            uuid.MustParse("00112233-4455-6677-8899-aabbccddeeff"),
		Payload:       []byte("{}"),
	}
}

func TestFrameGolden(t *testing.T) {
	t.Parallel()
	if got := hex.EncodeToString(goldenFrame().Encode()); got != golden {
		t.Errorf("encode:\n got %s\nwant %s", got, golden)
	}
	got, err := Decode(goldenBytes(t))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(goldenFrame(), got); diff != "" {
		t.Errorf("decode (-want +got):\n%s", diff)
	}
}

func TestFrameTypePaddingOfEitherKind(t *testing.T) {
	t.Parallel()
	for _, pad := range []string{"\x00", " ", "\x00 ", " \x00"} {
		b := goldenBytes(t)
		copy(b[4:36], "agent_job_ack"+strings.Repeat(pad, 19))
		f, err := Decode(b)
		if err != nil || f.Type != TypeAgentJobAck {
			t.Errorf("pad %q: %q, %v", pad, f.Type, err)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	edit := func(at int, with ...byte) func([]byte) []byte {
		return func(b []byte) []byte { copy(b[at:], with); return b }
	}
	for name, change := range map[string]func([]byte) []byte{
		"empty":                  func([]byte) []byte { return nil },
		"one byte short of 120":  func(b []byte) []byte { return b[:119] },
		"payload cut":            func(b []byte) []byte { return b[:121] },
		"byte after the payload": func(b []byte) []byte { return append(b, 0) },
		"header length":          edit(0, 0, 0, 0, 117),
		"payload length":         edit(116, 0xff, 0xff, 0xff, 0xff),
		"payload length, less":   edit(116, 0, 0, 0, 1),
		"payload length, more":   edit(116, 0, 0, 0, 3),
		"digest":                 edit(80, 0),
		"payload":                edit(120, '['),
		"type empty":             edit(4, bytes.Repeat([]byte{' '}, 32)...),
		"created zero":           edit(40, make([]byte, 8)...),
		"too long":               func([]byte) []byte { return Frame{Type: "x", Payload: make([]byte, MaxPayloadBytes+1)}.Encode() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if f, err := Decode(change(goldenBytes(t))); !errors.Is(err, ErrFrame) {
				t.Errorf("got %+v, %v", f, err)
			}
		})
	}
	full := Frame{Type: "x", Created: time.UnixMilli(1), Payload: make([]byte, MaxPayloadBytes)}
	if _, err := Decode(full.Encode()); err != nil {
		t.Errorf("the largest frame: %v", err)
	}
}

func TestDecodeCopiesThePayload(t *testing.T) {
	t.Parallel()
	b := goldenBytes(t)
	f, err := Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	b[120] = 'x'
	if string(f.Payload) != "{}" {
		t.Errorf("payload shares the reader's buffer: %q", f.Payload)
	}
}

func TestFrameRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := Frame{
			Type:          rapid.StringMatching(`[a-z][a-z_]{0,30}[a-z]`).Draw(t, "type"),
			SchemaVersion: rapid.Uint32().Draw(t, "schema"),
			Created:       time.UnixMilli(rapid.Int64Range(1, 1<<47).Draw(t, "created")).UTC(),
			Sequence:      rapid.Uint64().Draw(t, "sequence"),
			Flags:         rapid.Uint64().Draw(t, "flags"),
			PayloadType:   rapid.Uint32().Draw(t, "payload type"),
			Payload:       rapid.SliceOf(rapid.Byte()).Draw(t, "payload"),
		}
		copy(want.ID[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id"))
		b := want.Encode()
		got, err := Decode(b)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, cmp.Comparer(bytes.Equal)); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
	})
}

func TestNewFrame(t *testing.T) {
	t.Parallel()
	now := time.UnixMilli(1_795_371_419_826).UTC()
	ack := AgentJobReplyAck{JobID: "aws.ssm.c.i", AcknowledgedMessageID: "m"}
	f, err := NewFrame(TypeAgentJobReplyAck, now, ack)
	if err != nil {
		t.Fatal(err)
	}
	back, err := Decode(f.Encode())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(f, back); diff != "" {
		t.Errorf("(-sent +received):\n%s", diff)
	}
	if f.ID == uuid.Nil || f.SchemaVersion != FrameSchemaVersion || f.Type != TypeAgentJobReplyAck || !f.Created.Equal(now) {
		t.Errorf("frame %+v", f)
	}
	var got AgentJobReplyAck
	if err := Unmarshal(back.Payload, &got); err != nil || got != ack {
		t.Errorf("payload %+v, %v", got, err)
	}
	if _, err := NewFrame(TypeAgentJob, now, AgentJob{Content: strings.Repeat("x", MaxPayloadBytes)}); err == nil {
		t.Error("a payload over the limit was framed")
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(goldenBytes(f))
	f.Add(Frame{Type: TypeAgentJob, Created: time.UnixMilli(1), Payload: []byte(`{"JobId":"x"}`)}.Encode())
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := Decode(b)
		if err != nil {
			if !errors.Is(err, ErrFrame) {
				t.Fatalf("error of no class: %v", err)
			}
			return
		}
		again, err := Decode(got.Encode())
		if err != nil {
			t.Fatalf("what was decoded cannot be encoded: %v", err)
		}
		if diff := cmp.Diff(got, again); diff != "" {
			t.Fatalf("(-first +again):\n%s", diff)
		}
	})
}
