package provider

import (
	"flag"
	"fmt"
	"io"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6/tf6server"
)

// Address is the provider's source address.
const Address = "registry.terraform.io/ssmrun/ssmrun"

// Main serves the provider until Terraform ends it, and gives the exit code.
func Main(args []string, stderr io.Writer) int {
	flags := flag.NewFlagSet("terraform-provider-ssmrun", flag.ContinueOnError)
	flags.SetOutput(stderr)
	debug := flags.Bool("debug", false, "serve for a debugger, and print how to attach Terraform")
	version := flags.Bool("version", false, "print the version")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if *version {
		fmt.Fprintln(stderr, Version)
		return 0
	}
	server, err := NewServer()
	if err == nil {
		var opts []tf6server.ServeOpt
		if *debug {
			opts = append(opts, tf6server.WithManagedDebug())
		}
		err = tf6server.Serve(Address, func() tfprotov6.ProviderServer { return server }, opts...)
	}
	if err != nil {
		fmt.Fprintf(stderr, "terraform-provider-ssmrun: %v\n", err)
		return 1
	}
	return 0
}
