// Command ssmrun-agent is the agent alone: what runs on a host and executes the
// commands of a Run Command service. It is step 7 of a run; see internal/agent.
package main

import (
	"context"
	"os"

	"ssmrun/internal/agent"
	"ssmrun/internal/executor"
)

func main() {
	if executor.IsSupervisor(os.Args) {
		os.Exit(executor.SuperviseMain(os.Args))
	}
	os.Exit(agent.Main(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
