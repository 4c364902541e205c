package cli

import (
	"github.com/spf13/cobra"

	"ssmrun/internal/agent"
)

// newAgent is the agent, as ssmrun-agent is. Its flags are its own.
func newAgent(stdio Stdio) *cobra.Command {
	return &cobra.Command{
		Use:                "agent",
		Short:              "Be the agent on a host: run what the service sends",
		DisableFlagParsing: true,
		RunE: func(c *cobra.Command, args []string) error {
			if code := agent.Main(c.Context(), args, stdio.In, stdio.Out, stdio.Err); code != 0 {
				return &exitError{code, nil}
			}
			return nil
		},
	}
}
