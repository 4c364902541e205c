//go:build !unix

package daemon

import "os"

func isRoot() bool { return false }

// lockFile relies on the store's own lock on this system.
func lockFile(*os.File) error { return nil }
