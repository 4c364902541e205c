package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestDocumentsLint(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	step := func(parameter, line string) string {
		return `{"schemaVersion":"2.2","parameters":{"name":` + parameter + `},"mainSteps":[
			{"action":"aws:runShellScript","name":"greet","inputs":{"runCommand":["set -e","` + line + `"]}}]}`
	}
	clean := file("Clean.json", step(`{"type":"String","interpolationType":"ENV_VAR"}`, `echo \"$SSM_name\"`))
	loose := file("Loose.json", step(`{"type":"String"}`, `echo '{{ name }}'`))
	broken := file("Broken.yaml", "schemaVersion: '2.2'\n")
	automation := file("Other.yaml", "schemaVersion: '0.3'\n")
	for _, c := range []struct {
		name string
		args []string
		code int
		says []string
	}{
		{"clean", []string{clean, automation}, 0, []string{"Clean.json: ok", "Other.yaml: not looked into: it is of type Automation"}},
		{"a finding", []string{clean, loose}, 1, []string{"Clean.json: ok", "step greet: parameter name", "interpolationType: ENV_VAR", `"$SSM_name"`}},
		{"a document that is none", []string{broken}, 1, []string{`Missing "mainSteps"`}},
		{"no file", []string{filepath.Join(dir, "None.json")}, 1, []string{"no such file"}},
		{"no argument", nil, 2, []string{"documents lint FILE"}},
		{"an unknown flag", []string{"--what"}, 2, []string{"--what"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			code := Main(context.Background(), append([]string{"documents", "lint"}, c.args...), Stdio{In: strings.NewReader(""), Out: &out, Err: &out})
			if code != c.code {
				t.Errorf("exit code %d, want %d", code, c.code)
			}
			for _, s := range c.says {
				if !strings.Contains(out.String(), s) {
					t.Errorf("%q is not in\n%s", s, out.String())
				}
			}
		})
	}
	t.Run("json", func(t *testing.T) {
		t.Parallel()
		var out bytes.Buffer
		code := Main(context.Background(), []string{"documents", "lint", "--json", clean, loose, broken}, Stdio{In: strings.NewReader(""), Out: &out, Err: &out})
		var list []linted
		if err := json.Unmarshal(out.Bytes(), &list); err != nil {
			t.Fatalf("%v in\n%s", err, out.String())
		}
		if code != 1 || len(list) != 3 || len(list[0].Findings) != 0 || list[1].Findings[0].Parameter != "name" || list[2].Error == "" {
			t.Errorf("exit code %d, %+v", code, list)
		}
	})
}
