package awsapi

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"ssmrun"
)

func TestCheckSaysWhatAWSSays(t *testing.T) {
	t.Parallel()
	const id = `"CommandId":"00000000-0000-4000-8000-999000999000"`
	for _, c := range []struct {
		name string
		op   string
		body string
		code ssmrun.Code
		text string
	}{
		{
			"two failures of one member", "GetCommandInvocation", `{` + id + `,"InstanceId":"invalid"}`, ssmrun.CodeValidation,
			`2 validation errors detected: Value 'invalid' at 'instanceId' failed to satisfy constraint: Member must have length greater than or equal to 10; Value 'invalid' at 'instanceId' failed to satisfy constraint: Member must satisfy regular expression pattern: (^i-(\w{8}|\w{17})$)|(^mi-\w{17}$)`,
		},
		{
			"a number without its value", "DescribeInstanceInformation", `{"MaxResults":4}`, ssmrun.CodeValidation,
			`1 validation error detected: Value at 'maxResults' failed to satisfy constraint: Member must have value greater than or equal to 5`,
		},
		{
			"a list of texts as a whole", "DescribeInstanceInformation", `{"Filters":[{"Key":"tag:suite","Values":[""]}]}`, ssmrun.CodeValidation,
			`1 validation error detected: Value at 'filters.1.member.values' failed to satisfy constraint: Member must satisfy constraint: [Member must have length less than or equal to 100000, Member must have length greater than or equal to 1, Member must satisfy regular expression pattern: ^.{1,100000}$]`,
		},
		{
			"an empty list", "SendCommand", `{"DocumentName":"AWS-RunShellScript","AlarmConfiguration":{"Alarms":[]}}`, ssmrun.CodeValidation,
			`1 validation error detected: Value '[]' at 'alarmConfiguration.alarms' failed to satisfy constraint: Member must have length greater than or equal to 1`,
		},
		{
			"a blank name", "SendCommand", `{"DocumentName":"AWS-RunShellScript","AlarmConfiguration":{"Alarms":[{"Name":""}]}}`, ssmrun.CodeValidation,
			`2 validation errors detected: Value '' at 'alarmConfiguration.alarms.1.member.name' failed to satisfy constraint: Member must have length greater than or equal to 1; Value '' at 'alarmConfiguration.alarms.1.member.name' failed to satisfy constraint: Member must satisfy regular expression pattern: ^(?!\s*$).+`,
		},
		{
			"a missing name", "SendCommand", `{"DocumentName":"AWS-RunShellScript","AlarmConfiguration":{"Alarms":[{}]}}`, ssmrun.CodeValidation,
			`1 validation error detected: Value null at 'alarmConfiguration.alarms.1.member.name' failed to satisfy constraint: Member must not be null`,
		},
		{"nothing at all", "CancelCommand", ``, ssmrun.CodeValidation, `1 validation error detected: Value null at 'commandId' failed to satisfy constraint: Member must not be null`},
		{"an enum", "GetDocument", `{"Name":"abc","DocumentFormat":"XML"}`, ssmrun.CodeValidation, `1 validation error detected: Value 'XML' at 'documentFormat' failed to satisfy constraint: Member must satisfy enum value set: [YAML, JSON, TEXT]`},
		{"a text for a list", "CancelCommand", `{` + id + `,"InstanceIds":"i-01234567"}`, ssmrun.CodeSerialization, "instanceIds must be a list."},
		{"a fraction", "ListCommands", `{"MaxResults":1.5}`, ssmrun.CodeSerialization, "maxResults must be a whole number."},
		{"two values", "CancelCommand", `{` + id + `} {}`, ssmrun.CodeSerialization, "The body has more after its JSON object."},
		{"no JSON", "CancelCommand", `{"CommandId"`, ssmrun.CodeSerialization, "The body is not well-formed JSON."},
		{"a list for the whole", "CancelCommand", `[]`, ssmrun.CodeSerialization, "the input must be an object."},
		{
			"structures by their names", "SendCommand", `{"DocumentName":"AWS-RunShellScript","AlarmConfiguration":{"Alarms":[{"Name":"a"},{"Name":"b"}]}}`, ssmrun.CodeValidation,
			`1 validation error detected: Value '[Alarm(name=a), Alarm(name=b)]' at 'alarmConfiguration.alarms' failed to satisfy constraint: Member must have length less than or equal to 1`,
		},
		{"a key twice", "CancelCommand", `{` + id + `,` + id + `}`, ssmrun.CodeSerialization, "The body has a key that comes twice in one object."},
		{"a key twice, spelled otherwise", "CancelCommand", `{` + id + `,"Command\u0049d":"x"}`, ssmrun.CodeSerialization, "The body has a key that comes twice in one object."},
		{"not UTF-8", "CancelCommand", "{\"CommandId\":\"\xff\"}", ssmrun.CodeSerialization, "The body is not UTF-8."},
		{"nested deep", "CancelCommand", strings.Repeat(`{"a":`, 40) + "1" + strings.Repeat("}", 40), ssmrun.CodeSerialization, "The body is nested more than 32 levels deep."},
		{"well", "CancelCommand", `{` + id + `,"Unknown":1}`, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := inputs()[c.op].check([]byte(c.body))
			if got := ssmrun.ErrorCode(err); got != c.code || ssmrun.ErrorMessage(err) != c.text {
				t.Errorf("got %s %q\nwant %s %q", got, ssmrun.ErrorMessage(err), c.code, c.text)
			}
		})
	}
}

