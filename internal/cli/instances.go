package cli

import (
	"encoding/json"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

func newInstances(stdio Stdio) *cobra.Command {
	var a awsFlags
	var asJSON bool
	c := &cobra.Command{
		Use:   "instances",
		Short: "List the managed instances",
		Args:  exactly(0, "no arguments"),
		RunE: func(c *cobra.Command, _ []string) error {
			r, _, err := a.connect(c.Context())
			if err != nil {
				return err
			}
			list, err := r.Instances(c.Context())
			if err != nil {
				return fail(err)
			}
			if asJSON {
				type row struct {
					InstanceID   string     `json:"instance_id"`
					Name         string     `json:"name,omitempty"`
					Ping         string     `json:"ping_status"`
					LastPing     *time.Time `json:"last_ping,omitempty"`
					AgentVersion string     `json:"agent_version,omitempty"`
					Platform     string     `json:"platform,omitempty"`
					IPAddress    string     `json:"ip_address,omitempty"`
				}
				rows := []row{}
				for _, i := range list {
					rows = append(rows, row{i.ID, i.Name, string(i.Ping), timePtr(i.LastPing), i.AgentVersion, platform(i.PlatformName, i.PlatformVersion), i.IPAddress})
				}
				e := json.NewEncoder(stdio.Out)
				e.SetIndent("", "  ")
				return e.Encode(rows)
			}
			if len(list) == 0 {
				fmt.Fprintln(stdio.Err, "No instance is managed here.")
				return nil
			}
			t := tabwriter.NewWriter(stdio.Out, 0, 8, 2, ' ', 0)
			fmt.Fprintln(t, "INSTANCE\tPING\tLAST PING\tNAME\tPLATFORM\tAGENT")
			for _, i := range list {
				fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", i.ID, i.Ping, ago(i.LastPing), i.Name, platform(i.PlatformName, i.PlatformVersion), i.AgentVersion)
			}
			return t.Flush()
		},
	}
	a.add(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print the list as JSON")
	return c
}

func platform(name, version string) string {
	if version == "" {
		return name
	}
	return name + " " + version
}

// ago tells how long ago a time was, coarsely.
func ago(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	d := time.Since(t)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s ago", max(0, int(d.Seconds())))
	case d < time.Hour:
		return fmt.Sprintf("%d min ago", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h ago", int(d.Hours()))
	default:
		return t.Format(time.DateOnly)
	}
}
