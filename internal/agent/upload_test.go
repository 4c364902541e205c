package agent

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"ssmrun/internal/agentlink/linktest"
	"ssmrun/internal/wire"
)

const mib = 1 << 20

// noise is a file of bytes that are no text, the same in every run.
func noise(t testing.TB, size int, seed byte) (path string, content []byte) {
	t.Helper()
	content = make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(content)
	path = filepath.Join(t.TempDir(), "noise")
	must(t, os.WriteFile(path, content, 0o600))
	return path, content
}

// inBucket makes a command upload its output.
func inBucket(p wire.SendCommandPayload, bucket string) wire.SendCommandPayload {
	p.OutputS3BucketName = bucket
	return p
}

// object is where a stream of the command's only step lies.
func (b *bench) object(p wire.SendCommandPayload, stream string) string {
	return p.OutputS3BucketName + "/" + p.CommandID + "/" + b.srv.InstanceID + "/awsrunShellScript/run/" + stream
}

// wantObject compares an object with what it should hold.
func (b *bench) wantObject(path string, want []byte) {
	b.t.Helper()
	sum := sha256.Sum256(want)
	if size, digest := b.srv.ObjectDigest(path); size != int64(len(want)) || digest != hex.EncodeToString(sum[:]) {
		b.t.Errorf("%s: %d bytes of %d, digest %s; objects %v", path, size, len(want), digest, b.srv.Objects())
	}
}

// wantNothingLeft looks for what uploads could leave on the host and at S3.
func (b *bench) wantNothingLeft() {
	b.t.Helper()
	for _, dir := range []string{"orchestration", "uploads"} {
		if left, _ := filepath.Glob(filepath.Join(b.dir, dir, "*")); len(left) > 0 {
			b.t.Errorf("left behind: %v", left)
		}
	}
	if open := b.srv.OpenUploads(); len(open) > 0 {
		b.t.Errorf("uploads left open: %v", open)
	}
}

// s3Gate holds one call of S3.
type s3Gate struct {
	op      string
	part    int
	arrived chan struct{} // closed when the call came
	release chan struct{} // close it to let the call pass
	once    sync.Once
}

func (b *bench) gate(op string, part int) *s3Gate {
	g := &s3Gate{op: op, part: part, arrived: make(chan struct{}), release: make(chan struct{})}
	b.srv.S3Hash = true
	b.srv.S3Hook = func(_ http.ResponseWriter, r *http.Request, c linktest.S3Call) bool {
		if c.Op == g.op && c.Part == g.part {
			g.once.Do(func() { close(g.arrived) })
			select {
			case <-g.release:
			case <-r.Context().Done():
			}
		}
		return false
	}
	return g
}

func await(t testing.TB, what string, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(linktest.Deadline):
		t.Fatalf("no %s within %v", what, linktest.Deadline)
	}
}

// diskUse is how many bytes lie in a folder.
func diskUse(t testing.TB, dir string) (n int64) {
	t.Helper()
	must(t, filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			n += info.Size()
		}
		return err
	}))
	return n
}

func TestOutputGoesUpWhileTheScriptRuns(t *testing.T) {
	t.Parallel()
	b := setup(t)
	g := b.gate("UploadPart", 2)
	hold := b.srv.S3Hook
	b.srv.S3Hook = func(w http.ResponseWriter, r *http.Request, c linktest.S3Call) bool {
		if c.Op == "CreateMultipartUpload" && (r.Header.Get("X-Amz-Acl") != "bucket-owner-full-control" || r.Header.Get("Content-Type") != "text/plain") {
			t.Errorf("headers of the upload: %v", r.Header)
		}
		return hold(w, r, c)
	}
	b.start()
	file, content := noise(t, 20*mib, 1)
	goOn := fifo(t, "go-on")
	p := inBucket(script(t, "cat "+file, "cat "+goOn), "logs")
	jobID := b.srv.SendCommand(p)
	await(t, "second part", g.arrived)
	b.srv.WaitPart(1)
	if open := b.srv.OpenUploads(); len(open) != 1 || open[0] != 1 {
		t.Errorf("while the script runs S3 has %v parts", open)
	}
	close(g.release)
	tell(t, goOn)
	e, _ := b.srv.WaitFinal(jobID, 0)
	if got := e.Reply.RuntimeStatus["run"]; got.Status != wire.StatusSuccess || got.StandardError != "" {
		t.Errorf("got %s, stderr %q", got.Status, got.StandardError)
	}
	b.wantObject(b.object(p, "stdout"), append(bytes.Clone(content), "go\n"...))
	b.wantNothingLeft()
}

