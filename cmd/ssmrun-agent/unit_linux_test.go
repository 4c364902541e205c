package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"ssmrun/internal/testenv"
)

// TestUnit: systemd finds nothing wrong with the unit but that its program is not
// installed here.
func TestUnit(t *testing.T) {
	t.Parallel()
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		testenv.NotRun(t, "the check of the systemd unit", "there is no systemd-analyze", "apt-get install systemd (as root)")
	}
	b, err := os.ReadFile(filepath.Join("..", "..", "packaging", "systemd", "ssmrun-agent.service"))
	if err != nil {
		t.Fatal(err)
	}
	const installed = "/usr/bin/ssmrun-agent"
	unit := string(b)
	for _, want := range []string{"ExecStart=" + installed + " ", "Type=notify\n", "WatchdogSec=", "KillMode=process\n", "Delegate=yes\n", "Restart=always\n"} {
		if !strings.Contains(unit, "\n"+want) {
			t.Errorf("the unit lacks %q", want)
		}
	}
	path := filepath.Join(t.TempDir(), "ssmrun-agent.service")
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(unit, installed, "/bin/true")), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(analyze, "verify", "--man=no", path).CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("systemd-analyze: %v\n%s", err, out)
	}
}
