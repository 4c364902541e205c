package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"ssmrun/internal/runner"
)

// resultJSON is the form of --json. Times are RFC 3339; a member that is not
// known is left out.
type resultJSON struct {
	CommandIDs []string       `json:"command_ids"`
	Document   string         `json:"document"`
	Region     string         `json:"region"`
	Started    *time.Time     `json:"started,omitempty"`
	Ended      *time.Time     `json:"ended,omitempty"`
	Instances  []instanceJSON `json:"instances"`
	Warnings   []string       `json:"warnings,omitempty"`
	Error      *errorJSON     `json:"error,omitempty"`
}

type errorJSON struct {
	ExitCode int    `json:"exit_code"`
	Summary  string `json:"summary"`
	Detail   string `json:"detail,omitempty"`
}

type instanceJSON struct {
	InstanceID    string       `json:"instance_id"`
	Name          string       `json:"name,omitempty"`
	CommandID     string       `json:"command_id,omitempty"`
	Status        string       `json:"status"`
	StatusDetails string       `json:"status_details"`
	ExitCode      int          `json:"exit_code"`
	Problem       string       `json:"problem,omitempty"`
	Started       *time.Time   `json:"started,omitempty"`
	Ended         *time.Time   `json:"ended,omitempty"`
	Plugins       []pluginJSON `json:"plugins"`
	Trace         string       `json:"trace,omitempty"`
}

type pluginJSON struct {
	Name          string     `json:"name"`
	Status        string     `json:"status"`
	StatusDetails string     `json:"status_details"`
	ExitCode      int        `json:"exit_code"`
	Started       *time.Time `json:"started,omitempty"`
	Finished      *time.Time `json:"finished,omitempty"`
	Stdout        streamJSON `json:"stdout"`
	Stderr        streamJSON `json:"stderr"`
}

type streamJSON struct {
	Text string `json:"text"`
	Cut  bool   `json:"cut,omitempty"`
	S3   string `json:"s3,omitempty"`
}

func writeJSON(w io.Writer, r *runner.Result, err error) error {
	out := resultJSON{CommandIDs: []string{}, Instances: []instanceJSON{}}
	if r != nil {
		out.CommandIDs, out.Document, out.Region, out.Warnings = r.CommandIDs(), r.Document, r.Region, r.Warnings
		out.Started, out.Ended = timePtr(r.Started), timePtr(r.Ended)
		for n := range r.Instances {
			out.Instances = append(out.Instances, instanceOut(&r.Instances[n]))
		}
	}
	if err != nil {
		title, detail := runner.Explain(err, runner.ReportOptions{})
		out.Error = &errorJSON{ExitCode: exitCode(err), Summary: title, Detail: detail}
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(out); err != nil {
		return fmt.Errorf("print the result: %w", err)
	}
	return nil
}

func instanceOut(i *runner.InstanceResult) instanceJSON {
	out := instanceJSON{
		InstanceID: i.ID, Name: i.Name, CommandID: i.CommandID,
		Status: string(i.State.Status), StatusDetails: string(i.State.Details), ExitCode: i.ExitCode,
		Problem: i.Problem, Started: timePtr(i.Started), Ended: timePtr(i.Ended), Plugins: []pluginJSON{}, Trace: i.Trace,
	}
	for n := range i.Plugins {
		p := &i.Plugins[n]
		out.Plugins = append(out.Plugins, pluginJSON{
			Name: p.Name, Status: string(p.State.Status), StatusDetails: string(p.State.Details), ExitCode: p.ExitCode,
			Started: timePtr(p.Started), Finished: timePtr(p.Finished), Stdout: streamOut(p.Stdout), Stderr: streamOut(p.Stderr),
		})
	}
	return out
}

func streamOut(s runner.Stream) streamJSON {
	out := streamJSON{Text: s.Head, Cut: s.Cut}
	if s.Object != nil {
		out.S3 = s.Object.URL()
	}
	return out
}

func timePtr(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
