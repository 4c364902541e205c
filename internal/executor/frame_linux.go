package executor

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// maxFrame bounds a frame; the system allows a program some 2 MiB of arguments
// and environment, and at most 6 MiB.
const maxFrame = 8 << 20

// writeFrame sends a list of strings: its length in bytes after this number, then
// each string after its own length, all numbers 32 bits, big endian. JSON would
// not keep arguments that are not UTF-8.
func writeFrame(w io.Writer, fields ...string) error {
	b := make([]byte, 4)
	for _, f := range fields {
		b = binary.BigEndian.AppendUint32(b, uint32(len(f)))
		b = append(b, f...)
	}
	if len(b) > maxFrame {
		return fmt.Errorf("send frame: %d bytes are more than %d", len(b), maxFrame)
	}
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	if _, err := w.Write(b); err != nil {
		return fmt.Errorf("send frame: %w", err)
	}
	return nil
}

// readFrame reads one frame; io.EOF is a clean end before it. A frame without
// any string is an error.
func readFrame(r io.Reader) ([]string, error) {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n == 0 || n > maxFrame {
		return nil, fmt.Errorf("read frame: bad size %d", n)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, fmt.Errorf("read frame: %w", err)
	}
	var fields []string
	for len(b) > 0 {
		if len(b) < 4 {
			return nil, errors.New("read frame: cut in a length")
		}
		n := binary.BigEndian.Uint32(b)
		if b = b[4:]; uint64(n) > uint64(len(b)) {
			return nil, errors.New("read frame: cut in a string")
		}
		fields = append(fields, string(b[:n]))
		b = b[n:]
	}
	return fields, nil
}
