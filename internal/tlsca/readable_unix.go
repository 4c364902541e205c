//go:build unix

package tlsca

import "os"

// othersMayRead tells whether all users of the machine may read a file. A group
// may be the one that shares a key on purpose.
func othersMayRead(file string) bool {
	info, err := os.Stat(file)
	return err == nil && info.Mode().Perm()&0o004 != 0
}
