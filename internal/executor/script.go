package executor

import (
	"fmt"
	"os"
	"syscall"
)

// WriteScript writes a file that is about to be executed: a new file with the
// given permissions (0700 for a script), replaced if it exists, closed and safe
// to execute when WriteScript returns.
//
// It exists because of a race that any os.WriteFile of a script has: another
// goroutine that forks meanwhile hands the open descriptor to its child until
// that child's exec, and executing a file that someone has open for writing
// fails with "text file busy". Forks wait while the file is open.
func WriteScript(path string, content []byte, perm os.FileMode) error {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("write script: %w", err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return fmt.Errorf("write script: %w", err)
	}
	_, err = f.Write(content)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("write script: %w", err)
	}
	return nil
}
