package runner

import (
	"fmt"
	"regexp"
	"strings"

	"ssmrun"
)

// ReportOptions bounds a text for humans. The zero value has the defaults.
type ReportOptions struct {
	Instances int // failed instances shown with output, equal ones as one; 20
	Lines     int // last lines of each one's output; 20
	Bytes     int // of the whole text, Footer included; 32 KiB
	// Footer stands at the end, whatever had to be left out: the caller's own
	// advice (the -invoke line of the Terraform action).
	Footer string
}

func (o ReportOptions) withDefaults() ReportOptions {
	if o.Instances == 0 {
		o.Instances = 20
	}
	if o.Lines == 0 {
		o.Lines = 20
	}
	if o.Bytes == 0 {
		o.Bytes = 32 << 10
	}
	return o
}

// FailureReport lists the failed instances of a result: the first ones with
// status, exit code and the last lines of stderr (of stdout where stderr is
// empty), equal outputs folded; the rest in one line each; and how to read more.
//
// Prose stands in lines of any length, for the terminal or Terraform to wrap;
// output and command lines are indented, which keeps both from wrapping them.
func FailureReport(res *Result, opts ReportOptions) string {
	opts = opts.withDefaults()
	return fit(opts, func(lines int) []string {
		parts := failures(res, opts.Instances, lines)
		parts = append(parts, warnings(res)...)
		return append(parts, readMore(res)...)
	})
}

// fit builds a text from its paragraphs with as many lines of output as the
// bound allows, and cuts it only where even none would be too many.
func fit(opts ReportOptions, build func(lines int) []string) string {
	footer := strings.TrimSpace(opts.Footer)
	if footer != "" {
		footer = "\n\n" + footer
	}
	text := ""
	for lines := opts.Lines; ; lines /= 2 {
		text = strings.Join(build(lines), "\n\n")
		if len(text)+len(footer) <= opts.Bytes {
			return text + footer
		}
		if lines == 0 {
			break
		}
	}
	const mark = "\n… (cut)"
	keep := max(opts.Bytes-len(footer)-len(mark), 0)
	text = strings.ToValidUTF8(text[:min(keep, len(text))], "")
	if i := strings.LastIndexByte(text, '\n'); i > 0 {
		text = text[:i]
	}
	return text + mark + footer
}

// group is failed instances that ended alike.
type group struct {
	outcome string
	heading string // which stream is shown, and how much of it
	output  []string
	members []InstanceResult
}

// failures is one paragraph for every way in which instances failed, and one
// for the rest.
func failures(res *Result, most, lines int) []string {
	var groups []*group
	byKey := map[string]*group{}
	for _, i := range res.Failed() {
		if !i.State.Terminal() && i.Problem == "" {
			continue // it runs on; that is another paragraph's matter
		}
		g := &group{outcome: i.outcome()}
		g.heading, g.output = tail(res, i, lines)
		key := strings.Join(append([]string{g.outcome, g.heading}, g.output...), "\n")
		if byKey[key] == nil {
			byKey[key] = g
			groups = append(groups, g)
		}
		byKey[key].members = append(byKey[key].members, i)
	}
	var parts, rest []string
	for n, g := range groups {
		if n >= most {
			for _, i := range g.members {
				rest = append(rest, i.String())
			}
			continue
		}
		parts = append(parts, g.String())
	}
	if len(rest) > 0 {
		parts = append(parts, fmt.Sprintf("And %s more:\n%s", instances(len(rest)), strings.Join(rest, "\n")))
	}
	return parts
}

func (g *group) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s", g.members[0].label(), g.outcome)
	if n := len(g.members) - 1; n > 0 {
		others := make([]string, n)
		for i, m := range g.members[1:] {
			others[i] = m.label()
		}
		alike := "The same on"
		if len(g.output) > 0 {
			alike = "The same, with the same output, on"
		}
		fmt.Fprintf(&b, "\n%s %s", alike, strings.Join(others, ", "))
	}
	if g.heading != "" {
		b.WriteString("\n" + g.heading)
	}
	for _, line := range g.output {
		b.WriteString(strings.TrimRight("\n    "+line, " \t"))
	}
	return b.String()
}

