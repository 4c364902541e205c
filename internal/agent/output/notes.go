package output

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// openUpload is an upload in parts as a file of Config.Notes holds it.
type openUpload struct {
	Bucket   string `json:"bucket"`
	Key      string `json:"key"`
	Region   string `json:"region"`
	UploadID string `json:"upload_id"`
}

// note keeps that an upload is open. Without the note nothing is worse than that
// parts stay which nobody completes, so a failure is no more than logged.
func (u *Uploader) note(id string, o *object) {
	if u.cfg.Notes == "" {
		return
	}
	b, err := json.Marshal(openUpload{o.bucket, o.key, o.region, o.id})
	if err == nil {
		err = os.MkdirAll(u.cfg.Notes, 0o700)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(u.cfg.Notes, id), b, 0o600)
	}
	if err != nil {
		u.cfg.Logger.Warn("keep a note of an upload", "error", err)
	}
}

// forget removes the note of an upload that is over.
func (u *Uploader) forget(id string) {
	if u.cfg.Notes == "" {
		return
	}
	if err := os.Remove(filepath.Join(u.cfg.Notes, id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		u.cfg.Logger.Warn("remove the note of an upload", "error", err)
	}
}

// Left lists the uploads that an earlier process left open, for Tidy. It is to be
// called before the first Stream.
func (u *Uploader) Left() []string {
	entries, err := os.ReadDir(u.cfg.Notes)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		u.cfg.Logger.Warn("look for uploads that were left open", "error", err)
	}
	ids := make([]string, 0, len(entries))
	for _, e := range entries {
		ids = append(ids, e.Name())
	}
	return ids
}

// Tidy aborts uploads that Left has listed. It tries until S3 has answered, or
// ctx ends; the next start then tries again.
func (u *Uploader) Tidy(ctx context.Context, left []string) {
	for pause := firstPause; len(left) > 0; pause = min(2*pause, 10*mostPause) {
		var again []string
		for _, id := range left {
			if !u.tidy(ctx, id) {
				again = append(again, id)
			}
		}
		if left = again; len(left) == 0 {
			return
		}
		t := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-t.C:
		}
	}
}

// tidy aborts one upload and tells whether it is dealt with.
func (u *Uploader) tidy(ctx context.Context, id string) bool {
	var up openUpload
	b, err := os.ReadFile(filepath.Join(u.cfg.Notes, id))
	if err != nil || json.Unmarshal(b, &up) != nil || up.UploadID == "" {
		u.cfg.Logger.Warn("the note of an upload cannot be read; should parts of it be left, the bucket has to be tidied by other means", "note", id)
		u.forget(id)
		return true
	}
	o := object{up: u, bucket: up.Bucket, key: up.Key, region: up.Region, id: up.UploadID}
	err = o.abort(ctx)
	if err != nil && !final(err) {
		return false
	}
	if err != nil && errorCode(err) != "NoSuchUpload" && errorCode(err) != "NoSuchBucket" {
		u.cfg.Logger.Warn("an upload that was left open cannot be aborted: its parts stay until a lifecycle rule of the bucket removes them",
			"bucket", up.Bucket, "key", up.Key, "error", err)
	} else {
		u.cfg.Logger.Info("aborted an upload that was left open", "bucket", up.Bucket, "key", up.Key)
	}
	u.forget(id)
	return true
}
