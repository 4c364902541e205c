package executor

import (
	"bytes"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// headOf is what a capture shall keep, said another way: the string's first
// characters as range counts them.
func headOf(s string, chars int) string {
	n := 0
	for i := range s {
		if n == chars {
			return s[:i]
		}
		n++
	}
	return s
}

func TestCaptureHead(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(0, 20).Draw(t, "limit")
		c := NewCapture(limit)
		var whole []byte
		for _, piece := range rapid.SliceOf(rapid.OneOf(
			rapid.SliceOf(rapid.Byte()),
			rapid.Map(rapid.StringOf(rapid.RuneFrom([]rune("aé€😀\n"))), func(s string) []byte { return []byte(s) }),
		)).Draw(t, "pieces") {
			whole = append(whole, piece...)
			if n, err := c.Write(piece); n != len(piece) || err != nil {
				t.Fatalf("write: %d, %v", n, err)
			}
			clear(piece) // the buffer is used again
		}
		want := headOf(string(whole), limit)
		if got := string(c.Head()); got != want {
			t.Fatalf("head %q, want %q of %q", got, want, whole)
		}
		if c.Total() != int64(len(whole)) || c.Truncated() != (len(want) < len(whole)) {
			t.Fatalf("total %d, truncated %v of %q", c.Total(), c.Truncated(), whole)
		}
		if len(c.head) > limit*utf8.UTFMax {
			t.Fatalf("%d bytes in memory for %d characters", len(c.head), limit)
		}
	})
}

// The agent reads the output so far while the script writes.
func TestCaptureConcurrently(t *testing.T) {
	t.Parallel()
	c := NewCapture(1000)
	var wg sync.WaitGroup
	wg.Go(func() {
		for range 2000 {
			_, _ = c.Write([]byte("é"))
		}
	})
	wg.Go(func() {
		for range 200 {
			if h := c.Head(); !bytes.Equal(h, []byte(strings.Repeat("é", len(h)/2))) {
				t.Errorf("head %q", h)
			}
			c.Truncated()
		}
	})
	wg.Wait()
	if utf8.RuneCount(c.Head()) != 1000 || c.Total() != 4000 {
		t.Errorf("%d characters, total %d", utf8.RuneCount(c.Head()), c.Total())
	}
}
