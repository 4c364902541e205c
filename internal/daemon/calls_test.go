package daemon_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"

	"ssmrun/internal/sigv4"
	"ssmrun/internal/testenv"
)

const automation = `{"schemaVersion":"0.3","mainSteps":[{"name":"wait","action":"aws:sleep","inputs":{"Duration":"PT1S"}}]}`

const greet = `schemaVersion: "2.2"
description: Greets
parameters:
  name:
    type: String
    allowedPattern: "^[a-z]+$"
  tone:
    type: String
    default: soft
    allowedValues: [soft, loud]
mainSteps:
  - action: aws:runShellScript
    name: greet
    inputs:
      timeoutSeconds: "60"
      runCommand:
        - echo "hello {{ name }}, {{ tone }}"
`

// code gives the error code of a call, and its message.
func code(t *testing.T, err error) (string, string) {
	t.Helper()
	var api smithy.APIError
	if !errors.As(err, &api) {
		t.Fatalf("no error of the API: %v", err)
	}
	return api.ErrorCode(), api.ErrorMessage()
}

func TestSendCommandRefuses(t *testing.T) {
	t.Parallel()
	s := testenv.Start(t, testenv.Options{Agents: 1, Documents: map[string]string{"Stop-Everything.json": automation, "Greet.yaml": greet}})
	ctx, client, id := testenv.Context(t), s.SSM(), s.InstanceIDs[0]
	commands := map[string][]string{"commands": {"touch must-not-exist"}}
	for _, c := range []struct {
		name string
		in   ssm.SendCommandInput
		code string
		says string
	}{
		{"no instance", ssm.SendCommandInput{Parameters: commands}, "ValidationException", "InstanceIds or Targets"},
		{"an id twice", ssm.SendCommandInput{InstanceIds: []string{id, id}, Parameters: commands}, "DuplicateInstanceId", ""},
		{"a malformed id", ssm.SendCommandInput{InstanceIds: []string{"i-nothex"}, Parameters: commands}, "ValidationException", "instanceIds"},
		{"an unknown id", ssm.SendCommandInput{InstanceIds: []string{"i-0123456789abcdef0"}, Parameters: commands}, "InvalidInstanceId", "Instances not in a valid state for account"},
		{"one unknown among others", ssm.SendCommandInput{InstanceIds: []string{id, "i-0123456789abcdef0"}, Parameters: commands}, "InvalidInstanceId", "Instances not in a valid state for account"},
		{"an unknown document", ssm.SendCommandInput{InstanceIds: []string{id}, DocumentName: aws.String("No-Such-Document")}, "InvalidDocument", ""},
		{"an unknown version", ssm.SendCommandInput{InstanceIds: []string{id}, Parameters: commands, DocumentVersion: aws.String("7")}, "InvalidDocumentVersion", ""},
		{"no Command document", ssm.SendCommandInput{InstanceIds: []string{id}, DocumentName: aws.String("Stop-Everything")}, "InvalidDocument", "Automation"},
		{"an unknown parameter", ssm.SendCommandInput{InstanceIds: []string{id}, Parameters: map[string][]string{"commands": {"true"}, "unknown": {"x"}}}, "InvalidParameters", "Parameters provided in document are invalid or not supported."},
		{"a missing parameter", ssm.SendCommandInput{InstanceIds: []string{id}}, "InvalidParameters", ""},
		{"outside allowedValues", ssm.SendCommandInput{InstanceIds: []string{id}, DocumentName: aws.String("Greet"), Parameters: map[string][]string{"name": {"ann"}, "tone": {"shrill"}}}, "InvalidParameters", ""},
		{"outside allowedPattern", ssm.SendCommandInput{InstanceIds: []string{id}, DocumentName: aws.String("Greet"), Parameters: map[string][]string{"name": {"ann; reboot"}}}, "InvalidParameters", ""},
		{"TimeoutSeconds too small", ssm.SendCommandInput{InstanceIds: []string{id}, Parameters: commands, TimeoutSeconds: aws.Int32(29)}, "ValidationException", "1 validation error detected: Value '29' at 'timeoutSeconds' failed to satisfy constraint: Member must have value greater than or equal to 30"},
		{"MaxConcurrency zero", ssm.SendCommandInput{InstanceIds: []string{id}, Parameters: commands, MaxConcurrency: aws.String("0")}, "ValidationException", "Value '0' at 'maxConcurrency' failed to satisfy constraint: Member must satisfy regular expression pattern: ^([1-9][0-9]*|[1-9][0-9]%|[1-9]%|100%)$"},
		{"two failures", ssm.SendCommandInput{InstanceIds: []string{id}, Parameters: commands, TimeoutSeconds: aws.Int32(1), MaxErrors: aws.String("-1")}, "ValidationException", "2 validation errors detected: "},
		{"a bucket name too short", ssm.SendCommandInput{InstanceIds: []string{id}, Parameters: commands, OutputS3BucketName: aws.String("ab")}, "ValidationException", "outputS3BucketName"},
		{"97 KB of parameters", ssm.SendCommandInput{InstanceIds: []string{id}, Parameters: map[string][]string{"commands": {strings.Repeat("#", 100_001)}}}, "MaxDocumentSizeExceeded", "97KB"},
		{"notifications without a role", ssm.SendCommandInput{InstanceIds: []string{id}, Parameters: commands, NotificationConfig: &types.NotificationConfig{NotificationArn: aws.String("arn:aws:sns:us-east-1:000000000000:x")}}, "InvalidRole", "ServiceRoleArn"},
		{"notifications to no topic", ssm.SendCommandInput{InstanceIds: []string{id}, Parameters: commands, NotificationConfig: &types.NotificationConfig{NotificationArn: aws.String("x")}}, "InvalidNotificationConfig", "SNS topic"},
		{"notifications", ssm.SendCommandInput{InstanceIds: []string{id}, Parameters: commands, ServiceRoleArn: aws.String("arn:aws:iam::000000000000:role/x"), NotificationConfig: &types.NotificationConfig{NotificationArn: aws.String("arn:aws:sns:us-east-1:000000000000:x")}}, "ValidationException", "NotificationConfig"},
		{"CloudWatch", ssm.SendCommandInput{InstanceIds: []string{id}, Parameters: commands, CloudWatchOutputConfig: &types.CloudWatchOutputConfig{CloudWatchOutputEnabled: true}}, "ValidationException", "CloudWatchOutputConfig"},
		{"alarms", ssm.SendCommandInput{InstanceIds: []string{id}, Parameters: commands, AlarmConfiguration: &types.AlarmConfiguration{Alarms: []types.Alarm{{Name: aws.String("a")}}}}, "ValidationException", "AlarmConfiguration"},
		{"a hash of another document", ssm.SendCommandInput{InstanceIds: []string{id}, Parameters: commands, DocumentHash: aws.String(strings.Repeat("0", 64))}, "InvalidDocument", "DocumentHash"},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := c.in
			if in.DocumentName == nil {
				in.DocumentName = aws.String("AWS-RunShellScript")
			}
			_, err := client.SendCommand(ctx, &in)
			got, message := code(t, err)
			if got != c.code || !strings.Contains(message, c.says) {
				t.Errorf("got %s %q, want %s with %q", got, message, c.code, c.says)
			}
		})
	}
	list, err := client.ListCommands(ctx, &ssm.ListCommandsInput{})
	if err != nil || len(list.Commands) != 0 {
		t.Errorf("something was accepted: %v, %v", list.Commands, err)
	}
}

