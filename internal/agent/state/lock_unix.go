//go:build unix

package state

import (
	"errors"
	"os"
	"syscall"
)

// lockFile takes the lock or answers ErrLocked at once. The kernel gives it
// free when the process ends, however it ends; children do not keep it because
// Go opens files close-on-exec.
func lockFile(f *os.File) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return ErrLocked
	}
	return err
}

func unlockFile(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_UN) }
