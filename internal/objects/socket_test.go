package objects

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSocketDir(t *testing.T) {
	t.Parallel()
	temp, err := os.MkdirTemp("/tmp", "o")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(temp) })
	fits := "/" + strings.Repeat("d", maxSocketPath-len("//s3-0.sock"))

	dir, remove, err := socketDir(fits, 1, temp)
	if err != nil || dir != fits {
		t.Fatalf("a path that fits: got %q, %v", dir, err)
	}
	if got := len(socketPath(dir, 0)); got != maxSocketPath {
		t.Errorf("path of %d bytes, want %d", got, maxSocketPath)
	}
	if err := remove(); err != nil {
		t.Error(err)
	}

	dir, remove, err = socketDir(fits, 11, "/nowhere", filepath.Join(temp, strings.Repeat("x/", 60)), temp)
	if err != nil || filepath.Dir(dir) != temp {
		t.Fatalf("a path too long for s3-10.sock: got %q, %v", dir, err)
	}
	if fi, err := os.Stat(dir); err != nil || fi.Mode().Perm() != 0o700 {
		t.Errorf("the folder is not private: %v %v", fi.Mode(), err)
	}
	if err := remove(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the folder stays: %v", err)
	}

	long := filepath.Join(temp, strings.Repeat("y", 90))
	if err := os.Mkdir(long, 0o700); err != nil {
		t.Fatal(err)
	}
	_, _, err = socketDir(fits+"d", 1, long)
	if err == nil || !strings.Contains(err.Error(), "too long") {
		t.Errorf("nowhere to put it: got %v", err)
	}
	if left, _ := os.ReadDir(long); len(left) != 0 {
		t.Errorf("a folder that did not serve stays: %v", left)
	}
}
