package objects

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/go-cmp/cmp"
	"github.com/versity/versitygw/s3err"
	"github.com/versity/versitygw/s3response"
)

// The tests of this file that start a server of their own are not parallel: it
// owns the working directory of the process.

func TestOneServerPerProcess(t *testing.T) {
	t.Parallel()
	shared(t)
	if _, err := Start(t.Context(), testConfig(t.TempDir())); !errors.Is(err, ErrStarted) {
		t.Errorf("a second one: got %v, want ErrStarted", err)
	}
}

func TestRestartKeepsObjects(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "objects")
	before, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	big := randomBytes(6 << 20)
	session := func(do func(c *s3.Client, e *endpoint)) {
		s, err := Start(t.Context(), testConfig(dir))
		if err != nil {
			t.Fatal(err)
		}
		web := httptest.NewServer(s.Handler())
		defer web.Close()
		e := &endpoint{Server: s, url: web.URL}
		do(e.client(inRegion(regionB)), e)
		for range 2 {
			if err := s.Stop(t.Context()); err != nil {
				t.Errorf("stop: %v", err)
			}
		}
		if wd, err := os.Getwd(); err != nil || wd != before {
			t.Errorf("working directory after Stop: %s, %v, want %s", wd, err, before)
		}
		_, err = headBucket(t, e.client(), "logs")
		want(t, err, http.StatusServiceUnavailable, "")
		if err := e.EnsureBucket(t.Context(), "more", regionA); err == nil {
			t.Error("a bucket was made after Stop")
		}
	}
	session(func(c *s3.Client, e *endpoint) {
		if err := e.EnsureBucket(t.Context(), "logs", regionB); err != nil {
			t.Fatal(err)
		}
		put(t, c, "logs", outputKey, "hello\n")
		uploadInParts(t, c, "logs", "parts", big[:5<<20], big[5<<20:])
	})
	session(func(c *s3.Client, e *endpoint) {
		if err := e.EnsureBucket(t.Context(), "logs", regionB); err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff([]string{"parts", outputKey}, listKeys(t, c, "logs", "")); diff != "" {
			t.Errorf("list (-want +got):\n%s", diff)
		}
		if got := string(get(t, c, "logs", outputKey)); got != "hello\n" {
			t.Errorf("got %q", got)
		}
		if got := get(t, c, "logs", "parts"); !bytes.Equal(got, big) {
			t.Errorf("parts: got %d bytes that differ", len(got))
		}
		head, err := c.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: aws.String("logs"), Key: aws.String("parts")})
		if err != nil || *head.ContentType != "text/plain" {
			t.Errorf("attributes: %+v, %v", head, err)
		}
	})
}

// Where the file system takes no attributes, they are files of their own; a
// folder for them makes the store believe that.
func TestAttributesAsFiles(t *testing.T) {
	dir := t.TempDir()
	attributes := filepath.Join(dir, "attributes")
	if err := os.Mkdir(attributes, 0o700); err != nil {
		t.Fatal(err)
	}
	for round := range 2 {
		cfg := testConfig(dir)
		rec := &syncs{}
		cfg.fsync = rec.sync
		s, err := Start(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		web := httptest.NewServer(s.Handler())
		c := (&endpoint{url: web.URL}).client(inRegion(regionB))
		if round == 0 {
			if err := s.EnsureBucket(t.Context(), "logs", regionB); err != nil {
				t.Fatal(err)
			}
			rec.take()
			_, err := c.PutObject(t.Context(), &s3.PutObjectInput{
				Bucket: aws.String("logs"), Key: aws.String("a/b"),
				Body: strings.NewReader("v"), ContentType: aws.String("text/plain"),
			})
			if err != nil {
				t.Fatal(err)
			}
			for _, path := range []string{"a/b/meta/etag", "a/b/meta/content-type", "a/b/meta", "a/b", "a", ""} {
				if path := filepath.Join(attributes, "logs", path); !rec.has(path) {
					t.Errorf("%s was not synced", path)
				}
			}
		}
		head, err := c.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: aws.String("logs"), Key: aws.String("a/b")})
		if err != nil || *head.ContentType != "text/plain" || *head.ETag == "" {
			t.Errorf("round %d: %+v, %v", round, head, err)
		}
		if diff := cmp.Diff([]string{"a/b"}, listKeys(t, c, "logs", "")); diff != "" {
			t.Errorf("list (-want +got):\n%s", diff)
		}
		web.Close()
		if err := s.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

func TestLongDirAndPrivateFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("d", 120))
	temp, err := os.MkdirTemp("/tmp", "o")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(temp)
	t.Setenv("TMPDIR", temp)
	s, err := Start(t.Context(), testConfig(dir))
	if err != nil {
		t.Fatal(err)
	}
	sockets, err := filepath.Glob(filepath.Join(temp, "*", "*.sock"))
	if err != nil || len(sockets) != 4 { // regions times domains
		t.Errorf("sockets: %v, %v", sockets, err)
	}
	for _, path := range sockets {
		if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", path, fi, err)
		}
	}
	web := httptest.NewServer(s.Handler())
	defer web.Close()
	if err := s.EnsureBucket(t.Context(), "logs", regionA); err != nil {
		t.Fatal(err)
	}
	put(t, (&endpoint{url: web.URL}).client(), "logs", "k", "v")
	if err := s.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(temp); err != nil || len(left) != 0 {
		t.Errorf("Stop left %v, %v", left, err)
	}
}

