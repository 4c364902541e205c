package daemon_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"ssmrun"
	"ssmrun/internal/awsapi"
	"ssmrun/internal/sigv4"
	"ssmrun/internal/testenv"
)

// wireCall is one raw request, signed as it stands.
type wireCall struct {
	service, region string // ssm, the service's own
	target          string // X-Amz-Target; "" for none
	body            string
	keys            *sigv4.Keys
	change          func(*http.Request) // after the signature
}

// send gives the status of the answer, its error code and message, and the
// whole of it.
func (c wireCall) send(t *testing.T, s *testenv.Service) (status int, code, message string, answer []byte) {
	t.Helper()
	r, err := http.NewRequestWithContext(testenv.Context(t), http.MethodPost, s.Endpoint+"/", strings.NewReader(c.body))
	if err != nil {
		t.Fatal(err)
	}
	if c.target != "" {
		r.Header.Set("X-Amz-Target", c.target)
	}
	if c.service == "" {
		c.service = "ssm"
	}
	if c.region == "" {
		c.region = s.Region
	}
	if c.keys == nil {
		c.keys = &sigv4.Keys{AccessKeyID: s.AccessKeyID, SecretAccessKey: s.SecretKey}
	}
	sigv4.Sign(r, []byte(c.body), *c.keys, c.service, c.region, time.Now())
	if c.change != nil {
		c.change(r)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err = io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp.StatusCode, "", "", answer
	}
	if bytes.HasPrefix(answer, []byte("<?xml")) {
		var x struct {
			Code    string `xml:"Errors>Error>Code"`
			Message string `xml:"Errors>Error>Message"`
			STSCode string `xml:"Error>Code"`
			STSText string `xml:"Error>Message"`
		}
		if err := xml.Unmarshal(answer, &x); err != nil {
			t.Fatalf("answer %q: %v", answer, err)
		}
		return resp.StatusCode, x.Code + x.STSCode, x.Message + x.STSText, answer
	}
	var e map[string]string
	if err := json.Unmarshal(answer, &e); err != nil {
		t.Fatalf("answer %q: %v", answer, err)
	}
	return resp.StatusCode, e["__type"], e["message"] + e["Message"], answer
}

// matches compares a message: "…x" wants it to hold x, "" anything.
func matches(message, want string) bool {
	if part, ok := strings.CutPrefix(want, "…"); ok {
		return strings.Contains(message, part)
	}
	return want == "" || message == want
}

// ids are n instance ids.
func ids(n int) string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf(`"i-%017x"`, i)
	}
	return strings.Join(list, ",")
}

const (
	validation    = "ValidationException"
	serialization = "SerializationException"
	toTag         = `"Targets":[{"Key":"tag:no","Values":["one"]}]`
	trueTo        = `"DocumentName":"AWS-RunShellScript","Parameters":{"commands":["true"]}`
	failed        = " failed to satisfy constraint: "
	one           = "1 validation error detected: Value "
)

