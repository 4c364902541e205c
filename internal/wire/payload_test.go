package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// payloads are one whole example of each, as the far end writes it. Numbers of
// spaces and the order of fields are ours.
var payloads = []struct {
	name string
	json string
	want any // pointer
}{
	{
		"AgentJob",
		`{"SchemaVersion":1,"JobId":"aws.ssm.c.i","Topic":"aws.ssm.sendCommand.us-east-1.i","Content":"{\"a\":1}"}`,
		&AgentJob{SchemaVersion: 1, JobID: "aws.ssm.c.i", Topic: "aws.ssm.sendCommand.us-east-1.i", Content: `{"a":1}`},
	},
	{
		"AgentJobAck",
		`{"jobId":"aws.ssm.c.i","acknowledgedMessageId":"m","createdDate":"2026-11-22T18:16:59.826Z","statusCode":"200","errorMessage":"Successful"}`,
		&AgentJobAck{JobID: "aws.ssm.c.i", AcknowledgedMessageID: "m", CreatedDate: "2026-11-22T18:16:59.826Z", StatusCode: AckOK, ErrorMessage: "Successful"},
	},
	{
		"AgentJobReply",
		`{"schemaVersion":1,"jobId":"aws.ssm.c.i","content":"{}","topic":"aws.ssm.sendCommand"}`,
		&AgentJobReply{SchemaVersion: 1, JobID: "aws.ssm.c.i", Content: "{}", Topic: TopicSendCommand},
	},
	{
		"AgentJobReplyAck",
		`{"jobId":"aws.ssm.c.i","acknowledgedMessageId":"m"}`,
		&AgentJobReplyAck{JobID: "aws.ssm.c.i", AcknowledgedMessageID: "m"},
	},
	{
		"SendCommandPayload",
		`{"Parameters":{"commands":["echo <hello> & uname -a"],"count":12345678901234567890,"workingDirectory":""},` +
			`"DocumentContent":{"schemaVersion":"2.2","mainSteps":[]},"CommandId":"565f326a","DocumentName":"AWS-RunShellScript",` +
			`"OutputS3BucketName":"b","OutputS3KeyPrefix":"p","CloudWatchLogGroupName":"","CloudWatchOutputEnabled":"false"}`,
		&SendCommandPayload{
			Parameters: map[string]any{
				"commands":         []any{"echo <hello> & uname -a"},
				"count":            json.Number("12345678901234567890"),
				"workingDirectory": "",
			},
			DocumentContent: json.RawMessage(`{"schemaVersion":"2.2","mainSteps":[]}`), CommandID: "565f326a",
			DocumentName: "AWS-RunShellScript", OutputS3BucketName: "b", OutputS3KeyPrefix: "p", CloudWatchOutputEnabled: "false",
		},
	},
	{"CancelPayload", `{"CancelMessageId":"aws.ssm.c.i"}`, &CancelPayload{CancelMessageID: "aws.ssm.c.i"}},
	{
		"Reply, first",
		`{"additionalInfo":{"agent":{"lang":"en-US","name":"amazon-ssm-agent","os":"linux","osver":"1","ver":"3.3.0.0"},` +
			`"dateTime":"2026-11-22T18:16:59.826Z","runId":"","runtimeStatusCounts":null},` +
			`"documentStatus":"InProgress","documentTraceOutput":"","runtimeStatus":null}`,
		&Reply{
			AdditionalInfo: AdditionalInfo{
				Agent:    AgentInfo{Lang: "en-US", Name: "amazon-ssm-agent", OS: "linux", OSVersion: "1", Version: "3.3.0.0"},
				DateTime: "2026-11-22T18:16:59.826Z",
			},
			DocumentStatus: StatusInProgress,
		},
	},
	{
		"Reply, final",
		`{"additionalInfo":{"agent":{"lang":"","name":"","os":"","osver":"","ver":""},"dateTime":"","runId":"r",` +
			`"runtimeStatusCounts":{"Success":1},"ableToOpenMGSConnection":false},` +
			`"documentStatus":"Success","documentTraceOutput":"t","runtimeStatus":{"runShellScript":{"status":"Success","code":0,` +
			`"name":"aws:runShellScript","output":"hello\n","startDateTime":"s","endDateTime":"e","outputS3BucketName":"b",` +
			`"outputS3KeyPrefix":"p","stepName":"n","standardOutput":"hello\n","standardError":"x"}}}`,
		&Reply{
			AdditionalInfo: AdditionalInfo{RunID: "r", RuntimeStatusCounts: map[string]int{"Success": 1}, AbleToOpenMGSConnection: new(bool)},
			DocumentStatus: StatusSuccess, DocumentTraceOutput: "t",
			RuntimeStatus: map[string]PluginStatus{"runShellScript": {
				Status: StatusSuccess, Name: "aws:runShellScript", Output: "hello\n", StartDateTime: "s", EndDateTime: "e",
				OutputS3BucketName: "b", OutputS3KeyPrefix: "p", StepName: "n", StandardOutput: "hello\n", StandardError: "x",
			}},
		},
	},
	{
		"GetMessagesRequest",
		`{"Destination":"i","MessagesRequestId":"u","VisibilityTimeoutInSeconds":10}`,
		&GetMessagesRequest{Destination: "i", MessagesRequestID: "u", VisibilityTimeoutInSeconds: 10},
	},
	{
		"GetMessagesResponse",
		`{"Destination":"i","MessagesRequestId":"u","Messages":[{"MessageId":"aws.ssm.c.i","Destination":"i",` +
			`"CreatedDate":"2026-11-22T18:22:29.000Z","Topic":"aws.ssm.sendCommand.us-east-1.i","Payload":"{}","PayloadDigest":"d"}]}`,
		&GetMessagesResponse{Destination: "i", MessagesRequestID: "u", Messages: []Message{{
			MessageID: "aws.ssm.c.i", Destination: "i", CreatedDate: "2026-11-22T18:22:29.000Z",
			Topic: "aws.ssm.sendCommand.us-east-1.i", Payload: "{}", PayloadDigest: "d",
		}}},
	},
	{"AcknowledgeMessageRequest", `{"MessageId":"m"}`, &AcknowledgeMessageRequest{MessageID: "m"}},
	{"SendReplyRequest", `{"MessageId":"m","Payload":"{}","ReplyId":"r"}`, &SendReplyRequest{MessageID: "m", Payload: "{}", ReplyID: "r"}},
	{"SendReplyResponse", `{}`, &SendReplyResponse{}},
	{
		"FailMessageRequest", `{"MessageId":"m","FailureType":"InternalHandlerException"}`,
		&FailMessageRequest{MessageID: "m", FailureType: FailureInternal},
	},
	{"DeleteMessageRequest", `{"MessageId":"m"}`, &DeleteMessageRequest{MessageID: "m"}},
	{"GetEndpointRequest", `{"Destination":"i"}`, &GetEndpointRequest{Destination: "i"}},
	{"GetEndpointResponse", `{"Endpoint":"https://ec2messages.us-east-1.example"}`, &GetEndpointResponse{Endpoint: "https://ec2messages.us-east-1.example"}},
	{
		"CreateControlChannelRequest", `{"MessageSchemaVersion":"1.0","RequestId":"u"}`,
		&CreateControlChannelRequest{MessageSchemaVersion: ControlChannelSchema, RequestID: "u"},
	},
	{
		"OpenControlChannel",
		`{"Cookie":null,"MessageSchemaVersion":"1.0","RequestId":"u","TokenValue":"tok","AgentVersion":"3.3.0.0","PlatformType":"linux"}`,
		&OpenControlChannel{MessageSchemaVersion: "1.0", RequestID: "u", TokenValue: "tok", AgentVersion: "3.3.0.0", PlatformType: "linux"},
	},
	{"ErrorBody", `{"__type":"AccessDeniedException","message":"no"}`, &ErrorBody{Type: "AccessDeniedException", Message: "no"}},
	{
		"RegisterManagedInstanceRequest",
		`{"ActivationCode":"ABCDEFGHIJKLMNOPQRST","ActivationId":"11111111-1111-4111-8111-111111111111","Fingerprint":"f","PublicKey":"MIIB","PublicKeyType":"Rsa"}`,
		&RegisterManagedInstanceRequest{
			ActivationCode: "ABCDEFGHIJKLMNOPQRST", ActivationID: "11111111-1111-4111-8111-111111111111",
			Fingerprint: "f", PublicKey: "MIIB", PublicKeyType: KeyTypeRSA,
		},
	},
	{
		"RegisterManagedInstanceResponse", `{"InstanceId":"mi-0123456789abcdef0"}`,
		&RegisterManagedInstanceResponse{InstanceID: "mi-0123456789abcdef0"},
	},
	{
		"RequestManagedInstanceRoleTokenRequest", `{"Fingerprint":"f"}`,
		&RequestManagedInstanceRoleTokenRequest{Fingerprint: "f"},
	},
	{
		"RequestManagedInstanceRoleTokenResponse",
		`{"AccessKeyId":"a","SecretAccessKey":"s","SessionToken":"t","TokenExpirationDate":1795371419,"UpdateKeyPair":true}`,
		&RequestManagedInstanceRoleTokenResponse{
			AccessKeyID: "a", SecretAccessKey: "s", SessionToken: "t",
			TokenExpirationDate: Epoch{time.Unix(1795371419, 0).UTC()}, UpdateKeyPair: true,
		},
	},
	{
		"UpdateManagedInstancePublicKeyRequest", `{"NewPublicKey":"k","NewPublicKeyType":"Rsa"}`,
		&UpdateManagedInstancePublicKeyRequest{NewPublicKey: "k", NewPublicKeyType: KeyTypeRSA},
	},
	{
		"UpdateInstanceInformationRequest, short",
		`{"AgentName":"amazon-ssm-agent","AgentVersion":"3.3.0.0","InstanceId":"i","PlatformType":"Linux"}`,
		&UpdateInstanceInformationRequest{AgentName: "amazon-ssm-agent", AgentVersion: "3.3.0.0", InstanceID: "i", PlatformType: PlatformTypeLinux},
	},
	{
		"UpdateInstanceInformationRequest, full",
		`{"AgentName":"n","AgentStatus":"Active","AgentVersion":"v","AvailabilityZone":"z","AvailabilityZoneId":"zi","ComputerName":"c","IPAddress":"10.0.0.1",` +
			`"InstanceId":"i","PlatformName":"Debian GNU/Linux","PlatformType":"Linux","PlatformVersion":"12","SSMConnectionChannel":"ssmmessages"}`,
		&UpdateInstanceInformationRequest{
			AgentName: "n", AgentStatus: AgentStatusActive, AgentVersion: "v", AvailabilityZone: "z", AvailabilityZoneID: "zi",
			ComputerName: "c", IPAddress: "10.0.0.1", InstanceID: "i", PlatformName: "Debian GNU/Linux", PlatformType: "Linux",
			PlatformVersion: "12", SSMConnectionChannel: ChannelMessages,
		},
	},
	{
		"ListInstanceAssociationsRequest", `{"InstanceId":"i","MaxResults":20}`,
		&ListInstanceAssociationsRequest{InstanceID: "i", MaxResults: 20},
	},
	{
		"ListInstanceAssociationsResponse", `{"Associations":[]}`,
		&ListInstanceAssociationsResponse{Associations: []json.RawMessage{}},
	},
	{"GetParametersRequest", `{"Names":["foo"],"WithDecryption":false}`, &GetParametersRequest{Names: []string{"foo"}}},
	{
		"GetParametersResponse",
		`{"Parameters":[{"Name":"foo","Type":"String","Value":"v","Version":2,"Selector":":2","ARN":"arn:aws:ssm:r:a:parameter/foo"}],"InvalidParameters":["bar"]}`,
		&GetParametersResponse{
			Parameters:        []Parameter{{Name: "foo", Type: "String", Value: "v", Version: 2, Selector: ":2", ARN: "arn:aws:ssm:r:a:parameter/foo"}},
			InvalidParameters: []string{"bar"},
		},
	},
}

