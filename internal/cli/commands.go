package cli

import (
	"encoding/json"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/spf13/cobra"

	"ssmrun"
)

func newCommands(stdio Stdio) *cobra.Command {
	var a awsFlags
	var limit int
	var asJSON bool
	c := &cobra.Command{
		Use:   "commands",
		Short: "List commands, newest first",
		Args:  exactly(0, "no arguments"),
		RunE: func(c *cobra.Command, _ []string) error {
			_, client, err := a.connect(c.Context())
			if err != nil {
				return err
			}
			var list []types.Command
			pages := ssm.NewListCommandsPaginator(client, &ssm.ListCommandsInput{MaxResults: aws.Int32(int32(min(max(limit, 1), 50)))})
			for pages.HasMorePages() && len(list) < limit {
				page, err := pages.NextPage(c.Context())
				if err != nil {
					return fail(err)
				}
				list = append(list, page.Commands...)
			}
			list = list[:min(len(list), limit)]
			if asJSON {
				return commandsJSON(stdio, list)
			}
			t := tabwriter.NewWriter(stdio.Out, 0, 8, 2, ' ', 0)
			fmt.Fprintln(t, "COMMAND\tREQUESTED\tSTATUS\tDONE\tERRORS\tDOCUMENT\tCOMMENT")
			for _, cmd := range list {
				fmt.Fprintf(t, "%s\t%s\t%s\t%d/%d\t%d\t%s\t%s\n", aws.ToString(cmd.CommandId), ago(aws.ToTime(cmd.RequestedDateTime)),
					commandState(cmd), cmd.CompletedCount, cmd.TargetCount, cmd.ErrorCount, aws.ToString(cmd.DocumentName), aws.ToString(cmd.Comment))
			}
			return t.Flush()
		},
	}
	a.add(c)
	c.Flags().IntVar(&limit, "limit", 20, "how many to list")
	c.Flags().BoolVar(&asJSON, "json", false, "print the list as JSON")
	return c
}

func commandState(c types.Command) ssmrun.State {
	return ssmrun.State{Status: ssmrun.Status(c.Status), Details: ssmrun.Details(aws.ToString(c.StatusDetails))}
}

// commandsJSON leaves the parameters out: they may hold secrets.
func commandsJSON(stdio Stdio, list []types.Command) error {
	type row struct {
		CommandID     string     `json:"command_id"`
		Document      string     `json:"document"`
		Comment       string     `json:"comment,omitempty"`
		Requested     *time.Time `json:"requested,omitempty"`
		Status        string     `json:"status"`
		StatusDetails string     `json:"status_details"`
		Targets       int32      `json:"target_count"`
		Completed     int32      `json:"completed_count"`
		Errors        int32      `json:"error_count"`
		InstanceIDs   []string   `json:"instance_ids"`
	}
	rows := []row{}
	for _, c := range list {
		rows = append(rows, row{
			aws.ToString(c.CommandId), aws.ToString(c.DocumentName), aws.ToString(c.Comment),
			timePtr(aws.ToTime(c.RequestedDateTime)), string(c.Status), aws.ToString(c.StatusDetails),
			c.TargetCount, c.CompletedCount, c.ErrorCount, c.InstanceIds,
		})
	}
	e := json.NewEncoder(stdio.Out)
	e.SetIndent("", "  ")
	return e.Encode(rows)
}
