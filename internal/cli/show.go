package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"ssmrun/internal/runner"
)

func newShow(stdio Stdio) *cobra.Command {
	var a awsFlags
	var asJSON bool
	c := &cobra.Command{
		Use:   "show COMMAND-ID",
		Short: "Show what became of a command on each instance, with outputs",
		Args:  exactly(1, "a command id"),
		RunE: func(c *cobra.Command, args []string) error {
			r, _, err := a.connect(c.Context())
			if err != nil {
				return err
			}
			result, err := r.Show(c.Context(), args[0], runner.OutputsOfAll)
			if err != nil {
				return fail(err)
			}
			if asJSON {
				return writeJSON(stdio.Out, result, nil)
			}
			for _, cmd := range result.Commands {
				fmt.Fprintf(stdio.Err, "%s  %s  %s  %d of %d instances done\n", cmd.ID, result.Document, cmd.State, cmd.Counts.Completed, cmd.Counts.Target)
			}
			showResult(stdio, result)
			return nil
		},
	}
	a.add(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print the result as JSON")
	return c
}

// exactly checks the number of arguments and says what they are.
func exactly(n int, what string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) != n {
			return &exitError{ExitUsage, fmt.Errorf("%s takes %s\nUsage: %s", c.CommandPath(), what, c.UseLine())}
		}
		return nil
	}
}
