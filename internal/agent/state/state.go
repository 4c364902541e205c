// Package state is part of step 7 of a run: the agent's folder on disk, and the
// few files that the agent and the service which started it tell each other
// with. Package agent keeps its state through it; on the service's side
// internal/localagents reads who runs (ReadProcess) and writes where the service
// is (WriteEndpoint, WriteActivation). It calls only the operating system.
//
// The folder, mode 0700, its files 0600 (on Windows for the agent's user, the
// system and administrators):
//
//	registration.json   instance id, region, fingerprint, private key
//	agent.json          the process that works on this folder: see Process
//	lock                held by that process for as long as it lives
//	journal/            package journal: commands and replies
//	orchestration/      scripts and outputs of the steps that run now
//	uploads/            package output: uploads to S3 that are open
package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// ErrLocked is what Open answers where another agent works on the folder.
var ErrLocked = errors.New("another agent is using this folder")

// Folder is an agent's folder, opened and locked.
type Folder struct {
	dir  string
	lock *os.File
}

// Open makes the folder where it is missing, locks it against other agents, and
// writes agent.json. dir is made absolute. ErrLocked where an agent has it.
func Open(dir string, now time.Time, version string) (*Folder, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("find state folder: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make state folder: %w", err)
	}
	if err := protect(dir); err != nil {
		return nil, fmt.Errorf("protect state folder: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock of state folder: %w", err)
	}
	if err := acquire(lock); err != nil {
		lock.Close()
		if errors.Is(err, ErrLocked) {
			if p, perr := ReadProcess(dir); perr == nil {
				return nil, fmt.Errorf("state folder %s: %w (pid %d)", dir, ErrLocked, p.PID)
			}
			return nil, fmt.Errorf("state folder %s: %w", dir, ErrLocked)
		}
		return nil, fmt.Errorf("lock state folder: %w", err)
	}
	f := &Folder{dir: dir, lock: lock}
	p := Process{PID: os.Getpid(), BootID: bootID(), Started: now.UTC().Truncate(time.Millisecond), Version: version}
	p.StartTime, _ = startTime(p.PID)
	if err := writeJSON(filepath.Join(dir, processFile), p); err != nil {
		lock.Close()
		return nil, err
	}
	return f, nil
}

// Dir is the absolute path of the folder.
func (f *Folder) Dir() string { return f.dir }

// Journal is the path of the journal's folder.
func (f *Folder) Journal() string { return filepath.Join(f.dir, "journal") }

// Orchestration is the path under which each running step has a folder.
func (f *Folder) Orchestration() string { return filepath.Join(f.dir, "orchestration") }

// Uploads is the path of the notes on uploads that are open.
func (f *Folder) Uploads() string { return filepath.Join(f.dir, "uploads") }

// Registration is the path of registration.json.
func (f *Folder) Registration() string { return filepath.Join(f.dir, "registration.json") }

// Close gives the folder free. agent.json stays: it then names a process that
// is no more.
func (f *Folder) Close() error {
	// Not by Close alone: a child that is just being forked holds the file too.
	if err := errors.Join(unlockFile(f.lock), f.lock.Close()); err != nil {
		return fmt.Errorf("unlock state folder: %w", err)
	}
	return nil
}

// acquire takes the lock. It waits a little for one that is taken: where an
// agent is killed while it starts a script, the script's process holds the
// agent's lock until its own exec.
func acquire(lock *os.File) error {
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for tries := 0; ; tries++ {
		err := lockFile(lock)
		if !errors.Is(err, ErrLocked) || tries == 25 {
			return err
		}
		<-again.C
	}
}

// Read decodes a JSON file of a folder. fs.ErrNotExist is in the chain of the
// error where there is none.
func Read(path string, v any) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read %s: %w", filepath.Base(path), err)
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("read %s: not valid JSON", path) // err could quote a secret
	}
	return nil
}

// Write puts v as JSON into a file, mode 0600, whole or not at all, and durably.
func Write(path string, v any) error { return writeJSON(path, v) }

func writeJSON(path string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("encode %s: %w", filepath.Base(path), err)
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".new-*") // mode 0600
	if err != nil {
		return fmt.Errorf("write %s: %w", filepath.Base(path), err)
	}
	_, err = tmp.Write(append(b, '\n'))
	if err == nil {
		err = tmp.Sync()
	}
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		_ = os.Remove(tmp.Name())
		return fmt.Errorf("write %s: %w", filepath.Base(path), err)
	}
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("write %s: %w", filepath.Base(path), err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil && !errors.Is(err, fs.ErrPermission) && !errors.Is(err, errors.ErrUnsupported) {
		return fmt.Errorf("sync folder of %s: %w", filepath.Base(path), err)
	}
	return nil
}
