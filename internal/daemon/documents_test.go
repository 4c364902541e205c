package daemon_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/google/go-cmp/cmp"

	"ssmrun/internal/testenv"
)

// says is a Command document that prints a line.
func says(line string) *string {
	return aws.String(fmt.Sprintf(`{"schemaVersion":"2.2","mainSteps":[{"action":"aws:runShellScript","name":"say","inputs":{"runCommand":["echo %s"]}}]}`, line))
}

// TestDocumentLife goes with the SDK through every operation of documents.
func TestDocumentLife(t *testing.T) {
	t.Parallel()
	s := testenv.Start(t, testenv.Options{Agents: 1})
	ctx, client, doc := testenv.Context(t), s.SSM(), aws.String("Say")
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	created, err := client.CreateDocument(ctx, &ssm.CreateDocumentInput{
		Name: doc, Content: says("one"), VersionName: aws.String("first"), Tags: []types.Tag{{Key: aws.String("env"), Value: aws.String("test")}},
	})
	ok(err)
	if d := created.DocumentDescription; d.Status != types.DocumentStatusCreating || aws.ToString(d.Owner) != "000000000000" || d.CreatedDate == nil {
		t.Errorf("created %+v", d)
	}
	updated, err := client.UpdateDocument(ctx, &ssm.UpdateDocumentInput{Name: doc, Content: says("two"), DocumentVersion: aws.String("$LATEST")})
	ok(err)
	if d := updated.DocumentDescription; d.Status != types.DocumentStatusUpdating || aws.ToString(d.LatestVersion) != "2" || aws.ToString(d.DefaultVersion) != "1" {
		t.Errorf("updated %+v", d)
	}
	printed := func(version string) string {
		t.Helper()
		id := send(t, s, "Say", nil, 0, func(in *ssm.SendCommandInput) {
			if version != "" {
				in.DocumentVersion = aws.String(version)
			}
		})
		wait(t, s, id)
		out, err := client.GetCommandInvocation(ctx, &ssm.GetCommandInvocationInput{CommandId: aws.String(id), InstanceId: aws.String(s.InstanceIDs[0])})
		ok(err)
		return aws.ToString(out.DocumentVersion) + " " + strings.TrimSpace(aws.ToString(out.StandardOutputContent))
	}
	for version, want := range map[string]string{"": "$DEFAULT one", "$LATEST": "$LATEST two", "2": "2 two"} {
		if got := printed(version); got != want {
			t.Errorf("version %q ran as %q, want %q", version, got, want)
		}
	}
	moved, err := client.UpdateDocumentDefaultVersion(ctx, &ssm.UpdateDocumentDefaultVersionInput{Name: doc, DocumentVersion: aws.String("2")})
	ok(err)
	if aws.ToString(moved.Description.DefaultVersion) != "2" {
		t.Errorf("moved to %+v", moved.Description)
	}
	_, err = client.DeleteDocument(ctx, &ssm.DeleteDocumentInput{Name: doc, VersionName: aws.String("first")})
	ok(err)
	if got := printed(""); got != "$DEFAULT two" {
		t.Errorf("the new default ran as %q", got)
	}
	_, err = client.UpdateDocumentMetadata(ctx, &ssm.UpdateDocumentMetadataInput{Name: doc, DocumentReviews: &types.DocumentReviews{Action: types.DocumentReviewActionSendForReview}})
	ok(err)
	history, err := client.ListDocumentMetadataHistory(ctx, &ssm.ListDocumentMetadataHistoryInput{Name: doc, Metadata: types.DocumentMetadataEnumDocumentReviews})
	ok(err)
	if len(history.Metadata.ReviewerResponse) != 1 || !strings.Contains(aws.ToString(history.Author), ":user/") {
		t.Errorf("history %+v", history)
	}
	_, err = client.ModifyDocumentPermission(ctx, &ssm.ModifyDocumentPermissionInput{Name: doc, PermissionType: types.DocumentPermissionTypeShare, AccountIdsToAdd: []string{"222222222222"}})
	ok(err)
	shares, err := client.DescribeDocumentPermission(ctx, &ssm.DescribeDocumentPermissionInput{Name: doc, PermissionType: types.DocumentPermissionTypeShare})
	ok(err)
	if diff := cmp.Diff([]string{"222222222222"}, shares.AccountIds); diff != "" {
		t.Error(diff)
	}
	versions, err := client.ListDocumentVersions(ctx, &ssm.ListDocumentVersionsInput{Name: doc})
	ok(err)
	if len(versions.DocumentVersions) != 1 || !versions.DocumentVersions[0].IsDefaultVersion {
		t.Errorf("versions %+v", versions.DocumentVersions)
	}
	for name, in := range map[string]*ssm.ListDocumentsInput{
		"by name":   {Filters: []types.DocumentKeyValuesFilter{{Key: aws.String("Name"), Values: []string{"Sa"}}}},
		"by tag":    {Filters: []types.DocumentKeyValuesFilter{{Key: aws.String("tag:env"), Values: []string{"test", "x"}}}},
		"by owner":  {DocumentFilterList: []types.DocumentFilter{{Key: types.DocumentFilterKeyOwner, Value: aws.String("Self")}}},
		"by schema": {Filters: []types.DocumentKeyValuesFilter{{Key: aws.String("SchemaVersion"), Values: []string{"2.2"}}, {Key: aws.String("Owner"), Values: []string{"Self"}}}},
		"by word":   {Filters: []types.DocumentKeyValuesFilter{{Key: aws.String("SearchKeyword"), Values: []string{"SAY"}}}},
		"by platform and type": {DocumentFilterList: []types.DocumentFilter{
			{Key: types.DocumentFilterKeyName, Value: aws.String("Say")},
			{Key: types.DocumentFilterKeyPlatformTypes, Value: aws.String("Linux")},
			{Key: types.DocumentFilterKeyDocumentType, Value: aws.String("Command")},
		}},
	} {
		list, err := client.ListDocuments(ctx, in)
		ok(err)
		if len(list.DocumentIdentifiers) != 1 || aws.ToString(list.DocumentIdentifiers[0].Name) != "Say" {
			t.Errorf("%s: %+v", name, list.DocumentIdentifiers)
		}
	}
	// What was sent runs on when its document is gone, also after a restart.
	id := send(t, s, "Say", nil, 0)
	_, err = client.ModifyDocumentPermission(ctx, &ssm.ModifyDocumentPermissionInput{Name: doc, PermissionType: types.DocumentPermissionTypeShare, AccountIdsToRemove: []string{"222222222222"}})
	ok(err)
	_, err = client.DeleteDocument(ctx, &ssm.DeleteDocumentInput{Name: doc})
	ok(err)
	if c := wait(t, s, id); c.Status != types.CommandStatusSuccess {
		t.Errorf("a command whose document is gone ended as %s", c.Status)
	}
}