// sorted is JSON with its fields in order, so that only what is said counts.
func sorted(t testing.TB, b []byte) string {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		t.Fatalf("%s: %v", b, err)
	}
	out, err := Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func TestPayloadsGolden(t *testing.T) {
	t.Parallel()
	for _, p := range payloads {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			got := reflect.New(reflect.TypeOf(p.want).Elem()).Interface()
			if err := Unmarshal([]byte(p.json), got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(p.want, got); diff != "" {
				t.Errorf("decode (-want +got):\n%s", diff)
			}
			b, err := Marshal(reflect.ValueOf(p.want).Elem().Interface())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(sorted(t, []byte(p.json)), sorted(t, b)); diff != "" {
				t.Errorf("encode (-want +got):\n%s", diff)
			}
		})
	}
}

func TestUnmarshalRefuses(t *testing.T) {
	t.Parallel()
	const secret = "hunter2"
	for name, c := range map[string]struct {
		json string
		into any
		says string
	}{
		"nothing":                   {``, &AgentJob{}, "ends early"},
		"half":                      {`{"JobId":"x`, &AgentJob{}, "ends early"},
		"two values":                {`{"MessageId":"m"} {}`, &AcknowledgeMessageRequest{}, "follows"},
		"no JSON":                   {`{"JobId":` + secret + `}`, &AgentJob{}, "no JSON at byte 10"},
		"a list":                    {`["` + secret + `"]`, &AgentJob{}, "not a JSON object"},
		"null":                      {`null`, &AgentJob{}, "JobId is missing"},
		"wrong type":                {`{"JobId":{"` + secret + `":1}}`, &AgentJob{}, "JobId has the wrong type"},
		"no job id":                 {`{"Topic":"t","Content":"c"}`, &AgentJob{}, "JobId is missing"},
		"no status code":            {`{"jobId":"j"}`, &AgentJobAck{}, "statusCode is missing"},
		"no reply":                  {`{"jobId":"j"}`, &AgentJobReply{}, "content is missing"},
		"no document":               {`{"CommandId":"c","DocumentContent":null}`, &SendCommandPayload{}, "DocumentContent is missing"},
		"no command":                {`{"DocumentContent":{}}`, &SendCommandPayload{}, "CommandId is missing"},
		"no command to cancel":      {`{}`, &CancelPayload{}, "CancelMessageId is missing"},
		"no status":                 {`{"runtimeStatus":{}}`, &Reply{}, "documentStatus is missing"},
		"code out of range":         {`{"documentStatus":"x","runtimeStatus":{"a":{"code":1e99}}}`, &Reply{}, "wrong type"},
		"a message without payload": {`{"Messages":[{"MessageId":"m","Topic":"t"}]}`, &GetMessagesResponse{}, "Payload is missing"},
		"no message to delete":      {`{}`, &DeleteMessageRequest{}, "MessageId is missing"},
		"no destination":            {`{"MessagesRequestId":"r"}`, &GetMessagesRequest{}, "Destination is missing"},
		"nowhere":                   {`{}`, &GetEndpointRequest{}, "Destination is missing"},
		"a huge visibility":         {`{"Destination":"i","VisibilityTimeoutInSeconds":1e30}`, &GetMessagesRequest{}, "wrong type"},
		"no token":                  {`{"TokenValue":""}`, &OpenControlChannel{}, "TokenValue is missing"},
		"no names":                  {`{"Names":[]}`, &GetParametersRequest{}, "Names is missing"},
		"no such time":              {`{"TokenExpirationDate":1e300}`, &RequestManagedInstanceRoleTokenResponse{}, "seconds since 1970"},
		"year 10000":                {`{"TokenExpirationDate":253402300800}`, &RequestManagedInstanceRoleTokenResponse{}, "seconds since 1970"},
		"a negative time":           {`{"TokenExpirationDate":-1}`, &RequestManagedInstanceRoleTokenResponse{}, "seconds since 1970"},
		"no time":                   {`{"TokenExpirationDate":"` + secret + `"}`, &RequestManagedInstanceRoleTokenResponse{}, "seconds since 1970"},
		"too long":                  {`{"MessageId":"` + strings.Repeat("m", MaxPayloadBytes) + `"}`, &AcknowledgeMessageRequest{}, "more than"},
		"too deep":                  {strings.Repeat(`{"Parameters":`, 20_000), &SendCommandPayload{}, "no JSON"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := Unmarshal([]byte(c.json), c.into)
			if !errors.Is(err, ErrPayload) {
				t.Fatalf("got %v", err)
			}
			if !strings.Contains(err.Error(), c.says) {
				t.Errorf("%q does not say %q", err, c.says)
			}
			if strings.Contains(err.Error(), secret) {
				t.Errorf("%q repeats what was sent", err)
			}
		})
	}
}

func TestUnmarshalIgnoresWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	var r Reply
	if err := Unmarshal([]byte(`{"documentStatus":"Success","new":{"field":[1]}}`), &r); err != nil || r.DocumentStatus != StatusSuccess {
		t.Errorf("got %+v, %v", r, err)
	}
}

func TestListsAreNeverNull(t *testing.T) {
	t.Parallel()
	for want, v := range map[string]any{
		`{"Destination":"i","MessagesRequestId":"u","Messages":[]}`: GetMessagesResponse{Destination: "i", MessagesRequestID: "u"},
		`{"Associations":[]}`: &ListInstanceAssociationsResponse{},
	} {
		if b, err := Marshal(v); err != nil || string(b) != want {
			t.Errorf("got %s, %v, want %s", b, err, want)
		}
	}
}

func TestControlChannelXML(t *testing.T) {
	t.Parallel()
	const want = `<CreateControlChannelResponse><MessageSchemaVersion>1.0</MessageSchemaVersion>` +
		`<TokenValue>t&lt;k</TokenValue></CreateControlChannelResponse>`
	b, err := CreateControlChannelResponse{MessageSchemaVersion: ControlChannelSchema, TokenValue: "t<k"}.Encode()
	if err != nil || string(b) != want {
		t.Errorf("got %s, %v", b, err)
	}
	got, err := DecodeCreateControlChannelResponse([]byte(want))
	if err != nil || got.TokenValue != "t<k" || got.MessageSchemaVersion != ControlChannelSchema {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, bad := range []string{
		"", "{}", "<AccessDeniedException></AccessDeniedException>", "<CreateControlChannelResponse/>",
		"<CreateControlChannelResponse><TokenValue>" + strings.Repeat("x", MaxOpenBytes) + "</TokenValue></CreateControlChannelResponse>",
	} {
		if got, err := DecodeCreateControlChannelResponse([]byte(bad)); !errors.Is(err, ErrPayload) {
			t.Errorf("%.60q: %+v, %v", bad, got, err)
		}
	}
}

func TestControlChannelPath(t *testing.T) {
	t.Parallel()
	const id = "mi-0123456789abcdef0"
	if got := ControlChannelPath(id); got != "/v1/control-channel/"+id {
		t.Errorf("path %s", got)
	}
	if got, ok := ParseControlChannelPath(ControlChannelPath(id)); !ok || got != id {
		t.Errorf("got %q, %v", got, ok)
	}
	for _, path := range []string{"", "/", "/v1/control-channel", "/v1/control-channel/", "/v1/control-channel/a/b", "/v1/data-channel/a", "x/v1/control-channel/a"} {
		if got, ok := ParseControlChannelPath(path); ok {
			t.Errorf("%q taken for %q", path, got)
		}
	}
}

func TestJobID(t *testing.T) {
	t.Parallel()
	const command, instance = "565f326a-c117-4a36-9b6a-2f3a8a0d3e5e", "mi-0123456789abcdef0"
	id := JobID(command, instance)
	if want := "aws.ssm." + command + "." + instance; id != want {
		t.Errorf("got %s, want %s", id, want)
	}
	if c, i, err := ParseJobID(id); err != nil || c != command || i != instance {
		t.Errorf("got %q, %q, %v", c, i, err)
	}
	for _, bad := range []string{"", "aws.ssm.", "aws.ssm.c", "aws.ssm.c.", "aws.ssm..i", "aws.ssm.c.i.x", "aws.ssmx.c.i", "x.aws.ssm.c.i"} {
		if c, i, err := ParseJobID(bad); !errors.Is(err, ErrPayload) {
			t.Errorf("%q: %q, %q, %v", bad, c, i, err)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		part := rapid.StringMatching(`[0-9a-zA-Z_-]+`)
		c, i := part.Draw(t, "command"), part.Draw(t, "instance")
		if gotC, gotI, err := ParseJobID(JobID(c, i)); err != nil || gotC != c || gotI != i {
			t.Fatalf("got %q, %q, %v", gotC, gotI, err)
		}
	})
}

func TestTopics(t *testing.T) {
	t.Parallel()
	topic := JobTopic(TopicSendCommand, "us-east-1", "i-0")
	if topic != "aws.ssm.sendCommand.us-east-1.i-0" {
		t.Errorf("topic %s", topic)
	}
	for _, c := range []struct {
		got, topic string
		want       bool
	}{
		{topic, TopicSendCommand, true},
		{topic, TopicCancelCommand, false},
		{TopicCancelCommand, TopicCancelCommand, true},
		{"aws.ssm.sendCommander.x", TopicSendCommand, false},
		{"", TopicSendCommand, false},
	} {
		if got := IsTopic(c.got, c.topic); got != c.want {
			t.Errorf("IsTopic(%q, %q) = %v", c.got, c.topic, got)
		}
	}
}

func TestAckVerdict(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]Verdict{
		AckOK: Delivered, AckDuplicateCommand: Delivered,
		AckBufferFull: OfferAgain, AckClosedProcessor: OfferAgain,
		AckUnexpectedDocument: Refused, AckTranslation: Refused, AckInvalidDocument: Refused,
		AckUnsupportedContainer: Refused, AckParseError: Refused, AckUnexpected: Refused, "": Refused, "201": Refused,
	} {
		if got := AckVerdict(code); got != want {
			t.Errorf("%q: %v, want %v", code, got, want)
		}
	}
}