// TestBadInput: each bad input gets AWS's error where that is known; a comment
// says where the answer is a choice. code "" is a call that is accepted.
func TestBadInput(t *testing.T) {
	t.Parallel()
	s := testenv.Start(t, testenv.Options{Documents: map[string]string{"Greet.yaml": greet}})
	quote := func(s string) string {
		b, _ := json.Marshal(s)
		return string(b)
	}
	send := func(more string) string { return "{" + trueTo + "," + toTag + "," + more + "}" }
	sendTo := func(where string) string { return "{" + trueTo + "," + where + "}" }
	targets := func(n int) string {
		list := make([]string, n)
		for i := range list {
			list[i] = fmt.Sprintf(`{"Key":"tag:k%d","Values":["v"]}`, i)
		}
		return `"Targets":[` + strings.Join(list, ",") + `]`
	}
	values := func(n int) string {
		return `"Targets":[{"Key":"tag:a","Values":["v"` + strings.Repeat(`,"v"`, n-1) + `]}]`
	}
	for _, c := range []struct {
		name, op, body, code, text string
	}{
		// What is no object. AWS's code is known, its texts are not: they are ours.
		{"no JSON", "ListCommands", `{"CommandId"`, serialization, "The body is not well-formed JSON."},
		{"a JSON array", "ListCommands", `[]`, serialization, "the input must be an object."},
		{"null", "ListCommands", `null`, serialization, ""},
		{"two objects", "ListCommands", `{}{}`, serialization, ""},
		{"not UTF-8", "ListCommands", "{\"InstanceId\":\"\xc3\x28\"}", serialization, "The body is not UTF-8."},
		{"a byte order mark", "ListCommands", "\ufeff{}", serialization, ""}, // a choice: as RFC 8259 lets one
		{"nested deep", "ListCommands", strings.Repeat(`{"a":`, 1000) + "1" + strings.Repeat("}", 1000), serialization, ""},
		{"nested deeper than a stack", "ListCommands", strings.Repeat(`[`, 900_000), serialization, ""},
		{"a key twice", "ListCommands", `{"MaxResults":5,"MaxResults":6}`, serialization, ""}, // a choice: which would count is open
		{"a key twice, one escaped", "ListCommands", `{"MaxResults":5,"Max\u0052esults":6}`, serialization, ""},
		{"a key twice in a map", "SendCommand", `{"DocumentName":"AWS-RunShellScript",` + toTag + `,"Parameters":{"commands":["a"],"commands":["b"]}}`, serialization, ""},
		{"too many values", "ListCommands", `{"a":[` + strings.Repeat("1,", 200_000) + `1]}`, serialization, ""}, // a choice: a bound of ours
		{"a body of white space", "ListCommands", " \n ", "", ""},
		{"no body where nothing is required", "ListCommands", "", "", ""},
		{"no body where something is", "CancelCommand", "", validation, one + "null at 'commandId'" + failed + "Member must not be null"},

		// Types. A choice where AWS's decoder may be more lenient: nothing is converted.
		{"a number for a string", "SendCommand", send(`"Comment":1`), serialization, "comment must be a string."},
		{"a string for a number", "SendCommand", send(`"TimeoutSeconds":"30"`), serialization, "timeoutSeconds must be a number."},
		{"a string for a list", "SendCommand", sendTo(`"InstanceIds":"i-01234567"`), serialization, "instanceIds must be a list."},
		{"a list for a string", "SendCommand", send(`"Comment":["x"]`), serialization, "comment must be a string."},
		{"a list for a map", "SendCommand", `{"DocumentName":"AWS-RunShellScript",` + toTag + `,"Parameters":["x"]}`, serialization, "parameters must be a map."},
		{"a string for a map's list", "SendCommand", `{"DocumentName":"AWS-RunShellScript",` + toTag + `,"Parameters":{"commands":"x"}}`, serialization, "…must be a list."},
		{"a string for a structure", "SendCommand", send(`"NotificationConfig":"x"`), serialization, "notificationConfig must be an object."},
		{"a string for a boolean", "ListCommandInvocations", `{"Details":"true"}`, serialization, "details must be true or false."},
		{"a number for a boolean", "ListCommandInvocations", `{"Details":1}`, serialization, ""},
		{"a string for a time", "CreateActivation", `{"IamRole":"r","ExpirationDate":"2026-12-01"}`, serialization, ""},
		{"a time beyond all", "CreateActivation", `{"IamRole":"r","ExpirationDate":1e400}`, "InvalidParameters", ""},
		{"a number in a list of strings", "SendCommand", sendTo(`"InstanceIds":[1]`), serialization, ""},
		{"null in a list of strings", "SendCommand", sendTo(`"InstanceIds":[null]`), serialization, ""},
		{"a fraction", "ListCommands", `{"MaxResults":1.5}`, serialization, "maxResults must be a whole number."},
		{"a number beyond 64 bits", "ListCommands", `{"MaxResults":99999999999999999999}`, serialization, "maxResults must be a whole number."},
		{"null for what is optional", "ListCommands", `{"CommandId":null,"MaxResults":null,"Filters":null}`, "", ""},
		{"null for what is required", "CancelCommand", `{"CommandId":null}`, validation, "…Member must not be null"},

		// Members that the model does not have are ignored, in whatever spelling.
		{"instanceids", "SendCommand", sendTo(`"instanceids":["i-01234567"]`), validation, "Either InstanceIds or Targets must name at least one instance."},
		{"COMMANDID", "CancelCommand", `{"COMMANDID":"00000000-0000-4000-8000-999000999000"}`, validation, "…Member must not be null"},
		{"an unknown member", "ListCommands", `{"Unknown":{"a":[1]}}`, "", ""},
		{"maxresults out of range", "ListCommands", `{"maxresults":999}`, "", ""},

		// SendCommand, where it runs.
		{"50 ids that nobody knows", "SendCommand", sendTo(`"InstanceIds":[` + ids(50) + `]`), "InvalidInstanceId", ""},
		{"51 ids", "SendCommand", sendTo(`"InstanceIds":[` + ids(51) + `]`), validation, "…at 'instanceIds'" + failed + "Member must have length less than or equal to 50"},
		{"an id twice", "SendCommand", sendTo(`"InstanceIds":["i-01234567","i-01234567"]`), "DuplicateInstanceId", ""},
		{"no ids", "SendCommand", sendTo(`"InstanceIds":[]`), validation, "Either InstanceIds or Targets must name at least one instance."},
		// AWS's pattern of an id has \w: capitals pass it, and then name nobody.
		{"an id in capitals", "SendCommand", sendTo(`"InstanceIds":["i-0123456789ABCDEF0"]`), "InvalidInstanceId", ""},
		{"an id with a line's end", "SendCommand", sendTo(`"InstanceIds":["i-01234567\n"]`), validation, ""},
		{"ids and targets", "SendCommand", sendTo(`"InstanceIds":["i-01234567"],` + toTag), validation, ""},
		{"5 targets", "SendCommand", sendTo(targets(5)), "", ""},
		{"6 targets", "SendCommand", sendTo(targets(6)), validation, "…at 'targets'" + failed + "Member must have length less than or equal to 5"},
		{"50 values", "SendCommand", sendTo(values(50)), "", ""},
		{"51 values", "SendCommand", sendTo(values(51)), validation, "…at 'targets.1.member.values'" + failed + "Member must have length less than or equal to 50"},
		{"a target of 164 characters", "SendCommand", sendTo(`"Targets":[{"Key":"tag:` + strings.Repeat("k", 160) + `","Values":["v"]}]`), validation, "…targets.1.member.key"},

		// SendCommand, the rest.
		{"TimeoutSeconds 29", "SendCommand", send(`"TimeoutSeconds":29`), validation, one + "'29' at 'timeoutSeconds'" + failed + "Member must have value greater than or equal to 30"},
		{"TimeoutSeconds 30", "SendCommand", send(`"TimeoutSeconds":30`), "", ""},
		{"TimeoutSeconds 2592000", "SendCommand", send(`"TimeoutSeconds":2592000`), "", ""},
		{"TimeoutSeconds 2592001", "SendCommand", send(`"TimeoutSeconds":2592001`), validation, one + "'2592001' at 'timeoutSeconds'" + failed + "Member must have value less than or equal to 2592000"},
		{"TimeoutSeconds 0", "SendCommand", send(`"TimeoutSeconds":0`), validation, ""},
		// Whole numbers in another spelling: a choice, AWS's answer is not known.
		{"TimeoutSeconds 30.0", "SendCommand", send(`"TimeoutSeconds":30.0`), serialization, "timeoutSeconds must be a whole number."},
		{"TimeoutSeconds 3e1", "SendCommand", send(`"TimeoutSeconds":3e1`), serialization, "timeoutSeconds must be a whole number."},
		{"MaxConcurrency 100%%", "SendCommand", send(`"MaxConcurrency":"100%%"`), validation, one + "'100%%' at 'maxConcurrency'" + failed + "Member must satisfy regular expression pattern: ^([1-9][0-9]*|[1-9][0-9]%|[1-9]%|100%)$"},
		{"MaxConcurrency 0100", "SendCommand", send(`"MaxConcurrency":"0100"`), validation, ""},
		{"MaxConcurrency 1 and a line's end", "SendCommand", send(`"MaxConcurrency":"1\n"`), validation, ""},
		{"MaxConcurrency of 8 digits", "SendCommand", send(`"MaxConcurrency":"12345678"`), validation, "…Member must have length less than or equal to 7"},
		{"MaxConcurrency in other digits", "SendCommand", send(`"MaxConcurrency":"１０"`), validation, ""},
		{"MaxErrors -1", "SendCommand", send(`"MaxErrors":"-1"`), validation, one + "'-1' at 'maxErrors'" + failed + "Member must satisfy regular expression pattern: ^([1-9][0-9]*|[0]|[1-9][0-9]%|[0-9]%|100%)$"},
		{"a comment of 100 characters", "SendCommand", send(`"Comment":"` + strings.Repeat("ü", 100) + `"`), "", ""},
		{"a comment of 101 characters", "SendCommand", send(`"Comment":"` + strings.Repeat("ü", 101) + `"`), validation, "…at 'comment'" + failed + "Member must have length less than or equal to 100"},
		{"a document of another path", "SendCommand", `{"DocumentName":"../../etc/passwd",` + toTag + `}`, "InvalidDocument", ""}, // '.' and '/' are of an ARN's pattern
		{"a document with NUL", "SendCommand", `{"DocumentName":"Greet\u0000x",` + toTag + `}`, validation, ""},
		{"an ARN of another partition", "SendCommand", `{"DocumentName":"arn:aws-cn:ssm:us-east-1:000000000000:document/Greet",` + toTag + `}`, "InvalidDocument", ""},
		{"an ARN of the partition of another region", "GetDocument", `{"Name":"arn:aws-us-gov:ssm:us-east-1::document/AWS-RunShellScript"}`, "InvalidDocument", ""},
		{"an ARN of another region", "SendCommand", `{"DocumentName":"arn:aws:ssm:eu-west-1:000000000000:document/Greet",` + toTag + `}`, "InvalidDocument", ""},
		{"an ARN of another service", "SendCommand", `{"DocumentName":"arn:aws:s3:us-east-1:000000000000:document/Greet",` + toTag + `}`, "InvalidDocument", ""},
		{"a version 01", "SendCommand", send(`"DocumentVersion":"01"`), validation, ""},
		{"a version beyond 64 bits", "SendCommand", send(`"DocumentVersion":"99999999999999999999"`), "InvalidDocumentVersion", ""},

		// Commands.
		{"a malformed id", "ListCommands", `{"CommandId":"invalid"}`, validation, "…2 validation errors detected: Value 'invalid' at 'commandId'" + failed + "Member must have length greater than or equal to 36; "},
		{"an id with a line's end", "CancelCommand", `{"CommandId":"00000000-0000-4000-8000-999000999000\n"}`, validation, ""},
		{"an id of nothing", "CancelCommand", `{"CommandId":"00000000-0000-4000-8000-999000999000"}`, "InvalidCommandId", ""},
		{"an invocation of nothing", "GetCommandInvocation", `{"CommandId":"00000000-0000-4000-8000-999000999000","InstanceId":"i-01234567"}`, "InvocationDoesNotExist", ""},
		{"6 filters", "ListCommands", `{"Filters":[` + strings.TrimSuffix(strings.Repeat(`{"key":"Status","value":"Failed"},`, 6), ",") + `]}`, validation, ""},
		{"an unknown filter", "ListCommands", `{"Filters":[{"key":"Nope","value":"x"}]}`, validation, "…enum value set"},

		// Documents.
		{"65,537 bytes", "CreateDocument", `{"Name":"Large","Content":` + quote(ofSize(ssmrun.MaxDocumentBytes+1)) + `}`, "MaxDocumentSizeExceeded", ""},
		{"65,536 bytes", "CreateDocument", `{"Name":"Large","Content":` + quote(ofSize(ssmrun.MaxDocumentBytes)) + `}`, "", ""},
		{"a path for a name", "CreateDocument", `{"Name":"../../etc","Content":"{}"}`, validation, "…at 'name'"},
		{"NUL in a name", "GetDocument", `{"Name":"abc\u0000"}`, validation, "…at 'name'"},
		{"a path to read", "GetDocument", `{"Name":"../../etc/passwd"}`, "InvalidDocument", ""},
		{"another format", "GetDocument", `{"Name":"Greet","DocumentFormat":"XML"}`, validation, "…enum value set: [YAML, JSON, TEXT]"},
		{"nothing as content", "CreateDocument", `{"Name":"Empty","Content":""}`, validation, ""},
		{"no JSON as content", "CreateDocument", `{"Name":"Empty","Content":"x"}`, "InvalidDocumentContent", ""},
		{"an unknown operation", "StartNothing", "{}", "UnknownOperationException", ""},
		{"an operation in other letters", "listcommands", "{}", "UnknownOperationException", ""},
	} {
		t.Run(c.op+"/"+c.name, func(t *testing.T) {
			t.Parallel()
			status, code, text, answer := wireCall{target: "AmazonSSM." + c.op, body: c.body}.send(t, s)
			want := http.StatusBadRequest
			if c.code == "" {
				want = http.StatusOK
			}
			if status != want || code != c.code || !matches(text, c.text) {
				t.Errorf("%d %.300s\nwant %d %s %q", status, answer, want, c.code, c.text)
			}
		})
	}
}

