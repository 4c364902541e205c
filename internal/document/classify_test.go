package document

import (
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"ssmrun"
)

func TestClassify(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ content, docType, version string }{
		{`{"schemaVersion":"2.2","mainSteps":[]}`, CommandDocument, "2.2"},
		{"schemaVersion: 2.0\nmainSteps: []\n", CommandDocument, "2.0"},
		{`{"schemaVersion":"1.2","runtimeConfig":{}}`, CommandDocument, "1.2"},
		{"schemaVersion: '0.3'\nassumeRole: x\n", AutomationDocument, "0.3"},
		{`{"schemaVersion":"1.0","sessionType":"Standard_Stream"}`, SessionDocument, "1.0"},
		{`{"schemaVersion":"1.0","runtimeConfig":{}}`, CommandDocument, "1.0"},
		{`{"schemaVersion":"2.0","packages":{},"files":{}}`, PackageDocument, "2.0"},
	} {
		docType, version, err := Classify([]byte(tt.content))
		if err != nil || docType != tt.docType || version != tt.version {
			t.Errorf("%s is %s %s, %v", tt.content, docType, version, err)
		}
	}
	for content, code := range map[string]ssmrun.Code{
		`{`:                      ssmrun.CodeInvalidDocumentContent,
		`{"a":1}`:                ssmrun.CodeInvalidDocumentContent,
		`{"schemaVersion":[]}`:   ssmrun.CodeInvalidDocumentContent,
		`{"schemaVersion":"77"}`: CodeInvalidSchemaVersion,
	} {
		if _, _, err := Classify([]byte(content)); ssmrun.ErrorCode(err) != code {
			t.Errorf("%s: %v", content, err)
		}
	}
}

func TestReadDir(t *testing.T) {
	t.Parallel()
	file := func(name string) *fstest.MapFile { return &fstest.MapFile{Data: content(t, name)} }
	good := fstest.MapFS{
		"Team-Report.yaml":    file("cross-platform-22.yaml"),
		"Old.json":            file("two-properties-12.json"),
		"Restart.yml":         {Data: []byte("schemaVersion: '0.3'\nmainSteps:\n- name: a\n  action: aws:sleep\n")},
		"README.md":           {Data: []byte("not a document")},
		"more.json/deep.json": {Data: []byte("{")},
	}
	files, err := ReadDir(good)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range files {
		got = append(got, strings.Join([]string{f.Name, f.Format, f.Type, f.SchemaVersion}, " "))
		if (f.Document != nil) != (f.Type == CommandDocument) {
			t.Errorf("%s: document is %v", f.Name, f.Document)
		}
	}
	if want := []string{"Old JSON Command 1.2", "Restart YAML Automation 0.3", "Team-Report YAML Command 2.2"}; !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	for name, fsys := range map[string]fstest.MapFS{
		"Bad.json":   {"Bad.json": {Data: []byte("{")}},
		"Wrong.json": {"Wrong.json": {Data: []byte(`{"schemaVersion":"2.2"}`)}},
		"x.json":     {"x.json": file("two-properties-12.json")},
		"a b c.json": {"a b c.json": file("two-properties-12.json")},
		"Twice.yml":  {"Twice.yml": file("cross-platform-22.yaml"), "Twice.json": file("two-properties-12.json")},
	} {
		if _, err := ReadDir(fsys); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := ParseFile("Doc.txt", nil); err == nil {
		t.Error("a .txt file is accepted")
	}
}
