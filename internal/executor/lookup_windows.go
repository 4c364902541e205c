package executor

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/windows"
)

// resolveProgram finds the program as the script's own environment would, in its
// PATH and never in the agent's; relative entries are skipped. Without a PATH
// there is the system's folder. The endings of programs (.exe, .cmd) are those of
// the agent's PATHEXT.
func resolveProgram(path, dir string, env []string) (string, error) {
	if path == "" {
		return "", fmt.Errorf("find program: empty path: %w", exec.ErrNotFound)
	}
	if strings.ContainsAny(path, `\/:`) {
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, path)
		}
		file, err := exec.LookPath(path)
		if err != nil {
			return "", fmt.Errorf("find program: %w", err)
		}
		return file, nil
	}
	search, found := "", false
	for _, kv := range env {
		if name, v, ok := strings.Cut(kv, "="); ok && strings.EqualFold(name, "PATH") {
			search, found = v, true
		}
	}
	if !found {
		search, _ = windows.GetSystemDirectory()
	}
	for _, folder := range filepath.SplitList(search) {
		if !filepath.IsAbs(folder) {
			continue
		}
		if file, err := exec.LookPath(filepath.Join(folder, path)); err == nil {
			return file, nil
		}
	}
	return "", fmt.Errorf("find program %q in the step's PATH %q: %w", path, search, exec.ErrNotFound)
}

func checkDir(dir string) error {
	fi, err := os.Stat(dir)
	if err == nil && !fi.IsDir() {
		err = fmt.Errorf("%q is no directory", dir)
	}
	return err
}
