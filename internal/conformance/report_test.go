package conformance

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"text/tabwriter"
)

// heading begins the part of handbook/fidelity.md with the table of the cases
// that cannot match.
const heading = "\n## Recorded answers of AWS\n"

// exception is a row of that table.
type exception struct{ id, group, reason string }

// exceptions reads the table.
func exceptions(page string) (rows []exception, problems []string) {
	_, part, ok := strings.Cut(page, heading)
	if !ok {
		return nil, []string{fmt.Sprintf("handbook/fidelity.md has no part %q", strings.TrimSpace(heading))}
	}
	seen := map[string]bool{}
	for line := range strings.Lines(part) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "|") || strings.HasPrefix(line, "| case |") || strings.HasPrefix(line, "|---") {
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		if len(cells) != 3 {
			problems = append(problems, "a row of the table has 3 cells, case, group and why: "+line)
			continue
		}
		row := exception{strings.TrimSpace(cells[0]), strings.TrimSpace(cells[1]), strings.TrimSpace(cells[2])}
		switch {
		case seen[row.id]:
			problems = append(problems, row.id+" has two rows in the table")
		case len(strings.Fields(row.reason)) < 5:
			problems = append(problems, fmt.Sprintf("%s: %q is no reason", row.id, row.reason))
		}
		seen[row.id] = true
		rows = append(rows, row)
	}
	return rows, problems
}

// judge holds the results against the table: problems are what is wrong. The
// differences of a case that is not in the table are one.
func judge(list *catalog, rows []exception, diffs map[string][]string) (problems []string) {
	named := map[string]exception{}
	for _, r := range rows {
		named[r.id] = r
		one := list.byID[r.id]
		switch {
		case one == nil && list.standard:
			problems = append(problems, fmt.Sprintf("%s has a row in handbook/fidelity.md, but there is no such case: take the row out", r.id))
		case one == nil: // of another file
		case one.Group != r.group:
			problems = append(problems, fmt.Sprintf("%s is of group %s, not %s as its row in handbook/fidelity.md says", r.id, one.Group, r.group))
		case len(diffs[r.id]) == 0:
			problems = append(problems, fmt.Sprintf("%s matches now, but has a row in handbook/fidelity.md: take the row out", r.id))
		}
	}
	for _, one := range list.cases {
		if _, ok := named[one.ID]; !ok && len(diffs[one.ID]) > 0 {
			problems = append(problems, fmt.Sprintf("%s (%s, given %q)\n    %s", one.ID, one.Operation, one.Given, strings.Join(diffs[one.ID], "\n    ")))
		}
	}
	return problems
}

// report is what the run prints: a table by group, what is wrong, and the sum.
func report(list *catalog, rows []exception, diffs map[string][]string, problems []string) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "group\tmatched\ttotal\tnot possible")
	var groups []string
	matched, total, not := map[string]int{}, map[string]int{}, map[string]int{}
	for _, one := range list.cases {
		g := one.Group
		if !slices.Contains(groups, g) {
			groups = append(groups, g)
		}
		total[g]++
		switch {
		case len(diffs[one.ID]) == 0:
			matched[g]++
		case slices.ContainsFunc(rows, func(r exception) bool { return r.id == one.ID }):
			not[g]++
		}
	}
	sum, impossible := 0, 0
	for _, g := range groups {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\n", g, matched[g], total[g], not[g])
		sum, impossible = sum+matched[g], impossible+not[g]
	}
	_ = w.Flush() // into memory
	for _, p := range problems {
		fmt.Fprintf(&b, "\n%s\n", p)
	}
	fmt.Fprintf(&b, "\nconformance: matched %d of %d", sum, len(list.cases))
	if impossible > 0 {
		fmt.Fprintf(&b, "; %d cannot match, see handbook/fidelity.md", impossible)
	}
	return b.String() + "\n"
}

var noName = regexp.MustCompile(`[^a-zA-Z0-9_.-]+`)

// documentName is a name of the case's own.
func documentName(id string, n int) string {
	name := fmt.Sprintf("conformance-%d-%s", n, noName.ReplaceAllString(id, "-"))
	return name[:min(len(name), 100)]
}

func sha256Hex(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}