// agentLine is what agents put at the end of a failed script's stderr.
var agentLine = regexp.MustCompile(`^\s*failed to run commands: exit status -?[0-9]+\s*$`)

// shown is the stream of the instance that a report shows: stderr of the
// Decisive plugin, its stdout where stderr holds nothing but the agent's own
// last line; nil where both are empty.
func (i *InstanceResult) shown() (s *Stream, name string) {
	p := i.Decisive()
	if p == nil {
		return nil, ""
	}
	stdout, stderr := p.Stdout.Head != "", p.Stderr.Head != "" || p.Stderr.Cut
	if stdout && agentLine.MatchString(p.Stderr.Head) {
		stderr = false
	}
	switch {
	case stderr:
		return &p.Stderr, "stderr"
	case stdout:
		return &p.Stdout, "stdout"
	}
	return nil, ""
}

// tail gives the last lines of what the report shows of an instance, and the
// heading that says how much that is.
func tail(res *Result, i InstanceResult, most int) (heading string, lines []string) {
	s, name := i.shown()
	if s == nil {
		if i.Trace != "" {
			return "The agent says:", last(i.Trace, most)
		}
		return "", nil
	}
	text, from := s.Head, ""
	switch {
	case s.Cut && s.Tail != "":
		text, from = s.Tail, ", from S3"
	case s.Cut && res.Output.Bucket != "":
		from = fmt.Sprintf(", of the first %d characters that Run Command keeps", runes(s.Head))
	case s.Cut:
		from = fmt.Sprintf(", of the first %d characters that Run Command keeps; name an S3 bucket for the output to keep all of it", runes(s.Head))
	}
	lines = last(text, most)
	total := len(last(text, len(text)+1))
	switch {
	case len(lines) == 0:
		return "", nil
	case len(lines) < total || from != "":
		return fmt.Sprintf("%s, last %s%s:", name, count(len(lines), "line"), from), lines
	}
	return name + ":", lines
}

// last gives the last lines of a text that are not empty at its ends.
func last(text string, most int) []string {
	text = strings.Trim(text, "\r\n")
	if text == "" || most == 0 {
		return nil
	}
	lines := strings.Split(text, "\n")
	if len(lines) > most {
		lines = lines[len(lines)-most:]
	}
	out := make([]string, len(lines))
	for i, l := range lines {
		out[i] = printable(l)
	}
	return out
}

func runes(s string) int { return len([]rune(s)) }

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func warnings(res *Result) []string {
	parts := make([]string, len(res.Warnings))
	for i, w := range res.Warnings {
		parts[i] = "Warning: " + w + "."
	}
	return parts
}

// readMore says where all of the output is.
func readMore(res *Result) []string {
	if len(res.Commands) == 0 {
		return nil
	}
	s := "To see everything:"
	for _, c := range res.Commands {
		s += "\n    " + res.line("show", c.ID)
	}
	parts := []string{s}
	if where := trimmedOutput(res.Output); where != "" {
		s := "The whole output is in S3:"
		for _, c := range res.Commands {
			s += "\n    " + where + "/" + c.ID + "/"
		}
		parts = append(parts, s)
	}
	return parts
}

// summary is a failed run in one line.
func (r *Result) summary() string {
	failed := r.Failed()
	var names []string
	for _, i := range failed {
		names = append(names, i.ID)
	}
	what := "failed"
	if !anyTerminal(failed) {
		what = "did not run"
	}
	return fmt.Sprintf("%s %s on %d of %s: %s (%s)", r.Document, what, len(failed), instances(len(r.Instances)), listed(names, 3), commands(r))
}

func anyTerminal(list []InstanceResult) bool {
	for _, i := range list {
		if i.State.Terminal() && i.State.Status != ssmrun.Success {
			return true
		}
	}
	return false
}