func TestVisibility(t *testing.T) {
	t.Parallel()
	for seconds, want := range map[int]time.Duration{
		0: StandardVisibility, -1: StandardVisibility, math.MinInt: StandardVisibility,
		1: time.Second, 10: 10 * time.Second, 600: maxVisibility, 601: maxVisibility, math.MaxInt: maxVisibility,
	} {
		if got := (&GetMessagesRequest{VisibilityTimeoutInSeconds: seconds}).Visibility(); got != want {
			t.Errorf("%d: %s, want %s", seconds, got, want)
		}
	}
}

func TestTimes(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 22, 18, 16, 59, 826e6, time.UTC)
	if got := FormatTime(at.In(time.FixedZone("x", 3600))); got != "2026-11-22T18:16:59.826Z" {
		t.Errorf("got %s", got)
	}
	for s, want := range map[string]time.Time{
		"": {}, "2026-11-22T18:16:59.826Z": at, "2026-11-22T19:16:59.826+01:00": at,
		"2026-11-22T18:16:59Z": at.Truncate(time.Second),
	} {
		if got, err := ParseTime(s); err != nil || !got.Equal(want) {
			t.Errorf("%q: %v, %v", s, got, err)
		}
	}
	if FormatTime(time.Time{}) != "" {
		t.Error("the zero time has a form")
	}
	if _, err := ParseTime("yesterday"); !errors.Is(err, ErrPayload) {
		t.Errorf("got %v", err)
	}
	for s, want := range map[string]time.Time{
		"null": {}, "0": {}, "1795371419": at.Truncate(time.Second), "1795371419.826": at, "1.795371419826E9": at,
	} {
		var e Epoch
		if err := e.UnmarshalJSON([]byte(s)); err != nil || !e.Equal(want) {
			t.Errorf("%s: %v, %v", s, e, err)
		}
	}
	for want, e := range map[string]Epoch{"0": {}, "1795371419": {at.Truncate(time.Second)}, "1795371419.826": {at}} {
		if b, err := json.Marshal(e); err != nil || string(b) != want {
			t.Errorf("got %s, %v, want %s", b, err, want)
		}
	}
}

