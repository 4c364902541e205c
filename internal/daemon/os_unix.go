//go:build unix

package daemon

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

func isRoot() bool { return os.Geteuid() == 0 }

// lockFile locks a file for as long as it is open. The system unlocks it when
// the process ends, however it ends.
func lockFile(f *os.File) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return errInUse
	}
	if err != nil {
		return fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	return nil
}
