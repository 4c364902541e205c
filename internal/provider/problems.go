package provider

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"

	"ssmrun/internal/runner"
)

// failures are problems that the configuration itself has: one error for each
// argument.
func failures(problems []runner.Problem) diag.Diagnostics {
	var out diag.Diagnostics
	for _, f := range fieldsOf(problems) {
		out.AddAttributeError(path.Root(string(f)), "Invalid "+string(f), describe(problems, f))
	}
	return out
}

// warnings are problems that AWS sees while the plan is made: one warning for
// each argument.
func warnings(problems []runner.Problem) diag.Diagnostics {
	var out diag.Diagnostics
	for _, f := range fieldsOf(problems) {
		text := describe(problems, f)
		if f != runner.FieldTimeout {
			text += "\n\nThis is how it stands while the plan is made, and no error yet: the same apply may change it. It is checked again when the action runs."
		}
		out.AddAttributeWarning(path.Root(string(f)), "Check "+string(f), text)
	}
	return out
}

// fieldsOf gives the arguments that have problems, in their order.
func fieldsOf(problems []runner.Problem) []runner.Field {
	var fields []runner.Field
	for _, p := range problems {
		if !slices.Contains(fields, p.Field) {
			fields = append(fields, p.Field)
		}
	}
	return fields
}

// sentence is a problem's summary as one. An id keeps its spelling.
func sentence(p runner.Problem) string {
	if p.Subject != "" && strings.HasPrefix(p.Summary, p.Subject) {
		return p.Summary + "."
	}
	r, n := utf8.DecodeRuneInString(p.Summary)
	return string(unicode.ToUpper(r)) + p.Summary[n:] + "."
}

// describe puts the problems of an argument into a paragraph for each piece of
// advice, so that it stands there once for many instances.
func describe(problems []runner.Problem, f runner.Field) string {
	var advices []string
	summaries := map[string][]string{}
	for _, p := range problems {
		if p.Field != f {
			continue
		}
		if summaries[p.Advice] == nil {
			advices = append(advices, p.Advice)
		}
		summaries[p.Advice] = append(summaries[p.Advice], sentence(p))
	}
	paragraphs := make([]string, len(advices))
	for i, advice := range advices {
		lines := summaries[advice]
		if advice != "" {
			lines = append(lines, advice+".")
		}
		paragraphs[i] = strings.Join(lines, "\n")
	}
	return strings.Join(paragraphs, "\n\n")
}
