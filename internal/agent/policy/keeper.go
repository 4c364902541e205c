package policy

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
)

// Keeper holds the policy in force and reads its file anew when that changed. It
// is safe for concurrent use.
type Keeper struct {
	path     string
	required bool

	mu     sync.Mutex
	policy *Policy // nil: there is none, or err
	err    error   // why nothing is let through
	seen   mark    // of the file as it was read last
	there  bool    // the file was there when it was looked for last
}

// Open reads the policy at an absolute path. required makes its absence an error;
// without it that means that there is none. A file that is there and cannot be
// used is an error always.
func Open(path string, required bool) (*Keeper, error) {
	k := &Keeper{path: path, required: required}
	if _, err := k.Reload(); err != nil {
		return nil, err
	}
	return k, nil
}

// Path is the file.
func (k *Keeper) Path() string { return k.path }

// Current gives the policy in force, nil for none. An error means that no
// command may run until the file is mended: it became unusable, or was there
// and is gone.
func (k *Keeper) Current() (*Policy, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	fi, err := os.Lstat(k.path)
	switch {
	case err == nil && k.there && markOf(fi) == k.seen:
	case errors.Is(err, fs.ErrNotExist) && !k.there:
	default:
		k.read()
	}
	return k.policy, k.err
}

// Reload is Current, and reads the file whether it has changed or not.
func (k *Keeper) Reload() (*Policy, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.read()
	return k.policy, k.err
}

// read reads the file. k.mu is held.
func (k *Keeper) read() {
	had := k.there
	// Before the reading: what changes meanwhile is seen as changed.
	fi, err := os.Lstat(k.path)
	if k.there = !errors.Is(err, fs.ErrNotExist); err == nil {
		k.seen = markOf(fi)
	} else {
		k.seen = mark{}
	}
	k.policy, k.err = Read(k.path)
	switch {
	case !errors.Is(k.err, fs.ErrNotExist):
	case had || k.required:
		k.required = true // until it is back
		k.err = fmt.Errorf("policy %s: there is no such file: put it there, or start the agent without it", k.path)
	default:
		k.err = nil
	}
}