// ofSize is a document of n bytes.
func ofSize(n int) string {
	const doc = `{"schemaVersion":"2.2","description":"%s","mainSteps":[{"action":"aws:runShellScript","name":"a","inputs":{"runCommand":["true"]}}]}`
	return fmt.Sprintf(doc, strings.Repeat("x", n-len(doc)+2))
}

// TestParametersSize: 100,000 bytes of a document and its parameters were seen
// to be AWS's bound, and "97KB" in its text; the code is that of the model's
// errors which fits.
func TestParametersSize(t *testing.T) {
	t.Parallel()
	s := testenv.Start(t, testenv.Options{})
	_, _, _, answer := wireCall{target: "AmazonSSM.GetDocument", body: `{"Name":"AWS-RunShellScript"}`}.send(t, s)
	var doc struct{ Content string }
	if err := json.Unmarshal(answer, &doc); err != nil || doc.Content == "" {
		t.Fatalf("%s, %v", answer, err)
	}
	rest := ssmrun.MaxParametersBytes - len(doc.Content) - len("commands")
	for size, want := range map[int]string{rest: "", rest + 1: "MaxDocumentSizeExceeded"} {
		body := `{"DocumentName":"AWS-RunShellScript",` + toTag + `,"Parameters":{"commands":["` + strings.Repeat("#", size) + `"]}}`
		if _, code, text, _ := (wireCall{target: "AmazonSSM.SendCommand", body: body}).send(t, s); code != want || want != "" && !strings.Contains(text, "97KB") {
			t.Errorf("%d bytes: %s %s, want %s", size, code, text, want)
		}
	}
}