// raw sends a signed request after change has spoiled it.
func raw(t *testing.T, s *testenv.Service, body string, at time.Time, change func(*http.Request)) (int, map[string]string) {
	t.Helper()
	r, err := http.NewRequestWithContext(testenv.Context(t), http.MethodPost, s.Endpoint+"/", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Target", "AmazonSSM.DescribeInstanceInformation")
	if change == nil {
		change = func(*http.Request) {}
	}
	keys := sigv4.Keys{AccessKeyID: s.AccessKeyID, SecretAccessKey: s.SecretKey}
	sigv4.Sign(r, []byte(body), keys, "ssm", s.Region, at)
	change(r)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	var any map[string]any
	if err := json.Unmarshal(b, &any); err != nil {
		t.Fatalf("answer %q: %v", b, err)
	}
	for k, v := range any {
		out[strings.ToLower(k)] = fmt.Sprint(v)
	}
	return resp.StatusCode, out
}

func TestRequestsThatAreNotProved(t *testing.T) {
	t.Parallel()
	s := testenv.Start(t, testenv.Options{})
	now := time.Now()
	for _, c := range []struct {
		name   string
		at     time.Time
		body   string
		change func(*http.Request)
		status int
		code   string
	}{
		{"a good one", now, "{}", nil, 200, ""},
		{"not signed", now, "{}", func(r *http.Request) { r.Header.Del("Authorization") }, 400, "MissingAuthenticationTokenException"},
		{"a wrong signature", now, "{}", func(r *http.Request) {
			a := r.Header.Get("Authorization")
			r.Header.Set("Authorization", a[:len(a)-4]+"0000")
		}, 400, "InvalidSignatureException"},
		{"an unknown key", now, "{}", func(r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), s.AccessKeyID, "AKIAAAAAAAAAAAAAAAAA", 1))
		}, 400, "UnrecognizedClientException"},
		{"another operation than was signed", now, "{}", func(r *http.Request) { r.Header.Set("X-Amz-Target", "AmazonSSM.ListCommands") }, 400, "InvalidSignatureException"},
		{"a header left out of the signature", now, "{}", func(r *http.Request) { r.Header.Set("X-Amz-Extra", "1") }, 400, "InvalidSignatureException"},
		{"another body than was signed", now, "{}", func(r *http.Request) {
			r.Body, r.ContentLength = io.NopCloser(strings.NewReader(`{"MaxResults":6}`)), 16
		}, 400, "InvalidSignatureException"},
		{"20 minutes ago", now.Add(-20 * time.Minute), "{}", nil, 400, "InvalidSignatureException"},
		{"in 20 minutes", now.Add(20 * time.Minute), "{}", nil, 400, "InvalidSignatureException"},
		{"a body of 10 MB", now, `{"NextToken":"` + strings.Repeat("x", 10<<20) + `"}`, nil, 413, "RequestEntityTooLargeException"},
		{"no JSON", now, "{", nil, 400, "SerializationException"},
		{"a wrong type", now, `{"MaxResults":"many"}`, nil, 400, "SerializationException"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			status, out := raw(t, s, c.body, c.at, c.change)
			if status != c.status || out["__type"] != c.code {
				t.Errorf("got %d %v, want %d %s", status, out, c.status, c.code)
			}
		})
	}
}

