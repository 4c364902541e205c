package awsapi_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ssmrun"
	"ssmrun/internal/awsapi"
	"ssmrun/internal/identity"
	"ssmrun/internal/store"
	"ssmrun/internal/store/sqlite"
)

// documentsAPI is the API on a store of its own, without a network: as another
// account, and with exact answers.
type documentsAPI struct {
	*awsapi.API
	t     *testing.T
	store store.Store
	log   bytes.Buffer
	now   time.Time
}

const (
	ann   = "111111111111"
	bob   = "222222222222"
	carol = "333333333333"
)

func newDocumentsAPI(t *testing.T) *documentsAPI {
	t.Helper()
	db, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "store.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	a := &documentsAPI{t: t, store: db, now: time.Unix(1_700_000_000, 0)}
	a.API = awsapi.New(awsapi.Config{Store: db, Now: func() time.Time { return a.now }, Logger: slog.New(slog.NewJSONHandler(&a.log, nil))})
	return a
}

// call gives the answer as JSON, or the error as "Code: message".
func (a *documentsAPI) call(account, operation, body string) (answer, failure string) {
	a.t.Helper()
	out, err := a.SSM(a.t.Context(), &awsapi.Call{
		Operation: operation, Body: []byte(body), Header: http.Header{}, Answer: http.Header{},
		Caller: identity.Principal{ARN: "arn:aws:iam::" + account + ":user/x", Account: account},
		Scope:  ssmrun.Scope{Account: account, Region: "us-east-1"},
	})
	if err != nil {
		return "", fmt.Sprintf("%s: %s", ssmrun.ErrorCode(err), ssmrun.ErrorMessage(err))
	}
	b, err := json.Marshal(out)
	if err != nil {
		a.t.Fatal(err)
	}
	awsapi.CheckAnswer(a.t, operation, b)
	return string(b), ""
}

// does wants an answer.
func (a *documentsAPI) does(account, operation, body string) string {
	a.t.Helper()
	answer, failure := a.call(account, operation, body)
	if failure != "" {
		a.t.Fatalf("%s %.200s: %s", operation, body, failure)
	}
	return answer
}

// answers wants this answer.
func (a *documentsAPI) answers(account, operation, body, want string) {
	a.t.Helper()
	got := a.does(account, operation, body)
	var w, g any
	if err := json.Unmarshal([]byte(want), &w); err != nil {
		a.t.Fatalf("%v in %s", err, want)
	}
	if err := json.Unmarshal([]byte(got), &g); err != nil {
		a.t.Fatal(err)
	}
	if diff := cmp.Diff(w, g); diff != "" {
		a.t.Errorf("%s %s (-want +got):\n%s", operation, body, diff)
	}
}

// refuses wants an error that begins so.
func (a *documentsAPI) refuses(account, operation, body, want string) {
	a.t.Helper()
	if answer, failure := a.call(account, operation, body); !strings.HasPrefix(failure, want) || failure == "" {
		a.t.Errorf("%s %.200s: %q %q, want %q", operation, body, answer, failure, want)
	}
}

// content is a Command document that prints a text.
func content(text string) string {
	return fmt.Sprintf(`{"schemaVersion":"2.2","description":"Says %s","parameters":{"commands":{"type":"StringList","description":"Lines","default":["a'b"]}},`+
		`"mainSteps":[{"action":"aws:runShellScript","name":"runShell","inputs":{"runCommand":"{{ commands }}"}}]}`, text)
}

func hash(content string) string {
	sum := sha256.Sum256([]byte(content))
	return hex.EncodeToString(sum[:])
}

func quoted(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}

func create(name, text string) string {
	return fmt.Sprintf(`{"Name":%q,"DocumentType":"Command","Content":%s}`, name, quoted(content(text)))
}

func update(name, version, text, more string) string {
	return fmt.Sprintf(`{"Name":%q,"DocumentVersion":%q,"Content":%s%s}`, name, version, quoted(content(text)), more)
}

