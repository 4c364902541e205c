package awsapi_test

import (
	"encoding/json"
	"strings"
	"testing"

	"ssmrun"
	"ssmrun/internal/awsapi"
	"ssmrun/internal/document"
	"ssmrun/internal/store"
)

// TestDocumentFiles: at a start, the file is the truth.
func TestDocumentFiles(t *testing.T) {
	t.Parallel()
	a := newDocumentsAPI(t)
	scope := ssmrun.Scope{Account: ann, Region: "us-east-1"}
	start := func(text string) {
		t.Helper()
		f, err := document.ParseFile("Doc.json", []byte(content(text)))
		if err != nil {
			t.Fatal(err)
		}
		if err := a.store.Update(t.Context(), func(tx store.Tx) error {
			return awsapi.PutDocuments(tx, scope, []*document.File{f}, a.now)
		}); err != nil {
			t.Fatal(err)
		}
	}
	is := func(version, text, latest string) {
		t.Helper()
		got := a.does(ann, "DescribeDocument", `{"Name":"Doc"}`)
		for _, member := range []string{`"DocumentVersion":"` + version + `"`, `"Description":"Says ` + text + `"`, `"LatestVersion":"` + latest + `"`} {
			if !strings.Contains(got, member) {
				t.Errorf("%s is not in %s", member, got)
			}
		}
	}
	start("one")
	is("1", "one", "1")
	start("one")
	is("1", "one", "1")
	a.does(ann, "UpdateDocument", update("Doc", "1", "the API's", ""))
	start("one")
	is("1", "one", "2")
	a.does(ann, "UpdateDocumentDefaultVersion", `{"Name":"Doc","DocumentVersion":"2"}`)
	start("one")
	is("3", "one", "3")
	start("two")
	is("4", "two", "4")
	a.does(ann, "DeleteDocument", `{"Name":"Doc"}`)
	start("two")
	is("1", "two", "1")
}

// TestInjectionWarnings: the service logs what lets values into a script, and
// accepts it all the same.
func TestInjectionWarnings(t *testing.T) {
	t.Parallel()
	a := newDocumentsAPI(t)
	loose := func(line string) string {
		return quoted(`{"schemaVersion":"2.2","parameters":{"who":{"type":"String"}},"mainSteps":[{"action":"aws:runShellScript","name":"greet","inputs":{"runCommand":["` + line + `"]}}]}`)
	}
	a.does(ann, "CreateDocument", create("Clean", "x"))
	a.refuses(ann, "CreateDocument", `{"Name":"Bad","Content":"{"}`, "InvalidDocumentContent: JSON not well-formed. at Line: 1, Column: 2")
	if a.log.Len() > 0 {
		t.Errorf("logged %s", a.log.String())
	}
	for _, c := range []struct{ operation, body string }{
		{"CreateDocument", `{"Name":"Loose","Content":` + loose("echo {{ who }}") + `}`},
		{"UpdateDocument", `{"Name":"Loose","DocumentVersion":"1","Content":` + loose("printf '%s' {{ who }}") + `}`},
	} {
		a.log.Reset()
		a.does(ann, c.operation, c.body)
		var r struct{ Level, Document, Parameter, Step, Fix string }
		if err := json.Unmarshal(a.log.Bytes(), &r); err != nil {
			t.Fatalf("%s logged %q", c.operation, a.log.String())
		}
		if r.Level != "WARN" || r.Document != "Loose" || r.Parameter != "who" || r.Step != "greet" || !strings.Contains(r.Fix, `"$SSM_who"`) {
			t.Errorf("%s logged %+v", c.operation, r)
		}
	}
}
