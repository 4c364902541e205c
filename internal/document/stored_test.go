package document

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ssmrun"
)

const storedDocument = `{"schemaVersion":"2.2","description":"{{ssm:/told}}","parameters":{
	"text":{"type":"String","default":"{{ssm:/text}}"},
	"word":{"type":"String","default":"w","allowedPattern":"[a-z]+"},
	"choice":{"type":"String","default":"a","allowedValues":["a","b"]},
	"lines":{"type":"StringList","default":["{{ ssm:/list }}","z"],"maxItems":3},
	"count":{"type":"Integer","default":1},
	"map":{"type":"StringMap","default":{"k":"{{ssm:/text}}"}},
	"secret":{"type":"String","default":"{{ssm-secure:/s}}","interpolationType":"ENV_VAR"}},
	"mainSteps":[
	{"action":"aws:runShellScript","name":"a","isEnd":true,"inputs":{"runCommand":["{{ text }} {{secret}} {{ssm:/own:2}}","{{ssm:/list}}","{{ lines }}"],"map":"{{ map }}","json":"{{ lines }} {{ map }}"}},
	{"action":"aws:runShellScript","name":"b","inputs":{"runCommand":"{{ssm:{{ word }}}}","count":"{{ count }}"}}]}`

func TestStored(t *testing.T) {
	t.Parallel()
	d, err := Parse([]byte(storedDocument), FormatJSON)
	if err != nil {
		t.Fatal(err)
	}
	if !d.Steps[0].IsEnd || d.Steps[1].IsEnd {
		t.Error("isEnd is not that of the steps")
	}
	refs, err := d.Steps[0].References(nil)
	if diff := cmp.Diff([]string{"ssm:/list", "ssm:/own:2", "ssm:/text"}, refs); diff != "" || err != nil {
		t.Error(diff, err)
	}
	refs, err = d.EnvironmentReferences(nil)
	if diff := cmp.Diff([]string{"ssm-secure:/s"}, refs); diff != "" || err != nil {
		t.Error(diff, err)
	}
	refs, err = d.EnvironmentReferences(map[string][]string{"secret": {"x{{ssm:/y}}{{ ssm-secure:/z:1 }}"}})
	if diff := cmp.Diff([]string{"ssm-secure:/z:1", "ssm:/y"}, refs); diff != "" || err != nil {
		t.Error(diff, err)
	}
	fetched := map[string]Stored{
		"ssm:/text": {Value: `"{{ssm:/own:2}}" {{ word }}`}, "ssm:/own:2": {Value: "$1"}, "ssm:/list": {Value: "x,y", List: true},
		"ssm-secure:/s": {Value: "{{ text }}"},
	}
	inputs, err := d.Steps[0].ResolveStored(nil, fetched)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]any{
		"runCommand": []any{`"{{ssm:/own:2}}" {{ word }} {{secret}} $1`, "x", "y", []any{"x", "y", "z"}},
		"map":        map[string]any{"k": `"{{ssm:/own:2}}" {{ word }}`},
		"json":       `["x","y","z"] {"k":"\"{{ssm:/own:2}}\" {{ word }}"}`,
	}, inputs); diff != "" {
		t.Error(diff)
	}
	env, err := d.Environment(nil, fetched)
	if diff := cmp.Diff(map[string]string{"SSM_secret": "{{ text }}"}, env); diff != "" || err != nil {
		t.Error(diff, err)
	}
	// A reference that a value completes is none.
	if _, err := d.Steps[1].References(map[string][]string{"word": {"/own:2"}}); ssmrun.ErrorCode(err) != ssmrun.CodeInvalidDocumentContent || !strings.Contains(err.Error(), "ssm:/own:2") {
		t.Errorf("put together: %v", err)
	}
	inputs, err = d.Steps[1].ResolveStored(map[string][]string{"count": {"{{ssm:/n}}"}}, map[string]Stored{"ssm:/n": {Value: "12"}})
	if err != nil || cmp.Diff(`12`, strings.Trim(mustJSON(t, inputs["count"]), `"`)) != "" {
		t.Errorf("count is %v, %v", inputs["count"], err)
	}
	big := map[string]Stored{"ssm:/big": {Value: strings.Repeat("x", 8<<10)}}
	if _, err := d.Steps[1].ResolveStored(map[string][]string{"word": {strings.Repeat("{{ssm:/big}}", 600)}}, big); ssmrun.ErrorCode(err) != ssmrun.CodeInvalidDocumentContent {
		t.Errorf("5 MB: %v", err)
	}
}

