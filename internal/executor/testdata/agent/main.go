// Command agent is the smallest program that can supervise a step. The benchmarks
// use it: the cost of a supervisor is that of starting the binary it is in, and
// the test binary's libraries take longer to initialise than all else.
package main

import (
	"os"

	"ssmrun/internal/executor"
)

func main() {
	if executor.IsSupervisor(os.Args) {
		os.Exit(executor.SuperviseMain(os.Args))
	}
}
