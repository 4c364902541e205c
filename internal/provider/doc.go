// Package provider is step 1a of a run: the Terraform provider and its action
// aws_ssm_send_command. It turns a configuration into a runner.Request, shows
// the runner's events as progress and its errors as diagnostics. Terraform
// calls it through cmd/terraform-provider-ssmrun; it calls runner alone.
//
//	provider.go   the provider's schema
//	settings.go   from the schema to an AWS configuration, lazily
//	action.go     the action: schema, plan, invocation
//	parameters.go the dynamic attribute `parameters`
//	drain.go      the server: a stop waits for invocations that are ending
package provider

// Version is the version of the build; the linker sets it.
var Version = "0.1.0-dev"