// TestWholeOutputArrives: both streams at once, any bytes, and the agent stays
// small. make bench does it with 1 GiB.
func TestWholeOutputArrives(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.srv.S3Hash = true
	a := b.spawn("default")
	out, stdout := noise(t, 96*mib+4711, 2)
	errs, stderr := noise(t, 40*mib, 3)
	p := inBucket(script(t, "cat "+errs+" >&2 &", "cat "+out, "wait", "exit 4"), "logs")
	got := b.run(p).Reply.RuntimeStatus["run"]
	if got.Status != wire.StatusFailed || got.Code != 4 {
		t.Errorf("got %s, %d", got.Status, got.Code)
	}
	b.wantObject(b.object(p, "stdout"), stdout)
	note := "failed to run commands: exit status 4"
	if stderr[len(stderr)-1] != '\n' {
		note = "\n" + note
	}
	b.wantObject(b.object(p, "stderr"), append(stderr, note...))
	b.wantNothingLeft()
	peak := memoryPeak(t, a.cmd.Process.Pid)
	t.Logf("the agent's peak is %.1f MB", float64(peak)/1e6)
	if limit := int64(100 << 20); peak > limit { // a test binary under the race detector is large by itself
		t.Errorf("the agent grew to %d bytes, more than %d", peak, limit)
	}
}

// TestSlowS3HoldsNoScript: what waits is bounded on disk, and beyond it the output
// is cut, which is told.
func TestSlowS3HoldsNoScript(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.cfg.OutputLimit = 12 * mib
	g := b.gate("CreateMultipartUpload", 0)
	b.start()
	file, content := noise(t, 30*mib, 4)
	written, goOn := fifo(t, "written"), fifo(t, "go-on")
	p := inBucket(script(t, "cat "+file, "echo all > "+written, "cat "+goOn), "logs")
	jobID := b.srv.SendCommand(p)
	told(t, written)
	await(t, "upload", g.arrived)
	if n := diskUse(t, filepath.Join(b.dir, "orchestration")); n < 12*mib || n > 12*mib+4096 { // a script lies there too
		t.Errorf("%d bytes lie on disk", n)
	}
	close(g.release)
	tell(t, goOn)
	e, _ := b.srv.WaitFinal(jobID, 0)
	got := e.Reply.RuntimeStatus["run"]
	contains(t, "stderr", got.StandardError, "stdout has 31457283 bytes, of which the first 12582912 were kept for S3: more than 12582912 bytes waited")
	if got.Status != wire.StatusSuccess {
		t.Errorf("status %s", got.Status)
	}
	b.wantObject(b.object(p, "stdout"), content[:12*mib])
	b.wantNothingLeft()
}

