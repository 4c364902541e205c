// Package provider is step 1a of a run: the Terraform provider and its action
// aws_ssm_send_command. It turns a configuration into a runner.Request, shows
// the runner's events as progress and its errors as diagnostics. Terraform
// calls it through cmd/terraform-provider-ssmrun; it calls runner alone.
//
//	provider.go   the provider's schema
//	settings.go   from the schema to settings; connect.go: from these to clients, lazily
//	action.go     the action: schema, plan, invocation
//	request.go    from the action's arguments to a request; parameters.go: the dynamic one
//	problems.go   what is wrong with a request, as diagnostics
//	drain.go      the server: a stop waits for invocations that are ending
//	main.go       the program
package provider

// Version is the version of the build; the linker sets it.
var Version = "0.1.0-dev"
