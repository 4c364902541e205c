package executor

import (
	"fmt"
	"os"
	"sync"
	"unicode/utf8"
)

// Capture is a [Sink] that keeps the head of a stream in memory and, if told to,
// the whole of it in a file. It is safe for concurrent use, so the output so far
// can be read while the script runs. The zero value keeps nothing and counts.
type Capture struct {
	maxChars int

	mu    sync.Mutex
	head  []byte // at most maxChars*utf8.UTFMax bytes
	total int64
	spool spool
}

// spool is the file that takes the whole stream.
type spool struct {
	file    *os.File
	size    int64
	limit   int64 // 0: none
	cut     bool
	failure error
}

// NewCapture returns a capture that keeps the first maxChars characters, in at
// most four times as many bytes of memory. A byte that is not part of valid
// UTF-8 counts as one character, as it becomes one U+FFFD where it is shown.
func NewCapture(maxChars int) *Capture {
	return &Capture{maxChars: max(maxChars, 0)}
}

// SpoolTo makes the capture write the stream to a new file (mode 0600; an
// existing one is emptied), up to limit bytes, 0 meaning all. It is to be called
// before the first Write. A write that fails (a full disk) ends the spooling, not
// the capture: SpoolErr tells.
func (c *Capture) SpoolTo(path string, limit int64) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("spool output: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.spool = spool{file: f, limit: limit}
	return nil
}

// Write takes the next piece of the stream. It always takes all of it and never
// fails, so the script is never stopped by a limit.
func (c *Capture) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.total += int64(len(p))
	if room := c.maxChars*utf8.UTFMax - len(c.head); room > 0 {
		c.head = append(c.head, p[:min(room, len(p))]...)
	}
	c.spool.write(p)
	return len(p), nil
}

func (s *spool) write(p []byte) {
	if s.file == nil || s.failure != nil {
		return
	}
	if s.limit > 0 && int64(len(p)) > s.limit-s.size {
		p, s.cut = p[:s.limit-s.size], true
	}
	if len(p) == 0 {
		return
	}
	n, err := s.file.Write(p)
	s.size += int64(n)
	if err != nil {
		s.failure = fmt.Errorf("spool output: %w", err)
	}
}

// Head returns a copy of the first characters, in the bytes that the script
// wrote, not cleaned of invalid ones. The limit never cuts inside a character.
func (c *Capture) Head() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]byte(nil), c.head[:c.headLen()]...)
}

// headLen returns where the first maxChars characters end.
func (c *Capture) headLen() int {
	n := 0
	for range c.maxChars {
		if n == len(c.head) {
			break
		}
		_, size := utf8.DecodeRune(c.head[n:])
		n += size
	}
	return n
}

// Truncated reports whether the stream has more than Head returns.
func (c *Capture) Truncated() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.total > int64(c.headLen())
}

// Total returns how many bytes the script has written.
func (c *Capture) Total() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.total
}

// Spooled returns how many bytes are in the file, and whether the stream was cut
// there by the limit.
func (c *Capture) Spooled() (size int64, cut bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.spool.size, c.spool.cut
}

// SpoolErr returns why the file does not hold the whole stream (or up to its
// limit), nil if it does.
func (c *Capture) SpoolErr() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.spool.failure
}

// Close closes the file; what is written afterwards is captured but not spooled.
// It returns SpoolErr or the failure to close. The file is not synced: it is
// uploaded and removed, and after a crash the step counts as failed anyway.
func (c *Capture) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.spool.file != nil {
		if err := c.spool.file.Close(); err != nil && c.spool.failure == nil {
			c.spool.failure = fmt.Errorf("spool output: %w", err)
		}
		c.spool.file = nil
	}
	return c.spool.failure
}