// TestUploadsOutlastFaults: what fails while the script runs is tried again, for
// longer than one call would be.
func TestUploadsOutlastFaults(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]struct {
		times  int
		answer func(http.ResponseWriter)
	}{
		"errors":       {5, func(w http.ResponseWriter) { linktest.S3Refuse(w, http.StatusInternalServerError, "InternalError") }},
		"slow down":    {1, func(w http.ResponseWriter) { linktest.S3Refuse(w, http.StatusServiceUnavailable, "SlowDown") }},
		"keys ran out": {1, func(w http.ResponseWriter) { linktest.S3Refuse(w, http.StatusBadRequest, "ExpiredToken") }},
		"cut": {2, func(w http.ResponseWriter) {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				_ = conn.Close()
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.srv.S3Hash = true
			b.srv.TokenLife = time.Second
			passed := make(chan struct{})
			var calls atomic.Int32
			var refused atomic.Value
			b.srv.S3Hook = func(w http.ResponseWriter, r *http.Request, c linktest.S3Call) bool {
				key, _, _ := strings.Cut(r.Header.Get("Authorization"), "/")
				if c.Op != "UploadPart" || c.Part != 2 {
					return false
				}
				n := int(calls.Add(1))
				if n <= fault.times {
					refused.Store(key)
					fault.answer(w)
					return true
				}
				if name == "keys ran out" && refused.Load() == key {
					t.Error("the part came again with the same keys")
				}
				if n == fault.times+1 {
					close(passed)
				}
				return false
			}
			b.start()
			file, content := noise(t, 20*mib, 5)
			goOn := fifo(t, "go-on")
			p := inBucket(script(t, "cat "+file, "cat "+goOn+" >/dev/null"), "logs")
			jobID := b.srv.SendCommand(p)
			await(t, "part after the faults", passed)
			tell(t, goOn)
			e, _ := b.srv.WaitFinal(jobID, 0)
			if got := e.Reply.RuntimeStatus["run"]; got.Status != wire.StatusSuccess || got.StandardError != "" {
				t.Errorf("got %s, stderr %q", got.Status, got.StandardError)
			}
			b.wantObject(b.object(p, "stdout"), content)
			b.wantNothingLeft()
		})
	}
}

// TestRefusedUploads: the script goes on, and what became of its output is told.
func TestRefusedUploads(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		bucket string
		op     string
		want   string
	}{
		"in the middle": {"logs", "UploadPart", "AccessDenied: refused by the test (the instance's role needs s3:PutObject on it)"},
		"at the end":    {"logs", "CompleteMultipartUpload", "AccessDenied"},
		"no bucket":     {"missing", "", "NoSuchBucket: The specified bucket does not exist (make the bucket, or name another)"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.srv.S3Hook = func(w http.ResponseWriter, _ *http.Request, c linktest.S3Call) bool {
				if c.Op != tt.op || c.Part == 1 {
					return false
				}
				linktest.S3Refuse(w, http.StatusForbidden, "AccessDenied")
				return true
			}
			b.start()
			file, _ := noise(t, 30*mib, 6)
			marker := filepath.Join(t.TempDir(), "marker")
			p := inBucket(script(t, "cat "+file, "touch "+marker), tt.bucket)
			got := b.run(p).Reply.RuntimeStatus["run"]
			contains(t, "stderr", got.StandardError, "stdout: upload to s3://"+b.object(p, "stdout")+" failed: "+tt.want)
			if _, err := os.Stat(marker); err != nil || got.Status != wire.StatusSuccess {
				t.Errorf("status %s, the script's end: %v", got.Status, err)
			}
			if list := b.srv.Objects(); len(list) != 0 {
				t.Errorf("objects %v", list)
			}
			b.wantNothingLeft()
		})
	}
}

// TestLostAnswerOfTheEnd: an upload that S3 has completed is complete, even if S3
// could not say so.
func TestLostAnswerOfTheEnd(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var calls atomic.Int32
	b.srv.S3Hook = func(w http.ResponseWriter, _ *http.Request, c linktest.S3Call) bool {
		if c.Op != "CompleteMultipartUpload" {
			return false
		}
		if calls.Add(1) == 1 {
			linktest.S3Refuse(w, http.StatusBadGateway, "")
		} else {
			linktest.S3Refuse(w, http.StatusNotFound, "NoSuchUpload")
		}
		return true
	}
	b.start()
	file, _ := noise(t, 9*mib, 7)
	got := b.run(inBucket(script(t, "cat "+file), "logs")).Reply.RuntimeStatus["run"]
	if got.StandardError != "" {
		t.Errorf("stderr %q", got.StandardError)
	}
}