func TestStartFailsWhole(t *testing.T) {
	dir := t.TempDir()
	before, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	// Something that is no socket where the second gateway's socket should be.
	if err := os.Mkdir(socketPath(dir, 1), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := Start(t.Context(), testConfig(dir)); err == nil || !strings.Contains(err.Error(), "s3-1.sock") {
		t.Fatalf("got %v", err)
	}
	if wd, _ := os.Getwd(); wd != before {
		t.Errorf("working directory: %s, want %s", wd, before)
	}
	if err := os.Remove(socketPath(dir, 1)); err != nil {
		t.Fatal(err)
	}
	start(t, testConfig(dir)) // and nothing of it is in the way
}

// A folder that somebody put there is a bucket of the first region.
func TestBucketPutThereByHand(t *testing.T) {
	dir := t.TempDir()
	byHand := filepath.Join(dir, "buckets", "by-hand", "a")
	if err := os.MkdirAll(byHand, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(byHand, "b"), []byte("v"), 0o600); err != nil {
		t.Fatal(err)
	}
	e := start(t, testConfig(dir))
	if err := e.EnsureBucket(t.Context(), "by-hand", regionA); err != nil {
		t.Errorf("ensure: %v", err)
	}
	if got := string(get(t, e.client(), "by-hand", "a/b")); got != "v" {
		t.Errorf("got %q", got)
	}
	put(t, e.client(), "by-hand", "a/c", "w")
	if diff := cmp.Diff([]string{"a/b", "a/c"}, listKeys(t, e.client(), "by-hand", "")); diff != "" {
		t.Errorf("list (-want +got):\n%s", diff)
	}
}

// slowUpload begins an upload of body, of which half is sent; rest sends the
// other half.
func slowUpload(t *testing.T, e *endpoint, bucket string, body []byte) (rest func(), result <-chan error) {
	t.Helper()
	r, w := io.Pipe()
	done := make(chan error, 1)
	link, err := s3.NewPresignClient(e.client()).PresignPutObject(t.Context(),
		&s3.PutObjectInput{Bucket: &bucket, Key: aws.String("slow"), ContentLength: aws.Int64(int64(len(body)))})
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), "PUT", link.URL, r)
	if err != nil {
		t.Fatal(err)
	}
	req.ContentLength = int64(len(body))
	go func() {
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				err = errors.New(resp.Status)
			}
		}
		_ = r.CloseWithError(io.ErrClosedPipe)
		done <- err
	}()
	if _, err := w.Write(body[:len(body)/2]); err != nil {
		t.Fatal(err)
	}
	e.waitFor(t, func() bool { return e.inFlight == 1 })
	return func() {
		_, _ = w.Write(body[len(body)/2:])
		w.Close()
	}, done
}

// A small body is still in Handler when half of it is there, a large one in the gateway.
var slowBodies = map[string]int{"small": 6, "large": 12 << 20}

func TestStopWaitsForUploads(t *testing.T) {
	for name, size := range slowBodies {
		t.Run(name, func(t *testing.T) {
			e := start(t, testConfig(t.TempDir()))
			if err := e.EnsureBucket(t.Context(), "logs", regionA); err != nil {
				t.Fatal(err)
			}
			body := randomBytes(size)
			rest, result := slowUpload(t, e, "logs", body)
			stopped := make(chan error, 1)
			go func() { stopped <- e.Stop(t.Context()) }()
			e.waitFor(t, func() bool { return e.stopping })
			_, err := headBucket(t, e.client(), "logs")
			want(t, err, http.StatusServiceUnavailable, "")
			select {
			case err := <-stopped:
				t.Fatalf("Stop returned with an upload in flight: %v", err)
			default:
			}
			rest()
			if err := <-result; err != nil {
				t.Errorf("the upload: %v", err)
			}
			if err := <-stopped; err != nil {
				t.Errorf("Stop: %v", err)
			}
			if got, err := os.ReadFile(filepath.Join(e.cfg.Dir, "buckets/logs/slow")); err != nil || !bytes.Equal(got, body) {
				t.Errorf("the object: %d bytes, %v", len(got), err)
			}
		})
	}
}