// FuzzUnmarshal feeds each payload whatever comes: no panic, only errors of the
// class, and what is taken means the same after one more trip.
func FuzzUnmarshal(f *testing.F) {
	for i, p := range payloads {
		f.Add(byte(i), []byte(p.json))
	}
	f.Fuzz(func(t *testing.T, kind byte, data []byte) {
		typ := reflect.TypeOf(payloads[int(kind)%len(payloads)].want).Elem()
		first := reflect.New(typ).Interface()
		if err := Unmarshal(data, first); err != nil {
			if !errors.Is(err, ErrPayload) {
				t.Fatalf("error of no class: %v", err)
			}
			return
		}
		b, err := Marshal(first)
		if err != nil {
			t.Fatalf("what was decoded cannot be encoded: %v", err)
		}
		again := reflect.New(typ).Interface()
		if err := Unmarshal(b, again); err != nil {
			t.Fatalf("%s: %v", b, err)
		}
		c, err := Marshal(again)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(b, c) {
			t.Fatalf("%s became %s", b, c)
		}
	})
}

func FuzzDecodeCreateControlChannelResponse(f *testing.F) {
	f.Add([]byte(`<CreateControlChannelResponse><TokenValue>t</TokenValue></CreateControlChannelResponse>`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := DecodeCreateControlChannelResponse(data)
		if (err == nil) != (r.TokenValue != "") || err != nil && !errors.Is(err, ErrPayload) {
			t.Fatalf("%+v, %v", r, err)
		}
	})
}

func TestChannelError(t *testing.T) {
	t.Parallel()
	const want = `<AccessDeniedException><Message>role &lt;x&gt;</Message></AccessDeniedException>`
	got := EncodeChannelError(CodeAccessDenied, "role <x>")
	if string(got) != want {
		t.Errorf("%s", got)
	}
	if code, message := DecodeChannelError(got); code != CodeAccessDenied || message != "role <x>" {
		t.Errorf("%s %s", code, message)
	}
	if code, message := DecodeChannelError([]byte("<AccessDeniedException></AccessDeniedException>")); code != CodeAccessDenied || message != "" {
		t.Errorf("%s %s", code, message)
	}
	for _, bad := range []string{"", "<", "text", "<html>not here</html>", strings.Repeat(" ", MaxOpenBytes+1)} {
		if code, message := DecodeChannelError([]byte(bad)); code != "" || message != "" {
			t.Errorf("%.20q: %s %s", bad, code, message)
		}
	}
}
