package journal

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// ErrKnown is what Accept answers for a command that was taken before.
var ErrKnown = errors.New("command is already in the journal")

// Defaults of Options.
const (
	// DefaultKeep is how long a command is remembered after its final reply was
	// acknowledged. No service redelivers a command for longer than that.
	DefaultKeep = 24 * time.Hour
	// DefaultKeepUnacknowledged bounds a command whose final reply nobody ever
	// acknowledged: no step may take longer than two days, so that any service has
	// given the command up long before.
	DefaultKeepUnacknowledged = 7 * 24 * time.Hour
	// DefaultMaxBytes bounds the folder, DefaultMaxCommands the commands in it,
	// each of which takes some 700 bytes of memory.
	DefaultMaxBytes    = 64 << 20
	DefaultMaxCommands = 10_000
	// maxDamaged bounds the copies of damaged files.
	maxDamaged = 20
)

// Options are the settings of a journal; zero members take the defaults.
type Options struct {
	Now                func() time.Time // time.Now
	Logger             *slog.Logger     // discards
	Keep               time.Duration    // DefaultKeep
	KeepUnacknowledged time.Duration    // DefaultKeepUnacknowledged
	MaxBytes           int64            // DefaultMaxBytes
	MaxCommands        int              // DefaultMaxCommands
}

// Journal is an open journal folder. Its methods may be called from several
// goroutines; only one process may have the folder open (package state locks it).
type Journal struct {
	dir  string
	opts Options

	mu      sync.Mutex
	entries map[string]*Entry // by key
	spare   *os.File          // an empty file whose name is durable; nil for none
	spares  int               // how many were made
}

// Open reads the folder, which it makes where it is missing. A file that cannot
// be read to its end is set aside in the folder "damaged" and stays known; see
// Entry.Damaged. A folder in which nothing can be written (a full disk) opens:
// Accept fails until it can.
func Open(dir string, opts Options) (*Journal, error) {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.Keep == 0 {
		opts.Keep = DefaultKeep
	}
	if opts.KeepUnacknowledged == 0 {
		opts.KeepUnacknowledged = DefaultKeepUnacknowledged
	}
	if opts.MaxBytes == 0 {
		opts.MaxBytes = DefaultMaxBytes
	}
	if opts.MaxCommands == 0 {
		opts.MaxCommands = DefaultMaxCommands
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make journal folder: %w", err)
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("list journal folder: %w", err)
	}
	j := &Journal{dir: dir, opts: opts, entries: map[string]*Entry{}}
	for _, f := range files {
		if f.IsDir() {
			continue
		}
		if strings.HasPrefix(f.Name(), sparePrefix) {
			if err := j.adopt(f.Name()); err != nil {
				return nil, err
			}
			continue
		}
		key, ok := strings.CutSuffix(f.Name(), suffix)
		if !ok || !safeKey.MatchString(key) {
			// A leftover of a rewrite that a crash cut short.
			if strings.HasSuffix(f.Name(), tmpSuffix) {
				_ = os.Remove(filepath.Join(dir, f.Name()))
			}
			continue
		}
		if err := j.load(key); err != nil {
			return nil, err
		}
	}
	if err := j.makeSpare(); err != nil {
		opts.Logger.Error("journal: no command can be taken until this is mended", "error", err)
	}
	return j, nil
}

const (
	suffix      = ".jsonl"
	tmpSuffix   = ".tmp"
	sparePrefix = "spare-"
)

