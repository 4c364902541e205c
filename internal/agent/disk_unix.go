//go:build unix

package agent

import "golang.org/x/sys/unix"

// diskFree is what the agent's user may still write where dir is.
func diskFree(dir string) (free uint64, ok bool) {
	var s unix.Statfs_t
	if unix.Statfs(dir, &s) != nil {
		return 0, false
	}
	return uint64(s.Bavail) * uint64(s.Bsize), true //nolint:unconvert // signed on some systems
}
