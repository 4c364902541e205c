package journal

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

type clock struct{ t time.Time }

func (c *clock) now() time.Time { return c.t }

func setup(t *testing.T) (string, *clock, func() *Journal) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "journal")
	c := &clock{time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)}
	var last *Journal
	return dir, c, func() *Journal {
		t.Helper()
		died(last)
		j, err := Open(dir, Options{Now: c.now})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { j.Close() })
		last = j
		return j
	}
}

// died closes a journal's files as the end of its process does: Windows removes
// and renames none that is open.
func died(j *Journal) {
	if j == nil || runtime.GOOS != "windows" {
		return
	}
	if j.spare != nil {
		_ = j.spare.Close()
	}
	for _, e := range j.entries {
		_ = e.closeFile()
	}
}

const cmdID = "565f326a-0000-4000-8000-000000000001"

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func accept(t *testing.T, j *Journal, id string) *Entry {
	t.Helper()
	e, err := j.Accept(id, "aws.ssm."+id+".i-1", `{"Parameters":{"commands":["secret"]}}`, true)
	must(t, err)
	return e
}

func TestLifeOverRestarts(t *testing.T) {
	t.Parallel()
	dir, _, open := setup(t)
	e := accept(t, open(), cmdID)
	if e.Finished() || len(e.Steps()) != 0 {
		t.Fatal("a command that was only accepted counts as begun or finished")
	}

	j := open()
	e, ok := j.Lookup(cmdID)
	if !ok || e.JobID() != "aws.ssm."+cmdID+".i-1" || !strings.Contains(e.Payload(), "secret") {
		t.Fatalf("after a restart: %v %+v", ok, e)
	}
	if _, err := j.Accept(cmdID, "x", "y", false); !errors.Is(err, ErrKnown) {
		t.Fatalf("second Accept: %v, want ErrKnown", err)
	}
	must(t, e.Begin(0, "one", "aws:runShellScript", json.RawMessage(`{"cgroup":"a"}`)))
	must(t, e.Begin(0, "one", "aws:runShellScript", json.RawMessage(`{"supervisor_pid":11}`)))
	if s := e.Steps(); len(s) != 1 || string(s[0].Process) != `{"supervisor_pid":11}` {
		t.Fatalf("steps: %+v", s)
	}
	must(t, e.Process(0, json.RawMessage(`{"pid":12}`)))
	must(t, e.Cancel())

	j = open()
	e, _ = j.Lookup(cmdID)
	steps := e.Steps()
	if len(steps) != 1 || steps[0].Name != "one" || string(steps[0].Process) != `{"pid":12}` || !e.Cancelled() {
		t.Fatalf("steps after a restart: %+v, cancelled %v", steps, e.Cancelled())
	}
	must(t, e.AddReplies(
		Reply{ID: "r1", Topic: "t", Content: "step", Step: 0},
		Reply{ID: "r2", Topic: "t", Content: "final", Step: -1, Final: true}))
	must(t, e.Acked("r1"))

	j = open()
	owed, err := j.Unacknowledged()
	must(t, err)
	want := []Reply{{ID: "r2", JobID: "aws.ssm." + cmdID + ".i-1", Topic: "t", Content: "final", Step: -1, Final: true}}
	if d := cmp.Diff(want, owed); d != "" {
		t.Fatalf("owed replies (-want +got):\n%s", d)
	}
	info, err := os.Stat(filepath.Join(dir, cmdID+suffix))
	must(t, err)
	if info.Mode().Perm() != 0o600 && runtime.GOOS != "windows" {
		t.Fatalf("journal file has mode %v", info.Mode())
	}
}

