package runner

import (
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"ssmrun"
)

// short spells a duration for people: 250ms, 3.2s, 45s, 5m, 1h30m.
func short(d time.Duration) string {
	switch {
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < 10*time.Second:
		return d.Round(100 * time.Millisecond).String()
	}
	s := d.Round(time.Second).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// instances counts instances in words.
func instances(n int) string {
	if n == 1 {
		return "1 instance"
	}
	return fmt.Sprintf("%d instances", n)
}

// listed joins names, at most limit of them: "a, b and 3 more".
func listed(names []string, limit int) string {
	if len(names) <= limit {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:limit], ", "), len(names)-limit)
}

// String tells who is waited for, and why.
func (e WaitingForInstances) String() string {
	var causes []string
	ids := map[string][]string{}
	for _, m := range e.Missing {
		if ids[m.Cause] == nil {
			causes = append(causes, m.Cause)
		}
		ids[m.Cause] = append(ids[m.Cause], m.ID)
	}
	groups := make([]string, len(causes))
	for i, c := range causes {
		groups[i] = listed(ids[c], 5) + " (" + c + ")"
	}
	return fmt.Sprintf("Waiting for %s, %s of %s: %s", instances(len(e.Missing)), short(e.Elapsed), short(e.Limit), strings.Join(groups, ", "))
}

// String tells what was found good.
func (e Validated) String() string {
	return fmt.Sprintf("Validated %s and document %s", instances(e.Instances), e.Document)
}

// String tells the command's id.
func (e Sent) String() string {
	s := fmt.Sprintf("Sent %s to %s: command %s", e.Document, instances(e.Instances), listed(e.CommandIDs, 1))
	if len(e.CommandIDs) > 1 {
		s = fmt.Sprintf("Sent %s to %s as %d commands: %s", e.Document, instances(e.Instances), len(e.CommandIDs), listed(e.CommandIDs, 5))
	}
	if e.Adopted {
		s += " (the answer was lost, the command was found by its token)"
	}
	return s
}

// String tells how many are done.
func (e Progress) String() string {
	s := fmt.Sprintf("%d of %s done", e.Counts.Completed, instances(e.Counts.Target))
	if n := e.Counts.Errors; n > 0 {
		s += fmt.Sprintf(", %d failed", n)
	}
	if n := e.Counts.DeliveryTimedOut; n > 0 {
		s += fmt.Sprintf(", %d not delivered in time", n)
	}
	if !e.Changed {
		s = "Still running: " + s
	}
	return s + " (" + short(e.Elapsed) + ")"
}

// String tells how an instance ended.
func (e InstanceDone) String() string { return e.Instance.String() }

// String is the notice.
func (e Notice) String() string { return e.Text }

// String is the instance and how it stands, in one line.
func (i InstanceResult) String() string { return i.label() + ": " + i.outcome() }

func (i InstanceResult) label() string {
	if i.Name == "" || i.Name == i.ID {
		return i.ID
	}
	return i.ID + " (" + i.Name + ")"
}

// meanings explains the details that do not speak for themselves.
var meanings = map[ssmrun.Details]string{
	ssmrun.DetailsExecutionTimedOut: "the script ran longer than its executionTimeout",
	ssmrun.DetailsDeliveryTimedOut:  "no agent took it in time",
	ssmrun.DetailsTerminated:        "never started, because the command had reached its max_errors",
	ssmrun.DetailsUndeliverable:     "the instance did not answer, or is gone",
	ssmrun.DetailsInvalidPlatform:   "the document is not for its platform",
	ssmrun.DetailsAccessDenied:      "the caller may not run commands on it",
	ssmrun.DetailsPending:           "not begun",
	ssmrun.DetailsDelayed:           "not begun, its agent does not answer",
	ssmrun.DetailsInProgress:        "still running",
	ssmrun.DetailsNoInstancesInTag:  "the command found no instance",
}

// outcome says how the instance stands: the status as Run Command spells it,
// what it means where that is not plain, and the exit code.
func (i InstanceResult) outcome() string {
	if i.Problem != "" {
		return i.Problem
	}
	s := string(i.State.Details)
	if m := meanings[i.State.Details]; m != "" {
		s += ", " + m
	}
	if i.ExitCode != ssmrun.ExitNotStarted && i.State.Terminal() {
		s += fmt.Sprintf(", exit code %d", i.ExitCode)
	}
	if p := i.Decisive(); p != nil && len(i.Plugins) > 1 && !i.Succeeded() && i.State.Terminal() {
		s += fmt.Sprintf(", in step %s", p.Name)
	}
	return s
}

// SuccessText says that it ran on all instances, with the command's id and the
// line that shows its outputs.
func SuccessText(res *Result) string {
	took := ""
	if !res.Started.IsZero() && res.Ended.After(res.Started) {
		took = " in " + short(res.Ended.Sub(res.Started))
	}
	return fmt.Sprintf("Succeeded on %s%s: %s. To see the output: %s", instances(len(res.Instances)), took, commands(res), res.line("show", res.CommandID()))
}

// line is a command line of this project about a command of the result, ready
// to be pasted.
func (r *Result) line(verb, id string) string {
	s := "ssmrun " + verb + " " + id
	if r.Region != "" {
		s += " --region " + r.Region
	}
	if r.Endpoint != "" {
		s += " --endpoint-url " + r.Endpoint
	}
	return s
}

// awsLine is a command line of the AWS CLI for the same service.
func (r *Runner) awsLine(rest string) string {
	s := "aws "
	if r.cfg.Region != "" {
		s += "--region " + r.cfg.Region + " "
	}
	if r.cfg.Endpoint != "" {
		s += "--endpoint-url " + r.cfg.Endpoint + " "
	}
	return s + rest
}

var escapes = regexp.MustCompile("\x1b(\\[[0-9;?]*[ -/]*[@-~]|\\][^\x07\x1b]*(\x07|\x1b\\\\)?|[@-Z\\\\-_])")

// printable makes what a script wrote fit for a terminal: no colours, no
// cursor movements, of lines that overwrite themselves the last state, and no
// line without end.
func printable(line string) string {
	line = escapes.ReplaceAllString(strings.TrimRight(line, "\r\n"), "")
	if i := strings.LastIndexByte(line, '\r'); i >= 0 {
		line = line[i+1:]
	}
	line = strings.Map(func(r rune) rune {
		if r == '\t' || (r >= ' ' && r != 0x7f && !(r >= 0x80 && r < 0xa0)) {
			return r
		}
		return -1
	}, line)
	if utf8.RuneCountInString(line) > maxLine {
		line = ssmrun.Head(line, maxLine-1) + "…"
	}
	return line
}

// maxLine bounds a line of output in a report, in characters.
const maxLine = 400
