package awsapi_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ssmrun/internal/document"
)

// TestSharedDocuments: another account sees what is shared with it, by the ARN,
// in the versions that the share allows.
func TestSharedDocuments(t *testing.T) {
	t.Parallel()
	a := newDocumentsAPI(t)
	const arn = "arn:aws:ssm:us-east-1:111111111111:document/Doc"
	a.does(ann, "CreateDocument", create("Doc", "one"))
	a.does(ann, "UpdateDocument", update("Doc", "1", "two", `,"VersionName":"two"`))
	a.does(ann, "UpdateDocument", update("Doc", "2", "three", ""))
	a.does(ann, "UpdateDocumentDefaultVersion", `{"Name":"Doc","DocumentVersion":"2"}`)
	share := func(members string) {
		a.answers(ann, "ModifyDocumentPermission", `{"Name":"Doc","PermissionType":"Share",`+members+`}`, `{}`)
	}
	get := func(account, selector string) string {
		t.Helper()
		answer, failure := a.call(account, "GetDocument", `{"Name":"`+arn+`"`+selector+`}`)
		if failure != "" {
			return failure
		}
		var out struct{ Name, DocumentVersion string }
		if err := json.Unmarshal([]byte(answer), &out); err != nil {
			t.Fatal(err)
		}
		return out.Name + " " + out.DocumentVersion
	}
	check := func(what, account string, want map[string]string) {
		t.Helper()
		for selector, version := range want {
			if got := get(account, selector); !strings.HasPrefix(got, version) {
				t.Errorf("%s: GetDocument%s gives %q, want %q", what, selector, got, version)
			}
		}
	}
	const (
		none   = "InvalidDocument: Document with name " + arn + " does not exist."
		latest = `,"DocumentVersion":"$LATEST"`
		first  = `,"DocumentVersion":"1"`
	)
	check("not shared", bob, map[string]string{"": none})
	check("the owner by ARN", ann, map[string]string{"": "Doc 2", latest: "Doc 3"})

	share(`"AccountIdsToAdd":["` + bob + `"]`)
	check("the default", bob, map[string]string{
		"": arn + " 2", `,"VersionName":"two"`: arn + " 2", `,"DocumentVersion":"2"`: arn + " 2",
		latest: "InvalidDocumentVersion", first: "InvalidDocumentVersion",
	})
	check("not shared with carol", carol, map[string]string{"": none})
	share(`"AccountIdsToAdd":["` + bob + `"],"SharedDocumentVersion":"$LATEST"`)
	check("the latest", bob, map[string]string{"": arn + " 3", latest: arn + " 3", `,"DocumentVersion":"$DEFAULT"`: "InvalidDocumentVersion"})
	share(`"AccountIdsToAdd":["` + bob + `"],"SharedDocumentVersion":"$ALL"`)
	check("all versions", bob, map[string]string{"": arn + " 2", latest: arn + " 3", first: arn + " 1"})
	a.answers(ann, "DescribeDocumentPermission", `{"Name":"Doc","PermissionType":"Share"}`,
		`{"AccountIds":["222222222222"],"AccountSharingInfoList":[{"AccountId":"222222222222","SharedDocumentVersion":"$ALL"}]}`)
	share(`"AccountIdsToRemove":["All","` + carol + `"]`) // neither is there
	a.refuses(ann, "DeleteDocument", `{"Name":"Doc"}`, "InvalidDocumentOperation: Must unshare document first before delete")
	a.answers(ann, "DeleteDocument", `{"Name":"Doc","DocumentVersion":"1"}`, `{}`)
	check("a version that is gone", bob, map[string]string{first: "InvalidDocumentVersion"})

	share(`"AccountIdsToAdd":["All"],"SharedDocumentVersion":"$DEFAULT"`)
	check("public", carol, map[string]string{"": arn + " 2", latest: "InvalidDocumentVersion"})
	check("both shares", bob, map[string]string{latest: arn + " 3"})
	list := func(account, owner string) (names []string) {
		t.Helper()
		var out struct{ DocumentIdentifiers []struct{ Name string } }
		answer := a.does(account, "ListDocuments", `{"Filters":[{"Key":"Owner","Values":["`+owner+`"]}]}`)
		if err := json.Unmarshal([]byte(answer), &out); err != nil {
			t.Fatal(err)
		}
		for _, d := range out.DocumentIdentifiers {
			names = append(names, d.Name)
		}
		return names
	}
	for _, c := range []struct {
		account, owner string
		want           []string
	}{
		{bob, "Private", []string{arn}},
		{bob, "Public", []string{arn}},
		{carol, "Private", nil},
		{carol, "Public", []string{arn}},
		{carol, "Self", nil},
		{carol, "ThirdParty", nil},
		{ann, "Public", nil},
		{ann, "Self", []string{"Doc"}},
		{ann, "Amazon", document.BuiltInNames()},
		{bob, "All", append(document.BuiltInNames(), arn)},
	} {
		if diff := cmp.Diff(c.want, list(c.account, c.owner)); diff != "" {
			t.Errorf("%s lists Owner %s:\n%s", c.account, c.owner, diff)
		}
	}
	versions := a.does(carol, "ListDocumentVersions", `{"Name":"`+arn+`"}`)
	if strings.Count(versions, `"DocumentVersion"`) != 1 || !strings.Contains(versions, `"DocumentVersion":"2"`) {
		t.Errorf("carol lists versions %s", versions)
	}
	// Nobody but the owner changes it.
	a.refuses(bob, "UpdateDocument", update("Doc", "$LATEST", "bob's", ""), "InvalidDocument: ")
	a.refuses(bob, "DeleteDocument", `{"Name":"Doc"}`, "InvalidDocument: Document Doc does not exist in your account")
	a.refuses(bob, "DescribeDocumentPermission", `{"Name":"Doc","PermissionType":"Share"}`, "InvalidDocument: ")
	a.refuses(bob, "DescribeDocument", `{"Name":"Doc"}`, "InvalidDocument: ")
	for _, other := range []string{
		"arn:aws:ssm:eu-west-1:111111111111:document/Doc", "arn:aws:ssm:us-east-1::document/Doc",
		"arn:aws:ssm:us-east-1:111111111111:parameter/Doc", "arn:aws:ssm:us-east-1:111111111111:document/AWS-RunShellScript",
	} {
		a.refuses(ann, "DescribeDocument", `{"Name":"`+other+`"}`, "InvalidDocument: ")
	}
	a.does(ann, "DescribeDocument", `{"Name":"arn:aws:ssm:us-east-1::document/AWS-RunShellScript"}`)

	share(`"AccountIdsToRemove":["all","` + bob + `"]`)
	check("no more", bob, map[string]string{"": none})
	a.answers(ann, "DeleteDocument", `{"Name":"Doc"}`, `{}`)
}