func TestTidy(t *testing.T) {
	t.Parallel()
	dir, c, open := setup(t)
	j := open()
	done, owed, running := accept(t, j, "done"), accept(t, j, "owed"), accept(t, j, "running")
	for _, e := range []*Entry{done, owed} {
		must(t, e.Begin(0, "s", "p", nil))
		must(t, e.AddReplies(Reply{ID: "step", Content: "s", Step: 0}, Reply{ID: "final", Content: "f", Step: -1, Final: true}))
	}
	must(t, running.Begin(0, "s", "p", nil))
	must(t, done.Acked("step"))
	must(t, done.Acked("final"))
	must(t, owed.Acked("step"))
	must(t, j.Tidy())

	data, err := os.ReadFile(filepath.Join(dir, "done"+suffix))
	must(t, err)
	if strings.Contains(string(data), "secret") {
		t.Errorf("the parameters of a finished command are still on disk:\n%s", data)
	}
	j = open()
	done, _ = j.Lookup("done")
	replies, err := done.Replies()
	must(t, err)
	if len(replies) != 1 || replies[0].Content != "f" || !replies[0].Acked || !done.Finished() {
		t.Fatalf("compacted command: %+v", replies)
	}

	c.t = c.t.Add(25 * time.Hour)
	must(t, j.Tidy())
	if _, ok := j.Lookup("done"); ok {
		t.Error("an old finished command was not forgotten")
	}
	for _, id := range []string{"owed", "running"} {
		if _, ok := j.Lookup(id); !ok {
			t.Errorf("command %s was forgotten", id)
		}
	}
	c.t = c.t.Add(31 * 24 * time.Hour)
	must(t, j.Tidy())
	if _, ok := j.Lookup("owed"); ok {
		t.Error("a reply that nobody acknowledged in 31 days is still kept")
	}
	if _, ok := j.Lookup("running"); !ok {
		t.Error("a running command was forgotten")
	}
}

func TestTidyBySize(t *testing.T) {
	t.Parallel()
	dir, c, _ := setup(t)
	j, err := Open(dir, Options{Now: c.now, MaxBytes: 30_000})
	must(t, err)
	defer j.Close()
	for i := range 5 {
		e := accept(t, j, fmt.Sprintf("c%d", i))
		must(t, e.AddReplies(Reply{ID: "f", Content: strings.Repeat("x", 9_000), Final: true}))
		must(t, e.Acked("f"))
		c.t = c.t.Add(time.Second)
	}
	must(t, j.Tidy())
	for range 2 { // the second time from disk
		for i := range 5 {
			e, ok := j.Lookup(fmt.Sprintf("c%d", i))
			if !ok || !e.Finished() {
				t.Fatalf("c%d was forgotten", i)
			}
			replies, err := e.Replies()
			must(t, err)
			if got, want := len(replies), min(i/2, 1); got != want {
				t.Errorf("c%d: %d replies kept, want %d", i, got, want)
			}
		}
		died(j)
		j, err = Open(dir, Options{Now: c.now, MaxBytes: 30_000})
		must(t, err)
		defer j.Close()
	}
}

func TestTornAndDamaged(t *testing.T) {
	t.Parallel()
	whole := func(t *testing.T) (string, func() *Journal, []byte) {
		dir, _, open := setup(t)
		j := open()
		e := accept(t, j, cmdID)
		must(t, e.Begin(0, "s", "p", nil))
		must(t, e.AddReplies(Reply{ID: "f", Content: "final", Final: true}))
		j.Close()
		data, err := os.ReadFile(filepath.Join(dir, cmdID+suffix))
		must(t, err)
		return dir, open, data
	}
	for _, tt := range []struct {
		name   string
		damage func(lines []string) string
		known  bool
		final  bool
		bad    bool
		begun  int
	}{
		{"empty file", func([]string) string { return "" }, false, false, false, 0},
		{"accept line torn", func(l []string) string { return l[0][:20] }, false, false, false, 0},
		{"begin line torn", func(l []string) string { return l[0] + l[1][:5] }, true, false, true, 0},
		{"reply line torn", func(l []string) string { return l[0] + l[1] + l[2][:40] }, true, false, true, 1},
		{"tail after final reply", func(l []string) string { return strings.Join(l, "") + "junk" }, true, true, true, 1},
		{"bit flipped in accept", func(l []string) string { return strings.Replace(strings.Join(l, ""), "accept", "accepu", 1) }, true, false, true, 0},
		{"line left out", func(l []string) string { return l[1] + l[2] }, true, false, true, 0},
		{"binary", func([]string) string { return "\x00\x01\n\xff\n" }, true, false, true, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir, open, data := whole(t)
			path := filepath.Join(dir, cmdID+suffix)
			must(t, os.WriteFile(path, []byte(tt.damage(strings.SplitAfter(string(data), "\n")[:3])), 0o600))
			for range 2 { // what was repaired stays so
				j := open()
				e, ok := j.Lookup(cmdID)
				if ok != tt.known {
					t.Fatalf("known: %v, want %v", ok, tt.known)
				}
				if !ok {
					continue
				}
				if e.Finished() != tt.final || len(e.Steps()) != tt.begun {
					t.Errorf("finished %v, %d steps; want %v, %d", e.Finished(), len(e.Steps()), tt.final, tt.begun)
				}
				if !tt.final && (e.Damaged() != nil) != tt.bad {
					t.Errorf("damaged: %v, want %v", e.Damaged(), tt.bad)
				}
				if _, err := os.Stat(filepath.Join(dir, "damaged", cmdID+suffix)); err != nil {
					t.Errorf("no copy set aside: %v", err)
				}
				j.Close()
			}
			// It goes on being usable.
			j := open()
			if e, ok := j.Lookup(cmdID); ok && !e.Finished() {
				must(t, e.AddReplies(Reply{ID: "late", Content: "x", Final: true}))
				e, _ = open().Lookup(cmdID)
				if !e.Finished() {
					t.Error("a reply added after the repair is lost")
				}
			}
		})
	}
}

