package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"ssmrun"
	"ssmrun/internal/runner"
)

// defaultDocument runs what stands after "--".
const defaultDocument = "AWS-RunShellScript"

type runFlags struct {
	aws        awsFlags
	all        bool
	ids        []string
	parameters []string
	wait       time.Duration
	json       bool
	quiet      bool
	req        runner.Request
}

func newRun(stdio Stdio) *cobra.Command {
	var f runFlags
	c := &cobra.Command{
		Use:   "run [INSTANCE-ID...] [flags] [-- COMMAND...]",
		Short: "Run a document, or a shell command, on instances and show what each answered",
		Long: `Sends a document to instances, waits, and shows what each answered. What
stands after "--" is a shell command for AWS-RunShellScript: one word is taken
as it is, several are quoted each.

Ctrl-C cancels the command on the instances.

` + exitCodesHelp,
		Example: `  ssmrun run i-0123456789abcdef0 -- uptime
  ssmrun run --all -- 'systemctl is-active nginx || exit 3'
  ssmrun run --instance-ids i-0a1b2c3d4e5f60718,i-1a1b2c3d4e5f60718 \
      --document AWS-RunShellScript --parameters '{"commands":["df -h"]}'`,
		RunE: func(c *cobra.Command, args []string) error {
			if err := f.read(c, args); err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(c.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			return f.run(ctx, stdio)
		},
	}
	f.aws.add(c)
	fl := c.Flags()
	fl.StringSliceVar(&f.ids, "instance-ids", nil, "instances, with commas between them")
	fl.BoolVar(&f.all, "all", false, "every instance that is online")
	fl.StringVar(&f.req.Document, "document", defaultDocument, "name or ARN of the document")
	fl.StringVar(&f.req.DocumentVersion, "document-version", "", "version of the document: a number, $DEFAULT or $LATEST")
	fl.StringArrayVar(&f.parameters, "parameters", nil, `parameters: NAME=VALUE[,VALUE...], a JSON object, or file://PATH with one; may be repeated`)
	fl.StringVar(&f.req.OutputBucket, "output-s3-bucket", "", "bucket for the whole output")
	fl.StringVar(&f.req.OutputPrefix, "output-s3-prefix", "", "start of the keys in it")
	fl.DurationVar(&f.req.Timeout, "timeout", runner.DefaultTimeout, "how long to wait for the end; nothing starts after it")
	fl.DurationVar(&f.wait, "wait", 0, "how long to wait for instances that are booting")
	fl.StringVar(&f.req.Comment, "comment", "", "comment that lists show")
	fl.StringVar(&f.req.MaxConcurrency, "max-concurrency", "", "how many instances at the same time, a number or a percentage")
	fl.StringVar(&f.req.MaxErrors, "max-errors", "", "after how many errors to stop (default: every instance gets the command)")
	fl.BoolVar(&f.json, "json", false, "print the result as JSON")
	fl.BoolVarP(&f.quiet, "quiet", "q", false, "print outputs only, no progress")
	return c
}

// read makes the request of what was typed.
func (f *runFlags) read(c *cobra.Command, args []string) error {
	positional, command := args, []string(nil)
	if n := c.ArgsLenAtDash(); n >= 0 {
		positional, command = args[:n], args[n:]
		if len(command) == 0 {
			return &exitError{ExitUsage, errors.New("nothing stands after --: give a command, or leave -- out")}
		}
	}
	f.req.InstanceIDs = append(slices.Clone(f.ids), positional...)
	f.req.WaitForInstances = f.wait
	f.req.Outputs = runner.OutputsOfAll
	f.req.Each = true
	var err error
	if f.req.Parameters, err = readParameters(f.parameters); err != nil {
		return &exitError{ExitUsage, err}
	}
	if len(command) > 0 {
		if _, twice := f.req.Parameters["commands"]; twice {
			return &exitError{ExitUsage, errors.New("the command stands both after -- and in --parameters commands: give it once")}
		}
		f.req.Parameters["commands"] = []any{commandLine(command)}
	}
	if f.all && len(f.req.InstanceIDs) > 0 {
		return &exitError{ExitUsage, errors.New("--all and instance ids exclude each other")}
	}
	if f.req.Document == defaultDocument && f.req.Parameters["commands"] == nil {
		return &exitError{ExitUsage, errors.New("no command: put it after --, as in: ssmrun run i-0123456789abcdef0 -- uptime")}
	}
	return nil
}

func (f *runFlags) run(ctx context.Context, stdio Stdio) error {
	r, _, err := f.aws.connect(ctx)
	if err != nil {
		return err
	}
	if f.all {
		if f.req.InstanceIDs, err = online(ctx, r); err != nil {
			return fail(err)
		}
	}
	return runAndShow(ctx, r, f.req, stdio, rendering{json: f.json, quiet: f.quiet, success: runner.SuccessText})
}

// rendering says how a run is shown.
type rendering struct {
	json, quiet bool
	success     func(*runner.Result) string // the last line
}

// runAndShow runs a request and shows how it goes and what comes of it.
func runAndShow(ctx context.Context, r *runner.Runner, req runner.Request, stdio Stdio, how rendering) error {
	observe := func(e runner.Event) {
		if !how.quiet {
			fmt.Fprintln(stdio.Err, e.String())
		}
	}
	result, err := r.Run(ctx, req, observe)
	if how.json {
		if e := writeJSON(stdio.Out, result, err); e != nil {
			return e
		}
		if err != nil {
			return &exitError{exitCode(err), nil}
		}
		return nil
	}
	if result != nil {
		showResult(stdio, result)
	}
	if err != nil {
		return failAfter(result, err)
	}
	if !how.quiet {
		fmt.Fprintln(stdio.Err, how.success(result))
	}
	return nil
}

// online gives the ids of the instances that are online.
func online(ctx context.Context, r *runner.Runner) ([]string, error) {
	list, err := r.Instances(ctx)
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, i := range list {
		if i.Ping == ssmrun.Online {
			ids = append(ids, i.ID)
		}
	}
	if len(ids) == 0 {
		return nil, &exitError{ExitUsage, fmt.Errorf("--all: no instance is online (of %d that are managed); see: ssmrun instances", len(list))}
	}
	return ids, nil
}

// fail gives a runner's error its exit code and its words.
func fail(err error) error {
	if _, ok := errors.AsType[*exitError](err); ok {
		return err
	}
	title, detail := runner.Explain(err, runner.ReportOptions{})
	text := title
	if detail != "" {
		text += "\n\n" + detail
	}
	return &exitError{exitCode(err), errors.New(text)}
}

// failAfter is fail where the outputs have been shown already: it counts, and
// does not repeat them.
func failAfter(result *runner.Result, err error) error {
	if result != nil && runner.KindOf(err) == runner.KindFailed {
		return &exitError{exitCode(err), err}
	}
	return fail(err)
}

// commandLine makes a script line of words as a shell has split them.
func commandLine(words []string) string {
	if len(words) == 1 {
		return words[0]
	}
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = shellWord(w)
	}
	return strings.Join(quoted, " ")
}

