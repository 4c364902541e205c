// Package e2e shows what a user types and sees: the command line, AWS's own
// clients and Terraform against a real service with real agents.
package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"ssmrun/internal/testenv"
)

func TestMain(m *testing.M) {
	code := m.Run()
	testenv.Cleanup()
	os.Exit(code)
}

// TestScripts runs testdata/*.txtar. Each sees a service of its own with three
// agents through AWS's environment variables, and the ids as $ID1 to $ID3.
func TestScripts(t *testing.T) {
	t.Parallel()
	bin := filepath.Dir(testenv.Binary(t, "ssmrun"))
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(e *testscript.Env) error {
			s := testenv.Start(t, testenv.Options{Agents: 3, Buckets: []string{"logs"}})
			e.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
			e.Setenv("DATA", s.Data)
			for i, id := range s.InstanceIDs {
				e.Setenv("ID"+string(rune('1'+i)), id)
			}
			for _, v := range s.Env() {
				if name, value, _ := strings.Cut(v, "="); strings.HasPrefix(name, "AWS_") {
					e.Setenv(name, value)
				}
			}
			return nil
		},
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
	})
}
