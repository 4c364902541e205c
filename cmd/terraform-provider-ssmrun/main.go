// Command terraform-provider-ssmrun is the Terraform provider. Terraform starts
// it; with -debug a debugger can, and it prints how to attach Terraform to it.
package main

import (
	"os"

	"ssmrun/internal/provider"
)

func main() { os.Exit(provider.Main(os.Args[1:], os.Stdout, os.Stderr)) }
