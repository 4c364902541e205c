package output

import (
	"errors"
	"os"
	"sync"
	"time"
)

// Pauses between tries while the script runs.
const (
	firstPause = time.Second
	mostPause  = 30 * time.Second
)

// senders is how many parts of a stream go up at once. One connection alone is
// slower than most scripts can write, and S3 takes its time over each part.
const senders = 3

// send begins an upload in parts, and makes an object of them when the stream is
// over and all are there.
func (s *Stream) send() {
	defer close(s.sender)
	if s.object.id == "" {
		if err := s.persist(func() error { return s.object.begin(s.ctx) }); err != nil {
			s.lose(err)
			return
		}
		s.up.note(s.target.ID, &s.object)
	}
	var all sync.WaitGroup
	for range senders {
		all.Go(s.sendParts)
	}
	all.Wait()
	if s.isLost() {
		s.abort()
		return
	}
	if s.parks() {
		return
	}
	if err := s.persist(func() error { return s.object.complete(s.ctx) }); err != nil {
		s.lose(err)
		s.abort()
		return
	}
	s.up.forget(s.target.ID)
}

// sendParts uploads parts until there are no more.
func (s *Stream) sendParts() {
	for {
		part, ok := s.next()
		if !ok {
			return
		}
		err := s.persist(func() error { return s.object.part(s.ctx, part) })
		s.sent(part)
		if err != nil {
			s.lose(err)
			return
		}
	}
}

func (s *Stream) abort() {
	if err := s.object.abort(s.ctx); err != nil {
		s.up.cfg.Logger.Warn("an upload in parts could not be aborted; the agent's next start tries again",
			"bucket", s.target.Bucket, "key", s.target.Key, "error", err)
		return
	}
	s.up.forget(s.target.ID)
}

// next waits for a part; none comes where the stream is over, or lost.
func (s *Stream) next() (segment, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.waiting) == 0 {
		if s.over || s.state == lost {
			return segment{}, false
		}
		s.more.Wait()
	}
	part := s.waiting[0]
	s.waiting = s.waiting[1:]
	return part, true
}

// sent gives the disk space of a part back.
func (s *Stream) sent(part segment) {
	s.remove(part)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unsent -= part.size
}

// errLost is why the other parts of an upload end that has failed.
var errLost = errors.New("another part of the upload failed")

// lose gives the output up: nothing more of it is kept. The first failure counts.
func (s *Stream) lose(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == lost {
		return
	}
	s.state, s.failure = lost, s.up.fail(s.ctx, s.target.Bucket, s.target.Key, err)
	s.cancel(errLost)
	s.shut()
	if s.filling.size > 0 {
		s.waiting = append(s.waiting, s.filling)
	}
	for _, part := range s.waiting {
		s.remove(part)
	}
	s.waiting, s.filling = nil, segment{}
	s.more.Broadcast()
}

func (s *Stream) remove(part segment) {
	if err := os.Remove(part.path); err != nil {
		s.up.cfg.Logger.Warn("remove a part of an output", "file", part.path, "error", err)
	}
}

// persist runs a call of S3, which the SDK tries some times by itself. While the
// script runs there is time: a failure that may pass is waited for, since
// outages are shorter than many scripts. After its end one failure is enough.
func (s *Stream) persist(call func() error) error {
	for pause := firstPause; ; pause = min(2*pause, mostPause) {
		last := s.isOver()
		err := call()
		if err == nil || last || final(err) || s.ctx.Err() != nil {
			return err
		}
		s.up.cfg.Logger.Warn("S3 did not take a part of an output; it is tried again", "bucket", s.target.Bucket, "key", s.target.Key, "error", err)
		t := time.NewTimer(pause)
		select {
		case <-s.ctx.Done():
		case <-s.ended:
		case <-t.C:
		}
		t.Stop()
	}
}

func (s *Stream) isLost() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state == lost
}

func (s *Stream) parks() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.parking
}

func (s *Stream) isOver() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.over
}
