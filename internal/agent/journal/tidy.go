package journal

import (
	"errors"
	"fmt"
	"os"
	"slices"
)

// Tidy shrinks and forgets: a finished command whose replies are all
// acknowledged keeps only what answers a redelivery (its job id and final
// reply; the parameters are gone from the disk), and is removed once it is old
// enough. Where the folder is beyond its size, there go, oldest first: final
// replies that were acknowledged, whole commands of that kind (also where there
// are too many), and at last replies that nobody has acknowledged; that these ran
// is remembered all the same. What was owed and is dropped is logged. It also
// makes ready for the next command, and writes what the disk had no room for.
// Errors of single files are joined; the rest is tidied all the same.
func (j *Journal) Tidy() error {
	var errs []error
	j.mu.Lock()
	if j.spare == nil {
		errs = append(errs, j.makeSpare())
	}
	j.mu.Unlock()
	now := j.opts.Now()
	var total int64
	var kept []*Entry
	for _, e := range j.Entries() {
		e.mu.Lock()
		done := e.final > 0 && e.allAcked()
		age := now.Sub(e.last)
		switch {
		case done && age > j.opts.Keep:
			errs = append(errs, e.remove())
		case e.final > 0 && age > j.opts.KeepUnacknowledged:
			j.opts.Logger.Error("journal: replies that the service has not acknowledged are dropped: too old", "command", e.key, "last", e.last)
			errs = append(errs, e.remove())
		case len(e.late) > 0:
			errs = append(errs, e.flush(nil))
			if e.final > 0 {
				errs = append(errs, e.closeFile())
			}
			kept = append(kept, e)
		case done && e.payload != "":
			errs = append(errs, e.compact(false))
			fallthrough
		default:
			kept = append(kept, e)
		}
		total += e.size
		e.mu.Unlock()
	}
	return errors.Join(append(errs, j.shrink(kept, total))...)
}

// shrink makes the folder as small as it may be; kept are its commands, oldest
// first.
func (j *Journal) shrink(kept []*Entry, total int64) error {
	var errs []error
	count := len(kept)
	each := func(over func() bool, act func(*Entry) error) {
		for _, e := range kept {
			if !over() {
				return
			}
			e.mu.Lock()
			if e.final > 0 && len(e.late) == 0 && e.stuck == nil {
				total -= e.size
				errs = append(errs, act(e))
				total += e.size
			}
			e.mu.Unlock()
		}
	}
	large := func() bool { return total > j.opts.MaxBytes }
	each(large, func(e *Entry) error {
		if !e.allAcked() || e.stripped {
			return nil
		}
		return e.compact(true)
	})
	each(func() bool { return large() || count > j.opts.MaxCommands }, func(e *Entry) error {
		if !e.allAcked() {
			return nil
		}
		count--
		return e.remove()
	})
	each(large, func(e *Entry) error {
		if e.allAcked() {
			return nil
		}
		j.opts.Logger.Error("journal: replies that the service has not acknowledged are dropped: the journal is full", "command", e.key, "last", e.last)
		for i := range e.replies {
			e.replies[i].acked = true
		}
		return e.compact(true)
	})
	return errors.Join(errs...)
}

func (e *Entry) allAcked() bool {
	return !slices.ContainsFunc(e.replies, func(r replyMark) bool { return !r.acked })
}

// remove forgets the command.
func (e *Entry) remove() error {
	err := e.closeFile()
	e.size = 0
	if rm := os.Remove(e.path()); rm != nil && !errors.Is(rm, os.ErrNotExist) {
		return errors.Join(err, fmt.Errorf("remove journal of command %s: %w", e.key, rm))
	}
	e.j.mu.Lock()
	delete(e.j.entries, e.key)
	e.j.mu.Unlock()
	return err
}

// compact rewrites a finished command to its acceptance, without the payload,
// and its final reply; strip leaves out the reply's content too.
func (e *Entry) compact(strip bool) error {
	lines, err := e.read()
	if err != nil {
		return err
	}
	final := e.replies[e.final-1]
	var keep []line
	for _, l := range lines {
		switch {
		case l.Kind == kindAccept:
			l.Payload = ""
		case l.Kind == kindReply && l.ID == final.id:
			if strip {
				l.Content = ""
			}
		default:
			continue
		}
		keep = append(keep, l)
	}
	keep = append(keep, line{Kind: kindAcked, At: e.last, ID: final.id})
	if err := e.rewrite(keep); err != nil {
		return err
	}
	e.payload, e.steps, e.reboot = "", nil, nil
	e.replies, e.final = []replyMark{final}, 1
	e.stripped = strip
	return nil
}

// rewrite replaces the file by these lines, so that a crash leaves the old or
// the new one.
func (e *Entry) rewrite(lines []line) error {
	var buf []byte
	for _, l := range lines {
		b, err := l.encode()
		if err != nil {
			return err
		}
		buf = append(buf, b...)
	}
	if err := e.closeFile(); err != nil {
		return err
	}
	tmp := e.path() + tmpSuffix
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("rewrite journal of command %s: %w", e.key, err)
	}
	_, err = f.Write(buf)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(tmp, e.path())
	}
	if err != nil {
		_ = os.Remove(tmp)
		return fmt.Errorf("rewrite journal of command %s: %w", e.key, err)
	}
	e.size = int64(len(buf))
	return syncDir(e.j.dir)
}
