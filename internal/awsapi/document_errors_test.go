package awsapi_test

import (
	"encoding/json"
	"net/http/httptest"
	"testing"

	"ssmrun"
	"ssmrun/internal/awsapi"
	"ssmrun/internal/document"
)

// TestModelledMessages: the errors of documents spell their member as the model
// does; others have what all of AWS's errors have.
func TestModelledMessages(t *testing.T) {
	t.Parallel()
	for code, member := range map[ssmrun.Code]string{
		ssmrun.CodeInvalidDocument: "Message", ssmrun.CodeInvalidDocumentVersion: "Message", ssmrun.CodeInvalidDocumentContent: "Message",
		ssmrun.CodeMaxDocumentSize: "Message", document.CodeInvalidSchemaVersion: "Message",
		awsapi.CodeDocumentAlreadyExists: "Message", awsapi.CodeDocumentLimitExceeded: "Message",
		awsapi.CodeDocumentVersionLimitExceeded: "Message", awsapi.CodeDocumentPermissionLimit: "Message",
		awsapi.CodeDuplicateDocumentContent: "Message", awsapi.CodeDuplicateDocumentVersionName: "Message",
		awsapi.CodeInvalidDocumentOperation: "Message", ssmrun.CodeValidation: "message",
	} {
		w := httptest.NewRecorder()
		awsapi.WriteJSONError(w, ssmrun.Errorf(code, "why"))
		var body map[string]string
		if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
			t.Fatal(err)
		}
		if w.Code != 400 || body["__type"] != string(code) || body[member] != "why" || len(body) != 2 {
			t.Errorf("%s: %d %v, want the member %s", code, w.Code, body, member)
		}
	}
}