// TestEveryOperationTakesNothing: {} is a ValidationException, or an answer.
func TestEveryOperationTakesNothing(t *testing.T) {
	t.Parallel()
	s := testenv.Start(t, testenv.Options{})
	for _, op := range awsapi.New(awsapi.Config{}).Operations() {
		for _, body := range []string{"{}", ""} {
			status, code, _, answer := wireCall{target: "AmazonSSM." + op, body: body}.send(t, s)
			if ok := status == http.StatusOK || status == http.StatusBadRequest && code == validation; !ok {
				t.Errorf("%s %q: %d %s", op, body, status, answer)
			}
			if strings.HasPrefix(op, "List") && status == http.StatusOK && !bytes.Contains(answer, []byte("[")) {
				t.Errorf("%s answers %s without its list", op, answer)
			}
		}
	}
	if s.Log() != "" && strings.Contains(s.Log(), "failed inside") {
		t.Error("a call failed inside the service")
	}
}

// TestBadQueries: STS and EC2. Codes are theirs; where a comment says so, the
// answer is a choice.
func TestBadQueries(t *testing.T) {
	t.Parallel()
	s := testenv.Start(t, testenv.Options{})
	many := func(n int, field string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "&"+field, i+1, i)
		}
		return b.String()
	}
	const instances = "Action=DescribeInstances&Version=2016-11-15"
	get := func(r *http.Request) {
		r.Method = http.MethodGet
	}
	for _, c := range []struct {
		service, name, body string
		change              func(*http.Request)
		status              int
		code                string
	}{
		{"ec2", "no Action", "Version=2016-11-15", nil, 400, "MissingAction"},
		{"ec2", "nothing", "", nil, 400, "MissingAction"},
		{"ec2", "JSON", `{"Action":"DescribeInstances"}`, nil, 400, "MissingAction"},
		{"ec2", "no form", "Action=DescribeInstances&%zz", nil, 400, "MissingAction"},
		{"ec2", "an unknown Action", "Action=RunInstances&Version=2016-11-15", nil, 400, "InvalidAction"},
		{"ec2", "another version", "Action=DescribeInstances&Version=2006-10-01", nil, 400, "NoSuchVersion"}, // a choice: AWS serves old ones
		{"ec2", "no version", "Action=DescribeInstances", nil, 200, ""},                                      // a choice
		// The method is signed: what was signed as POST is not a GET.
		{"ec2", "GET", instances, get, 403, "AuthFailure"},
		{"ec2", "filters with gaps", instances + "&Filter.2.Name=instance-id&Filter.2.Value.3=x&Filter.9.Name=tag-key&Filter.9.Value.1=y", nil, 200, ""},
		{"ec2", "a filter without a name", instances + "&Filter.1.Value.1=x", nil, 400, "InvalidParameterValue"},
		{"ec2", "a filter without a number", instances + "&Filter.Name=x", nil, 400, "InvalidParameterValue"},
		{"ec2", "51 filters", instances + many(51, "Filter.%d.Name=tag-key&Filter.1.Value.%d=x"), nil, 400, "FilterLimitExceeded"},
		{"ec2", "201 values", instances + "&Filter.1.Name=tag-key" + many(201, "Filter.1.Value.%d=%d"), nil, 400, "FilterLimitExceeded"},
		{"ec2", "a value of a mebibyte", instances + "&Filter.1.Name=tag-key&Filter.1.Value.1=" + strings.Repeat("*", 1_000_000), nil, 400, "InvalidParameterValue"}, // a choice
		{"ec2", "1,000 ids", instances + many(1000, "InstanceId.%d=i-%017x"), nil, 400, "InvalidInstanceID.NotFound"},
		{"ec2", "1,001 ids", instances + many(1001, "InstanceId.%d=i-%017x"), nil, 400, "InvalidParameterValue"}, // a choice
		{"ec2", "too many fields", instances + strings.Repeat("&a=b", 10_000), nil, 400, "MalformedQueryString"}, // a choice
		{"ec2", "an id in capitals", instances + "&InstanceId.1=i-0123456789ABCDEF0", nil, 400, "InvalidInstanceID.Malformed"},
		{"ec2", "MaxResults 4", instances + "&MaxResults=4", nil, 400, "InvalidParameterValue"},
		{"ec2", "MaxResults text", instances + "&MaxResults=x", nil, 400, "InvalidParameterValue"},
		{"ec2", "a forged token", instances + "&NextToken=x", nil, 400, "InvalidNextToken"},
		{"ec2", "not signed", instances, func(r *http.Request) { r.Header.Del("Authorization") }, 400, "MissingAuthenticationTokenException"}, // by nothing that says ec2
		{"ec2", "over a mebibyte", instances + "&x=" + strings.Repeat("x", 1<<20), nil, 413, "RequestEntityTooLargeException"},
		{"sts", "no Action", "Version=2011-06-15", nil, 400, "MissingAction"},
		{"sts", "another version", "Action=GetCallerIdentity&Version=2000-01-01", nil, 400, "InvalidAction"},
		{"sts", "no version", "Action=GetCallerIdentity", nil, 200, ""}, // a choice
		{"sts", "GET", "Action=GetCallerIdentity&Version=2011-06-15", get, 403, "SignatureDoesNotMatch"},
		{"sts", "an unknown Action", "Action=GetFederationToken&Version=2011-06-15", nil, 400, "InvalidAction"},
		{"sts", "a role without a name", "Action=AssumeRole&Version=2011-06-15&RoleSessionName=ann", nil, 400, "ValidationError"},
		{"sts", "a duration that is none", "Action=AssumeRole&Version=2011-06-15&RoleArn=arn:aws:iam::000000000000:role/x&RoleSessionName=ann&DurationSeconds=1e3", nil, 400, "ValidationError"},
	} {
		t.Run(c.service+"/"+c.name, func(t *testing.T) {
			t.Parallel()
			status, code, _, answer := wireCall{service: c.service, body: c.body, change: c.change}.send(t, s)
			if status != c.status || code != c.code {
				t.Errorf("%d %.300s\nwant %d %s", status, answer, c.status, c.code)
			}
		})
	}
}

