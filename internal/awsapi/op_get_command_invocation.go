package awsapi

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"ssmrun"
	"ssmrun/internal/store"
)

type getCommandInvocationResponse struct {
	CommandId              string
	InstanceId             string
	Comment                string
	DocumentName           string
	DocumentVersion        string
	PluginName             string
	ResponseCode           int
	ExecutionStartDateTime string `json:",omitempty"`
	ExecutionElapsedTime   string `json:",omitempty"`
	ExecutionEndDateTime   string
	Status                 ssmrun.Status
	StatusDetails          ssmrun.Details
	StandardOutputContent  string
	StandardOutputUrl      string
	StandardErrorContent   string
	StandardErrorUrl       string
	CloudWatchOutputConfig cloudWatchOutputConfig
}

func (a *API) getCommandInvocation(ctx context.Context, c *Call) (any, error) {
	var in struct{ CommandId, InstanceId, PluginName string }
	if err := decode(c.Body, &in); err != nil {
		return nil, err
	}
	c.Subject = Subject{CommandID: in.CommandId, Instances: []string{in.InstanceId}}
	var out *getCommandInvocationResponse
	err := a.cfg.Store.View(ctx, func(tx store.Tx) error {
		none := ssmrun.Errorf(ssmrun.CodeInvocationDoesNotExist, "Invocation not found for %s, %s", in.CommandId, in.InstanceId)
		cmd, err := tx.Command(c.Scope, in.CommandId)
		if errors.Is(err, ssmrun.ErrNotFound) || a.races.unseen(in.CommandId) {
			return none
		}
		if err != nil {
			return err
		}
		inv, err := tx.Invocation(c.Scope, in.CommandId, in.InstanceId)
		if errors.Is(err, ssmrun.ErrNotFound) {
			return none
		}
		if err != nil {
			return err
		}
		kept, err := tx.Plugins(c.Scope, in.CommandId, in.InstanceId)
		if err != nil {
			return err
		}
		plugins := cmd.Plugins(in.InstanceId, kept)
		p := pick(plugins, in.PluginName)
		if p == nil {
			return wrongPlugin(in.CommandId, in.InstanceId, in.PluginName, plugins)
		}
		out = a.getOut(cmd, inv, p, len(plugins))
		return nil
	})
	return out, err
}

// pick finds the plugin asked for; the only one needs no name.
func pick(plugins []ssmrun.Plugin, name string) *ssmrun.Plugin {
	if name == "" && len(plugins) == 1 {
		return &plugins[0]
	}
	for i := range plugins {
		if plugins[i].Name == name {
			return &plugins[i]
		}
	}
	return nil
}

func wrongPlugin(command, instance, name string, plugins []ssmrun.Plugin) error {
	if name != "" {
		return ssmrun.Errorf(ssmrun.CodeInvalidPluginName, "Plugin %s not found for invocation with command id %s and instance id %s", name, command, instance)
	}
	names := make([]string, len(plugins))
	for i := range plugins {
		names[i] = plugins[i].Name
	}
	return ssmrun.Errorf(ssmrun.CodeInvalidPluginName, "The document has %d steps: name one of %s in PluginName.", len(plugins), strings.Join(names, ", "))
}

func (a *API) getOut(cmd *ssmrun.Command, inv *ssmrun.Invocation, p *ssmrun.Plugin, of int) *getCommandInvocationResponse {
	state := shownState(inv, p, of)
	out := &getCommandInvocationResponse{
		CommandId: inv.CommandID, InstanceId: inv.InstanceID, Comment: cmd.Comment,
		DocumentName: documentName(cmd.Document), DocumentVersion: cmd.Version, PluginName: p.Name,
		ResponseCode: p.ExitCode, Status: state.Status, StatusDetails: state.Details,
		StandardOutputContent: ssmrun.CutStream(p.Stdout, ssmrun.MaxStreamChars),
		StandardErrorContent:  ssmrun.CutStream(p.Stderr, ssmrun.MaxStderrChars),
	}
	if p.Started.IsZero() && p.Stderr == "" && state.Status == ssmrun.Failed {
		// Why the agent refused it; AWS has no member for that here.
		out.StandardErrorContent = ssmrun.CutStream(inv.Trace, ssmrun.MaxStderrChars)
	}
	if !p.Finished.IsZero() {
		elapsed := p.Finished.Sub(p.Started)
		out.ExecutionStartDateTime = isoTime(p.Started)
		out.ExecutionElapsedTime = isoElapsed(elapsed)
		// As observed: the end is the start and the whole seconds of the time.
		out.ExecutionEndDateTime = isoTime(p.Started.Add(elapsed.Truncate(time.Second)))
		out.StandardOutputUrl, out.StandardErrorUrl = a.outputURLs(cmd, p)
	}
	return out
}

func isoTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// isoElapsed spells a duration as ISO 8601 with milliseconds, without trailing
// zeros: PT3.175S, PT0.02S, PT1M2S.
func isoElapsed(d time.Duration) string {
	d = d.Truncate(time.Millisecond)
	s := "PT"
	if h := d / time.Hour; h > 0 {
		s += strconv.Itoa(int(h)) + "H"
		d %= time.Hour
	}
	if m := d / time.Minute; m > 0 {
		s += strconv.Itoa(int(m)) + "M"
		d %= time.Minute
	}
	if d > 0 || s == "PT" {
		s += strconv.FormatFloat(d.Seconds(), 'f', -1, 64) + "S"
	}
	return s
}
