package journal

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// Entry is one command in the journal.
type Entry struct {
	j   *Journal
	key string

	mu       sync.Mutex
	f        *os.File // open while the command is not finished
	size     int64
	jobID    string
	payload  string
	accepted time.Time
	last     time.Time // of the last event
	steps    []Step
	reboot   *Reboot // the last event of its step
	reboots  int
	cancel   bool
	replies  []replyMark
	final    int // index in replies plus one; 0: none
	stripped bool
	err      error
	stuck    error  // why nothing can be added to the file
	late     []line // what the disk had no room for; Tidy tries again
}

// Step is a step that began.
type Step struct {
	Index  int
	Name   string // as replies name it
	Plugin string // aws:runShellScript
	Began  time.Time
	// Process says, in the executor's own form, which process tree runs it; nil
	// where the plugin starts none.
	Process json.RawMessage
}

// Reboot is a step's request to restart the host and to run the step again. It
// is in force until the step begins again.
type Reboot struct {
	Step   int // index of the step
	At     time.Time
	BootID string // of the system that is to be restarted; "" where it is not known
	// Note is the caller's own: what it needs to go on.
	Note json.RawMessage
	// Stdout and Stderr are the beginning of what the step has written so far.
	Stdout, Stderr []byte
}

// Reply is a message that is owed to the service until it is acknowledged.
type Reply struct {
	ID      string // of the message; repeated as it is with every sending
	JobID   string
	Topic   string
	Content string
	Step    int // index of the step whose result it tells; -1 for none
	Final   bool
	Acked   bool
}

// replyMark is what is kept in memory of a reply.
type replyMark struct {
	id    string
	step  int
	final bool
	acked bool
}

func (e *Entry) path() string { return filepath.Join(e.j.dir, e.key+suffix) }

// apply takes an event into memory. It is called when reading and when writing.
func (e *Entry) apply(l line) {
	if l.At.After(e.last) {
		e.last = l.At
	}
	switch l.Kind {
	case kindAccept:
		e.jobID, e.payload, e.accepted = l.JobID, l.Payload, l.At
	case kindBegin:
		e.reboot = nil
		step := Step{Index: l.Step, Name: l.Name, Plugin: l.Plugin, Began: l.At, Process: l.Process}
		if i := slices.IndexFunc(e.steps, func(s Step) bool { return s.Index == l.Step }); i >= 0 {
			e.steps[i] = step
			break
		}
		e.steps = append(e.steps, step)
	case kindProcess:
		for i := range e.steps {
			if e.steps[i].Index == l.Step {
				e.steps[i].Process = l.Process
			}
		}
	case kindReboot:
		e.reboot = &Reboot{Step: l.Step, At: l.At, BootID: l.Boot, Note: l.Note, Stdout: l.Stdout, Stderr: l.Stderr}
		e.reboots++
	case kindCancel:
		e.cancel = true
	case kindReply:
		e.replies = append(e.replies, replyMark{id: l.ID, step: l.Step, final: l.Final})
		if l.Final {
			e.final, e.stripped = len(e.replies), l.Content == ""
		}
	case kindAcked:
		for i := range e.replies {
			if e.replies[i].id == l.ID {
				e.replies[i].acked = true
			}
		}
	case kindDamaged:
		e.err = errors.New(l.Reason)
	}
}

// write appends lines in one write and one sync. What it wrote is durable.
func (e *Entry) write(lines ...line) error {
	var buf []byte
	for _, l := range lines {
		b, err := l.encode()
		if err != nil {
			return err
		}
		buf = append(buf, b...)
	}
	if err := e.append(buf); err != nil {
		return err
	}
	if err := e.f.Sync(); err != nil {
		return fmt.Errorf("sync journal of command %s: %w", e.key, err)
	}
	return nil
}

func (e *Entry) append(buf []byte) error {
	if e.stuck != nil {
		return fmt.Errorf("write journal of command %s: %w", e.key, e.stuck)
	}
	if e.f == nil {
		f, err := os.OpenFile(e.path(), os.O_WRONLY|os.O_APPEND, 0o600)
		if err != nil {
			return fmt.Errorf("open journal of command %s: %w", e.key, err)
		}
		e.f = f
	}
	n, err := e.f.Write(buf)
	if err != nil {
		// Half a line must not stand before the next one.
		if n > 0 {
			_ = e.f.Truncate(e.size)
		}
		return fmt.Errorf("write journal of command %s: %w", e.key, err)
	}
	e.size += int64(n)
	return nil
}

// Begin remembers that a step is about to start, and how to find the process
// tree that will run it. It is durable when Begin returns; only then may the
// step start. Of several calls for a step the last counts.
func (e *Entry) Begin(index int, name, plugin string, process json.RawMessage) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	l := line{Kind: kindBegin, At: e.j.opts.Now(), Step: index, Name: name, Plugin: plugin, Process: process}
	if err := e.write(l); err != nil {
		return err
	}
	e.apply(l)
	return nil
}