func TestUnknownOperations(t *testing.T) {
	t.Parallel()
	s := testenv.Start(t, testenv.Options{})
	ctx := testenv.Context(t)
	_, err := s.SSM().ListAssociations(ctx, &ssm.ListAssociationsInput{})
	if got, _ := code(t, err); got != "UnknownOperationException" {
		t.Errorf("ssm: %v", err)
	}
	_, err = s.STS().GetSessionToken(ctx, &sts.GetSessionTokenInput{})
	if got, _ := code(t, err); got != "InvalidAction" {
		t.Errorf("sts: %v", err)
	}
	_, err = s.EC2().DescribeVpcs(ctx, &ec2.DescribeVpcsInput{})
	if got, _ := code(t, err); got != "InvalidAction" {
		t.Errorf("ec2: %v", err)
	}
}

func TestRegionsAreKeptApart(t *testing.T) {
	t.Parallel()
	s := testenv.Start(t, testenv.Options{Agents: 1, Regions: []string{"eu-west-1", "us-east-1"}})
	ctx := testenv.Context(t)
	for region, want := range map[string]int{"eu-west-1": 1, "us-east-1": 0} {
		out, err := ssm.NewFromConfig(s.Config(region)).DescribeInstanceInformation(ctx, &ssm.DescribeInstanceInformationInput{})
		if err != nil || len(out.InstanceInformationList) != want {
			t.Errorf("%s: %d instances, %v", region, len(out.InstanceInformationList), err)
		}
	}
	_, err := ssm.NewFromConfig(s.Config("ap-south-1")).DescribeInstanceInformation(ctx, &ssm.DescribeInstanceInformationInput{})
	if got, message := code(t, err); got != "InvalidSignatureException" || !strings.Contains(message, "region") {
		t.Errorf("a region that is not served: %v", err)
	}
}

func TestIdentityAndInstances(t *testing.T) {
	t.Parallel()
	s := testenv.Start(t, testenv.Options{Agents: 1, Args: []string{"--account-id", "123456789012"}})
	ctx := testenv.Context(t)
	who, err := s.STS().GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil || aws.ToString(who.Account) != "123456789012" || !strings.HasPrefix(aws.ToString(who.Arn), "arn:aws:iam::123456789012:") {
		t.Errorf("caller %+v, %v", who, err)
	}
	got, err := s.EC2().DescribeInstances(ctx, &ec2.DescribeInstancesInput{InstanceIds: s.InstanceIDs})
	if err != nil || len(got.Reservations) != 1 {
		t.Fatalf("instances %+v, %v", got, err)
	}
	if i := got.Reservations[0].Instances[0]; aws.ToString(i.InstanceId) != s.InstanceIDs[0] || i.State.Name != "running" || i.IamInstanceProfile == nil {
		t.Errorf("instance %+v", i)
	}
	for id, want := range map[string]string{"i-0123456789abcdef0": "InvalidInstanceID.NotFound", "i-nonsense": "InvalidInstanceID.Malformed"} {
		_, err := s.EC2().DescribeInstances(ctx, &ec2.DescribeInstancesInput{InstanceIds: []string{id}})
		if got, message := code(t, err); got != want || !strings.Contains(message, id) {
			t.Errorf("%s: %v", id, err)
		}
	}
	info, err := s.SSM().DescribeInstanceInformation(ctx, &ssm.DescribeInstanceInformationInput{})
	if err != nil || len(info.InstanceInformationList) != 1 {
		t.Fatalf("information %+v, %v", info, err)
	}
	i := info.InstanceInformationList[0]
	if i.PingStatus != "Online" || i.PlatformType != "Linux" || aws.ToString(i.ComputerName) == "" || i.ResourceType != "EC2Instance" {
		t.Errorf("information %+v", i)
	}
}

