// Package ssmrun holds the words of the product: commands, invocations,
// plugins, targets and documents as AWS Systems Manager names them, the table
// of status transitions, the limits of outputs and the coded errors.
//
// Every other package speaks in these words, on the caller's side (the
// Terraform action, the command line, the runner), on the service's side (api,
// control, store, gateway) and on the host (agent). It is at the bottom of the
// layering: it imports the standard library only and nothing of this module;
// layers_test.go fails where that is broken.
//
// The way of a run, in reading order; results return along the same way:
//
//	1 caller    internal/provider, internal/cli
//	2 runner    internal/runner
//	3 api       internal/sigv4, internal/identity, internal/awsapi
//	4 control   internal/control
//	5 store     internal/store
//	6 gateway   internal/gateway
//	7 agent     internal/agentlink, internal/agent
//	8 executor  internal/executor
package ssmrun
