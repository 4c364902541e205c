package document

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// TestConvertFormatToYAML holds the style that AWS was seen to write.
func TestConvertFormatToYAML(t *testing.T) {
	t.Parallel()
	in := `{"schemaVersion":"2.2","description":"Says \"it\"","parameters":{"lines":{"type":"StringList","default":["printf 'x\\n'"]},"none":{}},
		"mainSteps":[{"action":"aws:runShellScript","name":"run","inputs":{"runCommand":"{{ lines }}","num":5,"b":true,"z":null,"e":[],"l":[[1],{"yes":[]}]}}]}`
	want := `---
schemaVersion: "2.2"
description: "Says \"it\""
parameters:
  lines:
    type: "StringList"
    default:
    - "printf 'x\\n'"
  none: {}
mainSteps:
- action: "aws:runShellScript"
  name: "run"
  inputs:
    runCommand: "{{ lines }}"
    num: 5
    b: true
    z: null
    e: []
    l:
    -
      - 1
    - "yes": []
`
	got, err := ConvertFormat([]byte(in), FormatJSON, FormatYAML)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Error(diff)
	}
}

func TestConvertFormat(t *testing.T) {
	t.Parallel()
	yaml := "# kept\nschemaVersion: '0.3'\nb: [1]\n"
	if got, err := ConvertFormat([]byte(yaml), FormatYAML, FormatYAML); err != nil || string(got) != yaml {
		t.Errorf("the same format: %q, %v", got, err)
	}
	want := "{\n  \"schemaVersion\": \"0.3\",\n  \"b\": [\n    1\n  ]\n}"
	if got, err := ConvertFormat([]byte(yaml), FormatYAML, FormatJSON); err != nil || string(got) != want {
		t.Errorf("to JSON: %q, %v", got, err)
	}
	if _, err := ConvertFormat([]byte(yaml), FormatYAML, "TEXT"); err == nil {
		t.Error("TEXT is accepted")
	}
	if _, err := ConvertFormat([]byte("{"), FormatJSON, FormatYAML); err == nil {
		t.Error("a broken document is accepted")
	}
}

// TestConvertFormatKeepsAll writes any document as YAML and reads it again.
func TestConvertFormatKeepsAll(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		in, err := json.Marshal(map[string]any{"v": anyValue(t, 3)})
		if err != nil {
			t.Fatal(err)
		}
		yaml, err := ConvertFormat(in, FormatJSON, FormatYAML)
		if err != nil {
			t.Fatal(err)
		}
		a, err := read(in, FormatJSON, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		b, err := read(yaml, FormatYAML, 1<<20)
		if err != nil {
			t.Fatalf("%v\n%s", err, yaml)
		}
		if string(a.JSON()) != string(b.JSON()) {
			t.Fatalf("%s\n%s\n%s", a.JSON(), yaml, b.JSON())
		}
	})
}

// anyValue draws a JSON value of at most the given depth.
func anyValue(t *rapid.T, depth int) any {
	word := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"yes", "null", "~", "- a", "a: b", "a:", "#", "1e5", "<<", "&a", "*a", "!x", "\u0085\u2028\ufeff", "\x7f", "a\nb\n", "{{ x }}", ""}))
	most := 6
	if depth == 0 {
		most = 4
	}
	switch rapid.IntRange(0, most).Draw(t, "kind") {
	case 0:
		return nil
	case 1:
		return rapid.Bool().Draw(t, "boolean")
	case 2:
		return rapid.Float64Range(-1e300, 1e300).Draw(t, "number")
	case 3, 4:
		return word.Draw(t, "text")
	case 5:
		out := []any{}
		for range rapid.IntRange(0, 3).Draw(t, "items") {
			out = append(out, anyValue(t, depth-1))
		}
		return out
	default:
		out := map[string]any{}
		for range rapid.IntRange(0, 3).Draw(t, "members") {
			out[word.Draw(t, "key")] = anyValue(t, depth-1)
		}
		return out
	}
}
