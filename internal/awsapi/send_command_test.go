package awsapi

import (
	"encoding/json"
	"strings"
	"testing"

	"ssmrun"
)

// TestWhatCannotBeDoneIsRefused: notifications, CloudWatch output and alarms are
// checked, then refused with what to do; nothing of them is dropped in silence.
func TestWhatCannotBeDoneIsRefused(t *testing.T) {
	t.Parallel()
	const topic, role = `"NotificationArn":"arn:aws:sns:us-east-1:123456789012:done"`, `"ServiceRoleArn":"arn:aws:iam::123456789012:role/notify"`
	for name, c := range map[string]struct {
		body string
		code ssmrun.Code
		says string
	}{
		"a notification":           {`{"NotificationConfig":{` + topic + `,"NotificationEvents":["All"]},` + role + `}`, ssmrun.CodeValidation, "Leave NotificationConfig out"},
		"a notification to nobody": {`{"NotificationConfig":{"NotificationEvents":["All"]},` + role + `}`, CodeInvalidNotificationConfig, "SNS topic"},
		"a notification elsewhere": {`{"NotificationConfig":{"NotificationArn":"arn:aws:sqs:us-east-1:123456789012:done"},` + role + `}`, CodeInvalidNotificationConfig, "SNS topic"},
		"a notification by nobody": {`{"NotificationConfig":{` + topic + `}}`, CodeInvalidRole, "ServiceRoleArn"},
		"a role that is none":      {`{"ServiceRoleArn":"notify"}`, CodeInvalidRole, "ServiceRoleArn"},
		"a role for nothing":       {`{` + role + `}`, "", ""},
		"an empty notification":    {`{"NotificationConfig":{"NotificationArn":"","NotificationEvents":[],"NotificationType":""}}`, "", ""},
		"output to CloudWatch":     {`{"CloudWatchOutputConfig":{"CloudWatchOutputEnabled":true}}`, ssmrun.CodeValidation, "OutputS3BucketName"},
		"output to a group's name": {`{"CloudWatchOutputConfig":{"CloudWatchLogGroupName":"a b"}}`, ssmrun.CodeValidation, "CloudWatchLogGroupName"},
		"CloudWatch that is off":   {`{"CloudWatchOutputConfig":{"CloudWatchOutputEnabled":false,"CloudWatchLogGroupName":"/a/b"}}`, "", ""},
		"an alarm":                 {`{"AlarmConfiguration":{"Alarms":[{"Name":"a"}]}}`, ssmrun.CodeValidation, "Leave AlarmConfiguration out"},
		"none of it":               {`{"AlarmConfiguration":null}`, "", ""},
	} {
		var in sendCommandRequest
		if err := json.Unmarshal([]byte(c.body), &in); err != nil {
			t.Fatal(err)
		}
		err := in.checkUnsupported()
		if ssmrun.ErrorCode(err) != c.code || !strings.Contains(ssmrun.ErrorMessage(err), c.says) {
			t.Errorf("%s: %v, want %s %q", name, err, c.code, c.says)
		}
	}
}

func TestTargetsAreChecked(t *testing.T) {
	t.Parallel()
	for says, targets := range map[string][]targetJSON{
		"":                          {{"tag:env", []string{"prod"}}, {"tag-key", []string{"a"}}, {"InstanceIds", []string{"i-01234567"}}},
		"Duplicate keys":            {{"InstanceIds", []string{"i-01234567"}}, {"instanceids", []string{"i-01234568"}}},
		"has no values":             {{"tag:env", nil}},
		"Multiple resource key":     {{"resource-groups:Name", []string{"a", "b"}}},
		"Resource type filters":     {{"resource-groups:Name", []string{"a"}}, {"resource-groups:ResourceTypeFilters", []string{"AWS::AllSupported"}}},
		"can\u2019t be specified":   {{"resource-groups:Name", []string{"a"}}, {"InstanceIds", []string{"i-01234567"}}},
		"needs a target":            {{"resource-groups:ResourceTypeFilters", []string{"AWS::EC2::Instance"}}},
		"is not one of InstanceIds": {{"Name", []string{"x"}}},
		"key tag: is not one of":    {{"tag:", []string{"x"}}},
	} {
		err := checkTargets(targets)
		if (says == "") != (err == nil) || !strings.Contains(ssmrun.ErrorMessage(err), says) {
			t.Errorf("%v: %v, want %q", targets, err, says)
		}
	}
}
