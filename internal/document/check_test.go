package document

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ssmrun"
)

// checked is the document of TestCheckParameters.
const checked = `{"schemaVersion":"2.2","parameters":{
	"lines":{"type":"StringList","minItems":1,"maxItems":3,"maxChars":8},
	"word":{"type":"String","default":"ok","allowedPattern":"^[a-z]+$","minChars":2,"maxChars":5,"description":"lower case"},
	"seconds":{"type":"String","default":"1","allowedPattern":"([1-9][0-9]{0,2})|(1000)"},
	"mode":{"type":"String","default":"a","allowedValues":["a","b"]},
	"modes":{"type":"StringList","default":["a"],"allowedValues":["a","b"]},
	"flag":{"type":"Boolean","default":true},
	"count":{"type":"Integer","default":1},
	"map":{"type":"StringMap","default":{},"maxChars":20,"minItems":1,"maxItems":2},
	"maps":{"type":"MapList","default":[],"maxItems":2},
	"java":{"type":"String","default":"","allowedPattern":"^(?!x).*$"}
	},"mainSteps":[` + step + `]}`

func TestCheckParameters(t *testing.T) {
	t.Parallel()
	d := parseText(t, checked)
	lines := []string{"echo"}
	tests := map[string]struct {
		given map[string][]string
		want  []string // "parameter rule item"
	}{
		"the least":             {map[string][]string{"lines": lines}, nil},
		"none":                  {nil, []string{"lines missing -1"}},
		"unknown ones by name":  {map[string][]string{"lines": lines, "z": {"1"}, "Word": {"1"}}, []string{"Word unknown -1", "z unknown -1"}},
		"empty list":            {map[string][]string{"lines": {}}, []string{"lines minItems -1"}},
		"long list":             {map[string][]string{"lines": {"1", "2", "3", "4"}}, []string{"lines maxItems -1"}},
		"long item":             {map[string][]string{"lines": {"1", "123456789"}}, []string{"lines maxChars 1"}},
		"wide letters":          {map[string][]string{"lines": {"ääääääää"}}, nil},
		"pattern":               {map[string][]string{"lines": lines, "word": {"1x"}}, []string{"word allowedPattern -1"}},
		"pattern, short":        {map[string][]string{"lines": lines, "word": {"1"}}, []string{"word minChars -1", "word allowedPattern -1"}},
		"newline after match":   {map[string][]string{"lines": lines, "word": {"ab\n"}}, []string{"word allowedPattern -1"}},
		"whole value":           {map[string][]string{"lines": lines, "seconds": {"1001"}}, []string{"seconds allowedPattern -1"}},
		"whole value, good":     {map[string][]string{"lines": lines, "seconds": {"1000"}}, nil},
		"other value":           {map[string][]string{"lines": lines, "mode": {"A"}}, []string{"mode allowedValues -1"}},
		"other value in a list": {map[string][]string{"lines": lines, "modes": {"a", "c", "b"}}, []string{"modes allowedValues 1"}},
		"two for one":           {map[string][]string{"lines": lines, "word": {"ok", "ok"}}, []string{"word type -1"}},
		"none for one":          {map[string][]string{"lines": lines, "word": {}}, []string{"word type -1"}},
		"booleans":              {map[string][]string{"lines": lines, "flag": {"True"}}, nil},
		"no boolean":            {map[string][]string{"lines": lines, "flag": {"yes"}}, []string{"flag type -1"}},
		"integers":              {map[string][]string{"lines": lines, "count": {"-12"}}, nil},
		"no integer":            {map[string][]string{"lines": lines, "count": {"1.5"}}, []string{"count type -1"}},
		"a map":                 {map[string][]string{"lines": lines, "map": {`{"a":[1]}`}}, nil},
		"no map":                {map[string][]string{"lines": lines, "map": {`[1]`}}, []string{"map type -1"}},
		"null for a map":        {map[string][]string{"lines": lines, "map": {`null`}}, []string{"map type -1"}},
		"two maps in one":       {map[string][]string{"lines": lines, "map": {`{"a":1}{}`}}, []string{"map type -1"}},
		"empty map":             {map[string][]string{"lines": lines, "map": {`{}`}}, []string{"map minItems -1"}},
		"large map":             {map[string][]string{"lines": lines, "map": {`{"a":1,"b":2,"c":3}`}}, []string{"map maxItems -1"}},
		"long map":              {map[string][]string{"lines": lines, "map": {`{"a":"123456789012345"}`}}, []string{"map maxChars -1"}},
		"maps":                  {map[string][]string{"lines": lines, "maps": {`{"a":1}`, `{"b":1}`}}, nil},
		"maps as one list":      {map[string][]string{"lines": lines, "maps": {`[{"a":1},{"b":1},{}]`}}, []string{"maps maxItems -1"}},
		"no maps":               {map[string][]string{"lines": lines, "maps": {`{}`, `[1]`, `[null]`, `null`}}, []string{"maps type 1", "maps type 2", "maps type 3", "maps maxItems -1"}},
		"stored, not looked at": {map[string][]string{"lines": {"{{ssm:a-long-name}}"}, "word": {"{{ ssm:x }}"}, "flag": {"{{ssm:f}}"}}, nil},
		"stored, not counted":   {map[string][]string{"lines": {"1", "2", "3", "{{ssm:x}}"}}, nil},
		"pattern of Java":       {map[string][]string{"lines": lines, "java": {"x"}}, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := d.CheckParameters(tt.given)
			if err != nil {
				if got := ssmrun.ErrorCode(err); got != ssmrun.CodeInvalidParameters {
					t.Errorf("code %s", got)
				}
				// Seen on AWS: the same text for every mistake.
				if got := ssmrun.ErrorMessage(err); got != "Parameters provided in document are invalid or not supported." {
					t.Errorf("message %q", got)
				}
			}
			var got []string
			for _, p := range Problems(err) {
				got = append(got, fmt.Sprint(p.Parameter, " ", p.Rule, " ", p.Item))
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("%s\n%v", diff, err)
			}
		})
	}
}

