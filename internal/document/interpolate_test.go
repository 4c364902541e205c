package document

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"ssmrun"
)

// typed declares one parameter of each type and wraps inputs into a document.
func typed(inputs string) string {
	return `{"schemaVersion":"2.2","parameters":{
		"text":{"type":"String","default":"dflt"},
		"need":{"type":"String"},
		"none":{"type":"String","default":""},
		"lines":{"type":"StringList","default":["one","two & 3"]},
		"map":{"type":"StringMap","default":{"b":1}},
		"flag":{"type":"Boolean","default":true},
		"count":{"type":"Integer","default":7},
		"maps":{"type":"MapList","default":[{"k":"v"}]},
		"hidden":{"type":"String","default":"h","interpolationType":"ENV_VAR"}
		},"mainSteps":[{"action":"aws:runShellScript","name":"a","inputs":` + inputs + `}]}`
}

func TestResolve(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		input string // JSON of one input
		given map[string][]string
		want  any
	}{
		"text":               {`"{{ text }}"`, map[string][]string{"text": {"x"}}, "x"},
		"default":            {`"{{ text }}"`, nil, "dflt"},
		"empty default":      {`"<{{ none }}>"`, nil, "<>"},
		"no blanks":          {`"{{text}}"`, nil, "dflt"},
		"many blanks":        {`"{{ \t text\n}}"`, nil, "dflt"},
		"inside":             {`"a {{ text }} b {{text}}"`, map[string][]string{"text": {"$1 \\0"}}, `a $1 \0 b $1 \0`},
		"blank outside":      {`" {{ text }}"`, nil, " dflt"},
		"list":               {`"{{ lines }}"`, map[string][]string{"lines": {"a", "b"}}, []any{"a", "b"}},
		"empty list":         {`"{{ lines }}"`, map[string][]string{"lines": {}}, []any{}},
		"list's default":     {`"{{ lines }}"`, nil, []any{"one", "two & 3"}},
		"list in a list":     {`["x", "{{ lines }}"]`, nil, []any{"x", []any{"one", "two & 3"}}},
		"list inside":        {`"L={{ lines }}"`, nil, `L=["one","two & 3"]`},
		"map":                {`"{{ map }}"`, map[string][]string{"map": {`{"a":{"n":1.50}}`}}, map[string]any{"a": map[string]any{"n": json.Number("1.50")}}},
		"map's default":      {`"{{ map }}"`, nil, map[string]any{"b": json.Number("1")}},
		"map inside":         {`"M={{ map }}"`, map[string][]string{"map": {`{"b":1, "a":2}`}}, `M={"b":1, "a":2}`},
		"boolean":            {`"{{ flag }}"`, map[string][]string{"flag": {"False"}}, false},
		"boolean's default":  {`"{{ flag }}"`, nil, true},
		"boolean inside":     {`"F={{ flag }}"`, nil, "F=true"},
		"integer":            {`"{{ count }}"`, map[string][]string{"count": {"12"}}, json.Number("12")},
		"integer, odd":       {`"{{ count }}"`, map[string][]string{"count": {"+012"}}, "+012"},
		"integer inside":     {`"{{ count }}{{ count }}"`, nil, "77"},
		"maps":               {`"{{ maps }}"`, map[string][]string{"maps": {`{"a":"x"}`, `[{"b":"y"}]`}}, []any{map[string]any{"a": "x"}, map[string]any{"b": "y"}}},
		"maps inside":        {`"{{ maps }}!"`, nil, `[{"k":"v"}]!`},
		"deep":               {`{"k":[{"{{ text }}":"{{ text }}"}]}`, nil, map[string]any{"k": []any{map[string]any{"{{ text }}": "dflt"}}}},
		"not a text":         {`[1, true, null, 1.50]`, nil, []any{json.Number("1"), true, nil, json.Number("1.50")}},
		"stored":             {`"{{ssm:/a/b:3}} {{ text }}"`, nil, "{{ssm:/a/b:3}} dflt"},
		"stored, given":      {`"{{ text }}"`, map[string][]string{"text": {"{{ ssm:x }}"}}, "{{ ssm:x }}"},
		"stored for a map":   {`"{{ map }}"`, map[string][]string{"map": {"{{ssm:x}}"}}, "{{ssm:x}}"},
		"other braces":       {`"{{ .Names }} {{{ text }}} {{}} {{ text"`, nil, "{{ .Names }} {dflt} {{}} {{ text"},
		"not put in twice":   {`"{{ text }} {{ need }}"`, map[string][]string{"text": {"{{ need }}"}, "need": {"{{ text }}"}}, "{{ need }} {{ text }}"},
		"halves do not join": {`"{{{{ none }} need }}"`, map[string][]string{"need": {"x"}}, "{{ need }}"},
		"hidden":             {`"echo {{ hidden }} {{ text }}"`, map[string][]string{"hidden": {"x"}}, "echo {{ hidden }} dflt"},
		"hidden alone":       {`"{{hidden}}"`, nil, "{{hidden}}"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := parseText(t, typed(`{"in":`+tt.input+`}`))
			before := fmt.Sprint(d.Steps[0].Inputs)
			got, err := d.Steps[0].Resolve(tt.given)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(map[string]any{"in": tt.want}, got); diff != "" {
				t.Error(diff)
			}
			if after := fmt.Sprint(d.Steps[0].Inputs); after != before {
				t.Errorf("the document changed: %s", after)
			}
		})
	}
}

