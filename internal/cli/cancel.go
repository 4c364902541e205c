package cli

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"
)

func newCancel(stdio Stdio) *cobra.Command {
	var a awsFlags
	var ids []string
	var wait time.Duration
	c := &cobra.Command{
		Use:   "cancel COMMAND-ID",
		Short: "Cancel a command, on all its instances or on some",
		Args:  exactly(1, "a command id"),
		RunE: func(c *cobra.Command, args []string) error {
			r, _, err := a.connect(c.Context())
			if err != nil {
				return err
			}
			result, err := r.Cancel(c.Context(), args[0], ids, wait)
			if err != nil {
				return fail(err)
			}
			for n := range result.Instances {
				fmt.Fprintln(stdio.Out, result.Instances[n].String())
			}
			return nil
		},
	}
	a.add(c)
	c.Flags().StringSliceVar(&ids, "instance-ids", nil, "instances to cancel it on, with commas between them (default: all)")
	c.Flags().DurationVar(&wait, "wait", 10*time.Second, "how long to wait for the end")
	return c
}
