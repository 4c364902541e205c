package document

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ssmrun"
)

// content reads a document of testdata.
func content(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// parse reads a document of testdata that has to be good.
func parse(t testing.TB, name string) *Document {
	t.Helper()
	d, err := Parse(content(t, name), "")
	if err != nil {
		t.Fatalf("parse %s: %v", name, err)
	}
	return d
}

// parseText is parse for a document in the test itself.
func parseText(t testing.TB, text string) *Document {
	t.Helper()
	d, err := Parse([]byte(text), "")
	if err != nil {
		t.Fatalf("parse: %v", err)
	}
	return d
}

const step = `{"action":"aws:runShellScript","name":"say","inputs":{"runCommand":["true"]}}`

// TestParseRefuses holds the texts that AWS was seen to answer (marked), and
// our own for what was not seen.
func TestParseRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, content, format, want string
		code                        ssmrun.Code
	}{
		// Seen on AWS.
		{name: "one brace", content: `{`, want: "JSON not well-formed. at Line: 1, Column: 2"},
		{name: "no steps", content: `{"schemaVersion":"2.2","description":"d"}`, want: `Missing "mainSteps" in the document.`},
		{name: "unknown plugin", content: `{"schemaVersion":"2.2","mainSteps":[{"action":"aws:runNothing","name":"a","inputs":{}}]}`, want: "Unknown plugin name: aws:runNothing"},
		{name: "undeclared", content: `{"schemaVersion":"2.2","mainSteps":[{"action":"aws:runShellScript","name":"a","inputs":{"runCommand":["echo {{absent}}"]}}]}`, want: `Parameter "absent" is not declared.`},
		{name: "runtimeConfig in 2.0", content: `{"schemaVersion":"2.0","mainSteps":[` + step + `],"runtimeConfig":{}}`, want: `Unknown property "runtimeConfig".`},
		{
			// The place is the closing brace of the parameter; the reference to
			// what is not declared comes later.
			name:    "type Number",
			content: "{\n \"schemaVersion\": \"2.2\",\n \"parameters\": {\n  \"count\": {\n    \"type\": \"Number\"\n   }\n },\n \"mainSteps\": [{\"action\":\"aws:runShellScript\",\"name\":\"a\",\"inputs\":{\"x\":\"{{ y }}\"}}]}",
			want:    "Parameter type: Number is invalid. at Line: 6, Column: 4",
		},

		// Ours.
		{name: "empty", content: ``, format: FormatJSON, want: "JSON not well-formed. at Line: 1, Column: 1"},
		{name: "a letter", content: "{\"schemaVersion\":\n  oops}", want: "JSON not well-formed. at Line: 2, Column: 3"},
		{name: "after a wide letter", content: `{"schemaVersion":"ä", x}`, want: "JSON not well-formed. at Line: 1, Column: 23"},
		{name: "more after it", content: `{} {}`, want: "JSON not well-formed. at Line: 1, Column: 4"},
		{name: "not UTF-8", content: "{\"a\":\"\xff\"}", want: "JSON not well-formed. at Line: 1, Column: 7"},
		{name: "not UTF-8, YAML", content: "a: \xff", format: FormatYAML, want: "YAML not well-formed. at Line: 1, Column: 4"},
		{name: "bad YAML", content: "a: [1", format: FormatYAML, want: "YAML not well-formed. at Line: 2, Column: 1"},
		{name: "tab in YAML", content: "a:\n\tb: 1", format: FormatYAML, want: "YAML not well-formed. at Line: 2, Column: 1"},
		{name: "two YAML documents", content: "a: 1\n---\nb: 2\n", format: FormatYAML, want: "YAML not well-formed. at Line: 1, Column: 1"},
		{name: "nothing, YAML", content: "# nothing\n", format: FormatYAML, want: "YAML not well-formed. at Line: 1, Column: 1"},
		{name: "merge key", content: "a: &x {b: 1}\nc:\n  <<: *x\n", format: FormatYAML, want: "YAML merge keys (<<) are not supported: write the properties out. at Line: 3, Column: 3"},
		{name: "tag", content: "a: !mine 1\n", format: FormatYAML, want: "YAML tag !mine is not supported. at Line: 1, Column: 4"},
		{name: "YAML key twice", content: "a: 1\na: 2\n", format: FormatYAML, want: `Property "a" comes twice. at Line: 2, Column: 1`},
		{name: "JSON key twice", content: `{"a":1,"a":2}`, want: `Property "a" comes twice. at Line: 1, Column: 10`},
		{name: "no object", content: `["a"]`, want: "The document must be an object."},
		{name: "format TEXT", content: `{}`, format: "TEXT", want: `Document format "TEXT" is not supported: a Command document is JSON or YAML.`},
		{name: "no version", content: `{"mainSteps":[` + step + `]}`, want: `Missing "schemaVersion" in the document.`},
		{name: "automation", content: `{"schemaVersion":"0.3","mainSteps":[` + step + `]}`, want: `Schema version "0.3" is not one of a Command document: use 2.2, 2.0 or 1.2.`, code: CodeInvalidSchemaVersion},
		{name: "agent's version", content: `{"schemaVersion":"2.0.1","mainSteps":[` + step + `]}`, want: `Schema version "2.0.1" is not one of a Command document: use 2.2, 2.0 or 1.2.`, code: CodeInvalidSchemaVersion},
		{name: "no runtimeConfig", content: `{"schemaVersion":"1.2"}`, want: `Missing "runtimeConfig" in the document.`},
		{name: "mainSteps in 1.2", content: `{"schemaVersion":"1.2","mainSteps":[` + step + `],"runtimeConfig":{"aws:runShellScript":{"properties":[]}}}`, want: `Unknown property "mainSteps".`},
		{name: "unknown plugin in 1.2", content: `{"schemaVersion":"1.2","runtimeConfig":{"aws:no":{"properties":[]}}}`, want: "Unknown plugin name: aws:no"},
		{name: "undeclared in 1.2", content: `{"schemaVersion":"1.2","runtimeConfig":{"aws:runShellScript":{"properties":[{"runCommand":["{{ a }}"]}]}}}`, want: `Parameter "a" is not declared.`},
		{name: "undeclared in a precondition", content: `{"schemaVersion":"2.2","mainSteps":[{"action":"aws:runShellScript","name":"a","precondition":{"StringEquals":["{{ os }}","x"]},"inputs":{}}]}`, want: `Parameter "os" is not declared.`},
		{name: "no steps in the list", content: `{"schemaVersion":"2.2","mainSteps":[]}`, want: `"mainSteps" must be a list of at least one step.`},
		{name: "no action", content: `{"schemaVersion":"2.2","mainSteps":[{"name":"a"}]}`, want: `Missing "action" in step 1 of "mainSteps".`},
		{name: "no name", content: `{"schemaVersion":"2.2","mainSteps":[{"action":"aws:runShellScript"}]}`, want: `Missing "name" in step 1 of "mainSteps".`},
		{name: "name is a list", content: `{"schemaVersion":"2.2","mainSteps":[{"action":"aws:runShellScript","name":[]}]}`, want: `"name" in step 1 of "mainSteps" must be text.`},
		{name: "name twice", content: `{"schemaVersion":"2.2","mainSteps":[` + step + `,` + step + `]}`, want: `Step name "say" is not unique.`},
		{name: "name leads elsewhere", content: `{"schemaVersion":"2.2","mainSteps":[{"action":"aws:runShellScript","name":"../up"}]}`, want: `Step name "../up" is invalid: use 1 to 128 printable characters without a slash.`},
		{name: "inputs is text", content: `{"schemaVersion":"2.2","mainSteps":[{"action":"aws:runShellScript","name":"a","inputs":"x"}]}`, want: `"inputs" of step "a" must be an object.`},
		{name: "unknown at the top", content: `{"schemaVersion":"2.2","mainStep":[]}`, want: `Unknown property "mainStep".`},
		{name: "unknown in a parameter", content: `{"schemaVersion":"2.2","parameters":{"a":{"type":"String","allowedValue":["x"]}},"mainSteps":[` + step + `]}`, want: `Unknown property "allowedValue" in parameter "a".`},
		{name: "parameter without type", content: `{"schemaVersion":"2.2","parameters":{"a":{}},"mainSteps":[` + step + `]}`, want: `Missing "type" in parameter "a". at Line: 1, Column: 43`},
		{name: "parameter name", content: `{"schemaVersion":"2.2","parameters":{"a b":{"type":"String"}},"mainSteps":[` + step + `]}`, want: `Parameter name "a b" is invalid: use letters and digits.`},
		{name: "minItems", content: `{"schemaVersion":"2.2","parameters":{"a":{"type":"StringList","minItems":-1}},"mainSteps":[` + step + `]}`, want: `"minItems" of parameter "a" must be a whole number of 0 or more.`},
		{name: "precondition is a list", content: `{"schemaVersion":"2.2","mainSteps":[{"action":"aws:runShellScript","name":"a","precondition":[]}]}`, want: `"precondition" of step "a" must be an object.`},
		{name: "precondition of maps", content: `{"schemaVersion":"2.2","mainSteps":[{"action":"aws:runShellScript","name":"a","precondition":{"StringEquals":[{}]}}]}`, want: `"StringEquals" in the precondition of step "a" must be a list of text.`},
		{name: "too large", content: strings.Repeat(" ", ssmrun.MaxDocumentBytes+1), want: "The document has 65537 bytes; at most 65536 are allowed.", code: ssmrun.CodeMaxDocumentSize},
		{name: "deep JSON", content: `{"a":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`, want: "The document is nested more than 64 levels deep."},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			code := tt.code
			if code == "" {
				code = ssmrun.CodeInvalidDocumentContent
			}
			d, err := Parse([]byte(tt.content), tt.format)
			if err == nil {
				t.Fatalf("accepted: %+v", d)
			}
			if got := ssmrun.ErrorMessage(err); got != tt.want {
				t.Errorf("message\n got %s\nwant %s", got, tt.want)
			}
			if got := ssmrun.ErrorCode(err); got != code {
				t.Errorf("code %s, want %s", got, code)
			}
		})
	}
}

