package document

import (
	"fmt"
	"strings"
	"testing"

	"ssmrun"
)

const oneStep = `"mainSteps":[{"action":"aws:runShellScript","name":"say","inputs":{"runCommand":["true"]}}]`

// hostileDocuments are of the largest size and cost the most to read.
func hostileDocuments() map[string]string {
	fill := func(open, unit, end string) string {
		return open + strings.Repeat(unit, (ssmrun.MaxDocumentBytes-len(open)-len(end))/len(unit)) + end
	}
	var parameters, aliases strings.Builder
	for n := 0; parameters.Len() < ssmrun.MaxDocumentBytes-300; n++ {
		fmt.Fprintf(&parameters, `"p%d":{"type":"String"},`, n)
	}
	aliases.WriteString("a0: &a0 [x,x,x,x,x,x,x,x]\n")
	for n := 1; n < 60; n++ {
		fmt.Fprintf(&aliases, "a%d: &a%d [%s]\n", n, n, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d,", n-1), 8), ","))
	}
	return map[string]string{
		"parameters":    `{"schemaVersion":"2.2","parameters":{` + parameters.String() + `"z":{"type":"String"}},` + oneStep + `}`,
		"lists":         fill(`{"schemaVersion":"2.2","description":[`, `[],`, `[]]}`),
		"steps":         fill(`{"schemaVersion":"2.2","mainSteps":[`, `{},`, `{}]}`),
		"references":    fill(`{"schemaVersion":"2.2","parameters":{"a":{"type":"String"}},"mainSteps":[{"action":"aws:runShellScript","name":"say","inputs":{"runCommand":["`, `{{a}}`, `"]}}]}`),
		"braces":        fill(`{"schemaVersion":"2.2","mainSteps":[{"action":"aws:runShellScript","name":"say","inputs":{"runCommand":["`, `{{`, `"]}}]}`),
		"pattern":       fill(`{"schemaVersion":"2.2","parameters":{"a":{"type":"String","allowedPattern":"`, `\\pL`, `"}},`+oneStep+`}`),
		"pattern nests": fill(`{"schemaVersion":"2.2","parameters":{"a":{"type":"String","allowedPattern":"`, `(`, `"}},`+oneStep+`}`),
		"yaml aliases":  aliases.String(),
		"yaml lists":    fill("a:\n", "- ", ""),
		"yaml keys":     fill("", "? ", ""),
		"yaml flow":     fill("a: [", "{},", "]"),
		"yaml comments": fill("a: 1\n", "#\n", ""),
		"yaml indents":  fill("a: |\n", " \n", ""),
		"yaml tags":     fill("a: [", "!!str ,", "]"),
	}
}

// TestHostileDocuments: whatever it is, it is read or refused with a code.
func TestHostileDocuments(t *testing.T) {
	t.Parallel()
	for name, content := range hostileDocuments() {
		if len(content) > ssmrun.MaxDocumentBytes {
			t.Errorf("%s has %d bytes", name, len(content))
		}
		d, err := Parse([]byte(content), "")
		if ssmrun.ErrorCode(err) == ssmrun.CodeInternal {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil {
			continue
		}
		given := map[string][]string{}
		for _, p := range d.Parameters {
			given[p.Name] = []string{strings.Repeat("a", 10)}
		}
		if err := d.CheckParameters(given); ssmrun.ErrorCode(err) == ssmrun.CodeInternal {
			t.Errorf("parameters of %s: %v", name, err)
		}
	}
}

// TestOddDocuments: texts that are read otherwise elsewhere.
func TestOddDocuments(t *testing.T) {
	t.Parallel()
	const plain = `{"schemaVersion":"2.2",` + oneStep + `}`
	parameter := func(name string) string {
		return `{"schemaVersion":"2.2","parameters":{"` + name + `":{"type":"String","default":"x"}},` + oneStep + `}`
	}
	for name, c := range map[string]struct {
		content string
		code    ssmrun.Code
	}{
		"exactly the largest":      {plain + strings.Repeat(" ", ssmrun.MaxDocumentBytes-len(plain)), ""},
		"a byte more":              {plain + strings.Repeat(" ", ssmrun.MaxDocumentBytes-len(plain)+1), ssmrun.CodeMaxDocumentSize},
		"a byte order mark":        {"\ufeff" + plain, ""},
		"a byte order mark, YAML":  {"\ufeffschemaVersion: '2.2'\nmainSteps:\n- {action: aws:runShellScript, name: say, inputs: {runCommand: [a]}}\n", ""},
		"CRLF":                     {strings.ReplaceAll(plain, ",", ",\r\n"), ""},
		"CRLF, YAML":               {"schemaVersion: '2.2'\r\nmainSteps:\r\n- action: aws:runShellScript\r\n  name: say\r\n  inputs: {runCommand: [a]}\r\n", ""},
		"tabs":                     {strings.ReplaceAll(plain, ",", ",\t\t"), ""},
		"tabs, YAML":               {"schemaVersion: '2.2'\nmainSteps:\n\t- action: a\n", ssmrun.CodeInvalidDocumentContent},
		"a huge number":            {`{"schemaVersion":"2.2","mainSteps":[{"action":"aws:runShellScript","name":"say","inputs":{"runCommand":["true"],"timeoutSeconds":1e999}}]}`, ""},
		"a long number":            {`{"schemaVersion":"2.2","mainSteps":[{"action":"aws:runShellScript","name":"say","inputs":{"runCommand":["true"],"timeoutSeconds":` + strings.Repeat("9", 5000) + `}}]}`, ""},
		"a long number, YAML":      {"schemaVersion: '2.2'\nmainSteps:\n- {action: aws:runShellScript, name: say, inputs: {runCommand: [a], timeoutSeconds: " + strings.Repeat("9", 5000) + "}}\n", ""},
		"a parameter constructor":  {parameter("constructor"), ""},
		"a parameter of underline": {parameter("__proto__"), ""},
		"a parameter toString":     {parameter("toString"), ""},
		"a key twice":              {`{"schemaVersion":"2.2","schemaVersion":"2.2",` + oneStep + `}`, ssmrun.CodeInvalidDocumentContent},
		"two YAML documents":       {"a: 1\n---\nb: 2\n", ssmrun.CodeInvalidDocumentContent},
		"nothing":                  {"", ssmrun.CodeInvalidDocumentContent},
		"NUL":                      {"a: \x00", ssmrun.CodeInvalidDocumentContent},
	} {
		d, err := Parse([]byte(c.content), "")
		if ssmrun.ErrorCode(err) != c.code {
			t.Errorf("%s: %v, want %q", name, err, c.code)
		}
		if err == nil && d.ExecutionSeconds(nil) < 1 {
			t.Errorf("%s takes %d seconds", name, d.ExecutionSeconds(nil))
		}
	}
}

// BenchmarkHostile is what the most costly documents cost. Each has to stay far
// below a second.
func BenchmarkHostile(b *testing.B) {
	for name, content := range hostileDocuments() {
		b.Run(strings.ReplaceAll(name, " ", "_"), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				d, err := Parse([]byte(content), "")
				if err == nil {
					_ = d.CheckParameters(map[string][]string{"a": {"x"}})
				}
			}
		})
	}
}
