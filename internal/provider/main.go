package provider

import (
	"flag"
	"fmt"
	"io"
	"log/slog"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6/tf6server"
)

// Address is the provider's source address.
const Address = "registry.terraform.io/ssmrun/ssmrun"

// Exit codes of Main.
const (
	exitOK    = 0
	exitError = 1
	exitUsage = 2
)

// Main serves the provider until Terraform ends it, and gives the exit code.
// stderr takes the log, which Terraform shows where TF_LOG asks for it.
func Main(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("terraform-provider-ssmrun", flag.ContinueOnError)
	flags.SetOutput(stderr)
	debug := flags.Bool("debug", false, "serve for a debugger, and print how to attach Terraform")
	version := flags.Bool("version", false, "print the version")
	if err := flags.Parse(args); err != nil {
		return exitUsage
	}
	if *version {
		fmt.Fprintln(stdout, Version)
		return exitOK
	}
	server, err := NewServer(WithLogger(slog.New(logHandler(stderr))))
	if err == nil {
		var opts []tf6server.ServeOpt
		if *debug {
			opts = append(opts, tf6server.WithManagedDebug())
		}
		err = tf6server.Serve(Address, func() tfprotov6.ProviderServer { return server }, opts...)
	}
	if err != nil {
		fmt.Fprintf(stderr, "terraform-provider-ssmrun: %v\n", err)
		return exitError
	}
	return exitOK
}

// logHandler writes lines that Terraform takes apart into level and message.
func logHandler(w io.Writer) slog.Handler {
	return slog.NewJSONHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) > 0 {
			return a
		}
		switch a.Key {
		case slog.TimeKey:
			return slog.String("@timestamp", a.Value.Time().Format("2006-01-02T15:04:05.000000Z07:00"))
		case slog.LevelKey:
			a.Key = "@level"
		case slog.MessageKey:
			a.Key = "@message"
		}
		return a
	}})
}