func shellWord(w string) string {
	plain := w != "" && strings.Trim(w, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@%+=:,./_-") == ""
	if plain {
		return w
	}
	return "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
}

// readParameters reads NAME=VALUE[,VALUE...], JSON objects and file://PATH.
// Errors name the parameter and never show a value.
func readParameters(given []string) (map[string]any, error) {
	out := map[string]any{}
	for _, g := range given {
		if path, ok := strings.CutPrefix(g, "file://"); ok {
			b, err := os.ReadFile(path)
			if err != nil {
				return nil, fmt.Errorf("--parameters: %w", err)
			}
			g = string(b)
		}
		part, err := readParameter(strings.TrimSpace(g))
		if err != nil {
			return nil, err
		}
		for k, v := range part {
			if _, twice := out[k]; twice {
				return nil, fmt.Errorf("--parameters: %s is given twice", k)
			}
			out[k] = v
		}
	}
	return out, nil
}

func readParameter(g string) (map[string]any, error) {
	if strings.HasPrefix(g, "{") {
		var part map[string]any
		d := json.NewDecoder(strings.NewReader(g))
		d.UseNumber()
		if err := d.Decode(&part); err != nil || d.More() {
			return nil, errors.New("--parameters: not one well-formed JSON object")
		}
		return part, nil
	}
	name, value, ok := strings.Cut(g, "=")
	if !ok || name == "" {
		return nil, errors.New("--parameters: neither NAME=VALUE nor a JSON object nor file://PATH")
	}
	if strings.HasPrefix(value, "[") {
		var list []any
		if err := json.Unmarshal([]byte(value), &list); err != nil {
			return nil, fmt.Errorf("--parameters %s: not a well-formed JSON list", name)
		}
		return map[string]any{name: list}, nil
	}
	var list []any
	for v := range strings.SplitSeq(value, ",") {
		list = append(list, v)
	}
	return map[string]any{name: list}, nil
}
