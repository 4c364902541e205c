package daemon_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"ssmrun/internal/testenv"
)

func TestCPUProfile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "cpu.pprof")
	s := testenv.Start(t, testenv.Options{Args: []string{"--cpu-profile", file}})
	s.Stop()
	b, err := os.ReadFile(file)
	if err != nil || !bytes.HasPrefix(b, []byte{0x1f, 0x8b}) {
		t.Errorf("no profile of %d bytes: %v", len(b), err)
	}
}