// TestCheckParametersAsAWS holds the two refusals that AWS was seen to make.
func TestCheckParametersAsAWS(t *testing.T) {
	t.Parallel()
	builtIn, _ := BuiltIn("AWS-RunShellScript")
	if err := builtIn.Document.CheckParameters(map[string][]string{"commands": {"true"}, "unknown": {"x"}}); err == nil {
		t.Error("an unknown parameter is accepted")
	}
	if err := parse(t, "two-properties-12.json").CheckParameters(map[string][]string{"word": {"1"}}); err == nil {
		t.Error("a value against the pattern is accepted")
	}
}

// TestBuiltInExecutionTimeout walks along the edges of the pattern.
func TestBuiltInExecutionTimeout(t *testing.T) {
	t.Parallel()
	builtIn, _ := BuiltIn("AWS-RunShellScript")
	for value, good := range map[string]bool{
		"1": true, "5": true, "3600": true, "99999": true, "100000": true, "172799": true, "172800": true,
		"0": false, "": false, "172801": false, "180000": false, "200000": false, "1000000": false, "01": false, "5s": false, " 5": false, "-5": false,
	} {
		err := builtIn.Document.CheckParameters(map[string][]string{"commands": {"true"}, "executionTimeout": {value}})
		if (err == nil) != good {
			t.Errorf("%q: %v", value, err)
		}
	}
}

func TestParameterErrorTexts(t *testing.T) {
	t.Parallel()
	d := parseText(t, checked)
	const secret = "hunter2 is the value"
	tests := map[string]struct {
		given map[string][]string
		want  string
	}{
		"too few":        {map[string][]string{"lines": {}}, `parameter "lines": it has 0 items; minItems is 1`},
		"missing":        {nil, `parameter "lines": it is required: give a StringList`},
		"unknown":        {map[string][]string{"lines": {}, "liens": {secret}}, `parameter "liens": the document has no such parameter; it takes count, flag, java, lines, map, maps, mode, modes, seconds, word; did you mean "lines"?`},
		"unknown, far":   {map[string][]string{"lines": {}, "different": {secret}}, `parameter "different": the document has no such parameter; it takes count, flag, java, lines, map, maps, mode, modes, seconds, word`},
		"allowedValues":  {map[string][]string{"lines": {"x"}, "mode": {secret}}, `parameter "mode": the value (20 characters) is not one of a, b`},
		"item":           {map[string][]string{"lines": {"x", secret}}, `parameter "lines", item 2: the value has 20 characters; maxChars is 8`},
		"pattern":        {map[string][]string{"lines": {"x"}, "word": {"Äb"}}, `parameter "word": the value (2 characters) does not match the allowed pattern ^[a-z]+$; the document says: lower case`},
		"one character":  {map[string][]string{"lines": {"x"}, "seconds": {"x"}}, `parameter "seconds": the value (1 character) does not match the allowed pattern ([1-9][0-9]{0,2})|(1000)`},
		"number of them": {map[string][]string{"lines": {"x"}, "word": {secret, secret}}, `parameter "word": a String takes one value, not 2`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := d.CheckParameters(tt.given)
			problems := Problems(err)
			if len(problems) == 0 {
				t.Fatal("accepted")
			}
			if got := problems[0].Error(); got != tt.want {
				t.Errorf("\n got %s\nwant %s", got, tt.want)
			}
			if strings.Contains(fmt.Sprintf("%v %+v", err, err), "hunter2") {
				t.Errorf("the value is printed: %v", err)
			}
			var one *ParameterError
			if !errors.As(err, &one) || one != problems[0] {
				t.Error("errors.As does not find the first problem")
			}
		})
	}
	if Problems(errors.New("other")) != nil || Problems(nil) != nil {
		t.Error("problems in an error about something else")
	}
}

func TestUncheckedPatterns(t *testing.T) {
	t.Parallel()
	d := parseText(t, `{"schemaVersion":"2.2","parameters":{
		"good":{"type":"String","allowedPattern":"^[a-z]{0,1000}$"},
		"ahead":{"type":"String","allowedPattern":"^(?!x).*$"},
		"back":{"type":"String","allowedPattern":"(a)\\1"},
		"count":{"type":"String","allowedPattern":"^.{0,4096}$"},
		"costly":{"type":"String","allowedPattern":"`+strings.Repeat("[a-z]{500}", 20)+`"},
		"broken":{"type":"String","allowedPattern":"("}
		},"mainSteps":[`+step+`]}`)
	var got []string
	for _, p := range d.UncheckedPatterns() {
		if p.PatternError() == nil {
			t.Errorf("%s has no reason", p.Name)
		}
		got = append(got, p.Name)
	}
	if diff := cmp.Diff([]string{"ahead", "back", "count", "costly", "broken"}, got); diff != "" {
		t.Error(diff)
	}
}
