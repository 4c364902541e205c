package output

import (
	"bytes"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"ssmrun/internal/agentlink/linktest"
)

// TestFullDisk: what the disk took is uploaded, the rest is dropped and told.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	for name, size := range map[string]string{"in the first part": "3m", "in the second part": "11m"} {
		dir := t.TempDir()
		if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
			t.Skipf("NOT RUN: mounting a small disk: %v (run the tests as root)", err)
		}
		s, srv := stream(t, dir, 0)
		held := make(chan struct{})
		// Else the first part could be gone when the second fills the disk.
		srv.S3Hook = func(http.ResponseWriter, *http.Request, linktest.S3Call) bool {
			<-held
			return false
		}
		content := bytes.Repeat([]byte("0123456789abcde\n"), 1<<20)
		write(t, s, content)
		write(t, s, []byte("more"))
		close(held)
		notes := s.Finish()
		got, _ := srv.Object("logs/a/b")
		if len(got) < 2<<20 || len(got) >= len(content) || !bytes.Equal(got, content[:len(got)]) {
			t.Errorf("%s: an object of %d bytes", name, len(got))
		}
		if len(notes) != 1 || !strings.HasPrefix(notes[0], "stdout could not be kept whole for S3: no space left on device: it has 16777220 bytes, of which the first ") {
			t.Errorf("%s: notes %q", name, notes)
		}
		wantEmpty(t, dir)
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Errorf("unmount: %v", err)
		}
	}
}
