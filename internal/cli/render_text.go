package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"ssmrun/internal/runner"
)

// showResult prints what each instance answered. With one instance its streams
// go out as they are, so that the output can be piped; with several each has a
// heading.
func showResult(stdio Stdio, r *runner.Result) {
	for n := range r.Instances {
		i := &r.Instances[n]
		if len(r.Instances) > 1 {
			if n > 0 {
				fmt.Fprintln(stdio.Out)
			}
			fmt.Fprintf(stdio.Out, "== %s\n", i)
			showPlugins(stdio.Out, stdio.Out, i)
			continue
		}
		showPlugins(stdio.Out, stdio.Err, i)
		if !i.Succeeded() {
			fmt.Fprintln(stdio.Err, i)
		}
	}
	for _, w := range r.Warnings {
		fmt.Fprintf(stdio.Err, "warning: %s\n", w)
	}
}

func showPlugins(out, errs io.Writer, i *runner.InstanceResult) {
	for n := range i.Plugins {
		p := &i.Plugins[n]
		if len(i.Plugins) > 1 {
			fmt.Fprintf(out, "-- %s: %s\n", p.Name, p.State)
		}
		stream(out, p.Stdout, "stdout")
		stream(errs, p.Stderr, "stderr")
	}
	// What no step ran for is told of the command and of its steps.
	if i.Trace != "" && !slices.ContainsFunc(i.Plugins, func(p runner.PluginResult) bool {
		return strings.TrimSpace(p.Stderr.Head) == strings.TrimSpace(i.Trace)
	}) {
		fmt.Fprintln(errs, i.Trace)
	}
}

// stream prints a stream with a line end, and where it was cut, where the rest is.
func stream(w io.Writer, s runner.Stream, name string) {
	if s.Head == "" {
		return
	}
	fmt.Fprint(w, s.Head)
	if !strings.HasSuffix(s.Head, "\n") {
		fmt.Fprintln(w)
	}
	switch {
	case !s.Cut && s.Object != nil && s.Object.State == runner.ObjectPresent:
		fmt.Fprintf(w, "[%s is in %s]\n", name, s.Object.URL())
	case !s.Cut:
	case s.Object != nil && s.Object.State == runner.ObjectPresent:
		fmt.Fprintf(w, "[%s goes on in %s]\n", name, s.Object.URL())
	default:
		fmt.Fprintf(w, "[%s goes on; the service keeps its beginning only: name a bucket with --output-s3-bucket to keep all]\n", name)
	}
}
