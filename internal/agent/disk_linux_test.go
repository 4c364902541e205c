package agent

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"ssmrun/internal/agentlink/linktest"
	"ssmrun/internal/testlog"
	"ssmrun/internal/wire"
)

// smallJournal mounts a file system of 1 MiB where the agent's journal is, or
// skips the test where this process may not.
func (b *bench) smallJournal() string {
	b.t.Helper()
	dir := filepath.Join(b.dir, "journal")
	must(b.t, os.MkdirAll(dir, 0o700))
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		b.t.Skipf("NOT RUN: mounting a small disk: %v (run the tests as root)", err)
	}
	b.t.Cleanup(func() {
		// A process that is being started may still hold a file of it.
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			b.t.Errorf("unmount: %v", err)
		}
	})
	return dir
}

// fill leaves no room on the disk that dir is on, and gives what frees it.
func fill(t *testing.T, dir string) (free func()) {
	t.Helper()
	path := filepath.Join(dir, "ballast")
	f, err := os.Create(path)
	must(t, err)
	defer f.Close()
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	return func() { must(t, os.Remove(path)) }
}

// refused sends a command that the agent cannot journal.
func (b *bench) refused(want string) {
	b.t.Helper()
	marker := filepath.Join(b.t.TempDir(), "ran")
	n := len(b.srv.Events())
	ack, _ := b.srv.WaitAck(b.srv.SendCommand(script(b.t, "touch "+marker)), n)
	if ack.Ack.StatusCode != wire.AckUnexpected {
		b.t.Errorf("ack: %+v", ack.Ack)
	}
	contains(b.t, "ack", ack.Ack.ErrorMessage, "journal", want)
	if _, err := os.Stat(marker); err == nil {
		b.t.Error("a command ran that the journal does not know")
	}
}

// TestFullDisk: while the journal's disk is full, commands are refused with the
// reason, one that runs ends and is reported, and with room again all goes on;
// what could not be written then is written.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	b := setup(t)
	dir := b.smallJournal()
	b.cfg.stopGrace = 10 * time.Millisecond
	r := b.start()
	begun, release := fifo(t, "begun"), fifo(t, "release")
	p := script(t, "echo > "+begun, "read x < "+release, "echo done; head -c 9000 /dev/zero | tr '\\0' x")
	b.srv.Set(func(s *linktest.Settings) { s.NoReplyAck = true })
	jobID := b.srv.SendCommand(p)
	told(t, begun)
	free := fill(t, dir)
	for range 3 {
		b.refused("no space left on device")
	}
	tell(t, release)
	final, _ := b.srv.WaitFinal(jobID, 0)
	if s := final.Reply.RuntimeStatus["run"]; s.Status != wire.StatusSuccess || !strings.HasPrefix(s.StandardOutput, "done\nxxx") {
		t.Errorf("the one that ran: %+v", s)
	}
	if err := r.agent.journal.Tidy(); err == nil {
		t.Error("the disk is not full")
	}
	free()
	must(t, r.agent.journal.Tidy())
	b.srv.Set(func(s *linktest.Settings) { s.NoReplyAck = false })
	if e := b.run(script(t, "echo again")); e.Reply.RuntimeStatus["run"].StandardOutput != "again\n" {
		t.Errorf("with room again: %+v", e.Reply)
	}
	r.stop()
	n := len(b.srv.Events())
	b.start()
	b.srv.SendCommand(p)
	if ack, _ := b.srv.WaitAck(jobID, n); ack.Ack.StatusCode != wire.AckDuplicateCommand {
		t.Errorf("offered again: %+v", ack.Ack)
	}
	if again, _ := b.srv.WaitFinal(jobID, n); again.Reply.DocumentStatus != wire.StatusSuccess {
		t.Errorf("after a restart: %+v", again.Reply)
	}
}

// TestStartOnAFullDisk: the agent starts, refuses, and goes on with room.
func TestStartOnAFullDisk(t *testing.T) {
	t.Parallel()
	b := setup(t)
	dir := b.smallJournal()
	begun := b.start()
	queued := script(t, "true")
	b.srv.WaitFinal(b.srv.SendCommand(queued), 0)
	begun.stop()
	lost := script(t, "true")
	must(t, os.WriteFile(filepath.Join(dir, lost.CommandID+".jsonl"), []byte("noise\nmore\n"), 0o600))
	// Names take room too: a folder that can hold no more files.
	must(t, syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, "size=1m,nr_inodes=4"))
	free := fill(t, dir)
	b.start()
	b.refused("no space left on device")
	if final, _ := b.srv.WaitFinal(b.srv.JobID(lost.CommandID), 0); !strings.Contains(final.Reply.DocumentTraceOutput, "journal") {
		t.Errorf("the damaged one: %+v", final.Reply)
	}
	free()
	must(t, syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, "size=1m,nr_inodes=0"))
	if e := b.run(script(t, "true")); e.Reply.DocumentStatus != wire.StatusSuccess {
		t.Errorf("with room again: %+v", e.Reply)
	}
}

// TestReadOnlyDisk: a disk that the system has made read-only, as it does after an
// error, is no different.
func TestReadOnlyDisk(t *testing.T) {
	t.Parallel()
	b := setup(t)
	dir := b.smallJournal()
	bound := false
	t.Cleanup(func() { // once the agent has stopped
		if bound {
			must(t, syscall.Unmount(dir, syscall.MNT_DETACH))
		}
	})
	b.start()
	must(t, syscall.Mount(dir, dir, "", syscall.MS_BIND, ""))
	bound = true
	must(t, syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_BIND|syscall.MS_RDONLY, ""))
	for range 2 {
		b.refused("read-only file system")
	}
	must(t, syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_BIND, ""))
	if e := b.run(script(t, "true")); e.Reply.DocumentStatus != wire.StatusSuccess {
		t.Errorf("writable again: %+v", e.Reply)
	}
}

// TestFreeDisk: below --min-free-disk no command is taken.
func TestFreeDisk(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var log testlog.Log
	b.cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
	b.cfg.MinFreeDisk = 1 << 62
	b.start()
	ack, _ := b.srv.WaitAck(b.srv.SendCommand(script(t, "true")), 0)
	if ack.Ack.StatusCode != wire.AckUnexpected {
		t.Errorf("ack: %+v", ack.Ack)
	}
	contains(t, "ack", ack.Ack.ErrorMessage, " are free", "4194304.0 TiB", "--min-free-disk", "free some space")
	contains(t, "log", log.String(), "refused a command", " are free")
}

// TestNoRoomForTheScript: the step fails with the reason, and the next one runs
// once there is room.
func TestNoRoomForTheScript(t *testing.T) {
	t.Parallel()
	b := setup(t)
	dir := filepath.Join(b.dir, "orchestration")
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	b.start()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("NOT RUN: mounting a small disk: %v (run the tests as root)", err)
	}
	free := fill(t, dir)
	s := b.run(script(t, "true")).Reply.RuntimeStatus["run"]
	if s.Status != wire.StatusFailed || s.Code != 1 {
		t.Errorf("got %+v", s)
	}
	contains(t, "stderr", s.StandardError, "script could not be written", "no space left on device")
	free()
	if e := b.run(script(t, "true")); e.Reply.DocumentStatus != wire.StatusSuccess {
		t.Errorf("with room again: %+v", e.Reply)
	}
}