// TestUnknownMembersAreDropped: decoders of Go take "instanceids" for
// InstanceIds, which would pass by the checks.
func TestUnknownMembersAreDropped(t *testing.T) {
	t.Parallel()
	body, err := inputs()["SendCommand"].check([]byte(`{"DocumentName":"AWS-RunShellScript","documentname":"x","instanceids":["y"],"NotificationConfig":{"z":1}}`))
	if want := `{"DocumentName":"AWS-RunShellScript","NotificationConfig":{}}`; err != nil || string(body) != want {
		t.Errorf("%s, %v", body, err)
	}
}

// TestParametersAreNeverEchoed: they may hold secrets.
func TestParametersAreNeverEchoed(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		`{"DocumentName":"x","Parameters":{"commands":"hunter2"}}`,
		`{"DocumentName":"x","Parameters":{"commands":[{"hunter2":1}]}}`,
		`{"DocumentName":"x","Parameters":["hunter2"]}`,
	} {
		_, err := inputs()["SendCommand"].check([]byte(body))
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", body, err)
		}
	}
}

func TestISOElapsed(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		3175 * time.Millisecond: "PT3.175S", 20 * time.Millisecond: "PT0.02S", 4 * time.Millisecond: "PT0.004S",
		0: "PT0S", time.Minute: "PT1M", 3723 * time.Second: "PT1H2M3S", 1999 * time.Microsecond: "PT0.001S",
	} {
		if got := isoElapsed(d); got != want {
			t.Errorf("%s: %s, want %s", d, got, want)
		}
	}
}

func TestEpoch(t *testing.T) {
	t.Parallel()
	b, err := json.Marshal(epoch(time.UnixMilli(1790469501060)))
	if err != nil || string(b) != "1790469501.060" {
		t.Errorf("%s, %v", b, err)
	}
}

func TestWaitHeader(t *testing.T) {
	t.Parallel()
	for h, want := range map[string]time.Duration{
		"7;20": 20 * time.Second, "7;1": time.Second, "-1;3": 3 * time.Second, "7;999": MaxWait,
		"": 0, "7": 0, "7;": 0, ";20": 0, "7;0": 0, "7;-1": 0, "x;1": 0, "7;20;3": 0,
	} {
		if _, got, ok := waitHeader(h); got != want || ok != (want > 0) {
			t.Errorf("%q: %s, %v", h, got, ok)
		}
	}
}

func TestDocumentName(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"AWS-RunShellScript": "AWS-RunShellScript",
		"arn:aws:ssm:us-east-1::document/AWS-RunShellScript":     "AWS-RunShellScript",
		"arn:aws:ssm:us-east-1:123456789012:document/My.Doc_1-x": "My.Doc_1-x",
		"arn:aws:ssm:us-east-1:123456789012:other/My":            "arn:aws:ssm:us-east-1:123456789012:other/My",
	} {
		if got := documentName(in); got != want {
			t.Errorf("%s: %s", in, got)
		}
	}
}

// FuzzCheck feeds every operation whatever comes over the wire.
func FuzzCheck(f *testing.F) {
	a := New(Config{})
	for n := range a.Operations() {
		f.Add(uint8(n), []byte(`{"CommandId":"00000000-0000-4000-8000-999000999000","InstanceIds":["i-01234567"],"Filters":[{"key":"Status","value":"x"}],"Parameters":{"a":["b"]}}`))
	}
	f.Add(uint8(0), []byte(strings.Repeat("[", 10_000)))
	f.Fuzz(func(t *testing.T, n uint8, body []byte) {
		names := a.Operations()
		op := a.ssm[names[int(n)%len(names)]]
		checked, err := op.input.check(body)
		if err == nil && len(checked) > 0 && !json.Valid(checked) {
			t.Errorf("%s: %q became %q", names[int(n)%len(names)], body, checked)
		}
		switch code := ssmrun.ErrorCode(err); code {
		case "", ssmrun.CodeValidation, ssmrun.CodeSerialization:
		default:
			t.Errorf("%s: code %s", names[int(n)%len(names)], code)
		}
	})
}

// FuzzQuery feeds the Query services whatever comes over the wire.
func FuzzQuery(f *testing.F) {
	f.Add([]byte("Action=DescribeInstances&InstanceId.1=i-01234567"))
	f.Add([]byte("InstanceId.1=%zz"))
	f.Fuzz(func(t *testing.T, body []byte) {
		form, _, err := QueryOperation(body)
		if err != nil {
			return
		}
		ids, err := instanceIDParams(form)
		for _, id := range ids {
			if err == nil && !ec2ID.MatchString(id) {
				t.Errorf("%q was let through", id)
			}
		}
	})
}
