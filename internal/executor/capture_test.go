package executor

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
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

func TestCaptureSpool(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		limit int64
		want  string
		cut   bool
	}{
		"all":       {0, "onetwothree", false},
		"cut":       {4, "onet", true},
		"exact":     {11, "onetwothree", false},
		"one short": {10, "onetwothre", true},
	} {
		file := filepath.Join(t.TempDir(), "stdout")
		if err := os.WriteFile(file, []byte("of an earlier run, and longer"), 0o600); err != nil {
			t.Fatal(err)
		}
		capture := NewCapture(2)
		if err := capture.SpoolTo(file, c.limit); err != nil {
			t.Fatal(err)
		}
		for _, s := range []string{"one", "two", "", "three"} {
			_, _ = capture.Write([]byte(s))
		}
		if err := capture.Close(); err != nil {
			t.Error(err)
		}
		_, _ = capture.Write([]byte("after the close"))
		got, err := os.ReadFile(file)
		size, cut := capture.Spooled()
		if err != nil || string(got) != c.want || size != int64(len(c.want)) || cut != c.cut || capture.SpoolErr() != nil {
			t.Errorf("%s: %q, %v; size %d, cut %v", name, got, err, size, cut)
		}
		if err := capture.Close(); err != nil || string(capture.Head()) != "on" {
			t.Errorf("%s: second close %v, head %q", name, err, capture.Head())
		}
	}
	if err := NewCapture(1).SpoolTo(filepath.Join(t.TempDir(), "no", "folder"), 0); err == nil {
		t.Error("spooling to a missing folder")
	}
}

// A full disk ends the spooling, is told, and costs nothing else.
func TestCaptureSpoolFullDisk(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/dev/full"); err != nil || runtime.GOOS == "windows" {
		t.Skip("no /dev/full")
	}
	c := NewCapture(10)
	if err := c.SpoolTo("/dev/full", 0); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if n, err := c.Write([]byte("abcde")); n != 5 || err != nil {
			t.Errorf("write: %d, %v", n, err)
		}
	}
	if c.SpoolErr() == nil || c.Close() == nil {
		t.Error("the failure is not told")
	}
	if string(c.Head()) != "abcdeabcde" || !c.Truncated() || c.Total() != 15 {
		t.Errorf("head %q, total %d", c.Head(), c.Total())
	}
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
