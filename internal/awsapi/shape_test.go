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
		name  string
		shape shape
		body  string
		code  ssmrun.Code
		text  string
	}{
		{
			"two failures of one member", getCommandInvocationInput, `{` + id + `,"InstanceId":"invalid"}`, ssmrun.CodeValidation,
			`2 validation errors detected: Value 'invalid' at 'instanceId' failed to satisfy constraint: Member must have length greater than or equal to 10; Value 'invalid' at 'instanceId' failed to satisfy constraint: Member must satisfy regular expression pattern: (^i-(\w{8}|\w{17})$)|(^mi-\w{17}$)`,
		},
		{
			"a number without its value", describeInstanceInformationInput, `{"MaxResults":4}`, ssmrun.CodeValidation,
			`1 validation error detected: Value at 'maxResults' failed to satisfy constraint: Member must have value greater than or equal to 5`,
		},
		{
			"a list of texts as a whole", describeInstanceInformationInput, `{"Filters":[{"Key":"tag:suite","Values":[""]}]}`, ssmrun.CodeValidation,
			`1 validation error detected: Value at 'filters.1.member.values' failed to satisfy constraint: Member must satisfy constraint: [Member must have length less than or equal to 100000, Member must have length greater than or equal to 1, Member must satisfy regular expression pattern: ^.{1,100000}$]`,
		},
		{
			"an empty list", sendCommandInput, `{"DocumentName":"AWS-RunShellScript","AlarmConfiguration":{"Alarms":[]}}`, ssmrun.CodeValidation,
			`1 validation error detected: Value '[]' at 'alarmConfiguration.alarms' failed to satisfy constraint: Member must have length greater than or equal to 1`,
		},
		{
			"an element too many", sendCommandInput, `{"DocumentName":"AWS-RunShellScript","AlarmConfiguration":{"Alarms":[{"Name":"a"},{"Name":"b"}]}}`, ssmrun.CodeValidation,
			`1 validation error detected: Value '[Alarm(name=a), Alarm(name=b)]' at 'alarmConfiguration.alarms' failed to satisfy constraint: Member must have length less than or equal to 1`,
		},
		{
			"a blank name", sendCommandInput, `{"DocumentName":"AWS-RunShellScript","AlarmConfiguration":{"Alarms":[{"Name":""}]}}`, ssmrun.CodeValidation,
			`2 validation errors detected: Value '' at 'alarmConfiguration.alarms.1.member.name' failed to satisfy constraint: Member must have length greater than or equal to 1; Value '' at 'alarmConfiguration.alarms.1.member.name' failed to satisfy constraint: Member must satisfy regular expression pattern: ^(?!\s*$).+`,
		},
		{
			"a missing name", sendCommandInput, `{"DocumentName":"AWS-RunShellScript","AlarmConfiguration":{"Alarms":[{}]}}`, ssmrun.CodeValidation,
			`1 validation error detected: Value null at 'alarmConfiguration.alarms.1.member.name' failed to satisfy constraint: Member must not be null`,
		},
		{"nothing at all", cancelCommandInput, ``, ssmrun.CodeValidation, `1 validation error detected: Value null at 'commandId' failed to satisfy constraint: Member must not be null`},
		{"an enum", getDocumentInput, `{"Name":"abc","DocumentFormat":"XML"}`, ssmrun.CodeValidation, `1 validation error detected: Value 'XML' at 'documentFormat' failed to satisfy constraint: Member must satisfy enum value set: [YAML, JSON, TEXT]`},
		{"a text for a list", cancelCommandInput, `{` + id + `,"InstanceIds":"i-01234567"}`, ssmrun.CodeSerialization, "instanceIds must be a list."},
		{"a fraction", listCommandsInput, `{"MaxResults":1.5}`, ssmrun.CodeSerialization, "maxResults must be a whole number."},
		{"two values", cancelCommandInput, `{` + id + `} {}`, ssmrun.CodeSerialization, "The body has more after its JSON object."},
		{"no JSON", cancelCommandInput, `{"CommandId"`, ssmrun.CodeSerialization, "The body is not well-formed JSON."},
		{"a list for the whole", cancelCommandInput, `[]`, ssmrun.CodeSerialization, "the input must be an object."},
		{"well", cancelCommandInput, `{` + id + `,"Unknown":1}`, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			err := c.shape.check([]byte(c.body))
			if got := ssmrun.ErrorCode(err); got != c.code || ssmrun.ErrorMessage(err) != c.text {
				t.Errorf("got %s %q\nwant %s %q", got, ssmrun.ErrorMessage(err), c.code, c.text)
			}
		})
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
		err := sendCommandInput.check([]byte(body))
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
		switch code := ssmrun.ErrorCode(op.input.check(body)); code {
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
		form, _, ok := QueryOperation(body)
		if !ok {
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