// page gives the NextToken of a call's answer.
func page(t *testing.T, s *testenv.Service, c wireCall) string {
	t.Helper()
	_, _, _, answer := c.send(t, s)
	var out struct{ NextToken string }
	if err := json.Unmarshal(answer, &out); err != nil || out.NextToken == "" {
		t.Fatalf("%s has no NextToken: %v", answer, err)
	}
	return out.NextToken
}

// TestForeignTokens: a page token is good for the call that it came from, on a
// service with the same data folder, and for nothing else.
func TestForeignTokens(t *testing.T) {
	t.Parallel()
	options := testenv.Options{Regions: []string{"us-east-1", "eu-west-1"}, Args: []string{"--other-account", "111111111111"}}
	s := testenv.Start(t, options)
	other := testenv.Start(t, options)
	list := func(op, body string) wireCall { return wireCall{target: "AmazonSSM." + op, body: body} }
	for _, service := range []*testenv.Service{s, other} {
		for range 3 {
			if _, code, text, _ := list("SendCommand", sendBody).send(t, service); code != "" {
				t.Fatal(code, text)
			}
		}
	}
	token := page(t, s, list("ListCommands", `{"MaxResults":1}`))
	with := func(token, more string) string { return fmt.Sprintf(`{"MaxResults":1,"NextToken":%q%s}`, token, more) }
	try := func(name string, to *testenv.Service, c wireCall, want string) {
		t.Helper()
		if status, code, text, _ := c.send(t, to); code != want || text != "" || (status == 400) != (want != "") {
			t.Errorf("%s: %d %s %q, want %s", name, status, code, text, want)
		}
	}
	const bad = "InvalidNextToken"
	elsewhere, role := list("ListCommands", with(token, "")), list("ListCommands", with(token, ""))
	elsewhere.region = "eu-west-1"
	role.keys = roleKeys(t, s, "arn:aws:iam::111111111111:role/Ops")
	flipped := []byte(token)
	flipped[3] ^= 1
	try("its own", s, list("ListCommands", with(token, "")), "")
	try("another size of the page", s, list("ListCommands", strings.Replace(with(token, ""), ":1,", ":2,", 1)), "")
	try("other filters", s, list("ListCommands", with(token, `,"Filters":[{"key":"Status","value":"Failed"}]`)), bad)
	try("another operation", s, list("ListCommandInvocations", with(token, "")), bad)
	try("an operation of documents", s, list("ListDocuments", with(token, "")), bad)
	try("another region", s, elsewhere, bad)
	try("another account", s, role, bad)
	try("another service", other, list("ListCommands", with(token, "")), bad)
	try("cut", s, list("ListCommands", with(token[:len(token)-1], "")), bad)
	try("a bit flipped", s, list("ListCommands", with(string(flipped), "")), bad)
	try("forged", s, list("ListCommands", with("AAAAAAAAAAAAAAAAAAAAAA.x", "")), bad)
	try("no token at all", s, list("ListCommands", with("", "")), "") // a choice: "" is none
	for _, op := range []string{"DescribeInstanceInformation", "ListDocuments", "DescribeActivations", "DescribeParameters", "DescribeInstanceProperties", "ListCommandInvocations"} {
		try(op, s, list(op, `{"NextToken":"forged"}`), bad)
	}
	s.Stop()
	s.Restart()
	try("of the process before", s, list("ListCommands", with(token, "")), "")
}