func TestResolveBuiltIn(t *testing.T) {
	t.Parallel()
	builtIn, _ := BuiltIn("AWS-RunShellScript")
	got, err := builtIn.Document.Steps[0].Resolve(map[string][]string{"commands": {"echo {{ workingDirectory }}", "uptime"}, "executionTimeout": {"10"}})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"id": "0.aws:runShellScript", "workingDirectory": "", "timeoutSeconds": "10",
		"runCommand": []any{"echo {{ workingDirectory }}", "uptime"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestResolveFails(t *testing.T) {
	t.Parallel()
	const secret = "hunter2"
	for name, tt := range map[string]struct {
		input string
		given map[string][]string
		want  Rule
	}{
		"required":           {`"{{ need }}"`, nil, RuleMissing},
		"required, inside":   {`"x{{ need }}"`, nil, RuleMissing},
		"two values":         {`"{{ need }}"`, map[string][]string{"need": {secret, secret}}, RuleType},
		"no value":           {`"{{ need }}"`, map[string][]string{"need": {}}, RuleType},
		"no map":             {`"{{ map }}"`, map[string][]string{"map": {secret}}, RuleType},
		"no maps":            {`"{{ maps }}"`, map[string][]string{"maps": {"{}", secret}}, RuleType},
		"two values, hidden": {`"{{ hidden }}"`, map[string][]string{"hidden": {secret, secret}}, RuleType},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := parseText(t, typed(`{"in":`+tt.input+`}`)).Steps[0].Resolve(tt.given)
			problems := Problems(err)
			if len(problems) != 1 || problems[0].Rule != tt.want || ssmrun.ErrorCode(err) != ssmrun.CodeInvalidParameters {
				t.Errorf("got %v", err)
			}
			if err != nil && strings.Contains(err.Error(), secret) {
				t.Errorf("the value is printed: %v", err)
			}
		})
	}
}

// TestResolveIsBounded puts a large value into many places.
func TestResolveIsBounded(t *testing.T) {
	t.Parallel()
	value := strings.Repeat("x", 90_000)
	for name, tt := range map[string]struct {
		inputs string
		given  map[string][]string
	}{
		"just over": {`{"in":"` + strings.Repeat("{{text}}", 47) + `"}`, map[string][]string{"text": {value}}},
		"one text":  {`{"in":"` + strings.Repeat("{{text}}", 7000) + `"}`, map[string][]string{"text": {value}}},
		"one list":  {`{"in":["` + strings.Repeat(`{{text}}","`, 4000) + `"]}`, map[string][]string{"text": {value}}},
		"of lists":  {`{"in":["` + strings.Repeat(`{{lines}}","`, 4000) + `"]}`, map[string][]string{"lines": {value}}},
		"of maps":   {`{"in":["` + strings.Repeat(`{{map}}","`, 4000) + `"]}`, map[string][]string{"map": {`{"a":"` + value + `"}`}}},
		"of blanks": {`{"in":"` + strings.Repeat("{{lines}}", 6000) + `"}`, map[string][]string{"lines": make([]string, 50_000)}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := parseText(t, typed(tt.inputs)).Steps[0].Resolve(tt.given)
			if ssmrun.ErrorCode(err) != ssmrun.CodeInvalidDocumentContent {
				t.Errorf("got %v", err)
			}
		})
	}
	below := parseText(t, typed(`{"in":"`+strings.Repeat("{{text}}", 46)+`"}`))
	if _, err := below.Steps[0].Resolve(map[string][]string{"text": {value}}); err != nil {
		t.Errorf("just below the bound: %v", err)
	}
}

