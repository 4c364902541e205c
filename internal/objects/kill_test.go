package objects

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/go-cmp/cmp"
)

// childDir is the variable that makes the test binary an S3 endpoint over a folder.
const childDir = "OBJECTS_TEST_CHILD_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		os.Exit(child(dir))
	}
	os.Exit(m.Run())
}

// child serves until its standard input ends, after it printed its URL.
func child(dir string) int {
	s, err := Start(context.Background(), testConfig(dir))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	web := httptest.NewServer(s.Handler())
	fmt.Println(web.URL)
	_, _ = io.Copy(io.Discard, os.Stdin)
	web.Close()
	if err := s.Stop(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// startChild runs an endpoint as a process of its own; kill ends it with SIGKILL,
// stop in good order.
func startChild(t *testing.T, dir string) (e *endpoint, kill, stop func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	cmd.Stderr = os.Stderr
	cmd.Dir = t.TempDir() // not the shared server's, which goes away
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	url, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the child did not start: %v", err)
	}
	e = &endpoint{url: strings.TrimSpace(url)}
	return e, func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}, func() {
			_ = in.Close()
			if err := cmd.Wait(); err != nil {
				t.Errorf("the child: %v", err)
			}
		}
}

func TestKilledServer(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "objects")
	e, kill, _ := startChild(t, dir)
	bucket := "logs"
	if _, err := e.client().CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &bucket}); err != nil {
		t.Fatal(err)
	}
	put(t, e.client(), bucket, outputKey, "hello\n")

	// A large upload is half there when the process is killed.
	body := randomBytes(12 << 20)
	r, w := io.Pipe()
	link, err := s3.NewPresignClient(e.client()).PresignPutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: aws.String("half")})
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), "PUT", link.URL, r)
	if err != nil {
		t.Fatal(err)
	}
	req.ContentLength = int64(len(body))
	failed := make(chan error, 1)
	go func() {
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err == nil {
			err = resp.Body.Close()
		}
		_ = r.CloseWithError(io.ErrClosedPipe)
		failed <- err
	}()
	if _, err := w.Write(body[:len(body)/2]); err != nil {
		t.Fatal(err)
	}
	kill()
	_, _ = w.Write(body[len(body)/2:])
	if err := <-failed; err == nil {
		t.Error("the upload was acknowledged by a dead process")
	}
	// A kill can also leave a bucket that is only a directory yet.
	if err := os.Mkdir(filepath.Join(dir, "buckets", "half-made"), 0o700); err != nil {
		t.Fatal(err)
	}

	e, _, stop := startChild(t, dir)
	if got := string(get(t, e.client(), bucket, outputKey)); got != "hello\n" {
		t.Errorf("got %q", got)
	}
	if diff := cmp.Diff([]string{outputKey}, listKeys(t, e.client(), bucket, "")); diff != "" {
		t.Errorf("list (-want +got):\n%s", diff)
	}
	half := "half-made"
	if _, err := e.client(inRegion(regionB)).CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &half}); err != nil {
		t.Errorf("make the bucket again: %v", err)
	}
	stop()
}
