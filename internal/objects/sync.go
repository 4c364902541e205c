package objects

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// syncObject puts the object with its attributes on the disk, and the names
// that lead to it. An empty key means the bucket itself.
func (s *store) syncObject(bucket, key string) error {
	err := s.syncUp(s.root, filepath.Join(bucket, key))
	if s.sidecar == "" || err != nil {
		return err
	}
	// The gateway's layout: one file per attribute in a folder named meta.
	rel := filepath.Join(bucket, key, "meta")
	entries, err := os.ReadDir(filepath.Join(s.sidecar, rel))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read attributes: %w", err)
	}
	for _, e := range entries {
		if err := s.syncOne(filepath.Join(s.sidecar, rel, e.Name())); err != nil {
			return err
		}
	}
	return s.syncUp(s.sidecar, rel)
}

// syncUp syncs rel below root, then every directory above it, root included.
func (s *store) syncUp(root, rel string) error {
	for ; rel != "."; rel = filepath.Dir(rel) {
		if err := s.syncOne(filepath.Join(root, rel)); err != nil {
			return err
		}
	}
	return s.syncOne(root)
}

// syncOne syncs a file or directory. One that is gone was deleted by somebody
// else meanwhile: there is nothing left to keep.
func (s *store) syncOne(path string) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open to sync: %w", err)
	}
	err = s.fsync(f)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("sync %s: %w", path, err)
	}
	return nil
}
