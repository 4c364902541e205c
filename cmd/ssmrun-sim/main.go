// Command ssmrun-sim stands for many agents at once, to measure a Run Command
// service under load. It executes nothing; see internal/sim.
package main

import (
	"context"
	"os"
	"runtime/debug"

	"ssmrun/internal/sim"
)

// gcPercent: most of the memory is the stacks of agents, which every collection
// looks through; what is left of two processors is the service's.
const gcPercent = 400

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	os.Exit(sim.Main(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}
