package awsapi

import (
	"bytes"
	"encoding/json"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"ssmrun"
	"ssmrun/internal/identity"
)

// commonCodes are those that every operation of AWS's may answer, whether its
// model declares them or not.
var commonCodes = []ssmrun.Code{
	ssmrun.CodeValidation, ssmrun.CodeSerialization, ssmrun.CodeAccessDenied, ssmrun.CodeThrottling,
}

// undeclared are codes that operations answer although the model does not
// declare them.
var undeclared = map[string][]ssmrun.Code{}

// callSeeds are inputs that get far into their operations.
var callSeeds = map[string][]string{
	"AddTagsToResource":            {`{"ResourceType":"ManagedInstance","ResourceId":"i-01234567","Tags":[{"Key":"a","Value":"b"}]}`, `{"ResourceType":"Parameter","ResourceId":"/a","Tags":[]}`},
	"CancelCommand":                {`{"CommandId":"00000000-0000-4000-8000-999000999000","InstanceIds":["i-01234567"]}`},
	"CreateActivation":             {`{"IamRole":"r","RegistrationLimit":5,"ExpirationDate":1795348800,"Tags":[{"Key":"a","Value":"b"}]}`, `{"IamRole":"r","ExpirationDate":1e308}`},
	"CreateDocument":               {`{"Name":"Doc","Content":"{\"schemaVersion\":\"2.2\",\"mainSteps\":[{\"action\":\"aws:runShellScript\",\"name\":\"a\",\"inputs\":{\"runCommand\":[\"true\"]}}]}","DocumentType":"Command"}`, `{"Name":"Doc2","Content":"a: &a [*a]","DocumentFormat":"YAML"}`, `{"Name":"Doc3","Content":"x","DocumentFormat":"TEXT"}`},
	"DeleteActivation":             {`{"ActivationId":"00000000-0000-4000-8000-999000999000"}`},
	"DeleteDocument":               {`{"Name":"Doc"}`, `{"Name":"Doc","DocumentVersion":"$LATEST"}`},
	"DeleteParameter":              {`{"Name":"/a/b"}`},
	"DeleteParameters":             {`{"Names":["/a/b","c:1"]}`},
	"DeregisterManagedInstance":    {`{"InstanceId":"mi-01234567890123456"}`},
	"DescribeActivations":          {`{"Filters":[{"FilterKey":"IamRole","FilterValues":["r"]}],"MaxResults":5}`},
	"DescribeDocument":             {`{"Name":"Doc","DocumentVersion":"1"}`, `{"Name":"arn:aws:ssm:us-east-1::document/AWS-RunShellScript"}`},
	"DescribeDocumentPermission":   {`{"Name":"Doc","PermissionType":"Share"}`},
	"DescribeInstanceInformation":  {`{"Filters":[{"Key":"tag:a","Values":["b*"]}]}`, `{"InstanceInformationFilterList":[{"key":"PingStatus","valueSet":["Online"]}]}`},
	"DescribeInstanceProperties":   {`{"FiltersWithOperator":[{"Key":"AgentVersion","Values":["1.0.0"],"Operator":"LessThan"}]}`, `{"InstancePropertyFilterList":[{"key":"DocumentName","valueSet":["Doc"]}]}`},
	"DescribeParameters":           {`{"ParameterFilters":[{"Key":"Path","Option":"Recursive","Values":["/a"]}]}`, `{"Filters":[{"Key":"Name","Values":["a"]}]}`},
	"GetCommandInvocation":         {`{"CommandId":"00000000-0000-4000-8000-999000999000","InstanceId":"i-01234567","PluginName":"aws:runShellScript"}`},
	"GetConnectionStatus":          {`{"Target":"i-01234567"}`},
	"GetDocument":                  {`{"Name":"AWS-RunShellScript","DocumentFormat":"YAML"}`, `{"Name":"Doc","VersionName":"v"}`},
	"GetParameter":                 {`{"Name":"/a/b:1","WithDecryption":true}`},
	"GetParameters":                {`{"Names":["/a/b","c:latest"],"WithDecryption":true}`},
	"GetParametersByPath":          {`{"Path":"/","Recursive":true,"ParameterFilters":[{"Key":"Type","Values":["String"]}]}`},
	"ListCommandInvocations":       {`{"CommandId":"00000000-0000-4000-8000-999000999000","Details":true}`, `{"Filters":[{"key":"Status","value":"Delayed"}]}`},
	"ListCommands":                 {`{"Filters":[{"key":"InvokedAfter","value":"2026-11-22T12:00:00Z"},{"key":"ExecutionStage","value":"Executing"}]}`},
	"ListDocumentMetadataHistory":  {`{"Name":"Doc","Metadata":"DocumentReviews"}`},
	"ListDocumentVersions":         {`{"Name":"Doc","MaxResults":1}`},
	"ListDocuments":                {`{"Filters":[{"Key":"Owner","Values":["Self"]},{"Key":"tag:a","Values":["b"]}]}`, `{"DocumentFilterList":[{"key":"Owner","value":"Amazon"}]}`},
	"ListTagsForResource":          {`{"ResourceType":"Document","ResourceId":"Doc"}`},
	"ModifyDocumentPermission":     {`{"Name":"Doc","PermissionType":"Share","AccountIdsToAdd":["111111111111","All"],"SharedDocumentVersion":"1"}`},
	"PutParameter":                 {`{"Name":"/a/b","Value":"v","Type":"SecureString","Overwrite":true}`, `{"Name":"c","Value":"x,y","Type":"StringList","AllowedPattern":"^(a+)+$","Tags":[{"Key":"a","Value":"b"}]}`, `{"Name":"d","Value":"v","Type":"String","Tier":"Advanced","Policies":"[{\"Type\":\"Expiration\",\"Version\":\"1.0\",\"Attributes\":{\"Timestamp\":\"2026-12-02T21:34:33.000Z\"}}]"}`},
	"RemoveTagsFromResource":       {`{"ResourceType":"Parameter","ResourceId":"/a/b","TagKeys":["a"]}`},
	"SendCommand":                  {`{"DocumentName":"AWS-RunShellScript","InstanceIds":["i-01234567"],"Parameters":{"commands":["true"]},"TimeoutSeconds":30,"MaxConcurrency":"10%","MaxErrors":"1"}`, `{"DocumentName":"Doc","Targets":[{"Key":"tag:a","Values":["b"]},{"Key":"tag-key","Values":["c"]}]}`, `{"DocumentName":"AWS-RunShellScript","Targets":[{"Key":"resource-groups:Name","Values":["b"]}],"Parameters":{"commands":["{{ssm:/a/b:1}}"]}}`},
	"UpdateDocument":               {`{"Name":"Doc","DocumentVersion":"$LATEST","Content":"{\"schemaVersion\":\"2.2\",\"mainSteps\":[{\"action\":\"aws:runShellScript\",\"name\":\"b\",\"inputs\":{\"runCommand\":[\"true\"]}}]}","VersionName":"v"}`},
	"UpdateDocumentDefaultVersion": {`{"Name":"Doc","DocumentVersion":"1"}`},
	"UpdateDocumentMetadata":       {`{"Name":"Doc","DocumentReviews":{"Action":"Approve","Comment":[{"Type":"Comment","Content":"x"}]}}`},
	"UpdateManagedInstanceRole":    {`{"InstanceId":"mi-01234567890123456","IamRole":"r"}`},
}