var sendBody = "{" + trueTo + "," + toTag + "}"

// roleKeys gives the keys of a role.
func roleKeys(t *testing.T, s *testenv.Service, role string) *sigv4.Keys {
	t.Helper()
	_, code, text, answer := wireCall{service: "sts", body: "Action=AssumeRole&Version=2011-06-15&RoleSessionName=ann&RoleArn=" + role}.send(t, s)
	var out struct {
		Key    string `xml:"AssumeRoleResult>Credentials>AccessKeyId"`
		Secret string `xml:"AssumeRoleResult>Credentials>SecretAccessKey"`
		Token  string `xml:"AssumeRoleResult>Credentials>SessionToken"`
	}
	if err := xml.Unmarshal(answer, &out); err != nil || code != "" {
		t.Fatal(code, text, err)
	}
	return &sigv4.Keys{AccessKeyID: out.Key, SecretAccessKey: out.Secret, SessionToken: out.Token}
}

// TestBadRequests: what is wrong with the request around the body.
func TestBadRequests(t *testing.T) {
	t.Parallel()
	s := testenv.Start(t, testenv.Options{})
	const target = "AmazonSSM.ListCommands"
	for _, c := range []struct {
		name   string
		call   wireCall
		status int
		codes  []string
	}{
		{"no X-Amz-Target", wireCall{body: "{}"}, 400, []string{"UnknownOperationException"}},
		{"another service's target", wireCall{target: "DynamoDB_20120810.ListTables", body: "{}"}, 400, []string{"UnknownOperationException"}},
		{"another Content-Type", wireCall{target: target, body: "{}", change: set("Content-Type", "text/plain")}, 200, []string{""}}, // a choice: the target says what it is
		{"gzip", wireCall{target: target, body: "\x1f\x8b\x08\x00", change: set("Content-Encoding", "gzip")}, 400, []string{serialization}},
		{"in chunks", wireCall{target: target, body: "{}", change: func(r *http.Request) { r.ContentLength = -1 }}, 200, []string{""}},
		{"too much in chunks", wireCall{target: target, body: strings.Repeat(" ", ssmrun.MaxBodyBytes+1), change: func(r *http.Request) { r.ContentLength = -1 }}, 413, []string{"RequestEntityTooLargeException"}},
		{"just enough", wireCall{target: target, body: strings.Repeat(" ", ssmrun.MaxBodyBytes)}, 200, []string{""}},
		{"one byte too many", wireCall{target: target, body: strings.Repeat(" ", ssmrun.MaxBodyBytes+1)}, 413, []string{"RequestEntityTooLargeException"}},
		{"too much without a signature", wireCall{target: target, body: strings.Repeat(" ", 10<<20), change: func(r *http.Request) { r.Header.Del("Authorization") }}, 400, []string{"MissingAuthenticationTokenException"}},
		{"too much of what is unsigned", wireCall{target: "AmazonSSM.RegisterManagedInstance", body: strings.Repeat(" ", 64<<10+1)}, 413, []string{"RequestEntityTooLargeException"}},
		{"GET", wireCall{target: target, change: func(r *http.Request) { r.Method = http.MethodGet }}, 400, []string{"UnknownOperationException"}},
		{"another service in the scope", wireCall{service: "ec2", target: target, body: "{}"}, 400, []string{"InvalidSignatureException"}},
		{"another region in the scope", wireCall{region: "ap-south-1", target: target, body: "{}"}, 400, []string{"InvalidSignatureException"}},
		{"a path", wireCall{target: target, body: "{}", change: func(r *http.Request) { r.URL.Path = "/../../etc" }}, 400, []string{"InvalidSignatureException"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			status, code, _, answer := c.call.send(t, s)
			if status != c.status || !slices.Contains(c.codes, code) {
				t.Errorf("%d %.300s\nwant %d %s", status, answer, c.status, c.codes)
			}
		})
	}
}

func set(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}
