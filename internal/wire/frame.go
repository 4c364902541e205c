package wire

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
)

// Limits of a frame, in bytes.
const (
	// PrefixBytes is everything of a frame that stands before its payload.
	PrefixBytes = 120
	// MaxPayloadBytes bounds a payload in either direction. A call of 1 MiB is
	// accepted by the service and doubles where its quotes are escaped a second
	// time as Content; this leaves room for that and a document beside it.
	MaxPayloadBytes = 4 << 20
	// MaxFrameBytes is what the reader of a control channel must allow.
	MaxFrameBytes = PrefixBytes + MaxPayloadBytes
	// MaxTypeBytes is the room a frame has for its message type.
	MaxTypeBytes = 32
)

// FrameSchemaVersion is the only version of the frame there is.
const FrameSchemaVersion = 1

// Offsets of the fields, big endian. The header length counts the bytes from
// its own start to the payload length.
const (
	headerLength    = 116
	offType         = 4
	offSchema       = offType + MaxTypeBytes // 36
	offCreated      = 40
	offSequence     = 48
	offFlags        = 56
	offID           = 64
	offDigest       = 80
	offPayloadType  = 112
	offPayloadBytes = headerLength
)

// ErrFrame is in the chain of every error of Decode: the far end does not speak
// the protocol, or something on the way changed bytes. A reader drops the frame
// and goes on; the sender repeats what is not acknowledged.
var ErrFrame = errors.New("malformed frame")

// Frame is one binary message of the control channel.
type Frame struct {
	// Type is one of the Type constants; readers ignore types they do not know.
	Type string
	// SchemaVersion is FrameSchemaVersion.
	SchemaVersion uint32
	// Created is when the message was made, in whole milliseconds. Readers
	// refuse the epoch itself (0 ms).
	Created time.Time
	// Sequence and Flags are 0 in everything Run Command sends.
	Sequence uint64
	Flags    uint64
	// ID names this message; acknowledgements carry it.
	ID uuid.UUID
	// PayloadType is 0 in everything Run Command sends.
	PayloadType uint32
	// Payload is JSON, at most MaxPayloadBytes.
	Payload []byte
}

// NewFrame marshals v as the payload of a message of type typ with a fresh id.
func NewFrame(typ string, now time.Time, v any) (Frame, error) {
	payload, err := Marshal(v)
	if err != nil {
		return Frame{}, fmt.Errorf("encode %s: %w", typ, err)
	}
	if len(payload) > MaxPayloadBytes {
		return Frame{}, fmt.Errorf("encode %s: payload of %d bytes is over %d", typ, len(payload), MaxPayloadBytes)
	}
	id, err := uuid.NewRandom()
	if err != nil {
		return Frame{}, fmt.Errorf("make message id: %w", err)
	}
	return Frame{Type: typ, SchemaVersion: FrameSchemaVersion, Created: now, ID: id, Payload: payload}, nil
}

// Encode returns the frame's bytes, its digest computed. A Type longer than
// MaxTypeBytes panics: types are constants of this package.
func (f Frame) Encode() []byte {
	if len(f.Type) > MaxTypeBytes {
		panic(fmt.Sprintf("wire: message type of %d bytes", len(f.Type)))
	}
	b := make([]byte, PrefixBytes, PrefixBytes+len(f.Payload))
	binary.BigEndian.PutUint32(b, headerLength)
	n := copy(b[offType:offSchema], f.Type)
	for i := offType + n; i < offSchema; i++ {
		b[i] = ' '
	}
	binary.BigEndian.PutUint32(b[offSchema:], f.SchemaVersion)
	binary.BigEndian.PutUint64(b[offCreated:], uint64(f.Created.UnixMilli()))
	binary.BigEndian.PutUint64(b[offSequence:], f.Sequence)
	binary.BigEndian.PutUint64(b[offFlags:], f.Flags)
	// The id travels with its low half first.
	copy(b[offID:], f.ID[8:])
	copy(b[offID+8:], f.ID[:8])
	digest := sha256.Sum256(f.Payload)
	copy(b[offDigest:], digest[:])
	binary.BigEndian.PutUint32(b[offPayloadType:], f.PayloadType)
	binary.BigEndian.PutUint32(b[offPayloadBytes:], uint32(len(f.Payload)))
	return append(b, f.Payload...)
}