// FuzzCall sends any operation any body, on a service with a store and nobody
// connected. Whatever comes, the answer is one that the model knows, or an
// error that the model declares, and never a fault of the service.
func FuzzCall(f *testing.F) {
	a, db := newAPI(f)
	put(f, db, ssmrun.Instance{ID: "i-01234567", Scope: home, PlatformType: "Linux", LastPing: now},
		ssmrun.Instance{ID: "mi-01234567890123456", Scope: home, PlatformType: "Linux", LastPing: now})
	names := a.Operations()
	for n, name := range names {
		if len(callSeeds[name]) == 0 {
			f.Errorf("%s has no seed", name)
		}
		for _, body := range append(callSeeds[name], "", "{}", "[]", `{"NextToken":"x"}`) {
			f.Add(uint8(n), []byte(body))
		}
	}
	f.Fuzz(func(t *testing.T, n uint8, body []byte) {
		name := names[int(n)%len(names)]
		out, err := a.SSM(t.Context(), &Call{
			Operation: name, Scope: home, Body: body, Header: http.Header{}, Answer: http.Header{},
			Caller: identity.Principal{ARN: "arn:aws:iam::000000000000:user/ann", Account: home.Account, UserID: "AIDA"},
		})
		switch code := ssmrun.ErrorCode(err); {
		case Internal(err):
			t.Fatalf("%s %q: %v", name, body, err)
		case err != nil:
			if !slices.Contains(commonCodes, code) && !slices.Contains(undeclared[name], code) && !slices.Contains(theModel().Operations[name].Errors, string(code)) {
				t.Fatalf("%s %q: %v, which the model does not declare", name, body, err)
			}
			return
		}
		answer, err := json.Marshal(out)
		if err != nil {
			t.Fatalf("%s %q: encode the answer: %v", name, body, err)
		}
		CheckAnswer(t, name, answer)
	})
}

