package document

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ssmrun"
)

// FuzzParse reads anything as a document. What is accepted must hold together:
// it describes itself, goes to an agent and is the same document there.
func FuzzParse(f *testing.F) {
	for _, name := range []string{"two-properties-12.json", "cross-platform-22.yaml", "every-type-22.yaml", "every-type-22.json"} {
		f.Add(content(f, name), true)
		f.Add(content(f, name), false)
	}
	for _, name := range BuiltInNames() {
		b, _ := BuiltIn(name)
		f.Add([]byte(b.Content), true)
	}
	for _, s := range []string{"{", "a: &a [*a]", "- ? - :", "%YAML 1.1\n---\na", "? *a\n", "a: |\n  x\n", "\ufeffa: 1", "0::", "{{},<<}", "&0: *0\n*0:\n*0:", "! !00 \xf6"} {
		f.Add([]byte(s), false)
		f.Add([]byte(s), true)
	}
	f.Fuzz(func(t *testing.T, content []byte, isJSON bool) {
		format := FormatYAML
		if isJSON {
			format = FormatJSON
		}
		_, _, _ = classifyAs(content, format)
		if isJSON {
			_, _ = ParseDelivered(content)
		}
		d, err := Parse(content, format)
		if err != nil {
			if ssmrun.ErrorCode(err) == ssmrun.CodeInternal {
				t.Fatalf("an error without a code: %v", err)
			}
			return
		}
		for _, found := range d.Lint() {
			if _, ok := d.Parameter(found.Parameter); !ok || found.Fix == "" {
				t.Fatalf("finding %+v", found)
			}
		}
		sent := d.JSON()
		there, err := ParseDelivered(sent)
		if err != nil {
			t.Fatalf("an agent refuses %s: %v", sent, err)
		}
		if diff := cmp.Diff(d.Describe(), there.Describe()); diff != "" {
			t.Fatal(diff)
		}
		if diff := cmp.Diff(d.PluginNames(), there.PluginNames()); diff != "" {
			t.Fatal(diff)
		}
		if a, b := d.ExecutionSeconds(nil), there.ExecutionSeconds(nil); a != b || a < 1 {
			t.Fatalf("%d and %d seconds", a, b)
		}
		for _, s := range d.Steps {
			if s.Name == "" || s.Action == "" || s.Inputs == nil || d.Action(s.Name) != s.Action {
				t.Fatalf("step %+v", s)
			}
		}
	})
}

// FuzzResolve puts any values into a document of every type. An error is fine,
// a value in an error is not, and neither is a value that is read again.
func FuzzResolve(f *testing.F) {
	f.Add("a {{ text }} b", `["x","y"]`, `{"a":1}`)
	f.Add("{{ lines }}", "{{ text }}", "[{}]")
	f.Add("{{{{ text }}}}{{ map }}", "{{ssm:x}}", "null")
	f.Fuzz(func(t *testing.T, template, a, b string) {
		quoted, err := json.Marshal(template)
		if err != nil {
			t.Fatal(err)
		}
		d, err := Parse([]byte(typed(`{"in":[`+string(quoted)+`,"{{ text }}","{{ map }}","{{ maps }}","{{ count }}","{{ flag }}"]}`)), FormatJSON)
		if err != nil {
			return // the template is too large, or names what is not declared
		}
		given := map[string][]string{"text": {a}, "need": {a}, "lines": {a, b}, "map": {b}, "maps": {b}, "count": {a}, "flag": {b}, "hidden": {a}}
		checked := d.CheckParameters(given)
		got, err := d.Steps[0].Resolve(given)
		switch {
		case err != nil && checked == nil && ssmrun.ErrorCode(err) != ssmrun.CodeInvalidDocumentContent:
			t.Fatalf("what was checked cannot be put in: %v", err)
		case err != nil:
			return
		}
		if items := got["in"].([]any); items[1] != a {
			t.Fatalf("%q became %q", a, items[1])
		}
		_ = StoredParameters(got)
		_ = Lines(got["in"])
		if _, err := json.Marshal(d.Payload(given)); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzReferences finds references to stored parameters in anything: the names
// that an agent may read for a command stand in it, and are each told once.
func FuzzReferences(f *testing.F) {
	f.Add(`{"a":["{{ssm:x}}","{{ ssm-secure:/a/b:3 }}"]}`, "{{ssm:y}}")
	f.Add("{", "{{ssm:}}{{{{ssm:a}}")
	f.Add(`{"{{ssm:key}}":1}`, "{{ssm:a b}}{{ssm:é}}")
	f.Fuzz(func(t *testing.T, content, value string) {
		seen := map[string]bool{}
		for _, ref := range CommandReferences(content, map[string][]string{"p": {value}}) {
			name, ok := strings.CutPrefix(ref, "ssm-secure:")
			if !ok {
				name, ok = strings.CutPrefix(ref, "ssm:")
			}
			if !ok || name == "" || seen[ref] {
				t.Fatalf("%q and %q give %q", content, value, ref)
			}
			seen[ref] = true
			if json.Valid([]byte(content)) && !strings.Contains(content, `\`) && !strings.Contains(content+"\x00"+value, ref) {
				t.Fatalf("%q stands in neither %q nor %q", ref, content, value)
			}
		}
	})
}
