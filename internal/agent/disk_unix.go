//go:build unix

package agent

import "golang.org/x/sys/unix"

// freeDisk is how many bytes the agent may still write where path is.
func freeDisk(path string) (int64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err != nil {
		return 0, err
	}
	return int64(s.Bavail) * int64(s.Bsize), nil //nolint:unconvert // the types differ between systems
}