// TestEndedScriptsOutput: what a script has written before it was ended from
// outside is in the bucket, with the agent's word about its end.
func TestEndedScriptsOutput(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"stop", "cancel", "timeout"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.cfg.stopGrace = linktest.Deadline
			r := b.start()
			file, content := noise(t, 20*mib, 8)
			written := fifo(t, "written")
			inputs := map[string]any{"runCommand": []string{"cat " + file, "echo all > " + written, "sleep 600"}}
			if how == "timeout" {
				inputs["timeoutSeconds"] = "5"
			}
			p := inBucket(script(t), "logs")
			p.DocumentContent = document22(t, step{name: "run", inputs: inputs})
			jobID := b.srv.SendCommand(p)
			told(t, written)
			switch how {
			case "stop":
				r.stop()
			case "cancel":
				b.srv.Cancel(p.CommandID)
			}
			e, _ := b.srv.WaitFinal(jobID, 0)
			b.wantObject(b.object(p, "stdout"), content)
			if how == "stop" {
				b.wantObject(b.object(p, "stderr"), []byte(e.Reply.RuntimeStatus["run"].StandardError))
			}
			b.wantNothingLeft()
		})
	}
}

// TestUploadOfAKilledAgent: the next start gives up what S3 has of it, and nothing
// is left on disk.
func TestUploadOfAKilledAgent(t *testing.T) {
	t.Parallel()
	b := setup(t)
	g := b.gate("UploadPart", 2)
	a := b.spawn("default")
	file, _ := noise(t, 30*mib, 9)
	jobID := b.srv.SendCommand(inBucket(script(t, "cat "+file, "sleep 600"), "logs"))
	await(t, "second part", g.arrived)
	must(t, a.cmd.Process.Kill())
	_ = a.cmd.Wait()
	if notes, _ := filepath.Glob(filepath.Join(b.dir, "uploads", "*.stdout")); len(notes) != 1 || len(b.srv.OpenUploads()) != 1 {
		t.Fatalf("before the next start: notes %v, uploads %v", notes, b.srv.OpenUploads())
	}
	aborted := make(chan struct{})
	b.srv.Set(func(s *linktest.Settings) {
		var failed bool
		s.S3Hook = func(w http.ResponseWriter, _ *http.Request, c linktest.S3Call) bool {
			switch {
			case c.Op != "AbortMultipartUpload":
			case !failed:
				failed = true
				linktest.S3Refuse(w, http.StatusServiceUnavailable, "SlowDown")
				return true
			default:
				close(aborted)
			}
			return false
		}
	})
	close(g.release)
	a = b.spawn("default")
	b.srv.WaitFinal(jobID, 0)
	await(t, "abort", aborted)
	must(t, a.cmd.Process.Signal(syscall.SIGTERM))
	must(t, a.cmd.Wait())
	b.wantNothingLeft()
}

// TestS3WithoutACLs: an S3 that refuses the ACL gets the object without one.
func TestS3WithoutACLs(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.srv.S3Hash = true
	b.srv.S3Hook = func(w http.ResponseWriter, r *http.Request, c linktest.S3Call) bool {
		if r.Header.Get("X-Amz-Acl") == "" {
			return false
		}
		linktest.S3Refuse(w, http.StatusForbidden, "AccessDenied")
		return true
	}
	b.start()
	for _, size := range []int{10, 9 * mib} {
		file, content := noise(t, size, 10)
		p := inBucket(script(t, "cat "+file), "logs")
		b.run(p)
		b.wantObject(b.object(p, "stdout"), content)
	}
}