// TestParseAccepts holds what AWS was seen to accept although it looks wrong.
func TestParseAccepts(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"default breaks its own pattern": `{"schemaVersion":"2.2","parameters":{"a":{"type":"String","default":"abc","allowedPattern":"^[0-9]+$"}},"mainSteps":[` + step + `]}`,
		"null default":                   `{"schemaVersion":"2.2","parameters":{"a":{"type":"String","default":null}},"mainSteps":[` + step + `]}`,
		"timeout is no number":           `{"schemaVersion":"2.2","parameters":{},"mainSteps":[{"action":"aws:runShellScript","name":"a","inputs":{"timeoutSeconds":"soon"}}]}`,
		"id in the inputs of 2.0":        `{"schemaVersion":"2.0","mainSteps":[{"action":"aws:runShellScript","name":"a","inputs":{"id":"0"}}]}`,
		"precondition in a 1.2 property": `{"schemaVersion":"1.2","runtimeConfig":{"aws:runShellScript":{"properties":[{"id":"a","precondition":{"StringEquals":["platformType","Linux"]}}]}}}`,
		"no properties in 1.2":           `{"schemaVersion":"1.2","runtimeConfig":{"aws:runShellScript":{"properties":[]}}}`,
		"same id twice in 1.2":           `{"schemaVersion":"1.2","runtimeConfig":{"aws:runShellScript":{"properties":[{"id":"a"},{"id":"a"}]}}}`,
		// Ours.
		"one property without a list": `{"schemaVersion":"1.2","runtimeConfig":{"aws:updateSsmAgent":{"properties":{"agentName":"amazon-ssm-agent"}}}}`,
		"braces of other tools":       `{"schemaVersion":"2.2","mainSteps":[{"action":"aws:runShellScript","name":"a","inputs":{"runCommand":["docker ps --format '{{ .Names }}' {{ssm:/a/b}} {{ssm-secure:c}} {{ global:DATE }}"]}}]}`,
		"YAML, version unquoted":      "schemaVersion: 2.2\nmainSteps:\n- action: aws:runShellScript\n  name: a\n",
		"YAML in one line":            "{schemaVersion: '2.2', mainSteps: [{action: 'aws:runShellScript', name: a}]}",
	}
	for name, text := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			format := ""
			if strings.HasPrefix(name, "YAML") {
				format = FormatYAML
			}
			if _, err := Parse([]byte(text), format); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestParseSteps(t *testing.T) {
	t.Parallel()
	type result struct {
		Names   []string
		Steps   []string
		Actions []string
	}
	for name, want := range map[string]result{
		"two-properties-12.json": {
			Names:   []string{"aws:runShellScript"},
			Steps:   []string{"0 aws:runShellScript aws:runShellScript first", "1 aws:runShellScript aws:runShellScript second"},
			Actions: []string{"aws:runShellScript"},
		},
		"cross-platform-22.yaml": {
			Names:   []string{"onWindows", "onLinux", "after"},
			Steps:   []string{"0 onWindows aws:runPowerShellScript ", "1 onLinux aws:runShellScript ", "2 after aws:runShellScript "},
			Actions: []string{"aws:runPowerShellScript", "aws:runShellScript", "aws:runShellScript"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := parse(t, name)
			var got result
			got.Names = d.PluginNames()
			for _, n := range got.Names {
				got.Actions = append(got.Actions, d.Action(n))
			}
			for _, s := range d.Steps {
				got.Steps = append(got.Steps, fmt.Sprint(s.Index, " ", s.Name, " ", s.Action, " ", s.ID))
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			if got := d.Action("absent"); got != "" {
				t.Errorf("action of an unknown name is %q", got)
			}
		})
	}
}

// TestParseYAMLIsJSON reads one document written in both formats.
func TestParseYAMLIsJSON(t *testing.T) {
	t.Parallel()
	y, j := parse(t, "every-type-22.yaml"), parse(t, "every-type-22.json")
	if y.Format != FormatYAML || j.Format != FormatJSON {
		t.Errorf("formats are %s and %s", y.Format, j.Format)
	}
	if diff := cmp.Diff(j.Describe(), y.Describe()); diff != "" {
		t.Errorf("described differently (-JSON +YAML):\n%s", diff)
	}
	if diff := cmp.Diff(j.Steps[0].Inputs, y.Steps[0].Inputs); diff != "" {
		t.Errorf("inputs differ (-JSON +YAML):\n%s", diff)
	}
	if string(j.JSON()) != string(y.JSON()) {
		t.Errorf("sent differently:\n%s\n%s", j.JSON(), y.JSON())
	}
}

// TestParseDelivered shows what an agent takes although a service would not.
func TestParseDelivered(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"2.0", "2.0.1", "2.0.2", "2.0.3", "2.2"} {
		text := `{"schemaVersion":"` + version + `","new":1,"parameters":{"a":{"type":"Number","odd":[]},"b":{"default":"x"}},
			"mainSteps":[{"action":"aws:fromTheFuture","name":"a/b","inputs":{"x":"{{ nowhere }}"}}]}`
		d, err := ParseDelivered([]byte(text))
		if err != nil {
			t.Fatalf("schema %s: %v", version, err)
		}
		if got := d.Steps[0].Action; got != "aws:fromTheFuture" {
			t.Errorf("action is %q", got)
		}
		in, err := d.Steps[0].Resolve(map[string][]string{"a": {"1"}})
		if err != nil {
			t.Fatal(err)
		}
		if in["x"] != "{{ nowhere }}" {
			t.Errorf("x is %v", in["x"])
		}
	}
	for _, version := range []string{"1.0", "1.2"} {
		if _, err := ParseDelivered([]byte(`{"schemaVersion":"` + version + `","runtimeConfig":{"aws:new":{"properties":[{}]}}}`)); err != nil {
			t.Errorf("schema %s: %v", version, err)
		}
	}
	long := `{"schemaVersion":"2.2","description":"` + strings.Repeat("x", ssmrun.MaxDocumentBytes) + `","mainSteps":[` + step + `]}`
	if _, err := ParseDelivered([]byte(long)); err != nil {
		t.Errorf("a long document: %v", err)
	}
	if _, err := ParseDelivered([]byte(strings.Repeat(" ", ssmrun.MaxBodyBytes+1))); ssmrun.ErrorCode(err) != ssmrun.CodeMaxDocumentSize {
		t.Errorf("a document that is too long: %v", err)
	}
	for _, bad := range []string{`{`, `{"schemaVersion":"9.9","mainSteps":[` + step + `]}`, `{"schemaVersion":"2.2"}`, `{"schemaVersion":"2.2","mainSteps":[` + step + `,` + step + `]}`} {
		if _, err := ParseDelivered([]byte(bad)); err == nil {
			t.Errorf("accepted %s", bad)
		}
	}
}

