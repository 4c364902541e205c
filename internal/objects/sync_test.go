package objects

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/go-cmp/cmp"
)

// syncs records which paths were synced.
type syncs struct {
	mu    sync.Mutex
	paths []string
	err   error
}

func (s *syncs) sync(f *os.File) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.paths = append(s.paths, f.Name())
	return s.err
}

// take gives what was synced since the last take, sorted.
func (s *syncs) take() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	paths := s.paths
	s.paths = nil
	slices.Sort(paths)
	return paths
}

func (s *syncs) has(path string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Contains(s.paths, path)
}

func (s *syncs) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

// What was acknowledged was synced before: the object, then all that leads to it.
func TestAcknowledgedMeansSynced(t *testing.T) {
	cfg := testConfig(t.TempDir())
	rec := &syncs{}
	cfg.fsync = rec.sync
	e := start(t, cfg)
	c := e.client()
	root := filepath.Join(cfg.Dir, "buckets")
	check := func(what string, paths ...string) {
		t.Helper()
		for i, path := range paths {
			paths[i] = filepath.Join(root, path)
		}
		slices.Sort(paths)
		if diff := cmp.Diff(paths, rec.take()); diff != "" {
			t.Errorf("%s: what was synced (-want +got):\n%s", what, diff)
		}
	}
	check("start", "..", "../..")
	if err := e.EnsureBucket(t.Context(), "logs", regionA); err != nil {
		t.Fatal(err)
	}
	check("make a bucket", "logs", "")
	put(t, c, "logs", "a/b/c", "v")
	check("put into new folders", "logs/a/b/c", "logs/a/b", "logs/a", "logs", "")
	put(t, c, "logs", "a/b/d", "v")
	check("put into a folder that is on the disk", "logs/a/b/d", "logs/a/b")
	put(t, c, "logs", "a/e/f", "v")
	check("put into a new one below it", "logs/a/e/f", "logs/a/e", "logs/a")
	body := randomBytes(6 << 20)
	uploadInParts(t, c, "logs", "d/e", body[:5<<20], body[5<<20:])
	check("put in parts", "logs/d/e", "logs/d", "logs")
	_, err := c.CopyObject(t.Context(), &s3.CopyObjectInput{Bucket: aws.String("logs"), Key: aws.String("f/g"), CopySource: aws.String("logs/a/b/c")})
	want(t, err, 0, "")
	check("copy", "logs/f/g", "logs/f", "logs")
	_, err = c.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: aws.String("logs"), Key: aws.String("a/e/f")})
	want(t, err, 0, "")
	put(t, c, "logs", "a/e/f", "v")
	check("put into a folder that was deleted meanwhile", "logs/a/e/f", "logs/a/e", "logs/a", "logs", "")

	rec.fail(errors.New("input/output error"))
	_, err = c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("logs"), Key: aws.String("x"), Body: strings.NewReader("v")})
	want(t, err, http.StatusInternalServerError, "InternalError")
	if err := e.EnsureBucket(t.Context(), "other", regionA); err == nil || !strings.Contains(err.Error(), "input/output error") {
		t.Errorf("make a bucket on a broken disk: %v", err)
	}
	rec.fail(nil)
}