var safeKey = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9-]{0,63}$`)

// Key gives the name under which a command is kept: its id, or a hash of it
// where the id could not be a file's name. A key's key is itself.
func Key(commandID string) string {
	if safeKey.MatchString(commandID) {
		return commandID
	}
	sum := sha256.Sum256([]byte(commandID))
	return "x-" + hex.EncodeToString(sum[:16])
}

// Lookup finds a command by its id.
func (j *Journal) Lookup(commandID string) (*Entry, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	e, ok := j.entries[Key(commandID)]
	return e, ok
}

// Entries gives all commands, oldest acceptance first.
func (j *Journal) Entries() []*Entry {
	j.mu.Lock()
	defer j.mu.Unlock()
	list := make([]*Entry, 0, len(j.entries))
	for _, e := range j.entries {
		list = append(list, e)
	}
	slices.SortFunc(list, func(a, b *Entry) int {
		if c := a.accepted.Compare(b.accepted); c != 0 {
			return c
		}
		return strings.Compare(a.key, b.key)
	})
	return list
}

// Accept remembers a command before the service is told that it was taken.
// payload is what is needed to run it after a restart. The agent's end does not
// lose it; a power cut does not either once Accept returns, where sync is true,
// or once Begin does: a command that begins at once need not wait for two syncs.
// ErrKnown, with the entry, where the command was taken before.
func (j *Journal) Accept(commandID, jobID, payload string, sync bool) (*Entry, error) {
	key := Key(commandID)
	j.mu.Lock()
	defer j.mu.Unlock()
	if e, ok := j.entries[key]; ok {
		return e, ErrKnown
	}
	now := j.opts.Now()
	e := &Entry{j: j, key: key, jobID: jobID, payload: payload, accepted: now, last: now}
	if j.spare == nil {
		if err := j.makeSpare(); err != nil {
			return nil, err
		}
	}
	spare := j.spare.Name()
	e.f, j.spare = j.spare, nil
	b, err := line{Kind: kindAccept, At: now, Key: key, JobID: jobID, Payload: payload}.encode()
	if err == nil {
		err = e.append(b)
	}
	if err == nil && sync {
		if err = e.f.Sync(); err != nil {
			err = fmt.Errorf("sync journal of command %s: %w", key, err)
		}
	}
	// Some systems rename no file that is open; the next event opens it again.
	if cerr := e.closeFile(); err == nil {
		err = cerr
	}
	if err == nil {
		if err = os.Rename(spare, e.path()); err != nil {
			err = fmt.Errorf("name journal of command: %w", err)
		}
	}
	if err != nil {
		_ = os.Remove(spare)
		return nil, err
	}
	j.entries[key] = e
	return e, nil
}

// makeSpare makes the file for the next command, durably. j.mu is held, or
// nobody else has j.
func (j *Journal) makeSpare() error {
	for {
		j.spares++
		f, err := os.OpenFile(filepath.Join(j.dir, fmt.Sprintf("%s%d", sparePrefix, j.spares)), os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o600)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err == nil {
			if err = syncDir(j.dir); err == nil {
				j.spare = f
				return nil
			}
			_ = f.Close()
			_ = os.Remove(f.Name())
		}
		return fmt.Errorf("create journal of next command: %w", err)
	}
}

// adopt gives a spare file that was taken, but whose renaming a crash undid, its
// command's name, and removes one that was not taken.
func (j *Journal) adopt(name string) error {
	path := filepath.Join(j.dir, name)
	data, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read journal: %w", err)
	}
	lines, err := decode(data)
	if len(lines) == 0 || lines[0].Key == "" || !safeKey.MatchString(lines[0].Key) {
		if len(data) > 0 {
			j.opts.Logger.Info("journal: a command was not yet accepted; forgotten", "file", name, "error", err)
		}
		if err := os.Remove(path); err != nil {
			return fmt.Errorf("remove unused journal: %w", err)
		}
		return nil
	}
	key := lines[0].Key
	if err := os.Rename(path, filepath.Join(j.dir, key+suffix)); err != nil {
		return fmt.Errorf("name journal of command: %w", err)
	}
	return j.load(key)
}

// load reads one file into an entry.
func (j *Journal) load(key string) error {
	e := &Entry{j: j, key: key}
	data, err := os.ReadFile(e.path())
	if err != nil {
		// What it holds is not known, but that it is there is.
		j.opts.Logger.Error("journal: a command's file cannot be read; the command will not be run again", "command", key, "error", err)
		e.err = fmt.Errorf("read: %w", err)
		e.stuck = e.err
		e.accepted, e.last = j.opts.Now(), j.opts.Now()
		j.entries[key] = e
		return nil
	}
	lines, err := decode(data)
	if errors.Is(err, errTorn) {
		// The crash came before the service was told that it was taken.
		j.opts.Logger.Info("journal: a command was not yet accepted; forgotten", "command", key)
		if err := os.Remove(e.path()); err != nil {
			return fmt.Errorf("remove torn journal: %w", err)
		}
		return nil
	}
	for _, l := range lines {
		e.apply(l)
	}
	e.size = int64(len(data))
	if err != nil {
		e.err = err
		if err := j.setAside(e, lines); err != nil {
			j.opts.Logger.Error("journal: a damaged file could not be mended", "command", key, "error", err)
			e.stuck = err
		}
	}
	j.entries[key] = e
	return nil
}

// setAside keeps a copy of a damaged file for whoever looks into it, and goes
// on with what could be read of it.
func (j *Journal) setAside(e *Entry, lines []line) error {
	dir := filepath.Join(j.dir, "damaged")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make folder for damaged journals: %w", err)
	}
	aside := filepath.Join(dir, e.key+suffix)
	_ = os.Remove(aside)
	removeOldest(dir, maxDamaged-1)
	if err := os.Link(e.path(), aside); err != nil {
		return fmt.Errorf("set damaged journal aside: %w", err)
	}
	j.opts.Logger.Error("journal: a command's file is damaged; a copy was set aside and the command will not be run again",
		"command", e.key, "copy", aside, "error", e.err)
	if len(lines) == 0 {
		lines = []line{{Kind: kindAccept, At: j.opts.Now(), Key: e.key}}
		e.apply(lines[0])
	}
	if e.final == 0 {
		d := line{Kind: kindDamaged, At: j.opts.Now(), Reason: e.err.Error()}
		lines = append(lines, d)
		e.apply(d)
	}
	return e.rewrite(lines)
}

// removeOldest leaves n files in a folder, the newest ones.
func removeOldest(dir string, n int) {
	list, err := os.ReadDir(dir)
	if err != nil || len(list) <= n {
		return
	}
	age := func(f fs.DirEntry) time.Time {
		info, err := f.Info()
		if err != nil {
			return time.Time{}
		}
		return info.ModTime()
	}
	slices.SortFunc(list, func(a, b fs.DirEntry) int { return age(a).Compare(age(b)) })
	for _, f := range list[:len(list)-n] {
		_ = os.Remove(filepath.Join(dir, f.Name()))
	}
}

// Unacknowledged gives all replies that are still owed to the service, in the
// order in which they were made within a command, oldest command first.
func (j *Journal) Unacknowledged() ([]Reply, error) {
	var list []Reply
	for _, e := range j.Entries() {
		replies, err := e.Replies()
		if err != nil {
			return nil, err
		}
		for _, r := range replies {
			if !r.Acked {
				list = append(list, r)
			}
		}
	}
	return list, nil
}

// Close closes the files that are open. The journal must not be used after it.
func (j *Journal) Close() error {
	var errs []error
	j.mu.Lock()
	if j.spare != nil {
		errs = append(errs, j.spare.Close(), os.Remove(j.spare.Name()))
		j.spare = nil
	}
	j.mu.Unlock()
	for _, e := range j.Entries() {
		e.mu.Lock()
		errs = append(errs, e.closeFile())
		e.mu.Unlock()
	}
	return errors.Join(errs...)
}

// syncDir makes the names in a folder durable. Windows cannot and need not.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("open journal folder: %w", err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil && !errors.Is(err, errors.ErrUnsupported) && !errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("sync journal folder: %w", err)
	}
	return nil
}
