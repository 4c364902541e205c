package cli

import (
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/spf13/cobra"

	"ssmrun/internal/document"
)

func newDocumentsHash(stdio Stdio) *cobra.Command {
	var a awsFlags
	var version string
	c := &cobra.Command{
		Use:   "hash NAME...",
		Short: "Print the sha256 of documents, as the policy of a host names them",
		Long: `Print the sha256 of documents of the service, as the policy of a host names them:
of the JSON that the service sends to agents. For a document in a file there is
'ssmrun agent policy hash FILE'.`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return &exitError{ExitUsage, fmt.Errorf("%s takes names of documents\nUsage: %s", c.CommandPath(), c.UseLine())}
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			_, client, err := a.connect(c.Context())
			if err != nil {
				return err
			}
			for _, name := range args {
				in := &ssm.GetDocumentInput{Name: aws.String(name), DocumentFormat: types.DocumentFormatJson}
				if version != "" {
					in.DocumentVersion = aws.String(version)
				}
				out, err := client.GetDocument(c.Context(), in)
				if err != nil {
					return fail(fmt.Errorf("get document %s: %w", name, err))
				}
				d, err := document.ParseDelivered([]byte(aws.ToString(out.Content)))
				if err != nil {
					return fmt.Errorf("read document %s: %w", name, err)
				}
				fmt.Fprintf(stdio.Out, "%s  %s\n", d.Hash(), name)
			}
			return nil
		},
	}
	a.add(c)
	c.Flags().StringVar(&version, "document-version", "", "version (default: the document's default version)")
	return c
}
