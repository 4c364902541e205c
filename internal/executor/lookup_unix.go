//go:build unix

package executor

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// fallbackPath is searched when the script's environment has no PATH; a shell
// does much the same.
const fallbackPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// resolveProgram finds the program as the script's own environment would: its
// PATH may be a folder of stand-ins that the agent's must not bypass. Relative
// entries of PATH are skipped, so a file in the working directory never takes a
// command's place.
func resolveProgram(path, dir string, env []string) (string, error) {
	if path == "" {
		return "", fmt.Errorf("find program: empty path: %w", exec.ErrNotFound)
	}
	if strings.Contains(path, "/") {
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, path)
		}
		return path, nil
	}
	search := fallbackPath
	for _, kv := range env {
		if v, ok := strings.CutPrefix(kv, "PATH="); ok {
			search = v
		}
	}
	for _, folder := range filepath.SplitList(search) {
		if !filepath.IsAbs(folder) {
			continue
		}
		file := filepath.Join(folder, path)
		if fi, err := os.Stat(file); err == nil && !fi.IsDir() && unix.Access(file, unix.X_OK) == nil {
			return file, nil
		}
	}
	return "", fmt.Errorf("find program %q in the step's PATH %q: %w", path, search, exec.ErrNotFound)
}

// checkDir reports what the start itself would report as a puzzling "no such
// file or directory" about the program.
func checkDir(dir string) error {
	fi, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if !fi.IsDir() {
		return fmt.Errorf("%q is no directory", dir)
	}
	if err := unix.Access(dir, unix.X_OK); err != nil {
		return &os.PathError{Op: "enter", Path: dir, Err: err}
	}
	return nil
}
