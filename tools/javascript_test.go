package tools

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// nodeAndNPM makes a folder with a node that tells a version, and an npm that
// makes node_modules, or does what install says.
func nodeAndNPM(t *testing.T, version, install string) string {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "node"), "#!/bin/sh\necho "+version+"\n")
	write(t, filepath.Join(dir, "npm"), "#!/bin/sh\ncase $1 in config) echo the registry ;; ci) "+install+" ;; esac\n")
	return dir
}

func TestJavaScript(t *testing.T) {
	t.Parallel()
	const install = "echo installed >&2; test -s package-lock.json && mkdir node_modules"
	for name, c := range map[string]struct {
		path []string
		code int
		say  string
	}{
		"no npm":         {code: 3, say: "no npm on PATH"},
		"an old node":    {path: []string{nodeAndNPM(t, "v16.20.2", install)}, code: 3, say: "found: 16"},
		"a broken node":  {path: []string{nodeAndNPM(t, "x", install)}, code: 3, say: "found: none"},
		"no registry":    {path: []string{nodeAndNPM(t, "v18.19.0", "exit 1")}, code: 2, say: "npm's registry (the registry) must be reachable"},
		"all that it is": {path: []string{nodeAndNPM(t, "v18.19.0", install)}, say: "installed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cache := t.TempDir()
			s := script{path: c.path, args: []string{"javascript.sh"}}
			got := s.run(t, cache)
			if got.code != c.code || !strings.Contains(got.stderr, c.say) {
				t.Fatalf("exit code %d, %s; want %d, %q", got.code, got.stderr, c.code, c.say)
			}
			if c.code != 0 {
				if left, _ := filepath.Glob(filepath.Join(cache, "*")); len(left) > 0 || got.stdout != "" {
					t.Errorf("printed %q, left %v", got.stdout, left)
				}
				return
			}
			if info, err := os.Stat(got.stdout); err != nil || !info.IsDir() || !strings.HasPrefix(got.stdout, cache) {
				t.Errorf("printed %q: %v", got.stdout, err)
			}
			if again := s.run(t, cache); again.stdout != got.stdout || again.stderr != "" {
				t.Errorf("the second time: %+v", again)
			}
		})
	}
}