func mustJSON(t *testing.T, v any) string {
	t.Helper()
	s, err := jsonText(v)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestCheckStored(t *testing.T) {
	t.Parallel()
	d, err := Parse([]byte(storedDocument), FormatJSON)
	if err != nil {
		t.Fatal(err)
	}
	fetched := map[string]Stored{
		"ssm:/low": {Value: "zlwrz"}, "ssm:/up": {Value: "UP"}, "ssm:/odd": {Value: "{{ssm:/low}}"},
		"ssm:/list": {Value: "1,2,3", List: true}, "ssm:/n": {Value: "1"}, "ssm:/map": {Value: `{"a":"b"}`},
	}
	for name, c := range map[string]struct {
		given map[string][]string
		rule  Rule
	}{
		"matches":          {map[string][]string{"word": {"{{ssm:/low}}"}}, ""},
		"part matches":     {map[string][]string{"word": {"a{{ssm:/low}}b"}}, ""},
		"does not match":   {map[string][]string{"word": {"{{ssm:/up}}"}}, RuleAllowedPattern},
		"looks like one":   {map[string][]string{"word": {"{{ssm:/odd}}"}}, RuleAllowedPattern},
		"not allowed":      {map[string][]string{"choice": {"{{ssm:/low}}"}}, RuleAllowedValues},
		"too many items":   {map[string][]string{"lines": {"{{ssm:/list}}", "4"}}, RuleMaxItems},
		"a number":         {map[string][]string{"count": {"{{ssm:/n}}"}}, ""},
		"no number":        {map[string][]string{"count": {"{{ssm:/low}}"}}, RuleType},
		"a map":            {map[string][]string{"map": {"{{ssm:/map}}"}}, ""},
		"no map":           {map[string][]string{"map": {"{{ssm:/low}}"}}, RuleType},
		"not fetched":      {map[string][]string{"word": {"{{ssm:/UP}}"}}, ""},
		"a default":        {nil, RuleMaxItems}, // three of the store and one more
		"nothing is given": {map[string][]string{"lines": {}}, ""},
	} {
		if c.given == nil {
			c.given = map[string][]string{}
		} else if c.given["lines"] == nil {
			c.given["lines"] = []string{}
		}
		err := d.CheckStored(c.given, fetched)
		wrong := Problems(err)
		switch {
		case c.rule == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case c.rule != "" && (len(wrong) != 1 || wrong[0].Rule != c.rule):
			t.Errorf("%s: %v, want %s", name, err, c.rule)
		}
		for _, value := range []string{"UP", "zlwrz"} {
			if err != nil && strings.Contains(errors.Join(err, wrong).Error(), value) {
				t.Errorf("%s: a value is in %v", name, err)
			}
		}
	}
}

func TestCommandReferences(t *testing.T) {
	t.Parallel()
	got := CommandReferences(storedDocument, map[string][]string{"word": {"{{ssm:/given}}", "x{{ssm-secure:/g}}"}, "other": {"/own"}})
	want := []string{"ssm-secure:/g", "ssm-secure:/s", "ssm:/given", "ssm:/list", "ssm:/own:2", "ssm:/text", "ssm:/told"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got := CommandReferences("no JSON", nil); len(got) != 0 {
		t.Errorf("got %q", got)
	}
}

// TestPreconditionOfAStoredParameter: a comparison with a reference would
// silently be one with its text.
func TestPreconditionOfAStoredParameter(t *testing.T) {
	t.Parallel()
	d, err := Parse([]byte(`{"schemaVersion":"2.2","parameters":{"p":{"type":"String"}},"mainSteps":[
		{"action":"aws:runShellScript","name":"a","precondition":{"StringEquals":["x","{{ p }}"]},"inputs":{"runCommand":"true"}}]}`), FormatJSON)
	if err != nil {
		t.Fatal(err)
	}
	if met, err := d.Steps[0].Met("Linux", map[string][]string{"p": {"{{ssm:x}}"}}); met || err == nil || !strings.Contains(err.Error(), "stored parameter") {
		t.Errorf("got %v, %v", met, err)
	}
}
