//go:build unix

package state

import "os"

// protect keeps the folder for the user that the agent runs as.
func protect(dir string) error { return os.Chmod(dir, 0o700) }
