package objects

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// syncObject puts the object with its attributes on the disk, and the names
// that lead to it. An empty key means the bucket itself.
func (s *store) syncObject(bucket, key string) error {
	err := s.syncUp(s.root, filepath.Join(bucket, key))
	if s.sidecar == "" || err != nil {
		return err
	}
	// The gateway's layout: one file per attribute in a folder named meta.
	folder := filepath.Join(bucket, key, "meta")
	entries, err := os.ReadDir(filepath.Join(s.sidecar, folder))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read attributes: %w", err)
	}
	var files []string
	for _, e := range entries {
		files = append(files, filepath.Join(folder, e.Name()))
	}
	return s.syncUp(s.sidecar, files...)
}

// syncUp syncs files of one folder, given relative to root, and the directories
// above them as far as their own names may not be on the disk yet. It does so at
// once, because a disk answers many flushes in little more than the time of one.
func (s *store) syncUp(root string, files ...string) error {
	if len(files) == 0 {
		return nil
	}
	since := s.kept.since()
	var paths, dirs []string
	for _, file := range files {
		paths = append(paths, filepath.Join(root, file))
	}
	for dir := filepath.Dir(paths[0]); ; dir = filepath.Dir(dir) {
		dirs = append(dirs, dir)
		if dir == root || s.kept.has(dir) {
			break
		}
	}
	paths = append(paths, dirs...)
	errs := make([]error, len(paths))
	var wg sync.WaitGroup
	for i, path := range paths {
		wg.Go(func() { errs[i] = s.syncOne(path) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	s.kept.add(since, dirs)
	return nil
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

// maxKept bounds what is remembered of directories.
const maxKept = 4096

// keptDirs remembers directories whose names are on the disk, up to the root, so
// that the second object in a folder needs two syncs and not one for each
// directory above it.
type keptDirs struct {
	mu    sync.Mutex
	epoch int // counts forget
	dirs  map[string]struct{}
}

// since is the epoch that add wants from before the syncs.
func (k *keptDirs) since() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.epoch
}

func (k *keptDirs) has(dir string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	_, ok := k.dirs[dir]
	return ok
}

// add remembers directories that were synced since an epoch. If something was
// deleted since, one of them may have been made anew and is not remembered.
func (k *keptDirs) add(epoch int, dirs []string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.epoch != epoch {
		return
	}
	if k.dirs == nil || len(k.dirs) > maxKept {
		k.dirs = map[string]struct{}{}
	}
	for _, dir := range dirs {
		k.dirs[dir] = struct{}{}
	}
}

// forget is called after anything was deleted: the gateway removes directories
// that became empty, and a later one of the same name is not on the disk.
func (k *keptDirs) forget() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.epoch++
	k.dirs = nil
}
