package executor

import (
	"sync"
	"unicode/utf8"
)

// Capture is a [Sink] that keeps the head of a stream in memory. It is safe for
// concurrent use, so the output so far can be read while the script runs. The
// zero value keeps nothing and counts.
type Capture struct {
	maxChars int

	mu    sync.Mutex
	head  []byte // at most maxChars*utf8.UTFMax bytes
	total int64
}

// NewCapture returns a capture that keeps the first maxChars characters, in at
// most four times as many bytes of memory. A byte that is not part of valid
// UTF-8 counts as one character, as it becomes one U+FFFD where it is shown.
func NewCapture(maxChars int) *Capture {
	return &Capture{maxChars: max(maxChars, 0)}
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
	return len(p), nil
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
