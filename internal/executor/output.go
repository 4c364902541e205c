package executor

import (
	"fmt"
	"os"
	"sync"
)

// drainBuffer is one read's size; a pipe holds 64 KiB by default.
const drainBuffer = 32 << 10

// streams are the two output pipes of a step, or /dev/null in their place.
type streams struct {
	child [3]*os.File // stdin, stdout and stderr of the program
	pipes []pipe
}

type pipe struct {
	r    *os.File
	sink Sink
}

func openStreams(stdout, stderr Sink) (*streams, error) {
	s := &streams{}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("open streams: %w", err)
	}
	s.child = [3]*os.File{null, null, null}
	for i, sink := range []Sink{stdout, stderr} {
		if sink == nil {
			continue
		}
		r, w, err := os.Pipe()
		if err != nil {
			s.closeChild()
			s.closeParent()
			return nil, fmt.Errorf("open streams: %w", err)
		}
		s.child[1+i] = w
		s.pipes = append(s.pipes, pipe{r, sink})
	}
	return s, nil
}

// closeChild closes our copies of the program's ends: the streams end only when
// every copy is closed.
func (s *streams) closeChild() {
	for i, f := range s.child {
		if i == 0 || f != s.child[0] {
			_ = f.Close()
		}
	}
}

func (s *streams) closeParent() {
	for _, p := range s.pipes {
		_ = p.r.Close()
	}
}

// draining is the reading of both streams.
type draining struct {
	done  chan struct{} // closed when both have ended
	abort func()        // ends the reading while a holder is left
}

// drain reads the streams to their ends, each by a goroutine of its own.
func (s *streams) drain() *draining {
	d := &draining{done: make(chan struct{}), abort: s.closeParent}
	var wg sync.WaitGroup
	for _, p := range s.pipes {
		wg.Go(func() { p.drain() })
	}
	go func() {
		wg.Wait()
		s.closeParent()
		close(d.done)
	}()
	return d
}

func (p pipe) drain() {
	buf := make([]byte, drainBuffer)
	for failed := false; ; {
		n, err := p.r.Read(buf)
		if n > 0 && !failed {
			_, werr := p.sink.Write(buf[:n])
			failed = werr != nil
		}
		if err != nil {
			return
		}
	}
}
