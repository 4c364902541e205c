// Package genuineagent holds the conformance of agents: what a host's agent has
// to do for the service, asked of amazon-ssm-agent where its programs are given,
// and of this project's agent always, over each of the two channels. The same
// checks for both are what makes them interchangeable.
//
// run.sh runs it and prints the table; make test runs it for this project's own
// agent.
package genuineagent

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
