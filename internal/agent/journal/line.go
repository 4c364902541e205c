package journal

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"time"
)

// kind names the event of a line.
type kind string

const (
	kindAccept  kind = "accept"
	kindBegin   kind = "begin"
	kindProcess kind = "process"
	kindCancel  kind = "cancel"
	kindReply   kind = "reply"
	kindAcked   kind = "acked"
	kindReboot  kind = "reboot"
	kindDamaged kind = "damaged"
)

// line is one event on disk; members that an event does not need are left out.
type line struct {
	Kind    kind            `json:"kind"`
	At      time.Time       `json:"at,omitzero"`
	Key     string          `json:"key,omitempty"`
	JobID   string          `json:"job,omitempty"`
	Payload string          `json:"payload,omitempty"`
	Step    int             `json:"step,omitempty"`
	Name    string          `json:"name,omitempty"`
	Plugin  string          `json:"plugin,omitempty"`
	Process json.RawMessage `json:"process,omitempty"`
	ID      string          `json:"id,omitempty"`
	Topic   string          `json:"topic,omitempty"`
	Content string          `json:"content,omitempty"`
	Final   bool            `json:"final,omitempty"`
	Reason  string          `json:"reason,omitempty"`
	Boot    string          `json:"boot,omitempty"`
	Note    json.RawMessage `json:"note,omitempty"`
	Stdout  []byte          `json:"stdout,omitempty"`
	Stderr  []byte          `json:"stderr,omitempty"`
}

// encode spells a line with its checksum and a newline.
func (l line) encode() ([]byte, error) {
	body, err := json.Marshal(l)
	if err != nil {
		return nil, fmt.Errorf("encode journal line: %w", err)
	}
	out := make([]byte, 0, len(body)+10)
	out = fmt.Appendf(out, "%08x ", crc32.ChecksumIEEE(body))
	out = append(out, body...)
	return append(out, '\n'), nil
}

// errTorn says that the bytes hold no complete first line: the crash came
// before the command was accepted.
var errTorn = errors.New("no complete line")

// decode reads all lines of a file. It gives those before the first bad one,
// and an error that says where and why it stopped; errTorn where not even the
// first line was written to its end.
func decode(data []byte) ([]line, error) {
	var lines []line
	if bytes.IndexByte(data, '\n') < 0 {
		return nil, errTorn
	}
	for n := 1; len(data) > 0; n++ {
		end := bytes.IndexByte(data, '\n')
		if end < 0 {
			return lines, fmt.Errorf("line %d does not end", n)
		}
		l, err := decodeLine(data[:end])
		if err != nil {
			return lines, fmt.Errorf("line %d: %w", n, err)
		}
		if (n == 1) != (l.Kind == kindAccept) {
			return lines, fmt.Errorf("line %d: unexpected %q", n, l.Kind)
		}
		lines = append(lines, l)
		data = data[end+1:]
	}
	return lines, nil
}

func decodeLine(b []byte) (line, error) {
	var l line
	if len(b) < 10 || b[8] != ' ' {
		return l, errors.New("no checksum")
	}
	var sum [4]byte
	if _, err := hex.Decode(sum[:], b[:8]); err != nil {
		return l, fmt.Errorf("read checksum: %w", err)
	}
	want := uint32(sum[0])<<24 | uint32(sum[1])<<16 | uint32(sum[2])<<8 | uint32(sum[3])
	if crc32.ChecksumIEEE(b[9:]) != want {
		return l, errors.New("checksum differs")
	}
	if err := json.Unmarshal(b[9:], &l); err != nil {
		return l, fmt.Errorf("decode: %w", err)
	}
	switch l.Kind {
	case kindAccept, kindBegin, kindProcess, kindCancel, kindReply, kindAcked, kindReboot, kindDamaged:
		return l, nil
	}
	return l, fmt.Errorf("unknown event %q", l.Kind)
}