func TestDocumentsFromAFolder(t *testing.T) {
	t.Parallel()
	s := testenv.Start(t, testenv.Options{Agents: 1, Documents: map[string]string{"Greet.yaml": greet, "Stop-Everything.json": automation}})
	ctx, client := testenv.Context(t), s.SSM()
	d, err := client.DescribeDocument(ctx, &ssm.DescribeDocumentInput{Name: aws.String("Greet")})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, p := range d.Document.Parameters {
		names = append(names, aws.ToString(p.Name))
	}
	if diff := cmp.Diff([]string{"name", "tone"}, names); diff != "" || d.Document.DocumentType != "Command" || aws.ToString(d.Document.Owner) != "000000000000" {
		t.Errorf("described %+v\n%s", d.Document, diff)
	}
	if a, err := client.DescribeDocument(ctx, &ssm.DescribeDocumentInput{Name: aws.String("Stop-Everything")}); err != nil || a.Document.DocumentType != "Automation" {
		t.Errorf("the Automation document: %+v, %v", a, err)
	}
	g, err := client.GetDocument(ctx, &ssm.GetDocumentInput{Name: aws.String("Greet"), DocumentFormat: "YAML"})
	if err != nil || aws.ToString(g.Content) != greet {
		t.Errorf("content %q, %v", aws.ToString(g.Content), err)
	}
	_, err = client.DescribeDocument(ctx, &ssm.DescribeDocumentInput{Name: aws.String("Nothing")})
	if got, message := code(t, err); got != "InvalidDocument" || message != "Document with name Nothing does not exist." {
		t.Errorf("a missing document: %v", err)
	}
	_, err = client.GetDocument(ctx, &ssm.GetDocumentInput{Name: aws.String("Greet"), DocumentVersion: aws.String("999")})
	if got, message := code(t, err); got != "InvalidDocumentVersion" || message != "Document version: 999 is invalid, latest version is 1" {
		t.Errorf("a missing version: %v", err)
	}
	inv := run(t, s, "Greet", map[string][]string{"name": {"ann"}}, 0)
	if aws.ToString(inv.StandardOutputContent) != "hello ann, soft\n" || aws.ToString(inv.PluginName) != "greet" {
		t.Errorf("ran to %+v", inv)
	}
}

func TestAuditLog(t *testing.T) {
	t.Parallel()
	s := testenv.Start(t, testenv.Options{Agents: 1, Buckets: []string{"logs"}})
	const secret = "hunter2-must-not-be-logged"
	run(t, s, "AWS-RunShellScript", map[string][]string{"commands": {"echo " + secret}}, 0)
	if _, err := s.S3().ListObjectsV2(testenv.Context(t), &s3.ListObjectsV2Input{Bucket: aws.String("logs")}); err != nil {
		t.Fatal(err)
	}
	_, _ = s.SSM().CancelCommand(testenv.Context(t), &ssm.CancelCommandInput{CommandId: aws.String("00000000-0000-4000-8000-999000999000")})
	s.Stop()
	path := filepath.Join(s.Data, "audit.log")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(b, []byte(secret)) || bytes.Contains(b, []byte(s.SecretKey)) || strings.Contains(s.Log(), secret) {
		t.Error("a value of a parameter or a key is logged")
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode of the audit log: %v, %v", info.Mode(), err)
	}
	want := map[string]string{"SendCommand": "OK", "CancelCommand": "InvalidCommandId", "RegisterManagedInstance": "OK", "GET /logs": "OK"}
	for line := range strings.Lines(string(b)) {
		var r struct {
			Operation, Outcome, Caller, Document string
			CommandID                            string `json:"command_id"`
		}
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("line %q: %v", line, err)
		}
		if r.Operation == "SendCommand" && (r.Document != "AWS-RunShellScript" || r.CommandID == "" || !strings.Contains(r.Caller, ":user/")) {
			t.Errorf("SendCommand is logged as %s", line)
		}
		if want[r.Operation] == r.Outcome {
			delete(want, r.Operation)
		}
	}
	if len(want) > 0 {
		t.Errorf("not in the log: %v\n%s", want, b)
	}
}
