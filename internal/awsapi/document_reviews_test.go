package awsapi_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func TestDocumentReviews(t *testing.T) {
	t.Parallel()
	a := newDocumentsAPI(t)
	a.does(ann, "CreateDocument", create("Doc", "one"))
	a.does(ann, "UpdateDocument", update("Doc", "1", "two", ""))
	act := func(version, action, comment string) string {
		if comment != "" {
			comment = `,"Comment":[{"Type":"Comment","Content":"` + comment + `"}]`
		}
		return `{"Name":"Doc","DocumentVersion":"` + version + `","DocumentReviews":{"Action":"` + action + `"` + comment + `}}`
	}
	a.refuses(ann, "UpdateDocumentMetadata", act("2", "Approve", ""), "InvalidDocumentOperation: ")
	a.refuses(ann, "UpdateDocumentMetadata", act("2", "UpdateReview", ""), "InvalidDocumentOperation: ")
	a.refuses(ann, "UpdateDocumentMetadata", act("9", "Approve", ""), "InvalidDocumentVersion: ")
	a.answers(ann, "UpdateDocumentMetadata", act("2", "SendForReview", "look"), `{}`)
	a.refuses(ann, "UpdateDocumentMetadata", act("2", "SendForReview", ""), "InvalidDocumentOperation: ")
	got := a.does(ann, "DescribeDocument", `{"Name":"Doc","DocumentVersion":"2"}`)
	if !strings.Contains(got, `"PendingReviewVersion":"2","ReviewStatus":"PENDING"`) {
		t.Errorf("described as %s", got)
	}
	a.now = a.now.Add(time.Minute)
	a.does(ann, "UpdateDocumentMetadata", act("2", "Reject", "no"))
	a.does(ann, "UpdateDocumentMetadata", act("2", "SendForReview", ""))
	a.does(ann, "UpdateDocumentMetadata", act("2", "Approve", "fine"))
	a.now = a.now.Add(time.Minute)
	a.does(ann, "UpdateDocumentMetadata", act("2", "UpdateReview", "very fine"))
	const me = `"Reviewer":"arn:aws:iam::111111111111:user/x"`
	a.answers(ann, "ListDocumentMetadataHistory", `{"Name":"Doc","DocumentVersion":"2","Metadata":"DocumentReviews"}`,
		`{"Name":"Doc","DocumentVersion":"2","Author":"arn:aws:iam::111111111111:user/x","Metadata":{"ReviewerResponse":[
		{"CreateTime":1700000060,"UpdatedTime":1700000120,"ReviewStatus":"APPROVED","Comment":[{"Type":"Comment","Content":"very fine"}],`+me+`},
		{"CreateTime":1700000060,"UpdatedTime":1700000060,"ReviewStatus":"PENDING",`+me+`},
		{"CreateTime":1700000060,"UpdatedTime":1700000060,"ReviewStatus":"REJECTED","Comment":[{"Type":"Comment","Content":"no"}],`+me+`},
		{"CreateTime":1700000000,"UpdatedTime":1700000000,"ReviewStatus":"PENDING","Comment":[{"Type":"Comment","Content":"look"}],`+me+`}]}}`)
	page := a.does(ann, "ListDocumentMetadataHistory", `{"Name":"Doc","DocumentVersion":"2","Metadata":"DocumentReviews","MaxResults":3}`)
	var out struct{ NextToken string }
	if err := json.Unmarshal([]byte(page), &out); err != nil || out.NextToken == "" {
		t.Fatalf("the first page is %s", page)
	}
	rest := a.does(ann, "ListDocumentMetadataHistory", `{"Name":"Doc","DocumentVersion":"2","Metadata":"DocumentReviews","MaxResults":3,"NextToken":"`+out.NextToken+`"}`)
	if strings.Count(rest, "ReviewStatus") != 1 || strings.Contains(rest, "NextToken") {
		t.Errorf("the second page is %s", rest)
	}
	got = a.does(ann, "DescribeDocument", `{"Name":"Doc","DocumentVersion":"2"}`)
	if !strings.Contains(got, `"ApprovedVersion":"2","ReviewStatus":"APPROVED"`) || strings.Contains(got, "PendingReviewVersion") || !strings.Contains(got, `"ReviewInformation":[{"ReviewedTime":1700000120.000,"Status":"APPROVED"`) {
		t.Errorf("described as %s", got)
	}
	if versions := a.does(ann, "ListDocumentVersions", `{"Name":"Doc"}`); strings.Count(versions, `"ReviewStatus":"APPROVED"`) != 1 {
		t.Errorf("versions %s", versions)
	}
	a.refuses(ann, "ListDocumentMetadataHistory", `{"Name":"None","Metadata":"DocumentReviews"}`, "InvalidDocument: ")
	a.refuses(ann, "ListDocumentMetadataHistory", `{"Name":"Doc","DocumentVersion":"9","Metadata":"DocumentReviews"}`, "InvalidDocumentVersion: ")
	a.refuses(ann, "ListDocumentMetadataHistory", `{"Name":"Doc","Metadata":"DocumentReviews","NextToken":"x"}`, "InvalidNextToken: ")
}
