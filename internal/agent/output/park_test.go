package output

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// TestPark: what was written before a restart of the host and what is written
// after it become one object, whatever of it was in S3 already.
func TestPark(t *testing.T) {
	t.Parallel()
	for name, sizes := range map[string][2]int{
		"nothing":           {0, 0},
		"before alone":      {10, 0},
		"after alone":       {0, 10},
		"both":              {10, 20},
		"a part comes full": {firstPart - 5, 10},
		"parts before":      {2*firstPart + 7, 9},
		"parts on both":     {firstPart + 7, 2 * firstPart},
		"just two parts":    {2 * firstPart, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, kept := t.TempDir(), t.TempDir()
			s, srv := stream(t, dir, 0)
			content := bytes.Repeat([]byte("\xff01234\x00\n"), (sizes[0]+sizes[1])/8+1)[:sizes[0]+sizes[1]]
			write(t, s, content[:sizes[0]])
			if err := s.Park(kept); err != nil {
				t.Fatal(err)
			}
			write(t, s, []byte("after it was parked"))
			wantEmpty(t, dir)
			wantEmpty(t, s.up.cfg.Notes) // nothing that a start would abort
			again, err := New(s.up.cfg).Resume(t.Context(), s.target, kept)
			if err != nil {
				t.Fatal(err)
			}
			wantEmpty(t, kept)
			write(t, again, content[sizes[0]:])
			if notes := again.Finish(); len(notes) > 0 {
				t.Errorf("notes %q", notes)
			}
			if got, ok := srv.Object("logs/a/b"); ok != (len(content) > 0) || !bytes.Equal(got, content) {
				t.Errorf("an object %v, of %d bytes, want %d", ok, len(got), len(content))
			}
			wantEmpty(t, dir)
			wantEmpty(t, s.up.cfg.Notes)
		})
	}
}

// TestParkedAndLost: a stream that had lost something before the restart says so
// after it, and one that nobody resumes is aborted.
func TestParkedAndLost(t *testing.T) {
	t.Parallel()
	dir, kept := t.TempDir(), t.TempDir()
	s, _ := stream(t, dir, 10)
	write(t, s, make([]byte, 100))
	if err := s.Park(kept); err != nil {
		t.Fatal(err)
	}
	again, err := s.up.Resume(t.Context(), s.target, kept)
	if err != nil {
		t.Fatal(err)
	}
	if notes := again.Finish(); len(notes) != 1 || notes[0] != s.notes()[0] {
		t.Errorf("notes %q, before %q", notes, s.notes())
	}
	if _, err := s.up.Resume(t.Context(), s.target, kept); err == nil {
		t.Error("resumed twice")
	}

	s, srv := stream(t, dir, 0)
	write(t, s, make([]byte, firstPart+1))
	if err := s.Park(kept); err != nil {
		t.Fatal(err)
	}
	if err := Forsake(kept, s.up.cfg.Notes); err != nil {
		t.Fatal(err)
	}
	s.up.Tidy(t.Context(), s.up.Left())
	wantEmpty(t, s.up.cfg.Notes)
	if n := srv.OpenUploads(); len(n) != 0 {
		t.Errorf("open uploads with parts %v", n)
	}
	if err := os.Remove(filepath.Join(kept, "stdout")); err != nil {
		t.Error(err)
	}
}
