package awsapi

import (
	"context"

	"ssmrun"
	"ssmrun/internal/store"
)

// invocationJSON is a CommandInvocation as lists show it.
type invocationJSON struct {
	CommandId              string
	InstanceId             string
	InstanceName           string
	Comment                string
	DocumentName           string
	DocumentVersion        string
	RequestedDateTime      epoch
	Status                 ssmrun.Status
	StatusDetails          ssmrun.Details
	TraceOutput            string `json:",omitempty"`
	StandardOutputUrl      string
	StandardErrorUrl       string
	CommandPlugins         []pluginJSON
	ServiceRole            string
	NotificationConfig     notificationConfig
	CloudWatchOutputConfig cloudWatchOutputConfig
}

type pluginJSON struct {
	Name                   string
	Status                 ssmrun.Status
	StatusDetails          ssmrun.Details
	ResponseCode           int
	ResponseStartDateTime  *epoch `json:",omitempty"`
	ResponseFinishDateTime *epoch `json:",omitempty"`
	Output                 string
	StandardOutputUrl      string
	StandardErrorUrl       string
	OutputS3Region         string
	OutputS3BucketName     string
	OutputS3KeyPrefix      string
}

func (a *API) listCommandInvocations(ctx context.Context, c *Call) (any, error) {
	var in listRequest
	if err := decode(c.Body, &in); err != nil {
		return nil, err
	}
	c.Subject = Subject{CommandID: in.CommandId}
	q, err := in.query(false)
	if err != nil {
		return nil, err
	}
	page, err := a.page(c, a.races.limit(pageSize(in.MaxResults)), in.NextToken)
	if err != nil {
		return nil, err
	}
	var out struct {
		CommandInvocations []invocationJSON
		NextToken          string `json:",omitempty"`
	}
	out.CommandInvocations = []invocationJSON{}
	err = a.cfg.Store.View(ctx, func(tx store.Tx) error {
		list, next, err := tx.ListInvocations(c.Scope, q, page)
		if err != nil {
			return err
		}
		commands := map[string]*ssmrun.Command{}
		for i := range list {
			inv := &list[i]
			if a.races.unseen(inv.CommandID) {
				continue
			}
			cmd := commands[inv.CommandID]
			if cmd == nil {
				if cmd, err = tx.Command(c.Scope, inv.CommandID); err != nil {
					return err
				}
				commands[cmd.ID] = cmd
			}
			row := invocationOut(cmd, inv)
			if in.Details {
				kept, err := tx.Plugins(c.Scope, inv.CommandID, inv.InstanceID)
				if err != nil {
					return err
				}
				plugins := cmd.Plugins(inv.InstanceID, kept)
				for n := range plugins {
					row.CommandPlugins = append(row.CommandPlugins, a.pluginOut(cmd, inv, &plugins[n], len(plugins)))
				}
			}
			out.CommandInvocations = append(out.CommandInvocations, row)
		}
		out.NextToken = a.next(c, next)
		return nil
	})
	return out, err
}

func invocationOut(cmd *ssmrun.Command, inv *ssmrun.Invocation) invocationJSON {
	return invocationJSON{
		CommandId: inv.CommandID, InstanceId: inv.InstanceID, InstanceName: inv.InstanceName,
		Comment: cmd.Comment, DocumentName: documentName(cmd.Document), DocumentVersion: cmd.Version,
		RequestedDateTime: epoch(inv.RequestedAt), Status: inv.State.Status, StatusDetails: inv.State.Details,
		TraceOutput: inv.Trace, CommandPlugins: []pluginJSON{}, ServiceRole: cmd.ServiceRole,
		NotificationConfig: noNotification(),
	}
}

func (a *API) pluginOut(cmd *ssmrun.Command, inv *ssmrun.Invocation, p *ssmrun.Plugin, of int) pluginJSON {
	state := shownState(inv, p, of)
	out := pluginJSON{
		Name: p.Name, Status: state.Status, StatusDetails: state.Details, ResponseCode: p.ExitCode,
		ResponseStartDateTime: epochPtr(p.Started), ResponseFinishDateTime: epochPtr(p.Finished),
		Output: ssmrun.Join(p.Stdout, p.Stderr),
	}
	if !p.Started.IsZero() {
		out.OutputS3Region = cmd.Output.Region
		out.OutputS3BucketName, out.OutputS3KeyPrefix = p.Output.Bucket, p.Output.Prefix
		out.StandardOutputUrl, out.StandardErrorUrl = a.outputURLs(cmd, p)
	}
	return out
}

// shownState is the state under which a plugin is shown. A document of one step
// is shown as its invocation is until the step's own result is there; with
// several, each step tells for itself, unless the invocation is over.
func shownState(inv *ssmrun.Invocation, p *ssmrun.Plugin, of int) ssmrun.State {
	if p.State.Terminal() || of > 1 && !inv.State.Terminal() {
		return p.State
	}
	return inv.State
}

// outputURLs are the addresses of a plugin's whole output.
func (a *API) outputURLs(cmd *ssmrun.Command, p *ssmrun.Plugin) (stdout, stderr string) {
	if p.Output.Bucket == "" || !p.State.Terminal() {
		return "", ""
	}
	base := a.cfg.S3URL(cmd.Output.Region) + "/" + p.Output.Bucket + "/" + p.Output.Prefix
	return base + "/stdout", base + "/stderr"
}
