package runner

import (
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

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
	groups := grouped(res, opts.Lines)
	return fit(opts, func(lines int) []string {
		parts := failures(groups, opts.Instances, lines)
		parts = append(parts, warnings(res)...)
		return append(parts, readMore(res, groups)...)
	})
}

// fit builds a text from its paragraphs with as many lines of output as the
// bound allows, and cuts it only where even none would be too many.
func fit(opts ReportOptions, build func(lines int) []string) string {
	footer := strings.TrimSpace(opts.Footer)
	if footer != "" {
		footer = "\n\n" + footer
	}
	var text string
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

// group is failed instances that ended alike, with the same output.
type group struct {
	outcome string
	stream  *Stream // nil for nothing to show
	name    string  // of the stream
	lines   []string
	total   int // lines that the stream has, as far as it is known
	members []InstanceResult
}

// grouped puts the failed instances that are over into groups, in the order of
// the request. Those that run on are another paragraph's matter.
func grouped(res *Result, most int) []*group {
	var groups []*group
	byKey := map[string]*group{}
	for _, i := range res.Failed() {
		if !i.State.Terminal() && i.Problem == "" {
			continue
		}
		g := &group{outcome: i.outcome()}
		g.stream, g.name = i.shown()
		switch {
		case g.stream != nil:
			g.lines, g.total = last(firstOf(g.stream.Tail, g.stream.Head), most)
		case i.Trace != "":
			g.name = "The agent says"
			g.lines, g.total = last(i.Trace, most)
		}
		key := strings.Join(append([]string{g.outcome, g.name}, g.lines...), "\n")
		if byKey[key] == nil {
			byKey[key] = g
			groups = append(groups, g)
		}
		byKey[key].members = append(byKey[key].members, i)
	}
	return groups
}

// failures is one paragraph for each of the first groups, and one for the rest.
func failures(groups []*group, most, lines int) []string {
	var parts, rest []string
	for n, g := range groups {
		if n < most {
			parts = append(parts, g.text(lines))
			continue
		}
		for _, i := range g.members {
			rest = append(rest, i.String())
		}
	}
	if len(rest) > 0 {
		parts = append(parts, fmt.Sprintf("And %s more:\n%s", instances(len(rest)), strings.Join(rest, "\n")))
	}
	return parts
}

// text is the paragraph of a group, with at most so many lines of output.
func (g *group) text(most int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s", g.members[0].label(), g.outcome)
	if n := len(g.members) - 1; n > 0 {
		others := make([]string, n)
		for i, m := range g.members[1:] {
			others[i] = m.ID
		}
		alike := "The same on"
		if len(g.lines) > 0 {
			alike = "The same, with the same output, on"
		}
		fmt.Fprintf(&b, "\n%s %s: %s", alike, instances(n), strings.Join(others, ", "))
	}
	lines := g.lines[max(0, len(g.lines)-most):]
	if len(lines) == 0 {
		return b.String()
	}
	b.WriteString("\n" + g.heading(len(lines)) + ":")
	for _, line := range lines {
		b.WriteString(strings.TrimRight("\n    "+printable(line), " \t"))
	}
	return b.String()
}

// heading says what is shown, and how much of it.
func (g *group) heading(shown int) string {
	switch {
	case g.stream != nil && g.stream.Tail != "":
		return fmt.Sprintf("%s, last %s, read from S3", g.name, count(shown, "line"))
	case g.stream != nil && g.stream.Cut:
		return fmt.Sprintf("%s, of which Run Command kept the first %d characters, last %s of these", g.name, utf8.RuneCountInString(g.stream.Head), count(shown, "line"))
	case shown < g.total:
		return fmt.Sprintf("%s, last %d of %d lines", g.name, shown, g.total)
	}
	return g.name
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

// last gives the last lines of a text, and how many it has; empty lines at its
// ends are none.
func last(text string, most int) (lines []string, total int) {
	text = strings.Trim(text, "\r\n")
	if text == "" {
		return nil, 0
	}
	lines = strings.Split(text, "\n")
	return lines[max(0, len(lines)-most):], len(lines)
}

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

// readMore says where all of the output is, or how it could be kept.
func readMore(res *Result, groups []*group) []string {
	if len(res.Commands) == 0 {
		return nil
	}
	parts := []string{"To see everything:" + commandLines(res, "show", func(Command) bool { return true })}
	if where := trimmedOutput(res.Output); where != "" {
		var s strings.Builder
		s.WriteString("The output in full, in S3:")
		for _, c := range res.Commands {
			s.WriteString("\n    " + where + "/" + c.ID + "/")
		}
		return append(parts, s.String())
	}
	for _, g := range groups {
		if g.stream != nil && g.stream.Cut {
			return append(parts, "Run Command keeps only the beginning of long output. To keep all of it, name an S3 bucket for it.")
		}
	}
	return parts
}

// commandLines is a command line for each of the chosen commands of the result,
// each in a line of its own, indented.
func commandLines(res *Result, verb string, chosen func(Command) bool) string {
	var s strings.Builder
	for _, c := range res.Commands {
		if chosen(c) {
			s.WriteString("\n    " + res.line(verb, c.ID))
		}
	}
	return s.String()
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
