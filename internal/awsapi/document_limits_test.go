package awsapi_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"ssmrun"
	"ssmrun/internal/store"
)

// TestDocumentLimits fills the store up to each limit.
func TestDocumentLimits(t *testing.T) {
	t.Parallel()
	a := newDocumentsAPI(t)
	scope := ssmrun.Scope{Account: ann, Region: "us-east-1"}
	fill := func(fn func(tx store.Tx) error) {
		t.Helper()
		if err := a.store.Update(t.Context(), fn); err != nil {
			t.Fatal(err)
		}
	}
	a.does(ann, "CreateDocument", create("Doc", "one"))
	fill(func(tx store.Tx) error {
		for n := int64(2); n <= ssmrun.MaxDocumentVersions; n++ {
			if err := tx.PutDocumentVersion(scope, "Doc", &ssmrun.DocumentVersion{Number: n, SchemaVersion: "2.2", Format: "JSON"}); err != nil {
				return err
			}
		}
		for n := range ssmrun.MaxDocumentShares - 1 {
			s := ssmrun.DocumentShare{Account: fmt.Sprintf("9%011d", n), Version: ssmrun.DefaultVersion}
			if err := tx.PutDocumentShare(scope, "Doc", s); err != nil {
				return err
			}
		}
		for n := 1; n < ssmrun.MaxDocuments; n++ {
			d := &ssmrun.Document{Name: fmt.Sprintf("Doc-%03d", n), Scope: scope, Type: "Command", Default: 1, Next: 2}
			if err := tx.PutDocument(d); err != nil {
				return err
			}
			if err := tx.PutDocumentVersion(scope, d.Name, &ssmrun.DocumentVersion{Number: 1}); err != nil {
				return err
			}
		}
		return nil
	})
	a.refuses(ann, "CreateDocument", create("Doc-More", "x"), "DocumentLimitExceeded: ")
	a.refuses(ann, "CreateDocument", create("Doc", "x"), "DocumentAlreadyExists: Document with same name Doc already exists")
	a.refuses(ann, "UpdateDocument", update("Doc", "$LATEST", "x", ""), "DocumentVersionLimitExceeded: ")
	a.does(ann, "DeleteDocument", `{"Name":"Doc","DocumentVersion":"7"}`)
	a.does(ann, "ModifyDocumentPermission", `{"Name":"Doc","PermissionType":"Share","AccountIdsToAdd":["`+bob+`"]}`)
	a.refuses(ann, "ModifyDocumentPermission", `{"Name":"Doc","PermissionType":"Share","AccountIdsToAdd":["`+carol+`"]}`, "DocumentPermissionLimit: ")
	a.refuses(ann, "DescribeDocumentPermission", `{"Name":"Doc","PermissionType":"Other"}`, "ValidationException: ")

	// Pages hold together whatever their size.
	for operation, c := range map[string]struct {
		body, member string
		want         int
	}{
		"ListDocuments":              {`"Filters":[{"Key":"Owner","Values":["Self"]}],"MaxResults":49`, "DocumentIdentifiers", ssmrun.MaxDocuments},
		"ListDocumentVersions":       {`"Name":"Doc"`, "DocumentVersions", ssmrun.MaxDocumentVersions - 1},
		"DescribeDocumentPermission": {`"Name":"Doc","PermissionType":"Share","MaxResults":200`, "AccountIds", ssmrun.MaxDocumentShares},
	} {
		seen, token, pages := map[string]bool{}, "", 0
		for {
			next := ""
			if token != "" {
				next = `,"NextToken":"` + token + `"`
			}
			var out map[string]json.RawMessage
			var items []json.RawMessage
			if err := json.Unmarshal([]byte(a.does(ann, operation, "{"+c.body+next+"}")), &out); err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(out[c.member], &items); err != nil {
				t.Fatal(err)
			}
			for _, i := range items {
				seen[string(i)] = true
			}
			pages++
			token = ""
			if out["NextToken"] == nil {
				break
			}
			if err := json.Unmarshal(out["NextToken"], &token); err != nil {
				t.Fatal(err)
			}
		}
		if len(seen) != c.want || pages < 5 {
			t.Errorf("%s gives %d of %d in %d pages", operation, len(seen), c.want, pages)
		}
		a.refuses(ann, operation, "{"+c.body+`,"NextToken":"x"}`, "InvalidNextToken: ")
	}
}
