package daemon_test

import (
	"os"
	"testing"

	"ssmrun/internal/testenv"
)

func TestMain(m *testing.M) {
	code := m.Run()
	testenv.Cleanup()
	os.Exit(code)
}
