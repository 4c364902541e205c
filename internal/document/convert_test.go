package document

import (
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ssmrun"
)

func TestConvert(t *testing.T) {
	t.Parallel()
	d := parseText(t, typed(`{}`))
	tests := map[string]struct {
		doc   *Document
		given map[string]any
		want  map[string][]string
	}{
		"nothing":               {d, nil, map[string][]string{}},
		"null":                  {d, map[string]any{"text": nil}, map[string][]string{}},
		"text":                  {d, map[string]any{"text": "x"}, map[string][]string{"text": {"x"}}},
		"list of one":           {d, map[string]any{"text": []any{"x"}}, map[string][]string{"text": {"x"}}},
		"number":                {d, map[string]any{"text": 3600}, map[string][]string{"text": {"3600"}}},
		"float":                 {d, map[string]any{"text": 3600.0}, map[string][]string{"text": {"3600"}}},
		"large float":           {d, map[string]any{"text": 1e15}, map[string][]string{"text": {"1000000000000000"}}},
		"fraction":              {d, map[string]any{"text": 0.25}, map[string][]string{"text": {"0.25"}}},
		"Terraform's number":    {d, map[string]any{"text": big.NewFloat(172800)}, map[string][]string{"text": {"172800"}}},
		"Terraform's fraction":  {d, map[string]any{"text": big.NewFloat(1.5)}, map[string][]string{"text": {"1.5"}}},
		"boolean":               {d, map[string]any{"text": true, "flag": false}, map[string][]string{"text": {"true"}, "flag": {"false"}}},
		"integer":               {d, map[string]any{"count": json.Number("12")}, map[string][]string{"count": {"12"}}},
		"list":                  {d, map[string]any{"lines": []any{"a", 1, true}}, map[string][]string{"lines": {"a", "1", "true"}}},
		"list of texts":         {d, map[string]any{"lines": []string{"a"}}, map[string][]string{"lines": {"a"}}},
		"null in a list":        {d, map[string]any{"lines": []any{"a", nil, "b"}}, map[string][]string{"lines": {"a", "b"}}},
		"empty list":            {d, map[string]any{"lines": []any{}}, map[string][]string{"lines": {}}},
		"scalar for a list":     {d, map[string]any{"lines": "a"}, map[string][]string{"lines": {"a"}}},
		"map":                   {d, map[string]any{"map": map[string]any{"b": "<&>", "a": big.NewFloat(2), "c": []any{1.5, nil}}}, map[string][]string{"map": {`{"a":2,"b":"<&>","c":[1.5,null]}`}}},
		"map as text":           {d, map[string]any{"map": `{"a":1}`}, map[string][]string{"map": {`{"a":1}`}}},
		"map in a list of one":  {d, map[string]any{"map": []any{map[string]any{"a": "b"}}}, map[string][]string{"map": {`{"a":"b"}`}}},
		"maps":                  {d, map[string]any{"maps": []any{map[string]any{"a": "b"}, map[string]any{}}}, map[string][]string{"maps": {`{"a":"b"}`, `{}`}}},
		"one for maps":          {d, map[string]any{"maps": map[string]any{"a": "b"}}, map[string][]string{"maps": {`{"a":"b"}`}}},
		"unknown parameter":     {d, map[string]any{"other": []any{"a", 1}}, map[string][]string{"other": {"a", "1"}}},
		"no document":           {nil, map[string]any{"a": "x", "b": []any{1, true}, "c": map[string]any{"k": "v"}, "d": nil}, map[string][]string{"a": {"x"}, "b": {"1", "true"}, "c": {`{"k":"v"}`}}},
		"no document, of maps":  {nil, map[string]any{"a": []any{map[string]any{"k": "v"}}}, map[string][]string{"a": {`{"k":"v"}`}}},
		"all kinds of integers": {nil, map[string]any{"a": []any{int32(1), int64(2), uint64(3), float32(4), big.NewInt(5)}}, map[string][]string{"a": {"1", "2", "3", "4", "5"}}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := Convert(tt.doc, tt.given)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestConvertFails(t *testing.T) {
	t.Parallel()
	d := parseText(t, typed(`{}`))
	_, err := Convert(d, map[string]any{
		"text":  map[string]any{"k": "hunter2"},
		"lines": []any{"a", []any{"hunter2"}},
		"count": struct{}{},
		"maps":  []any{map[string]any{"k": func() {}}},
		"flag":  "this one is for CheckParameters",
	})
	if ssmrun.ErrorCode(err) != ssmrun.CodeInvalidParameters {
		t.Errorf("got %v", err)
	}
	var got []string
	for _, p := range Problems(err) {
		got = append(got, p.Error())
	}
	want := []string{
		`parameter "count": a value of type struct {} does not fit: give text, a number, a boolean, a list or a map`,
		`parameter "lines", item 2: a list inside a list does not fit: give text, or a map for a MapList`,
		`parameter "maps", item 1: the map holds what JSON cannot say`,
		`parameter "text": a map does not fit a String: give text`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if strings.Contains(fmt.Sprint(err), "hunter2") {
		t.Error("a value is printed")
	}
}

// TestPayload takes parameters to an agent and back.
func TestPayload(t *testing.T) {
	t.Parallel()
	d := parseText(t, typed(`{"in":["{{ text }}","{{ lines }}","{{ map }}","{{ flag }}","{{ count }}","{{ maps }}"]}`))
	given := map[string][]string{
		"text": {"x"}, "lines": {"one"}, "map": {`{"b": 1, "a": 2}`}, "flag": {"true"}, "count": {"3"},
		"maps": {`{"k":"v"}`, `{"k":"w"}`}, "unknown": {"y"},
	}
	wire, err := json.Marshal(d.Payload(given))
	if err != nil {
		t.Fatal(err)
	}
	// As in the genuine agent's payloads: lists for lists, text for the rest.
	want := `{"count":"3","flag":"true","lines":["one"],"map":"{\"b\": 1, \"a\": 2}","maps":[{"k":"v"},{"k":"w"}],"text":"x"}`
	if string(wire) != want {
		t.Errorf("\n got %s\nwant %s", wire, want)
	}
	var received map[string]any
	if err := json.Unmarshal(wire, &received); err != nil {
		t.Fatal(err)
	}
	back, err := FromPayload(received)
	if err != nil {
		t.Fatal(err)
	}
	delete(given, "unknown")
	there, err := d.Steps[0].Resolve(given)
	if err != nil {
		t.Fatal(err)
	}
	here, err := d.Steps[0].Resolve(back)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(there, here); diff != "" {
		t.Errorf("an agent resolves differently:\n%s", diff)
	}
	if got := d.Payload(map[string][]string{"text": {"a", "b"}, "map": {"broken"}, "maps": {}}); fmt.Sprint(got) != "map[map:broken maps:[] text:[a b]]" {
		t.Errorf("what does not fit is sent as %v", got)
	}
}