// Process remembers what became known of the process tree once it ran. It is
// not synced: it survives the agent's end, and after the machine's there is no
// tree left to find.
func (e *Entry) Process(index int, process json.RawMessage) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	l := line{Kind: kindProcess, At: e.j.opts.Now(), Step: index, Process: process}
	b, err := l.encode()
	if err != nil {
		return err
	}
	if err := e.append(b); err != nil {
		return err
	}
	e.apply(l)
	return nil
}

// AskReboot remembers, durably, that a step wants the host to be restarted; At is
// filled in.
func (e *Entry) AskReboot(r Reboot) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	l := line{Kind: kindReboot, At: e.j.opts.Now(), Step: r.Step, Boot: r.BootID, Note: r.Note, Stdout: r.Stdout, Stderr: r.Stderr}
	if err := e.write(l); err != nil {
		return err
	}
	e.apply(l)
	return nil
}

// Reboot gives the reboot that a step asked for and after which it has not begun
// again, nil for none, and how many the command has asked for in all.
func (e *Entry) Reboot() (r *Reboot, asked int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.reboot, e.reboots
}

// Cancel remembers, durably, that the command was cancelled.
func (e *Entry) Cancel() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	l := line{Kind: kindCancel, At: e.j.opts.Now()}
	if err := e.write(l); err != nil {
		return err
	}
	e.apply(l)
	return nil
}

// AddReplies remembers replies, all of them durable with one sync, so that they
// reach the service even if the agent or the connection goes away now. A final
// one finishes the command. Replies that could not be written are in memory all
// the same, and written by a later Tidy.
func (e *Entry) AddReplies(replies ...Reply) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	lines := make([]line, len(replies))
	for i, r := range replies {
		lines[i] = line{Kind: kindReply, At: e.j.opts.Now(), ID: r.ID, Topic: r.Topic, Content: r.Content, Step: r.Step, Final: r.Final}
	}
	for _, l := range lines {
		e.apply(l)
	}
	if err := e.flush(lines); err != nil {
		return err
	}
	if e.final > 0 {
		return e.closeFile()
	}
	return nil
}

// flush writes what an earlier attempt left, and these lines, or keeps them for
// the next attempt.
func (e *Entry) flush(lines []line) error {
	e.late = append(e.late, lines...)
	if len(e.late) == 0 {
		return nil
	}
	if err := e.write(e.late...); err != nil {
		return err
	}
	e.late = nil
	return nil
}

// Acked remembers that the service has a reply. It is not synced: a forgotten
// acknowledgement only makes the reply go out once more.
func (e *Entry) Acked(id string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	i := slices.IndexFunc(e.replies, func(r replyMark) bool { return r.id == id })
	if i < 0 || e.replies[i].acked {
		return nil
	}
	l := line{Kind: kindAcked, At: e.j.opts.Now(), ID: id}
	if len(e.late) > 0 {
		e.apply(l)
		e.late = append(e.late, l)
		return nil
	}
	b, err := l.encode()
	if err != nil {
		return err
	}
	if err := e.append(b); err != nil {
		return err
	}
	e.apply(l)
	if e.final > 0 {
		return e.closeFile()
	}
	return nil
}

// Replies reads the replies of a command back from the disk.
func (e *Entry) Replies() ([]Reply, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.replies) == 0 {
		return nil, nil
	}
	lines, err := e.read()
	if err != nil && len(e.late) == 0 {
		return nil, err
	}
	lines = append(lines, e.late...)
	var list []Reply
	for _, l := range lines {
		if l.Kind != kindReply || l.Content == "" {
			continue
		}
		r := Reply{ID: l.ID, JobID: e.jobID, Topic: l.Topic, Content: l.Content, Step: l.Step, Final: l.Final}
		for _, m := range e.replies {
			if m.id == r.ID {
				r.Acked = m.acked
			}
		}
		list = append(list, r)
	}
	return list, nil
}

func (e *Entry) read() ([]line, error) {
	data, err := os.ReadFile(e.path())
	if err != nil {
		return nil, fmt.Errorf("read journal of command %s: %w", e.key, err)
	}
	lines, err := decode(data)
	if err != nil {
		return nil, fmt.Errorf("read journal of command %s: %w", e.key, err)
	}
	return lines, nil
}

// Key is the command's id, or what Key makes of it.
func (e *Entry) Key() string { return e.key }

// JobID is the id of the job that brought the command; "" where a damaged file
// lost it.
func (e *Entry) JobID() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.jobID
}

// Payload is what Accept was given; "" once the command is finished and compacted.
func (e *Entry) Payload() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.payload
}

// Accepted is when the command was taken.
func (e *Entry) Accepted() time.Time { return e.accepted }

// Steps gives the steps that began, in order.
func (e *Entry) Steps() []Step {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.steps)
}

// Cancelled tells whether the command was cancelled.
func (e *Entry) Cancelled() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.cancel
}

// Finished tells whether a final reply was made.
func (e *Entry) Finished() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.final > 0
}

// Damaged says why the file could not be read to its end; nil where it could.
// A damaged command that is not finished may have run.
func (e *Entry) Damaged() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.err
}

func (e *Entry) closeFile() error {
	if e.f == nil {
		return nil
	}
	err := e.f.Close()
	e.f = nil
	if err != nil {
		return fmt.Errorf("close journal of command %s: %w", e.key, err)
	}
	return nil
}
