package journal

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestTidyByNumber: of too many commands the oldest go that the service has
// acknowledged; what is owed, and what runs, stays.
func TestTidyByNumber(t *testing.T) {
	t.Parallel()
	dir, c, _ := setup(t)
	j, err := Open(dir, Options{Now: c.now, MaxCommands: 3})
	must(t, err)
	defer j.Close()
	for i := range 7 {
		e := accept(t, j, fmt.Sprintf("c%d", i))
		c.t = c.t.Add(time.Second)
		if i == 0 {
			continue // runs
		}
		must(t, e.AddReplies(Reply{ID: "f", Content: "x", Final: true}))
		if i != 1 { // 1 is owed
			must(t, e.Acked("f"))
		}
	}
	must(t, j.Tidy())
	for i, want := range []bool{true, true, false, false, false, false, true} {
		if _, ok := j.Lookup(fmt.Sprintf("c%d", i)); ok != want {
			t.Errorf("c%d is known: %v, want %v", i, ok, want)
		}
	}
}

// TestOwedRepliesAreBounded: replies that nobody acknowledges fill the folder and
// no more, the oldest are dropped with a word in the log, and the command stays
// known.
func TestOwedRepliesAreBounded(t *testing.T) {
	t.Parallel()
	dir, c, _ := setup(t)
	var log bytes.Buffer
	opts := Options{Now: c.now, MaxBytes: 30_000, Logger: slog.New(slog.NewTextHandler(&log, nil))}
	j, err := Open(dir, opts)
	must(t, err)
	for i := range 5 {
		e := accept(t, j, fmt.Sprintf("c%d", i))
		must(t, e.AddReplies(Reply{ID: "s", Content: "step"}, Reply{ID: "f", Content: strings.Repeat("x", 9_000), Final: true}))
		c.t = c.t.Add(time.Second)
	}
	must(t, j.Tidy())
	if got := strings.Count(log.String(), "the journal is full"); got != 2 {
		t.Errorf("dropped %d times:\n%s", got, log.String())
	}
	must(t, j.Close())
	j, err = Open(dir, opts)
	must(t, err)
	defer j.Close()
	owed, err := j.Unacknowledged()
	must(t, err)
	if len(owed) != 6 {
		t.Errorf("%d replies are owed, want 6", len(owed))
	}
	for i := range 5 {
		if e, ok := j.Lookup(fmt.Sprintf("c%d", i)); !ok || !e.Finished() {
			t.Errorf("c%d was forgotten", i)
		}
	}
	c.t = c.t.Add(8 * 24 * time.Hour)
	must(t, j.Tidy())
	if len(j.Entries()) != 0 || strings.Count(log.String(), "too old") != 3 {
		t.Errorf("after eight days: %d commands\n%s", len(j.Entries()), log.String())
	}
}

// TestUnreadableFile: a file that the system does not give stands for a command
// that may have run.
func TestUnreadableFile(t *testing.T) {
	t.Parallel()
	dir, _, open := setup(t)
	must(t, os.MkdirAll(dir, 0o700))
	path := filepath.Join(dir, cmdID+suffix)
	must(t, os.Symlink(path, path))
	if _, err := os.ReadFile(path); errors.Is(err, fs.ErrNotExist) {
		t.Skip("this system takes a link to itself for a file that is not there")
	}
	j := open()
	e, ok := j.Lookup(cmdID)
	if !ok || e.Damaged() == nil || e.Finished() {
		t.Fatalf("known %v, damaged %v", ok, e.Damaged())
	}
	if err := e.AddReplies(Reply{ID: "f", Content: "x", Final: true}); err == nil || !e.Finished() {
		t.Errorf("a final reply: %v, finished %v", err, e.Finished())
	}
	if err := e.Acked("f"); err != nil {
		t.Error(err)
	}
	accept(t, j, "other")
}

func TestCopiesOfDamagedFilesAreBounded(t *testing.T) {
	t.Parallel()
	dir, _, open := setup(t)
	must(t, os.MkdirAll(dir, 0o700))
	for i := range maxDamaged + 5 {
		must(t, os.WriteFile(filepath.Join(dir, fmt.Sprintf("c%d%s", i, suffix)), []byte("noise\n"), 0o600))
	}
	if n := len(open().Entries()); n != maxDamaged+5 {
		t.Errorf("%d commands are known", n)
	}
	left, err := os.ReadDir(filepath.Join(dir, "damaged"))
	must(t, err)
	if len(left) != maxDamaged {
		t.Errorf("%d copies", len(left))
	}
}