// TestDocumentShapes compares whole answers with those that AWS was seen to
// give: a member that is not there is as important as one that is.
func TestDocumentShapes(t *testing.T) {
	t.Parallel()
	a := newDocumentsAPI(t)
	described := func(status, version, versionName, text, latest, standard, more string) string {
		if versionName != "" {
			versionName = `"VersionName":"` + versionName + `",`
		}
		return fmt.Sprintf(`{"Hash":%q,"HashType":"Sha256","Name":"Doc",%s"Owner":"111111111111","CreatedDate":1700000000.000,"Status":%q,
			"DocumentVersion":%q,"Description":"Says %s","Parameters":[{"Name":"commands","Type":"StringList","Description":"Lines","DefaultValue":"[\"a'b\"]"}],
			"PlatformTypes":["Linux","MacOS"],"DocumentType":"Command","SchemaVersion":"2.2","LatestVersion":%q,"DefaultVersion":%q,
			"DocumentFormat":"JSON","Tags":[{"Key":"suite","Value":"s1"}]%s}`,
			hash(content(text)), versionName, status, version, text, latest, standard, more)
	}
	const category = `,"Category":[],"CategoryEnum":[]`
	named := fmt.Sprintf(`{"Name":"Doc","DocumentType":"Command","Content":%s,"DocumentFormat":"JSON","VersionName":"one","Tags":[{"Key":"suite","Value":"s1"}]}`, quoted(content("one")))
	a.answers(ann, "CreateDocument", named, `{"DocumentDescription":`+described("Creating", "1", "one", "one", "1", "1", "")+`}`)
	a.answers(ann, "DescribeDocument", `{"Name":"Doc"}`, `{"Document":`+described("Active", "1", "one", "one", "1", "1", category)+`}`)
	a.answers(ann, "UpdateDocument", update("Doc", "1", "two", `,"VersionName":"two"`), `{"DocumentDescription":`+described("Updating", "2", "two", "two", "2", "1", "")+`}`)
	a.answers(ann, "DescribeDocument", `{"Name":"Doc"}`, `{"Document":`+described("Active", "1", "one", "one", "2", "1", category)+`}`)
	a.does(ann, "UpdateDocument", update("Doc", "$LATEST", "three", ""))
	a.answers(ann, "DescribeDocument", `{"Name":"Doc","DocumentVersion":"3"}`, `{"Document":`+described("Active", "3", "", "three", "3", "1", category)+`}`)
	a.answers(ann, "UpdateDocumentDefaultVersion", `{"Name":"Doc","DocumentVersion":"2"}`, `{"Description":{"Name":"Doc","DefaultVersion":"2"}}`)
	got := fmt.Sprintf(`{"Name":"Doc","CreatedDate":1700000000.000,"VersionName":"two","DocumentVersion":"2","Status":"Active","Content":%s,"DocumentType":"Command","DocumentFormat":"JSON"}`, quoted(content("two")))
	for _, selector := range []string{``, `,"DocumentVersion":"$DEFAULT"`, `,"DocumentVersion":"2"`, `,"VersionName":"two"`, `,"DocumentVersion":"2","VersionName":"two"`} {
		a.answers(ann, "GetDocument", `{"Name":"Doc"`+selector+`}`, got)
	}
	version := func(number, name string, isDefault bool) string {
		if name != "" {
			name = `"VersionName":"` + name + `",`
		}
		return fmt.Sprintf(`{"Name":"Doc","DocumentVersion":%q,%s"CreatedDate":1700000000.000,"IsDefaultVersion":%v,"DocumentFormat":"JSON","Status":"Active"}`, number, name, isDefault)
	}
	a.answers(ann, "ListDocumentVersions", `{"Name":"Doc"}`,
		`{"DocumentVersions":[`+version("3", "", false)+`,`+version("2", "two", true)+`,`+version("1", "one", false)+`]}`)
	a.answers(ann, "DeleteDocument", `{"Name":"Doc","VersionName":"one"}`, `{}`)
	a.answers(ann, "DeleteDocument", `{"Name":"Doc","DocumentVersion":"$LATEST"}`, `{}`)
	a.answers(ann, "UpdateDocument", update("Doc", "$LATEST", "four", ""), `{"DocumentDescription":`+described("Updating", "4", "", "four", "4", "2", "")+`}`)
	a.answers(ann, "ListDocumentVersions", `{"Name":"Doc"}`, `{"DocumentVersions":[`+version("4", "", false)+`,`+version("2", "two", true)+`]}`)
	a.answers(ann, "ListDocuments", `{"Filters":[{"Key":"Owner","Values":["Self"]}]}`, `{"DocumentIdentifiers":[{"Name":"Doc","CreatedDate":1700000000.000,
		"Owner":"111111111111","VersionName":"two","PlatformTypes":["Linux","MacOS"],"DocumentVersion":"2","DocumentType":"Command","SchemaVersion":"2.2",
		"DocumentFormat":"JSON","Tags":[{"Key":"suite","Value":"s1"}]}]}`)
	a.answers(ann, "DescribeDocumentPermission", `{"Name":"Doc","PermissionType":"Share"}`, `{"AccountIds":[],"AccountSharingInfoList":[]}`)
	a.answers(ann, "DeleteDocument", `{"Name":"Doc"}`, `{}`)
	a.refuses(ann, "DescribeDocument", `{"Name":"Doc"}`, "InvalidDocument: Document with name Doc does not exist.")
	a.does(ann, "CreateDocument", create("Doc", "one"))
	if got := a.does(ann, "DescribeDocument", `{"Name":"Doc"}`); !strings.Contains(got, `"Tags":[]`) {
		t.Errorf("a new document has the tags of one that was deleted: %s", got)
	}
}

