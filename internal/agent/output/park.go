package output

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// parked is a Stream that waits for the restart of its host: what of it is in S3,
// and what lies in a file beside.
type parked struct {
	openUpload                  // UploadID is "" before the first part
	Plain      bool             `json:"plain,omitempty"`
	Parts      map[int32]string `json:"parts,omitempty"` // ETags by number
	Size       int64            `json:"size,omitempty"`  // of the parts
	Number     int              `json:"number"`          // of the part that fills
	Filled     int64            `json:"filled"`          // of it, in the file
	Total      int64            `json:"total"`
	Kept       int64            `json:"kept"`
	State      state            `json:"state,omitempty"`
	Failure    string           `json:"failure,omitempty"`
}

const parkedSuffix = ".parked.json"

// Park ends a stream in place of Finish, for Resume after the host was restarted.
// The parts that are full go up first, and the upload stays open; the rest lies in
// dir, which is there and outlives the restart.
func (s *Stream) Park(dir string) error {
	s.mu.Lock()
	s.over, s.parking = true, true
	s.shut()
	sender := s.sender
	late := time.AfterFunc(timeFor(s.unsent), func() { s.cancel(errLate) })
	s.more.Broadcast()
	s.mu.Unlock()
	defer s.cancel(nil)
	defer late.Stop()
	close(s.ended)
	if sender != nil {
		<-sender
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p := parked{
		openUpload: openUpload{s.target.Bucket, s.target.Key, s.object.region, s.object.id}, Plain: s.object.plain,
		Parts: map[int32]string{}, Size: s.object.size, Number: s.number, Filled: s.filling.size,
		Total: s.total, Kept: s.kept, State: s.state,
	}
	for _, part := range s.object.parts {
		p.Parts[aws.ToInt32(part.PartNumber)] = aws.ToString(part.ETag)
	}
	if s.failure != nil {
		p.Failure, p.UploadID = s.failure.Error(), ""
	} else if s.disk != nil {
		p.Failure = s.disk.Error()
	}
	if p.Filled > 0 {
		if err := os.Rename(s.filling.path, filepath.Join(dir, s.target.Name)); err != nil {
			return fmt.Errorf("keep output over the restart: %w", err)
		}
	}
	b, err := json.Marshal(p)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, s.target.Name+parkedSuffix), b, 0o600)
	}
	if err != nil {
		return fmt.Errorf("keep output over the restart: %w", err)
	}
	if p.UploadID != "" {
		s.up.forget(s.target.ID) // the next start shall not abort it
	}
	return nil
}

// Resume goes on with a stream that was parked in dir. The error tells that there
// is none, or that what it had is lost.
func (u *Uploader) Resume(ctx context.Context, t Target, dir string) (*Stream, error) {
	var p parked
	file := filepath.Join(dir, t.Name+parkedSuffix)
	b, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(b, &p)
	}
	if err != nil {
		return nil, fmt.Errorf("find output from before the restart: %w", err)
	}
	s := u.Stream(ctx, t)
	s.number, s.total, s.kept, s.state = p.Number, p.Total, p.Kept, p.State
	switch s.state {
	case lost:
		s.failure = errors.New(p.Failure)
	case broken:
		s.disk = errors.New(p.Failure)
	}
	s.object.region, s.object.plain, s.object.id, s.object.size = p.Region, p.Plain, p.UploadID, p.Size
	for number, tag := range p.Parts {
		s.object.parts = append(s.object.parts, types.CompletedPart{ETag: aws.String(tag), PartNumber: aws.Int32(number)})
	}
	if p.Filled > 0 {
		s.filling = s.segment()
		if err = os.Rename(filepath.Join(dir, t.Name), s.filling.path); err == nil {
			s.filling.size, s.unsent = p.Filled, p.Filled
			s.file, err = os.OpenFile(s.filling.path, os.O_WRONLY|os.O_APPEND, 0o600)
		}
		if err != nil {
			s.cancel(nil)
			return nil, fmt.Errorf("go on with output from before the restart: %w", err)
		}
	}
	if p.UploadID != "" {
		u.note(t.ID, &s.object)
		s.sender = make(chan struct{})
		go s.send()
	}
	if err := os.Remove(file); err != nil {
		u.cfg.Logger.Warn("remove what was kept over the restart", "error", err)
	}
	return s, nil
}

// Forsake gives up what is parked in dir: its open uploads are noted in notes, so
// that Tidy aborts them.
func Forsake(dir, notes string) error {
	list, err := filepath.Glob(filepath.Join(dir, "*"+parkedSuffix))
	for _, file := range list {
		var p parked
		b, readErr := os.ReadFile(file)
		if errors.Is(readErr, fs.ErrNotExist) || readErr == nil && json.Unmarshal(b, &p) == nil && p.UploadID == "" {
			continue
		}
		id := filepath.Base(dir) + "." + strings.TrimSuffix(filepath.Base(file), parkedSuffix)
		err = errors.Join(err, readErr, os.MkdirAll(notes, 0o700), os.Rename(file, filepath.Join(notes, id)))
	}
	return err
}
