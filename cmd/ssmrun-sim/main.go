// Command ssmrun-sim stands for many agents at once, to measure a Run Command
// service under load. It executes nothing; see internal/sim.
package main

import (
	"context"
	"os"

	"ssmrun/internal/sim"
)

func main() {
	os.Exit(sim.Main(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}