func TestResolveUndeclared(t *testing.T) {
	t.Parallel()
	d, err := ParseDelivered([]byte(`{"schemaVersion":"2.2","mainSteps":[{"action":"aws:runShellScript","name":"a","inputs":{"one":"{{ x }}","many":"{{ y }}","none":"{{ z }}"}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	got, err := d.Steps[0].Resolve(map[string][]string{"x": {"1"}, "y": {"1", "2"}})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]any{"one": "1", "many": []any{"1", "2"}, "none": "{{ z }}"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestEnvironment(t *testing.T) {
	t.Parallel()
	d := parseText(t, typed(`{}`))
	for want, given := range map[string]map[string][]string{"h": nil, "$(x) {{ text }}": {"hidden": {"$(x) {{ text }}"}}} {
		got, err := d.Environment(given, nil)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(map[string]string{"SSM_hidden": want}, got); diff != "" {
			t.Error(diff)
		}
	}
	required := parseText(t, `{"schemaVersion":"2.2","parameters":{"a":{"type":"String","interpolationType":"ENV_VAR"}},"mainSteps":[`+step+`]}`)
	if _, err := required.Environment(nil, nil); len(Problems(err)) != 1 {
		t.Errorf("a value that must be given: %v", err)
	}
}

func TestStoredParameters(t *testing.T) {
	t.Parallel()
	got := StoredParameters(map[string]any{
		"a": []any{"{{ssm:b}} {{ ssm:/a/b.c-d:3 }}", map[string]any{"x": "{{ssm-secure:s}}{{ssm:b}}"}},
		"b": "{{ text }} {{ssm:}} {{ssm:a b}} {{ other:x }}", "c": json.Number("1"), "{{ssm:key}}": true,
	})
	if diff := cmp.Diff([]string{"ssm-secure:s", "ssm:/a/b.c-d:3", "ssm:b"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestLines(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		in   any
		want []string
	}{
		"none":   {nil, nil},
		"text":   {"a\nb", []string{"a\nb"}},
		"list":   {[]any{"a", []any{"b", []any{}, "c"}, json.Number("1"), true}, []string{"a", "b", "c", "1", "true"}},
		"a map":  {map[string]any{"a": "b"}, nil},
		"number": {json.Number("5"), []string{"5"}},
	} {
		if diff := cmp.Diff(tt.want, Lines(tt.in)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// TestResolveOnce: whatever a value holds, what comes out is the template with
// the value in the places of the references, and nothing else.
func TestResolveOnce(t *testing.T) {
	t.Parallel()
	piece := rapid.SampledFrom([]string{"{{ a }}", "{{b}}", "{{", "}}", "{", "}", " ", "a", "$1", "{{ssm:x}}", "\n", "é", "{{ c }}"})
	text := rapid.Custom(func(t *rapid.T) string { return strings.Join(rapid.SliceOfN(piece, 0, 12).Draw(t, "pieces"), "") })
	rapid.Check(t, func(t *rapid.T) {
		template, a, b := text.Draw(t, "template"), text.Draw(t, "a"), text.Draw(t, "b")
		for _, m := range reference.FindAllStringSubmatch(template, -1) {
			if len(m[1]) > 1 {
				t.Skip("names what is not declared")
			}
		}
		content, err := json.Marshal(map[string]any{
			"schemaVersion": "2.2",
			"parameters":    map[string]any{"a": map[string]any{"type": "String"}, "b": map[string]any{"type": "String"}, "c": map[string]any{"type": "String", "default": "C"}},
			"mainSteps":     []any{map[string]any{"action": "aws:runShellScript", "name": "s", "inputs": map[string]any{"in": template}}},
		})
		if err != nil {
			t.Fatal(err)
		}
		d, err := Parse(content, FormatJSON)
		if err != nil {
			t.Fatal(err)
		}
		got, err := d.Steps[0].Resolve(map[string][]string{"a": {a}, "b": {b}})
		if err != nil {
			t.Fatal(err)
		}
		// The same by hand: cut the template at the references, then join.
		want := ""
		rest := template
		for rest != "" {
			cut := false
			for ref, value := range map[string]string{"{{ a }}": a, "{{a}}": a, "{{b}}": b, "{{ b }}": b, "{{ c }}": "C", "{{c}}": "C"} {
				if strings.HasPrefix(rest, ref) {
					want, rest, cut = want+value, rest[len(ref):], true
					break
				}
			}
			if !cut {
				// Blanks from neighbouring pieces may make another reference.
				if m := reference.FindStringSubmatchIndex(rest); m != nil && m[0] == 0 {
					want, rest = want+map[string]string{"a": a, "b": b, "c": "C"}[rest[m[2]:m[3]]], rest[m[1]:]
					continue
				}
				want, rest = want+rest[:1], rest[1:]
			}
		}
		if got["in"] != want {
			t.Fatalf("template %q, a %q, b %q\n got %q\nwant %q", template, a, b, got["in"], want)
		}
	})
}