// TestDocumentErrors provokes every error that the operations declare, but for
// those of limits (see awsapi's tests), throttling and associations.
func TestDocumentErrors(t *testing.T) {
	t.Parallel()
	s := testenv.Start(t, testenv.Options{Documents: map[string]string{"Old.json": `{"schemaVersion":"1.2","runtimeConfig":{"aws:runShellScript":{"properties":[]}}}`}})
	ctx, client := testenv.Context(t), s.SSM()
	doc, none, builtIn := aws.String("Doc"), aws.String("None"), aws.String("AWS-RunShellScript")
	if _, err := client.CreateDocument(ctx, &ssm.CreateDocumentInput{Name: doc, Content: says("one"), VersionName: aws.String("first")}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.UpdateDocument(ctx, &ssm.UpdateDocumentInput{Name: doc, Content: says("two"), DocumentVersion: aws.String("1")}); err != nil {
		t.Fatal(err)
	}
	create := func(in ssm.CreateDocumentInput) error { _, err := client.CreateDocument(ctx, &in); return err }
	update := func(in ssm.UpdateDocumentInput) error { _, err := client.UpdateDocument(ctx, &in); return err }
	remove := func(in ssm.DeleteDocumentInput) error { _, err := client.DeleteDocument(ctx, &in); return err }
	list := func(in ssm.ListDocumentsInput) error { _, err := client.ListDocuments(ctx, &in); return err }
	share := func(name *string) error {
		_, err := client.ModifyDocumentPermission(ctx, &ssm.ModifyDocumentPermissionInput{Name: name, PermissionType: "Share", AccountIdsToAdd: []string{"all"}})
		return err
	}
	filter := func(key string, values ...string) error {
		return list(ssm.ListDocumentsInput{Filters: []types.DocumentKeyValuesFilter{{Key: &key, Values: values}}})
	}
	latest := aws.String("$LATEST")
	for _, c := range []struct {
		name       string
		err        error
		code, says string
	}{
		{"the name is taken", create(ssm.CreateDocumentInput{Name: doc, Content: says("x")}), "DocumentAlreadyExists", "Document with same name Doc already exists"},
		{"a reserved name", create(ssm.CreateDocumentInput{Name: aws.String("AWS-Mine"), Content: says("x")}), "ValidationException", "reserved"},
		{"a reserved name in small letters", create(ssm.CreateDocumentInput{Name: aws.String("amazonMine"), Content: says("x")}), "ValidationException", "reserved"},
		{"a name that is none", create(ssm.CreateDocumentInput{Name: aws.String("a b c"), Content: says("x")}), "ValidationException", "'name'"},
		{"no JSON", create(ssm.CreateDocumentInput{Name: none, Content: aws.String("{")}), "InvalidDocumentContent", "JSON not well-formed. at Line: 1, Column: 2"},
		{"an unknown plugin", create(ssm.CreateDocumentInput{Name: none, Content: aws.String(strings.Replace(*says("x"), "aws:runShellScript", "aws:notAPlugin", 1))}), "InvalidDocumentContent", "Unknown plugin name: aws:notAPlugin"},
		{"65,537 bytes", create(ssm.CreateDocumentInput{Name: none, Content: aws.String(strings.Repeat("x", 65537))}), "MaxDocumentSizeExceeded", "65536"},
		{"a schema of another type", create(ssm.CreateDocumentInput{Name: none, DocumentType: "Session", Content: says("x")}), "InvalidDocumentSchemaVersion", "2.2 is not a valid schema version for Session document type"},
		{"update of nothing", update(ssm.UpdateDocumentInput{Name: none, Content: says("x"), DocumentVersion: latest}), "InvalidDocument", "Document with name None does not exist."},
		{"update of a built-in document", update(ssm.UpdateDocumentInput{Name: builtIn, Content: says("x"), DocumentVersion: latest}), "InvalidDocument", "AWS-RunShellScript"},
		{"update without a version", update(ssm.UpdateDocumentInput{Name: doc, Content: says("x")}), "InvalidDocumentVersion", "Document version for UpdateDocument must be number or $LATEST"},
		{"update of the default", update(ssm.UpdateDocumentInput{Name: doc, Content: says("x"), DocumentVersion: aws.String("$DEFAULT")}), "InvalidDocumentVersion", "must be number or $LATEST"},
		{"update of an old version", update(ssm.UpdateDocumentInput{Name: doc, Content: says("x"), DocumentVersion: aws.String("1")}), "InvalidDocumentVersion", "Version provided for document Doc is not latest. Please provide the latest version to update document Doc"},
		{"the same content", update(ssm.UpdateDocumentInput{Name: doc, Content: says("two"), DocumentVersion: latest, VersionName: aws.String("x")}), "DuplicateDocumentContent", "Document to be updated with name Doc has the same metadata and content as document version provided in request"},
		{"a version name that is taken", update(ssm.UpdateDocumentInput{Name: doc, Content: says("x"), DocumentVersion: latest, VersionName: aws.String("first")}), "DuplicateDocumentVersionName", "first"},
		{"update to no JSON", update(ssm.UpdateDocumentInput{Name: doc, Content: aws.String("{"), DocumentVersion: latest}), "InvalidDocumentContent", "JSON not well-formed"},
		{"update of schema 1.2", update(ssm.UpdateDocumentInput{Name: aws.String("Old"), Content: says("x"), DocumentVersion: latest}), "InvalidDocumentSchemaVersion", "Update is not allowed for documentType: Command, schemaVersion: 1.2"},
		{"default of nothing", func() error {
			_, err := client.UpdateDocumentDefaultVersion(ctx, &ssm.UpdateDocumentDefaultVersionInput{Name: none, DocumentVersion: aws.String("1")})
			return err
		}(), "InvalidDocument", "Document with name None does not exist."},
		{"default that is not there", func() error {
			_, err := client.UpdateDocumentDefaultVersion(ctx, &ssm.UpdateDocumentDefaultVersionInput{Name: doc, DocumentVersion: aws.String("9")})
			return err
		}(), "InvalidDocumentVersion", "Document version: 9 is invalid, latest version is 2"},
		{"default of a built-in document", func() error {
			_, err := client.UpdateDocumentDefaultVersion(ctx, &ssm.UpdateDocumentDefaultVersionInput{Name: builtIn, DocumentVersion: aws.String("1")})
			return err
		}(), "InvalidDocument", "does not exist in your account"},
		{"a review of nothing", func() error {
			_, err := client.UpdateDocumentMetadata(ctx, &ssm.UpdateDocumentMetadataInput{Name: none, DocumentReviews: &types.DocumentReviews{Action: "Approve"}})
			return err
		}(), "InvalidDocument", "None"},
		{"delete of nothing", remove(ssm.DeleteDocumentInput{Name: none}), "InvalidDocument", "Document None does not exist in your account"},
		{"delete of a built-in document", remove(ssm.DeleteDocumentInput{Name: builtIn}), "InvalidDocument", "Document AWS-RunShellScript does not exist in your account"},
		{"delete of the default", remove(ssm.DeleteDocumentInput{Name: doc, DocumentVersion: aws.String("1")}), "InvalidDocumentOperation", "Default version of the document can't be deleted."},
		{"delete of a version that is not there", remove(ssm.DeleteDocumentInput{Name: doc, DocumentVersion: aws.String("9")}), "InvalidDocumentOperation", "latest version is 2"},
		{"delete by a name that is not there", remove(ssm.DeleteDocumentInput{Name: doc, VersionName: aws.String("x")}), "InvalidDocumentOperation", "no version named x"},
		{"a share of nothing", share(none), "InvalidDocument", "Document with name None does not exist."},
		{"a share of a built-in document", share(builtIn), "InvalidDocument", "does not exist in your account"},
		{"versions of nothing", func() error {
			_, err := client.ListDocumentVersions(ctx, &ssm.ListDocumentVersionsInput{Name: none})
			return err
		}(), "InvalidDocument", "Document with name None does not exist."},
		{"a version's name that is not there", func() error {
			_, err := client.GetDocument(ctx, &ssm.GetDocumentInput{Name: doc, VersionName: aws.String("x")})
			return err
		}(), "InvalidDocumentVersion", "no version named x"},
		{"a version under another's name", func() error {
			_, err := client.DescribeDocument(ctx, &ssm.DescribeDocumentInput{Name: doc, DocumentVersion: aws.String("2"), VersionName: aws.String("first")})
			return err
		}(), "InvalidDocumentVersion", ""},
		{"an unknown filter", filter("Colour", "red"), "InvalidFilterKey", ""},
		{"a filter of no tag", filter("tag:", "red"), "InvalidFilterKey", ""},
		{"a filter without values", filter("Name"), "ValidationException", "no values"},
		{"an unknown owner", filter("Owner", "Me"), "ValidationException", "Owner"},
		{"both kinds of filters", list(ssm.ListDocumentsInput{
			Filters:            []types.DocumentKeyValuesFilter{{Key: aws.String("Name"), Values: []string{"x"}}},
			DocumentFilterList: []types.DocumentFilter{{Key: "Name", Value: aws.String("x")}},
		}), "ValidationException", "both"},
		{"a token of nobody", list(ssm.ListDocumentsInput{NextToken: aws.String("x")}), "InvalidNextToken", ""},
	} {
		if c.err == nil {
			t.Errorf("%s: no error", c.name)
			continue
		}
		if got, message := code(t, c.err); got != c.code || !strings.Contains(message, c.says) {
			t.Errorf("%s: got %s %q, want %s with %q", c.name, got, message, c.code, c.says)
		}
	}
}

// TestEnvironmentVariablesAreNoScript: a parameter that comes as an environment
// variable is never run, whatever is in it.
func TestDocumentsAreWarnedOf(t *testing.T) {
	t.Parallel()
	loose := func(pattern string) string {
		return `{"schemaVersion":"2.2","parameters":{"name":{"type":"String"` + pattern + `}},"mainSteps":[
			{"action":"aws:runShellScript","name":"greet","inputs":{"runCommand":["echo {{ name }}"]}}]}`
	}
	s := testenv.Start(t, testenv.Options{Documents: map[string]string{"FromFile.json": loose("")}})
	ctx, client := testenv.Context(t), s.SSM()
	for name, pattern := range map[string]string{"Bounded": `,"allowedPattern":"^[a-z]+$"`, "Unchecked": `,"allowedPattern":"^(?=a)[a-z]+$"`} {
		_, err := client.CreateDocument(ctx, &ssm.CreateDocumentInput{Name: aws.String(name), DocumentType: types.DocumentTypeCommand, Content: aws.String(loose(pattern))})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{"become part of a script.*document=FromFile.*ENV_VAR", "become part of a script.*document=Unchecked", "allowedPattern is not checked.*document=Unchecked"} {
		testenv.WaitFor(ctx, t, "the log to have "+want, func() (bool, error) { return regexp.MustCompile(want).MatchString(s.Log()), nil })
	}
	log := s.Log()
	if strings.Contains(log, "document=Bounded") {
		t.Errorf("a bounded value is warned of:\n%s", log)
	}
}

func TestEnvironmentVariablesAreNoScript(t *testing.T) {
	t.Parallel()
	s := testenv.Start(t, testenv.Options{Agents: 1})
	ctx := testenv.Context(t)
	dir := t.TempDir()
	_, err := s.SSM().CreateDocument(ctx, &ssm.CreateDocumentInput{Name: aws.String("Greet"), DocumentFormat: types.DocumentFormatYaml, Content: aws.String(`schemaVersion: "2.2"
parameters:
  name:
    type: String
    interpolationType: ENV_VAR
mainSteps:
  - action: aws:runShellScript
    name: greet
    inputs:
      runCommand:
        - printf '%s' "$SSM_name"
`)})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(s.Log(), "become part of a script") {
		t.Errorf("the service warns of it:\n%s", s.Log())
	}
	file := filepath.Join(dir, "must-not-exist")
	for _, value := range []string{
		"$(touch " + file + ")",
		"`touch " + file + "`",
		"'; touch " + file + "; '",
		`"; touch ` + file + `; "`,
		"a\ntouch " + file + "\nb",
		`\"$(touch ` + file + `)\" && touch ` + file + ` || {{ name }} $HOME ü ''`,
	} {
		inv := run(t, s, "Greet", map[string][]string{"name": {value}}, 0)
		if got := aws.ToString(inv.StandardOutputContent); got != value {
			t.Errorf("%q arrived as %q", value, got)
		}
		if _, err := os.Stat(file); !os.IsNotExist(err) {
			t.Fatalf("%q was run", value)
		}
	}
}