// TestDocumentMembers: members that only some documents have come back as they
// were given, and an update keeps what it does not name.
func TestDocumentMembers(t *testing.T) {
	t.Parallel()
	a := newDocumentsAPI(t)
	a.does(ann, "CreateDocument", `{"Name":"Pack","DocumentType":"Package","Content":"{\"schemaVersion\":\"2.0\",\"packages\":{},\"description\":\"A pack\"}",
		"DisplayName":"The pack","TargetType":"/AWS::EC2::Instance","Requires":[{"Name":"Other","Version":"1"}],
		"Attachments":[{"Key":"S3FileUrl","Values":["s3://b/k.zip"],"Name":"k.zip"}]}`)
	got := a.does(ann, "DescribeDocument", `{"Name":"Pack"}`)
	for _, member := range []string{
		`"DisplayName":"The pack"`, `"TargetType":"/AWS::EC2::Instance"`, `"Requires":[{"Name":"Other","Version":"1"}]`,
		`"AttachmentsInformation":[{"Name":"k.zip"}]`, `"Description":"A pack"`, `"DocumentType":"Package"`, `"SchemaVersion":"2.0"`,
	} {
		if !strings.Contains(got, member) {
			t.Errorf("%s is not in %s", member, got)
		}
	}
	a.does(ann, "UpdateDocument", `{"Name":"Pack","DocumentVersion":"$LATEST","Content":"{\"schemaVersion\":\"2.0\",\"packages\":{}}"}`)
	got = a.does(ann, "GetDocument", `{"Name":"Pack","DocumentVersion":"2"}`)
	if !strings.Contains(got, `"DisplayName":"The pack"`) || !strings.Contains(got, `"Requires":[`) {
		t.Errorf("the new version is %s", got)
	}
	a.does(ann, "CreateDocument", `{"Name":"Calendar","DocumentType":"ChangeCalendar","DocumentFormat":"TEXT","Content":"BEGIN:VCALENDAR"}`)
	for _, format := range []string{``, `,"DocumentFormat":"TEXT"`, `,"DocumentFormat":"JSON"`} {
		if got := a.does(ann, "GetDocument", `{"Name":"Calendar"`+format+`}`); !strings.Contains(got, `"Content":"BEGIN:VCALENDAR","DocumentType":"ChangeCalendar","DocumentFormat":"TEXT"`) {
			t.Errorf("the calendar is %s", got)
		}
	}
	const yaml = "schemaVersion: '2.2'\nmainSteps:\n- action: aws:runShellScript\n  name: a\n  inputs: {runCommand: ['true']}\n"
	a.does(ann, "CreateDocument", `{"Name":"Yaml","DocumentFormat":"YAML","Content":`+quoted(yaml)+`}`)
	if got := a.does(ann, "GetDocument", `{"Name":"Yaml","DocumentFormat":"TEXT"}`); !strings.Contains(got, `"Content":`+quoted(yaml)) {
		t.Errorf("as text it is %s", got)
	}
	if got := a.does(ann, "GetDocument", `{"Name":"Yaml"}`); !strings.Contains(got, `"DocumentFormat":"JSON"`) || !strings.Contains(got, `\"mainSteps\"`) {
		t.Errorf("as JSON it is %s", got)
	}
	if got := a.does(ann, "DescribeDocument", `{"Name":"Yaml"}`); !strings.Contains(got, hash(yaml)) {
		t.Errorf("its hash is not that of the text: %s", got)
	}
}