// FuzzReadBody: what is accepted is what encoding/json reads, as the same tree,
// and no object in it has a key twice.
func FuzzReadBody(f *testing.F) {
	for _, s := range []string{
		"", " ", "{}", `{"a":[1,-0,1e400,"\ud800",true,null,{"b":{}}]}`, `{"a":1,"\u0061":2}`, `{"a":1} 2`, "[[[]]", "\xff", "\ufeff{}", `{"a"}`, `{1:2}`, "{]", "nul",
		strings.Repeat("[", 40), `"\u0000"`, `{"":{"":[]}}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := readBody(body)
		if err != nil {
			if ssmrun.ErrorCode(err) != ssmrun.CodeSerialization {
				t.Fatalf("%q: %v", body, err)
			}
			return
		}
		if len(bytes.TrimSpace(body)) == 0 {
			return
		}
		d := json.NewDecoder(bytes.NewReader(body))
		d.UseNumber()
		var want any
		if err := d.Decode(&want); err != nil {
			t.Fatalf("%q is accepted, and is no JSON: %v", body, err)
		}
		if !json.Valid(body) || !reflect.DeepEqual(got, want) {
			t.Fatalf("%q is read as %v, and is %v", body, got, want)
		}
	})
}

// FuzzPageToken: a token is taken for the very call that it was made for, and
// nothing else is taken for a token.
func FuzzPageToken(f *testing.F) {
	a := New(Config{})
	call := func(operation, body string) *Call {
		return &Call{Operation: operation, Scope: home, Body: []byte(body)}
	}
	good := a.next(call("ListCommands", "{}"), "1795348800|c")
	for _, token := range []string{good, good[1:], good + "A", strings.ToUpper(good), "", ".", "x.y", "\x00." + good} {
		f.Add(token, "1795348800|c")
	}
	f.Fuzz(func(t *testing.T, token, place string) {
		c := call("ListCommands", "{}")
		p, err := a.page(c, 5, token)
		switch {
		case err == nil && token != "" && a.next(c, p.Token) != token:
			t.Fatalf("%q is taken for the token of place %q", token, p.Token)
		case err != nil && ssmrun.ErrorCode(err) != ssmrun.CodeInvalidNextToken:
			t.Fatal(err)
		}
		made := a.next(c, place)
		if p, err := a.page(c, 5, made); err != nil || p.Token != place {
			t.Fatalf("the token of %q gives %q, %v", place, p.Token, err)
		}
		if made == "" {
			return
		}
		if _, err := a.page(call("ListCommandInvocations", "{}"), 5, made); ssmrun.ErrorCode(err) != ssmrun.CodeInvalidNextToken {
			t.Fatalf("the token of %q is good for another operation: %v", place, err)
		}
	})
}
