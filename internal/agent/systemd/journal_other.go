//go:build !unix

package systemd

import "os"

// IsJournal is false: there is none on this system.
func IsJournal(func(string) string, *os.File) bool { return false }
