//go:build linux

package systemd

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// manager listens as a service manager does.
func manager(t *testing.T, name string) (*net.UnixConn, func() string) {
	t.Helper()
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c, func() string {
		t.Helper()
		b := make([]byte, 4096)
		_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
		n, err := c.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		return string(b[:n])
	}
}

func env(m map[string]string) func(string) string { return func(k string) string { return m[k] } }

func TestMessages(t *testing.T) {
	t.Parallel()
	for _, name := range []string{filepath.Join(t.TempDir(), "notify"), "@ssmrun-test-" + strconv.Itoa(os.Getpid())} {
		_, next := manager(t, name)
		n := New(env(map[string]string{"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "7"}), 7)
		if n.Watchdog() != 3*time.Second {
			t.Errorf("watchdog %v", n.Watchdog())
		}
		for _, step := range []struct {
			send func() error
			want string
		}{
			{n.Ready, "READY=1"},
			{n.Alive, "WATCHDOG=1"},
			{n.Stopping, "STOPPING=1"},
			{func() error { return n.Status("two\nlines\tREADY=1") }, "STATUS=two lines READY=1"},
		} {
			if err := step.send(); err != nil {
				t.Fatal(err)
			}
			if got := next(); got != step.want {
				t.Errorf("got %q, want %q", got, step.want)
			}
		}
		if err := n.Reloading(Monotonic()); err != nil {
			t.Fatal(err)
		}
		us, ok := strings.CutPrefix(next(), "RELOADING=1\nMONOTONIC_USEC=")
		if n, err := strconv.Atoi(us); !ok || err != nil || n < 1 {
			t.Errorf("reloading at %q", us)
		}
	}
}

func TestNobodyListens(t *testing.T) {
	t.Parallel()
	for _, socket := range []string{"", "relative", "vsock:1:2"} {
		n := New(env(map[string]string{"NOTIFY_SOCKET": socket, "WATCHDOG_USEC": "1000"}), 1)
		if n != nil || n.Ready() != nil || n.Watchdog() != 0 {
			t.Errorf("%q is listened to", socket)
		}
	}
	n := New(env(map[string]string{"NOTIFY_SOCKET": filepath.Join(t.TempDir(), "none"), "WATCHDOG_USEC": "x"}), 1)
	if n.Ready() == nil || n.Watchdog() != 0 {
		t.Error("a socket that is not there takes messages")
	}
	if n := New(env(map[string]string{"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "5", "WATCHDOG_PID": "2"}), 1); n.Watchdog() != 0 {
		t.Error("the watchdog is another process's")
	}
}

// TestManagerThatDoesNotRead: the agent does not wait for it for ever.
func TestManagerThatDoesNotRead(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "notify")
	manager(t, name)
	n := New(env(map[string]string{"NOTIFY_SOCKET": name}), 1)
	for range 10_000 {
		if err := n.Alive(); err != nil {
			return
		}
	}
	t.Error("10,000 messages were taken by nobody")
}

func TestIsJournal(t *testing.T) {
	t.Parallel()
	f, err := os.Create(filepath.Join(t.TempDir(), "f"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if IsJournal(env(nil), f) || IsJournal(env(map[string]string{"JOURNAL_STREAM": "1:2"}), f) {
		t.Error("any file is the journal")
	}
	var st syscall.Stat_t
	if err := syscall.Fstat(int(f.Fd()), &st); err != nil {
		t.Fatal(err)
	}
	if !IsJournal(env(map[string]string{"JOURNAL_STREAM": fmt.Sprintf("%d:%d", st.Dev, st.Ino)}), f) {
		t.Error("the journal's own stream is not known")
	}
}
