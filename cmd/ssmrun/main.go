// Command ssmrun runs SSM documents on instances, and is the Run Command
// service and agent for where there is no AWS.
package main

import (
	"context"
	"os"

	"ssmrun/internal/cli"
	"ssmrun/internal/executor"
)

func main() {
	if executor.IsSupervisor(os.Args) {
		os.Exit(executor.SuperviseMain(os.Args))
	}
	os.Exit(cli.Main(context.Background(), os.Args[1:], cli.Stdio{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}))
}
