package objects

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// maxSocketPath is the longest path of a Unix socket that every system we build
// for takes: Linux has room for 108 bytes, the BSDs for 104, with a zero at the end.
const maxSocketPath = 103

// socketDir gives the folder for n sockets: dir itself, or, where dir is too
// long a path for a socket, a new private one in the first absolute one of temps
// that is short enough. remove is to be called when the sockets are no longer used.
func socketDir(dir string, n int, temps ...string) (_ string, remove func() error, _ error) {
	longest := socketPath("", n-1)
	if len(dir)+len(longest) <= maxSocketPath {
		return dir, func() error { return nil }, nil
	}
	var errs []error
	for _, temp := range temps {
		if !filepath.IsAbs(temp) { // the working directory has changed
			continue
		}
		short, err := os.MkdirTemp(temp, "ssmrun-s3-") // mode 0700
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if len(short)+len(longest) <= maxSocketPath {
			return short, func() error { return os.RemoveAll(short) }, nil
		}
		errs = append(errs, fmt.Errorf("%s is too long as well", short), os.Remove(short))
	}
	return "", nil, fmt.Errorf("find a folder for the sockets of the S3 endpoint: %s is too long (a socket's path has at most %d bytes): %w; use a shorter data folder or TMPDIR",
		dir, maxSocketPath, errors.Join(errs...))
}

// socketPath is the path of the i-th socket in dir.
func socketPath(dir string, i int) string {
	return dir + string(filepath.Separator) + fmt.Sprintf("s3-%d.sock", i)
}
