package output

import (
	"os"
	"time"
)

// Pauses between tries while the script runs.
const (
	firstPause = time.Second
	mostPause  = 30 * time.Second
)

// send uploads parts until the stream is over, and makes an object of them.
func (s *Stream) send() {
	defer close(s.sender)
	err := s.persist(func() error { return s.object.begin(s.ctx) })
	if err != nil {
		s.lose(err)
		return
	}
	s.up.note(s.target.ID, &s.object)
	for err == nil {
		part, ok := s.next()
		if !ok {
			break
		}
		err = s.persist(func() error { return s.object.part(s.ctx, part) })
		s.sent(part)
	}
	if err == nil {
		err = s.persist(func() error { return s.object.complete(s.ctx) })
	}
	if err != nil {
		s.lose(err)
		if err := s.object.abort(s.ctx); err != nil {
			s.up.cfg.Logger.Warn("an upload in parts could not be aborted; the agent's next start tries again",
				"bucket", s.target.Bucket, "key", s.target.Key, "error", err)
			return
		}
	}
	s.up.forget(s.target.ID)
}

// next waits for a part; none comes where the stream is over.
func (s *Stream) next() (segment, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.waiting) == 0 {
		if s.over {
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

// lose gives the output up: nothing more of it is kept.
func (s *Stream) lose(err error) {
	failure := s.up.fail(s.ctx, s.target.Bucket, s.target.Key, err)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state, s.failure = lost, failure
	s.shut()
	if s.filling.size > 0 {
		s.waiting = append(s.waiting, s.filling)
	}
	for _, part := range s.waiting {
		s.remove(part)
	}
	s.waiting, s.filling, s.unsent = nil, segment{}, 0
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

func (s *Stream) isOver() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.over
}
