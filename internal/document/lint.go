package document

import (
	"fmt"
	"slices"
	"strings"
)

// Finding is a parameter whose value becomes part of a script as text, so that
// whoever may give it can run what he likes.
type Finding struct {
	Step      string `json:"step"`  // its name; the plugin's for schema 1.x
	Input     string `json:"input"` // of the step, "runCommand"
	Parameter string `json:"parameter"`
	Why       string `json:"why"`
	Fix       string `json:"fix"`
}

// String is the finding in one sentence.
func (f Finding) String() string {
	return fmt.Sprintf("step %s: parameter %s: %s; %s", f.Step, f.Parameter, f.Why, f.Fix)
}

// scriptInputs are the inputs that a shell reads.
var scriptInputs = []string{"runCommand", "commandLine", "cmd"}

// Lint looks for shell injection: a parameter of text that nothing bounds
// (neither allowedPattern nor allowedValues; a pattern that is not checked here
// bounds nothing, see PatternError) and that is put into a script. A
// parameter that is the whole of the script is meant to be one, and no finding.
// Findings come in the order of the steps, each parameter once per step and
// input.
func (d *Document) Lint() []Finding {
	var out []Finding
	for _, s := range d.Steps {
		for _, input := range scriptInputs {
			script := Lines(s.Inputs[input])
			if len(script) == 1 && whole(script[0]) {
				continue
			}
			var seen []string
			for _, line := range script {
				for _, ref := range reference.FindAllStringSubmatch(line, -1) {
					p, ok := d.Parameter(ref[1])
					if !ok || !p.loose() || slices.Contains(seen, p.Name) {
						continue
					}
					seen = append(seen, p.Name)
					out = append(out, s.finding(p, input))
				}
			}
		}
	}
	return out
}

// whole tells whether text is one reference and nothing else.
func whole(text string) bool {
	at := reference.FindStringIndex(text)
	return at != nil && strings.TrimSpace(text[:at[0]]+text[at[1]:]) == ""
}

// loose tells whether any text can come by the parameter.
func (p Parameter) loose() bool {
	switch {
	case p.InterpolationType == InterpolationEnvVar, len(p.AllowedValues) > 0:
		return false
	case p.AllowedPattern != "":
		return p.PatternError() != nil
	default:
		return p.Type != TypeBoolean && p.Type != TypeInteger
	}
}

func (s Step) finding(p Parameter, input string) Finding {
	f := Finding{Step: s.Name, Input: input, Parameter: p.Name}
	f.Why = fmt.Sprintf("any text given for it becomes part of the script (%s), and the shell runs what it finds there", input)
	if err := p.PatternError(); err != nil {
		f.Why += ": " + err.Error()
	}
	variable := `"$SSM_` + p.Name + `"`
	if s.Action == "aws:runPowerShellScript" || s.Action == "aws:psModule" {
		variable = "$env:SSM_" + p.Name
	}
	f.Fix = fmt.Sprintf("add `interpolationType: ENV_VAR` to the parameter and write %s instead of {{ %s }}, or bound it with allowedPattern or allowedValues", variable, p.Name)
	if p.Type != TypeString {
		f.Fix += fmt.Sprintf(" (the variable holds a %s as JSON)", p.Type)
	}
	if strings.Contains(p.Name, "-") {
		f.Fix += "; rename the parameter first, as a variable's name has no hyphen"
	}
	return f
}
