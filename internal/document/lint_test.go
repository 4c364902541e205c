package document

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLint(t *testing.T) {
	t.Parallel()
	document := func(parameter, runCommand string) string {
		return fmt.Sprintf(`{"schemaVersion":"2.2","parameters":{"p":%s},"mainSteps":[
			{"action":"aws:runShellScript","name":"first","inputs":{"runCommand":["true"],"workingDirectory":"{{ p }}"}},
			{"action":"aws:runShellScript","name":"second","inputs":{"runCommand":%s}}]}`, parameter, runCommand)
	}
	const plain = `{"type":"String"}`
	for _, c := range []struct {
		name, content string
		want          []string // step, input and parameter
	}{
		{"text", document(plain, `["echo {{p}}"]`), []string{"second runCommand p"}},
		{"quotes do not help", document(plain, `["echo '{{ p }}' \"{{ p }}\"","{{p}}"]`), []string{"second runCommand p"}},
		{"one line of several", document(plain, `["set -e","{{ p }}"]`), []string{"second runCommand p"}},
		{"a list", document(`{"type":"StringList"}`, `["for x in {{ p }}; do"]`), []string{"second runCommand p"}},
		{"a map", document(`{"type":"StringMap"}`, `["echo {{ p }}"]`), []string{"second runCommand p"}},
		{"a default", document(`{"type":"String","default":"x"}`, `"echo {{ p }}"`), []string{"second runCommand p"}},
		{"the whole script", document(`{"type":"StringList"}`, `"{{ p }}"`), nil},
		{"the whole script in a list", document(`{"type":"StringList"}`, `["{{ p }}"]`), nil},
		{"ENV_VAR", document(`{"type":"String","interpolationType":"ENV_VAR"}`, `["echo \"$SSM_p\" {{ p }}"]`), nil},
		{"allowedPattern", document(`{"type":"String","allowedPattern":"^[a-z]+$"}`, `["echo {{p}}"]`), nil},
		{"a pattern that is not checked", document(`{"type":"String","allowedPattern":"^(?=a)[a-z]+$"}`, `["echo {{p}}"]`), []string{"second runCommand p"}},
		{"allowedValues", document(`{"type":"String","allowedValues":["a"]}`, `["echo {{p}}"]`), nil},
		{"Boolean", document(`{"type":"Boolean"}`, `["echo {{p}}"]`), nil},
		{"Integer", document(`{"type":"Integer"}`, `["echo {{p}}"]`), nil},
		{"not used", document(plain, `["true"]`), nil},
		{"schema 1.2", `{"schemaVersion":"1.2","parameters":{"p":{"type":"String"}},"runtimeConfig":{"aws:runShellScript":{"properties":[
			{"id":"0","runCommand":["echo {{ p }}"]}]}}}`, []string{"aws:runShellScript runCommand p"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d, err := Parse([]byte(c.content), FormatJSON)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, f := range d.Lint() {
				got = append(got, f.Step+" "+f.Input+" "+f.Parameter)
				if !strings.Contains(f.Fix, "interpolationType: ENV_VAR") || !strings.Contains(f.Fix, `"$SSM_p"`) {
					t.Errorf("the way out is not told: %s", f)
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestLintPowerShell(t *testing.T) {
	t.Parallel()
	d, err := Parse([]byte(`{"schemaVersion":"2.2","parameters":{"a-b":{"type":"StringList"}},"mainSteps":[
		{"action":"aws:runPowerShellScript","name":"s","inputs":{"runCommand":["Write-Output {{ a-b }}"]}}]}`), "")
	if err != nil {
		t.Fatal(err)
	}
	list := d.Lint()
	if len(list) != 1 {
		t.Fatalf("findings %v", list)
	}
	for _, says := range []string{"$env:SSM_a-b", "as JSON", "hyphen"} {
		if !strings.Contains(list[0].Fix, says) {
			t.Errorf("%q is not in %s", says, list[0].Fix)
		}
	}
}

// TestLintBuiltIns: AWS's documents take whole scripts, and nothing else.
func TestLintBuiltIns(t *testing.T) {
	t.Parallel()
	b, ok := BuiltIn("AWS-RunShellScript")
	if !ok {
		t.Fatal("it is not there")
	}
	if list := b.Document.Lint(); len(list) > 0 {
		t.Errorf("findings %v", list)
	}
}

func TestParseAs(t *testing.T) {
	t.Parallel()
	const command = `{"schemaVersion":"2.2","mainSteps":[{"action":"aws:runShellScript","name":"a","inputs":{"runCommand":["true"]}}]}`
	for _, c := range []struct {
		docType, format, content string
		schema, err              string
	}{
		{"Command", "JSON", command, "2.2", ""},
		{"Command", "TEXT", command, "", "InvalidDocumentContent"},
		{"Command", "JSON", "{", "", "InvalidDocumentContent"},
		{"Command", "JSON", `{"schemaVersion":"0.3","mainSteps":[]}`, "", "InvalidDocumentSchemaVersion"},
		{"Automation", "YAML", "schemaVersion: '0.3'\nmainSteps: []\n", "0.3", ""},
		{"Automation", "JSON", command, "", "InvalidDocumentSchemaVersion: 2.2 is not a valid schema version for Automation document type"},
		{"Automation", "JSON", "{}", "", "InvalidDocumentContent"},
		{"Session", "JSON", `{"schemaVersion":"2.0"}`, "", "InvalidDocumentSchemaVersion: 2.0 is not a valid schema version for Session document type"},
		{"Session", "JSON", `{"schemaVersion":"1.0"}`, "1.0", ""},
		{"Package", "JSON", `{"schemaVersion":"2.0","packages":{}}`, "2.0", ""},
		{"ApplicationConfiguration", "JSON", `{"any":1}`, "", ""},
		{"ApplicationConfiguration", "YAML", "{", "", "InvalidDocumentContent"},
		{"ChangeCalendar", "TEXT", "BEGIN:VCALENDAR", "", ""},
		{"ChangeCalendar", "TEXT", strings.Repeat("x", 65537), "", "MaxDocumentSizeExceeded"},
		{"Command", "JSON", strings.Repeat("x", 65537), "", "MaxDocumentSizeExceeded"},
	} {
		f, err := ParseAs(c.docType, []byte(c.content), c.format)
		switch {
		case err == nil && c.err != "", err != nil && (c.err == "" || !strings.HasPrefix(err.Error(), c.err)):
			t.Errorf("%s %s %.40s: error %v, want %q", c.docType, c.format, c.content, err, c.err)
		case err == nil && f.SchemaVersion != c.schema:
			t.Errorf("%s %s %.40s: schema %q, want %q", c.docType, c.format, c.content, f.SchemaVersion, c.schema)
		}
	}
}

func TestSummary(t *testing.T) {
	t.Parallel()
	got := Summary([]byte(`{"schemaVersion":"0.3","description":"Waits","parameters":{"How":{"type":"List<String>","default":["a"]},"x":{"type":"String"}}}`), FormatJSON)
	if got.Description != "Waits" || len(got.Parameters) != 2 || got.Parameters[0].Type != "List<String>" || got.PlatformTypes != nil {
		t.Errorf("got %+v", got)
	}
	for _, content := range []string{"{", `{"parameters":[]}`, `{"parameters":{"x":1}}`} {
		if got := Summary([]byte(content), FormatJSON); got.Description != "" || got.Parameters != nil {
			t.Errorf("%s: %+v", content, got)
		}
	}
	if got := Summary([]byte("BEGIN"), FormatText); got.Parameters != nil {
		t.Errorf("text: %+v", got)
	}
}
