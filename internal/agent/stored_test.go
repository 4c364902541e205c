package agent

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"ssmrun/internal/agentlink/linktest"
	"ssmrun/internal/wire"
)

// withParameters adds declarations of parameters to a document.
func withParameters(t *testing.T, doc json.RawMessage, declared map[string]any) json.RawMessage {
	t.Helper()
	var tree map[string]any
	must(t, json.Unmarshal(doc, &tree))
	tree["parameters"] = declared
	b, err := json.Marshal(tree)
	must(t, err)
	return b
}

func TestStoredParameters(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.cfg.fetchPause = time.Millisecond
	stored := []wire.Parameter{
		{Name: "plain", Type: "String", Value: "{{ssm:other}} {{ given }}", Version: 2},
		{Name: "plain", Type: "String", Value: "old", Version: 1, Selector: ":1"},
		{Name: "/a/list", Type: "StringList", Value: "echo one,echo two"},
		{Name: "/a/arn", Type: "String", Value: "by arn"},
		{Name: "other", Type: "String", Value: "never"},
		{Name: "secret", Type: "SecureString", Value: "s3cr3t"},
		{Name: "number", Type: "String", Value: "12x"},
	}
	for i := range 11 {
		stored = append(stored, wire.Parameter{Name: fmt.Sprint("n", i), Type: "String", Value: fmt.Sprint(i)})
	}
	b.srv.Set(func(s *linktest.Settings) { s.Parameters, s.ParametersFail = stored, 1 }) // the first try fails
	b.start()
	declared := map[string]any{
		"given":   map[string]any{"type": "String", "default": "dflt"},
		"stored":  map[string]any{"type": "String", "default": "{{ ssm:plain:1 }}"},
		"digits":  map[string]any{"type": "String", "default": "1", "allowedPattern": "[0-9]+"},
		"lines":   map[string]any{"type": "StringList", "default": []string{}},
		"map":     map[string]any{"type": "StringMap", "default": map[string]any{}},
		"secrets": map[string]any{"type": "String", "default": "", "interpolationType": "ENV_VAR"},
	}
	many := ""
	for i := range 11 {
		many += fmt.Sprintf("{{ssm:n%d}},", i)
	}
	for _, c := range []struct {
		name   string
		run    any
		given  map[string]any
		stdout string // of a success
		fails  string
	}{
		{"in a text", []string{"echo '{{ssm:plain}} {{given}}'"}, nil, "{{ssm:other}} {{ given }} dflt\n", ""},
		{"a default", []string{"echo '<{{ stored }}>'"}, nil, "<old>\n", ""},
		{"a value", []string{"echo '<{{ given }}>'"}, map[string]any{"given": "a {{ssm:plain:1}} b"}, "<a old b>\n", ""},
		{"a list that becomes lines", []string{"echo zero", "{{ssm:/a/list}}"}, nil, "zero\none\ntwo\n", ""},
		{"a given list", "{{ lines }}", map[string]any{"lines": []string{"{{ssm:/a/list}}", "echo three"}}, "one\ntwo\nthree\n", ""},
		{"a list in a text", []string{"echo '{{ssm:/a/list}}'"}, nil, "echo one,echo two\n", ""},
		{"inside JSON", []string{"echo '{{ lines }}'"}, map[string]any{"lines": []string{"\"{{ssm:plain:1}}\""}}, `["\"old\""]` + "\n", ""},
		{"a map", []string{"echo '{{ map }}'"}, map[string]any{"map": map[string]any{"k": "{{ssm:plain:1}}"}}, `{"k":"old"}` + "\n", ""},
		{"more than a call takes", []string{"echo " + many}, nil, "0,1,2,3,4,5,6,7,8,9,10,\n", ""},
		{"a secret by variable", []string{`echo "$SSM_secrets" | tr a-z A-Z`}, map[string]any{"secrets": "x{{ssm-secure:secret}}y"}, "XS3CR3TY\n", ""},
		{"not by variable and text", []string{"echo '{{ secrets }}'"}, map[string]any{"secrets": "{{ssm-secure:secret}}"}, "{{ secrets }}\n", ""},
		{"a plain one by variable", []string{`echo "$SSM_secrets"`}, map[string]any{"secrets": "{{ssm:plain:1}}"}, "old\n", ""},
		{"missing", []string{"echo {{ssm:none}}"}, nil, "", "{{ssm:none}} names a stored parameter"},
		{"a version that is missing", []string{"echo {{ssm:plain:7}}"}, nil, "", "{{ssm:plain:7}}"},
		{"a secret in a script", []string{"echo {{ssm-secure:secret}}"}, nil, "", "ENV_VAR"},
		{"a secret in a value", []string{"echo {{given}}"}, map[string]any{"given": "{{ssm-secure:secret}}"}, "", "$SSM_"},
		{"a secret as a plain one", []string{"echo {{ssm:secret}}"}, nil, "", "{{ssm-secure:secret}}"},
		{"a pattern that does not match", []string{"echo {{digits}}"}, map[string]any{"digits": "{{ssm:number}}"}, "", "allowed pattern [0-9]+"},
		{"a pattern that matches", []string{"echo {{digits}}"}, map[string]any{"digits": "{{ssm:n7}}"}, "7\n", ""},
		{"put together", []string{"echo {{ssm:{{ given }}}}"}, map[string]any{"given": "other"}, "", "write the reference whole"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := script(t)
			p.DocumentContent = withParameters(t, document22(t, step{"run", map[string]any{"runCommand": c.run}, nil}), declared)
			p.Parameters = c.given
			got := b.run(p).Reply.RuntimeStatus["run"]
			if c.fails == "" {
				if got.Status != wire.StatusSuccess || got.StandardOutput != c.stdout {
					t.Errorf("%s %q %q, want %q", got.Status, got.StandardOutput, got.StandardError, c.stdout)
				}
				return
			}
			if got.Status != wire.StatusFailed || got.Code != 1 || got.StandardOutput != "" {
				t.Errorf("got %s %d %q", got.Status, got.Code, got.StandardOutput)
			}
			contains(t, "note", got.StandardError, "the step was not run: ", c.fails)
			for _, value := range []string{"s3cr3t", "12x"} {
				if strings.Contains(got.StandardError, value) {
					t.Errorf("a value is in the note: %s", got.StandardError)
				}
			}
		})
	}
}

// TestStoredParametersAreFetchedEachTime: nothing is kept from step to step.
func TestStoredParametersAreFetchedEachTime(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.cfg.fetchPause = time.Millisecond
	b.srv.Set(func(s *linktest.Settings) { s.Parameters = []wire.Parameter{{Name: "p", Type: "String", Value: "v"}} })
	b.start()
	p := script(t)
	p.DocumentContent = document22(t,
		step{"a", map[string]any{"runCommand": "echo {{ssm:p}}"}, nil}, step{"b", map[string]any{"runCommand": "echo {{ssm:p}}"}, nil})
	b.run(p)
	n := 0
	for _, e := range b.srv.Events() {
		if e.Kind == wire.OpGetParameters {
			n++
		}
	}
	if n != 2 {
		t.Errorf("%d calls for two steps", n)
	}
	// A service that answers nothing but faults is asked a few times, no more.
	b.srv.Set(func(s *linktest.Settings) { s.ParametersFail = 100 })
	p = script(t, "echo {{ssm:p}}")
	got := b.run(p).Reply.RuntimeStatus["run"]
	contains(t, "note", got.StandardError, "{{ssm:p}} could not be fetched", "500")
}
