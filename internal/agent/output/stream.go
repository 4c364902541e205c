package output

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"
)

// Target says where an output goes, and where it waits.
type Target struct {
	Bucket, Key string
	// Name is the output in notes: "stdout".
	Name string
	// Dir is a folder that is there, for the files of what waits; names in it
	// begin with Name. The caller removes it after Finish.
	Dir string
	// ID names the output among all whose uploads may be open at a time; it is a
	// file's name.
	ID string
	// Limit bounds what waits on disk, in bytes. 0 is no limit.
	Limit int64
}

// noLimit stands for a Target's Limit of 0.
const noLimit = 1 << 62

// Stream takes an output and uploads it while it comes. Its zero value is of no
// use: Uploader.Stream makes one. Finish has to be called.
type Stream struct {
	up     *Uploader
	target Target
	ctx    context.Context // of the uploads
	cancel context.CancelCauseFunc
	object object        // the sender's, or Finish's where there is none
	sender chan struct{} // closed when the sender has ended; nil before the first part
	ended  chan struct{} // closed by Finish

	mu      sync.Mutex
	more    *sync.Cond // on waiting and over
	file    *os.File   // of the part that fills; nil between two
	filling segment
	number  int // of the part that fills, from 1
	waiting []segment
	total   int64 // bytes that were written
	kept    int64 // bytes that were taken
	unsent  int64 // of these those on disk
	state   state
	over    bool  // no more comes
	parking bool  // what is not sent stays for Resume; see Park
	disk    error // why state is broken
	failure error // why state is lost
}

// state is what becomes of the next byte.
type state int

const (
	taking state = iota
	full         // the limit was reached: dropped, and what was kept is uploaded
	long         // no more parts go into an object: the same
	broken       // the disk failed: the same
	lost         // the upload failed: dropped, and nothing is kept
)

// Stream makes a stream. The end of ctx ends its uploads as failed, not Write.
func (u *Uploader) Stream(ctx context.Context, t Target) *Stream {
	if t.Limit <= 0 {
		t.Limit = noLimit
	}
	s := &Stream{up: u, target: t, object: object{up: u, bucket: t.Bucket, key: t.Key, region: u.cfg.Region}, ended: make(chan struct{}), number: 1}
	s.ctx, s.cancel = context.WithCancelCause(ctx)
	s.more = sync.NewCond(&s.mu)
	return s
}

// Write takes the next piece. It waits for no upload, takes all of p and never
// fails: what cannot be kept is dropped, and Finish tells.
func (s *Stream) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(p)
	s.total += int64(n)
	for len(p) > 0 && s.state == taking && !s.over {
		p = p[s.take(p):]
	}
	return n, nil
}

// take takes as much of p as goes into one file.
func (s *Stream) take(p []byte) int {
	size := partSize(s.number, s.target.Limit)
	if s.filling.size == size {
		if s.number == maxParts {
			s.state = long
			return 0
		}
		s.rotate()
		size = partSize(s.number, s.target.Limit)
	}
	n := min(int64(len(p)), size-s.filling.size, s.target.Limit-s.unsent)
	if n == 0 {
		s.state = full
		return 0
	}
	if err := s.open(); err != nil {
		s.state, s.disk = broken, err
		return 0
	}
	written, err := s.file.Write(p[:n])
	s.filling.size += int64(written)
	s.unsent += int64(written)
	s.kept += int64(written)
	if err != nil {
		s.state, s.disk = broken, err
	}
	return written
}

// open opens the file of the part that fills.
func (s *Stream) open() (err error) {
	if s.file != nil {
		return nil
	}
	s.filling = s.segment()
	s.file, err = os.OpenFile(s.filling.path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	return err
}

// segment is the part that fills, empty.
func (s *Stream) segment() segment {
	return segment{number: s.number, path: filepath.Join(s.target.Dir, s.target.Name+"."+strconv.Itoa(s.number))}
}

// rotate hands the part that filled to the sender. The file is not synced: after
// a crash the step counts as failed anyway.
func (s *Stream) rotate() {
	s.shut()
	s.waiting = append(s.waiting, s.filling)
	s.filling = segment{}
	s.number++
	if s.sender == nil {
		s.sender = make(chan struct{})
		go s.send()
	}
	s.more.Broadcast()
}

// shut closes the file of the part that fills.
func (s *Stream) shut() {
	if s.file == nil {
		return
	}
	if err := s.file.Close(); err != nil && s.disk == nil && s.state != lost {
		s.state, s.disk = broken, err
	}
	s.file = nil
}

// Finish uploads what is left and returns when the object is in the bucket, or
// will not be. It gives up a minute, and a second per MiB, after its call. It
// gives what whoever sent the command has to know, a line each: none where the
// object holds the whole output, or the output was empty. What is written
// afterwards is dropped.
func (s *Stream) Finish() []string {
	s.mu.Lock()
	s.over = true
	s.shut()
	sender, last := s.sender, s.filling
	if sender != nil && last.size > 0 && s.state != lost {
		s.rotate()
	}
	if sender == nil {
		s.filling = segment{}
	}
	late := time.AfterFunc(timeFor(s.unsent+s.kept/16), func() { s.cancel(errLate) })
	s.more.Broadcast()
	s.mu.Unlock()
	defer s.cancel(nil)
	defer late.Stop()
	close(s.ended)
	switch {
	case sender != nil:
		<-sender
	case last.size > 0:
		err := s.persist(func() error { return s.object.put(s.ctx, last) })
		s.sent(last)
		if err != nil {
			s.lose(err)
		}
	}
	return s.notes()
}

func (s *Stream) notes() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []string
	name := s.target.Name
	switch {
	case s.disk != nil:
		list = append(list, fmt.Sprintf("%s could not be kept whole for S3: %v: it has %d bytes, of which the first %d were kept", name, innermost(s.disk), s.total, s.kept))
	case s.state == long:
		list = append(list, fmt.Sprintf("%s has %d bytes, of which the first %d were kept for S3: an object has no more parts", name, s.total, s.kept))
	case s.state == full:
		list = append(list, fmt.Sprintf("%s has %d bytes, of which the first %d were kept for S3: more than %d bytes waited for their upload", name, s.total, s.kept, s.target.Limit))
	}
	if s.failure != nil {
		list = append(list, name+": "+s.failure.Error())
	}
	return list
}
