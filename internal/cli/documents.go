package cli

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"ssmrun/internal/document"
)

func newDocuments(stdio Stdio) *cobra.Command {
	c := &cobra.Command{
		Use:   "documents",
		Short: "Look at documents",
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return &exitError{ExitUsage, fmt.Errorf("there is no command %q\nSee '%s --help'", args[0], c.CommandPath())}
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newDocumentsLint(stdio), newDocumentsHash(stdio))
	return c
}

// linted is what was found in one file.
type linted struct {
	File          string             `json:"file"`
	Type          string             `json:"type,omitempty"`
	SchemaVersion string             `json:"schema_version,omitempty"`
	Error         string             `json:"error,omitempty"`
	Findings      []document.Finding `json:"findings"`
}

func newDocumentsLint(stdio Stdio) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "lint FILE...",
		Short: "Check documents in files, and look for shell injection in them",
		Long: `Check documents in files (.json, .yaml, .yml) as the service does when they are
created, and look for parameters whose values become part of a script as text:
whoever may give such a value can run what he likes. No service is needed.

Exit codes: 0 nothing was found, 1 a finding or an error, 2 wrong usage.`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return &exitError{ExitUsage, fmt.Errorf("%s takes the files to check\nUsage: %s", c.CommandPath(), c.UseLine())}
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			list := make([]linted, 0, len(args))
			clean := true
			for _, name := range args {
				l := lintFile(name)
				clean = clean && l.Error == "" && len(l.Findings) == 0
				list = append(list, l)
			}
			if err := printLinted(stdio, list, asJSON); err != nil {
				return err
			}
			if !clean {
				return &exitError{code: ExitError} // it was said above
			}
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print what was found as JSON")
	return c
}

func lintFile(name string) linted {
	l := linted{File: name, Findings: []document.Finding{}}
	content, err := os.ReadFile(name)
	if err != nil {
		l.Error = err.Error()
		return l
	}
	f, err := document.ParseFile(name, content)
	if err != nil {
		l.Error = err.Error()
		return l
	}
	l.Type, l.SchemaVersion = f.Type, f.SchemaVersion
	if f.Document != nil {
		l.Findings = append(l.Findings, f.Document.Lint()...)
	}
	return l
}

func printLinted(stdio Stdio, list []linted, asJSON bool) error {
	if asJSON {
		e := json.NewEncoder(stdio.Out)
		e.SetIndent("", "  ")
		e.SetEscapeHTML(false)
		return e.Encode(list)
	}
	for i := range list {
		l := &list[i]
		switch {
		case l.Error != "":
			fmt.Fprintf(stdio.Out, "%s: %s\n", l.File, l.Error)
		case l.Type != document.CommandDocument:
			fmt.Fprintf(stdio.Out, "%s: not looked into: it is of type %s\n", l.File, l.Type)
		case len(l.Findings) == 0:
			fmt.Fprintf(stdio.Out, "%s: ok\n", l.File)
		}
		for _, f := range l.Findings {
			fmt.Fprintf(stdio.Out, "%s: %s\n", l.File, f)
		}
	}
	return nil
}
