package state

import (
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"
)

// TestZombieIsNotAlive: an agent whose parent has not yet asked for its exit code
// works no more.
func TestZombieIsNotAlive(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("true")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait() //nolint:errcheck // only reaps it
	if err := unix.Waitid(unix.P_PID, cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil); err != nil {
		t.Fatal(err)
	}
	if (Process{PID: cmd.Process.Pid, BootID: bootID()}).Alive() {
		t.Error("a zombie counts as alive")
	}
}
