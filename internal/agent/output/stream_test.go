package output

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"ssmrun/internal/agentlink"
	"ssmrun/internal/agentlink/linktest"
)

// TestPartSizes: the parts that S3 takes carry the largest object it takes, each
// is of a size that it takes, and what waits has room for some.
func TestPartSizes(t *testing.T) {
	t.Parallel()
	for _, limit := range []int64{1, 12 << 20, 1 << 30, noLimit} {
		var all int64
		for n := 1; n <= maxParts; n++ {
			size := partSize(n, limit)
			if size < leastPart || size > 5<<30 || size > max(limit/4, leastPart) || size < partSize(max(n-1, 1), limit) {
				t.Fatalf("limit %d: part %d has %d bytes", limit, n, size)
			}
			all += size
		}
		if want := int64(2 << 40); limit == 1<<30 && all < want {
			t.Errorf("limit %d: an object of %d bytes, want %d", limit, all, want)
		}
		if want := int64(5 << 40); limit == noLimit && all < want {
			t.Errorf("no limit: an object of %d bytes, want %d", all, want)
		}
	}
}

// stream makes a stream into the tests' S3.
func stream(t *testing.T, dir string, limit int64) (*Stream, *linktest.Server) {
	srv := linktest.New(t)
	keys := srv.Keys()
	u := New(Config{
		Credentials: func(context.Context) (agentlink.Credentials, error) { return agentlink.Credentials{Keys: keys}, nil },
		Endpoint:    agentlink.FixedEndpoint(srv.URL()), Region: "us-east-1", Notes: filepath.Join(t.TempDir(), "notes"),
	})
	return u.Stream(t.Context(), Target{Bucket: "logs", Key: "a/b", Name: "stdout", Dir: dir, ID: "id", Limit: limit}), srv
}

func write(t *testing.T, s *Stream, p []byte) {
	t.Helper()
	if n, err := s.Write(p); n != len(p) || err != nil {
		t.Fatalf("write: %d, %v", n, err)
	}
}

func wantEmpty(t *testing.T, dir string) {
	t.Helper()
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestStreams(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		size  int
		limit int64
		kept  int
		calls string
	}{
		"empty":            {0, 0, -1, ""},
		"one byte":         {1, 0, 1, "PutObject"},
		"cut":              {1000, 10, 10, "PutObject"},
		"just the limit":   {1000, 1000, 1000, "PutObject"},
		"one part":         {firstPart, 0, firstPart, "PutObject"},
		"a byte more":      {firstPart + 1, 0, firstPart + 1, "CreateMultipartUpload UploadPart UploadPart CompleteMultipartUpload"},
		"two parts, whole": {2 * firstPart, 0, 2 * firstPart, "CreateMultipartUpload UploadPart UploadPart CompleteMultipartUpload"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			s, srv := stream(t, dir, tt.limit)
			var calls []string
			srv.S3Hook = func(_ http.ResponseWriter, _ *http.Request, c linktest.S3Call) bool {
				calls = append(calls, c.Op) // one after another
				return false
			}
			content := bytes.Repeat([]byte("\xff01234\x00\n"), tt.size/8+1)[:tt.size]
			for p := content; len(p) > 0; {
				n := min(len(p), 100_000)
				write(t, s, p[:n])
				p = p[n:]
			}
			write(t, s, nil)
			notes := s.Finish()
			write(t, s, []byte("after the end"))
			if cut := tt.kept < tt.size && tt.kept >= 0; cut != (len(notes) == 1 && strings.Contains(notes[0], "stdout has 1000 bytes, of which the first 10 were kept")) || !cut && len(notes) > 0 {
				t.Errorf("notes %q", notes)
			}
			if got, ok := srv.Object("logs/a/b"); ok != (tt.kept >= 0) || ok && !bytes.Equal(got, content[:tt.kept]) {
				t.Errorf("an object %v, of %d bytes", ok, len(got))
			}
			if got := strings.Join(calls, " "); got != tt.calls {
				t.Errorf("calls %s", got)
			}
			wantEmpty(t, dir)
			wantEmpty(t, s.up.cfg.Notes)
		})
	}
}

// TestServiceAwayForAMoment: while the script runs, a service that is just being
// started again, and says nowhere where it is, costs no output.
func TestServiceAwayForAMoment(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, srv := stream(t, dir, 0)
	asked := make(chan struct{})
	var calls atomic.Int32
	s.up.cfg.Endpoint = func() (string, error) {
		if calls.Add(1) > 1 {
			return srv.URL(), nil
		}
		defer close(asked)
		_, err := os.ReadFile(filepath.Join(dir, "endpoint.json"))
		return "", err
	}
	content := make([]byte, firstPart+1)
	write(t, s, content)
	<-asked
	if notes := s.Finish(); len(notes) > 0 {
		t.Errorf("notes %q", notes)
	}
	if got, _ := srv.Object("logs/a/b"); !bytes.Equal(got, content) {
		t.Errorf("an object of %d bytes", len(got))
	}
}

// TestLostPart: a part that somebody removed from the disk is told, and not
// waited for.
func TestLostPart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if runtime.GOOS == "windows" {
		t.Skip("what is open cannot be removed there")
	}
	s, srv := stream(t, dir, 0)
	write(t, s, []byte("x"))
	if err := os.Remove(filepath.Join(dir, "stdout.1")); err != nil {
		t.Fatal(err)
	}
	if notes := s.Finish(); len(notes) != 1 || !strings.Contains(notes[0], "what was kept cannot be read") || len(srv.Objects()) > 0 {
		t.Errorf("notes %q, objects %v", notes, srv.Objects())
	}
}

// TestNoFolder: what cannot be kept is told, and costs nothing else.
func TestNoFolder(t *testing.T) {
	t.Parallel()
	s, srv := stream(t, filepath.Join(t.TempDir(), "no", "folder"), 0)
	write(t, s, []byte("lost"))
	write(t, s, []byte("too"))
	notes := s.Finish()
	_, missing := os.Open(filepath.Join(t.TempDir(), "no", "folder", "file"))
	if want := fmt.Sprintf("stdout could not be kept whole for S3: %v: it has 7 bytes, of which the first 0 were kept", innermost(missing)); len(notes) != 1 || notes[0] != want {
		t.Errorf("notes %q", notes)
	}
	if list := srv.Objects(); len(list) > 0 {
		t.Errorf("objects %v", list)
	}
}

// TestLeftNotes: a note that cannot be read holds up nothing.
func TestLeftNotes(t *testing.T) {
	t.Parallel()
	s, _ := stream(t, t.TempDir(), 0)
	if left := s.up.Left(); len(left) > 0 {
		t.Errorf("left %v", left)
	}
	s.up.note("whole", &object{bucket: "logs", key: "k", region: "us-east-1", id: "unknown"})
	if err := os.WriteFile(filepath.Join(s.up.cfg.Notes, "half"), []byte(`{"bucket": "lo`), 0o600); err != nil {
		t.Fatal(err)
	}
	left := s.up.Left()
	if strings.Join(left, " ") != "half whole" {
		t.Errorf("left %v", left)
	}
	s.up.Tidy(t.Context(), left)
	wantEmpty(t, s.up.cfg.Notes)
	s.Finish()
}
