package cli

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"ssmrun/internal/agent/state"
	"ssmrun/internal/identity"
)

func newEnv(stdio Stdio) *cobra.Command {
	var data string
	var https bool
	c := &cobra.Command{
		Use:   "env --data DIR",
		Short: "Print shell lines that point AWS tools at a service on this machine",
		Long: `Prints the lines that set AWS's environment variables for the service that
works on a data folder:

  eval "$(ssmrun env --data DIR)"

With --tls it is the service's HTTPS address (ssmrun serve --tls-listen), and
AWS_CA_BUNDLE its CA.`,
		Args: exactly(0, "no arguments"),
		RunE: func(*cobra.Command, []string) error {
			if data == "" {
				return &exitError{ExitUsage, errors.New("--data is missing: name the service's data folder")}
			}
			e, err := state.ReadEndpoint(filepath.Join(data, "endpoint.json"))
			if err != nil {
				return fmt.Errorf("no service has worked on %s: %w", data, err)
			}
			if !e.Alive() {
				return fmt.Errorf("the service on %s is not running; start it with: ssmrun serve --data %s", data, shellWord(data))
			}
			key, err := identity.ReadKey(filepath.Join(data, "identity.json"))
			if err != nil {
				return err
			}
			if https {
				if e.TLS == "" {
					return fmt.Errorf("the service on %s does not listen for HTTPS; start it with --tls-listen HOST:PORT, or leave --tls out", data)
				}
				e.URL = e.TLS
			}
			for _, v := range [][2]string{
				{"AWS_ENDPOINT_URL", e.URL},
				{"AWS_REGION", e.Region},
				{"AWS_DEFAULT_REGION", e.Region},
				{"AWS_ACCESS_KEY_ID", key.AccessKeyID},
				{"AWS_SECRET_ACCESS_KEY", key.Secret},
				{"AWS_EC2_METADATA_DISABLED", "true"},
			} {
				fmt.Fprintf(stdio.Out, "export %s=%s\n", v[0], shellWord(v[1]))
			}
			if https && e.CAFile != "" {
				fmt.Fprintf(stdio.Out, "export AWS_CA_BUNDLE=%s\n", shellWord(e.CAFile))
			}
			fmt.Fprintln(stdio.Out, "unset AWS_PROFILE AWS_SESSION_TOKEN")
			return nil
		},
	}
	c.Flags().StringVar(&data, "data", "", "the service's data folder (required)")
	c.Flags().BoolVar(&https, "tls", false, "the service's HTTPS address, with its CA")
	return c
}
