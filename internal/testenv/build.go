package testenv

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// EnvBin names a folder with binaries that were built beforehand, so that not
// every test process builds its own. make test sets it.
const EnvBin = "SSMRUN_TEST_BIN"

var builds struct {
	sync.Mutex
	dir  string
	done map[string]error
}

// Binary gives the path of one of the programs under cmd/, built from this
// source, with the race detector where the test has it.
func Binary(t testing.TB, name string) string {
	t.Helper()
	builds.Lock()
	defer builds.Unlock()
	dir := os.Getenv(EnvBin)
	if dir != "" {
		path := filepath.Join(dir, name)
		if _, err := os.Stat(path); err != nil {
			t.Fatalf("%s=%s: %v", EnvBin, dir, err)
		}
		return path
	}
	if builds.dir == "" {
		// Shared by all tests of this process, so not one test's folder.
		made, err := os.MkdirTemp("", "ssmrun-test-bin-")
		if err != nil {
			t.Fatal(err)
		}
		builds.dir, builds.done = made, map[string]error{}
	}
	path := filepath.Join(builds.dir, name)
	err, ok := builds.done[name]
	if !ok {
		err = build(path, name)
		builds.done[name] = err
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func build(path, name string) error {
	args := []string{"build", "-o", path}
	if raceEnabled {
		args = append(args, "-race")
	}
	cmd := exec.Command("go", append(args, "ssmrun/cmd/"+name)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("build %s: %w\n%s", name, err, out)
	}
	return nil
}

// Root is the folder of the module.
func Root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "CHANGELOG.md")); err == nil {
			return dir
		}
		up := filepath.Dir(dir)
		if up == dir {
			t.Fatal("the folder of the module was not found")
		}
		dir = up
	}
}

// Cleanup removes what Binary built. A package's TestMain calls it at the end.
func Cleanup() {
	builds.Lock()
	defer builds.Unlock()
	if builds.dir != "" {
		_ = os.RemoveAll(builds.dir)
		builds.dir = ""
	}
}

// Race tells whether the race detector is on, in tests and in the programs that
// they start: it takes a multiple of memory and time.
const Race = raceEnabled