// Decode reads one frame and verifies its lengths and its digest. Spaces and
// NULs after the type are not part of it. The payload is a copy. Every error is
// an ErrFrame.
func Decode(b []byte) (Frame, error) {
	if len(b) < PrefixBytes {
		return Frame{}, fmt.Errorf("%w: %d bytes, fewer than the %d before a payload", ErrFrame, len(b), PrefixBytes)
	}
	if len(b) > MaxFrameBytes {
		return Frame{}, fmt.Errorf("%w: %d bytes, more than %d", ErrFrame, len(b), MaxFrameBytes)
	}
	if n := binary.BigEndian.Uint32(b); n != headerLength {
		return Frame{}, fmt.Errorf("%w: header length %d, want %d", ErrFrame, n, headerLength)
	}
	payload := b[PrefixBytes:]
	if n := binary.BigEndian.Uint32(b[offPayloadBytes:]); uint64(n) != uint64(len(payload)) {
		return Frame{}, fmt.Errorf("%w: payload length %d, but %d bytes follow", ErrFrame, n, len(payload))
	}
	if digest := sha256.Sum256(payload); !bytes.Equal(digest[:], b[offDigest:offPayloadType]) {
		return Frame{}, fmt.Errorf("%w: payload digest does not match", ErrFrame)
	}
	typ := strings.TrimRight(string(b[offType:offSchema]), " \x00")
	if typ == "" {
		return Frame{}, fmt.Errorf("%w: no message type", ErrFrame)
	}
	created := int64(binary.BigEndian.Uint64(b[offCreated:]))
	if created == 0 {
		return Frame{}, fmt.Errorf("%w: no created date", ErrFrame)
	}
	f := Frame{
		Type:          typ,
		SchemaVersion: binary.BigEndian.Uint32(b[offSchema:]),
		Created:       time.UnixMilli(created).UTC(),
		Sequence:      binary.BigEndian.Uint64(b[offSequence:]),
		Flags:         binary.BigEndian.Uint64(b[offFlags:]),
		PayloadType:   binary.BigEndian.Uint32(b[offPayloadType:]),
		Payload:       bytes.Clone(payload),
	}
	copy(f.ID[8:], b[offID:offID+8])
	copy(f.ID[:8], b[offID+8:offDigest])
	return f, nil
}

// buffers are those of read; what grew beyond keptBytes is not kept.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

const keptBytes = 64 << 10

// Next reads the next frame of a control channel. messages gives the channel's
// messages, as the Reader of a websocket does; those that are not binary are
// passed over. Its errors are those of the channel, and else an ErrFrame, as of
// Decode, after which the channel can be read on.
func Next[K comparable](ctx context.Context, messages func(context.Context) (K, io.Reader, error), binary K) (Frame, error) {
	for {
		kind, r, err := messages(ctx)
		if err != nil {
			return Frame{}, err
		}
		if kind == binary {
			return read(r)
		}
		if _, err := io.Copy(io.Discard, r); err != nil {
			return Frame{}, err
		}
	}
}

// read decodes the frame that is all of r, which it reads to its end.
func read(r io.Reader) (Frame, error) {
	b, _ := buffers.Get().(*bytes.Buffer)
	defer func() {
		if b.Cap() <= keptBytes {
			buffers.Put(b)
		}
	}()
	b.Reset()
	if _, err := b.ReadFrom(r); err != nil {
		return Frame{}, err
	}
	return Decode(b.Bytes())
}