// TestUndoneRename: after a power cut a command may stand under the name that its
// file had before.
func TestUndoneRename(t *testing.T) {
	t.Parallel()
	dir, _, open := setup(t)
	j := open()
	accept(t, j, cmdID)
	must(t, j.Close())
	must(t, os.Rename(filepath.Join(dir, cmdID+suffix), filepath.Join(dir, sparePrefix+"7")))
	must(t, os.WriteFile(filepath.Join(dir, sparePrefix+"8"), nil, 0o600))
	must(t, os.WriteFile(filepath.Join(dir, sparePrefix+"9"), []byte("12345678 {"), 0o600))
	must(t, os.WriteFile(filepath.Join(dir, sparePrefix+"1"), []byte("noise\n"), 0o600))
	for range 2 {
		j = open()
		e, ok := j.Lookup(cmdID)
		if !ok || e.Payload() == "" || len(j.Entries()) != 1 {
			t.Fatalf("after the crash: %v, %d commands", ok, len(j.Entries()))
		}
		must(t, e.Begin(0, "s", "p", nil))
		must(t, j.Close())
	}
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	must(t, err)
	if len(names) != 1 || filepath.Base(names[0]) != cmdID+suffix {
		t.Errorf("files: %v", names)
	}
	// The next ones still find names.
	j = open()
	for i := range 3 {
		accept(t, j, fmt.Sprint("c", i))
	}
	must(t, j.Tidy())
}

func TestKey(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"../../etc/passwd", "", strings.Repeat("a", 300), "a/b", "a\x00b", "."} {
		k := Key(id)
		if !safeKey.MatchString(k) || Key(k) != k {
			t.Errorf("Key(%q) = %q", id, k)
		}
	}
	if Key(cmdID) != cmdID {
		t.Error("a command id is not its own key")
	}
}

// FuzzOpen gives the journal files of any content: it opens, stays usable and
// never takes a begun command for a new one.
func FuzzOpen(f *testing.F) {
	good := func(l line) []byte { b, _ := l.encode(); return b }
	a := good(line{Kind: kindAccept, JobID: "j", Payload: "p"})
	b := good(line{Kind: kindBegin, Name: "n"})
	r := good(line{Kind: kindReply, ID: "r", Content: "c", Final: true})
	f.Add(append(append(append([]byte{}, a...), b...), r...))
	f.Add(append(append([]byte{}, a...), b[:7]...))
	f.Add([]byte("00000000 {}\n"))
	f.Add(append(append([]byte{}, a...), a...))
	f.Fuzz(func(t *testing.T, data []byte) {
		dir := t.TempDir()
		must(t, os.WriteFile(filepath.Join(dir, cmdID+suffix), data, 0o600))
		opts := Options{Keep: math.MaxInt64, KeepUnacknowledged: math.MaxInt64} // whatever times the file names
		j, err := Open(dir, opts)
		must(t, err)
		defer func() { _ = j.Close() }()
		e, ok := j.Lookup(cmdID)
		if !ok {
			if strings.Contains(string(data), "\n") {
				t.Fatal("a file with a complete line was forgotten")
			}
			return
		}
		if !e.Finished() {
			must(t, e.AddReplies(Reply{ID: "x", Content: "y", Final: true}))
		}
		if _, err := j.Unacknowledged(); err != nil {
			t.Fatal(err)
		}
		must(t, j.Tidy())
		must(t, j.Close())
		j, err = Open(dir, opts)
		must(t, err)
		if e, ok := j.Lookup(cmdID); !ok || !e.Finished() {
			t.Fatal("the finished command is lost")
		}
	})
}