func TestStopCutsOffWhatTakesTooLong(t *testing.T) {
	for name, size := range slowBodies {
		t.Run(name, func(t *testing.T) {
			cfg := testConfig(t.TempDir())
			s, err := Start(t.Context(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			web := httptest.NewServer(s.Handler())
			defer web.Close()
			e := &endpoint{Server: s, url: web.URL}
			if err := e.EnsureBucket(t.Context(), "logs", regionA); err != nil {
				t.Fatal(err)
			}
			rest, result := slowUpload(t, e, "logs", randomBytes(size))
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			begun := time.Now()
			if err := s.Stop(ctx); !errors.Is(err, context.Canceled) {
				t.Errorf("Stop: got %v", err)
			}
			if took := time.Since(begun); took > 8*time.Second {
				t.Errorf("Stop took %v", took)
			}
			if err := <-result; err == nil {
				t.Error("the upload was acknowledged")
			}
			rest()
			if _, err := os.Stat(filepath.Join(cfg.Dir, "buckets/logs/slow")); !os.IsNotExist(err) {
				t.Errorf("half an object is there: %v", err)
			}
		})
	}
}

// An upload that breaks off must not become an object, also where only its
// headers are signed.
func TestClientThatGoesAwayLeavesNothing(t *testing.T) {
	for _, size := range []int{10, ahead + 1, 12 << 20} {
		t.Run(strconv.Itoa(size), func(t *testing.T) {
			e := start(t, testConfig(t.TempDir()))
			if err := e.EnsureBucket(t.Context(), "logs", regionA); err != nil {
				t.Fatal(err)
			}
			link, err := s3.NewPresignClient(e.client()).PresignPutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("logs"), Key: aws.String("half")})
			if err != nil {
				t.Fatal(err)
			}
			u, err := url.Parse(link.URL)
			if err != nil {
				t.Fatal(err)
			}
			conn, err := net.Dial("tcp", e.addr)
			if err != nil {
				t.Fatal(err)
			}
			_, err = fmt.Fprintf(conn, "PUT %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n\r\n%s", u.RequestURI(), u.Host, size, randomBytes(size-1))
			if err != nil {
				t.Fatal(err)
			}
			e.waitFor(t, func() bool { return e.inFlight == 1 })
			if err := conn.Close(); err != nil {
				t.Fatal(err)
			}
			e.waitFor(t, func() bool { return e.inFlight == 0 })
			if err := e.Stop(t.Context()); err != nil { // the gateway is done then
				t.Error(err)
			}
			if _, err := os.Stat(filepath.Join(e.cfg.Dir, "buckets/logs/half")); !os.IsNotExist(err) {
				t.Errorf("half an object is there: %v", err)
			}
		})
	}
}

func TestShortBodies(t *testing.T) {
	t.Parallel()
	e, bucket := shared(t)
	_, err := e.store.PutObject(t.Context(), s3response.PutObjectInput{Bucket: &bucket, Key: aws.String("k"), Body: strings.NewReader("12345"), ContentLength: aws.Int64(6)})
	var coded s3err.S3Error
	if !errors.As(err, &coded) || coded.BaseError().Code != "IncompleteBody" {
		t.Errorf("object: got %v", err)
	}
	upload, err := e.client().CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: &bucket, Key: aws.String("k")})
	if err != nil {
		t.Fatal(err)
	}
	_, err = e.store.UploadPart(t.Context(), &s3.UploadPartInput{
		Bucket: &bucket, Key: aws.String("k"), UploadId: upload.UploadId, PartNumber: aws.Int32(1),
		Body: strings.NewReader("12345"), ContentLength: aws.Int64(6),
	})
	if !errors.As(err, &coded) || coded.BaseError().Code != "IncompleteBody" {
		t.Errorf("part: got %v", err)
	}
	parts, err := e.client().ListParts(t.Context(), &s3.ListPartsInput{Bucket: &bucket, Key: aws.String("k"), UploadId: upload.UploadId})
	if err != nil || len(parts.Parts) != 0 {
		t.Errorf("parts: %+v, %v", parts, err)
	}
	if keys := listKeys(t, e.client(), bucket, ""); keys != nil {
		t.Errorf("objects: %v", keys)
	}
}