// TestParseIsBounded reads documents that are made to cost much.
func TestParseIsBounded(t *testing.T) {
	t.Parallel()
	var bomb strings.Builder
	bomb.WriteString("a0: &a0 [x, x, x, x, x, x, x, x, x]\n")
	for i := 1; i < 20; i++ {
		fmt.Fprintf(&bomb, "a%d: &a%d [", i, i)
		for range 9 {
			fmt.Fprintf(&bomb, "*a%d, ", i-1)
		}
		bomb.WriteString("]\n")
	}
	large := "a: &a " + strings.Repeat("x", 30_000) + "\nb: [" + strings.Repeat("*a, ", 5000) + "]\n"
	const deep, grown = "levels deep", "aliases make it too large"
	tests := map[string]struct{ content, format, want string }{
		"alias bomb":         {bomb.String(), FormatYAML, grown},
		"large aliases":      {large, FormatYAML, grown},
		"alias to itself":    {"a: &a [*a]\n", FormatYAML, deep},
		"alias as key":       {"a: &a b\n*a : 1\nc: &c {*a : *c}\n", FormatYAML, deep},
		"deep YAML, flow":    {strings.Repeat("[", 60_000), FormatYAML, "exceeded max depth"},
		"deep YAML, block":   {strings.Repeat("- ", 30_000), FormatYAML, "exceeded max depth"},
		"deep YAML, maps":    {strings.Repeat("{a: ", 15_000), FormatYAML, "exceeded max depth"},
		"deep YAML, aliases": {"a: &a " + strings.Repeat("[", 60) + strings.Repeat("]", 60) + "\nb: [[[[[[[*a]]]]]]]\n", FormatYAML, deep},
		"deep JSON, open":    {strings.Repeat("[", 60_000), FormatJSON, "not well-formed"},
		"deep JSON, closed":  {strings.Repeat("[", 9_000) + strings.Repeat("]", 9_000), FormatJSON, deep},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			begin := time.Now()
			_, err := Parse([]byte(tt.content), tt.format)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %s", err, tt.want)
			}
			// It takes milliseconds; the bound is far above a busy machine's.
			if took := time.Since(begin); took > 10*time.Second {
				t.Errorf("took %s", took)
			}
		})
	}
}
