package awsapi

import (
	"context"
	"encoding/json"
	"errors"
	"regexp"
	"slices"
	"strings"
	"time"

	"ssmrun"
	"ssmrun/internal/control"
)

type sendCommandRequest struct {
	InstanceIds            []string
	Targets                []targetJSON
	DocumentName           string
	DocumentVersion        string
	DocumentHash           string
	DocumentHashType       string
	TimeoutSeconds         int
	Comment                string
	Parameters             map[string][]string
	OutputS3Region         string
	OutputS3BucketName     string
	OutputS3KeyPrefix      string
	MaxConcurrency         string
	MaxErrors              string
	ServiceRoleArn         string
	NotificationConfig     *notificationConfig
	CloudWatchOutputConfig *cloudWatchOutputConfig
	AlarmConfiguration     json.RawMessage
}

// HeaderInvocationID is the SDKs' own mark of a call; its repetitions carry the
// same.
const HeaderInvocationID = "Amz-Sdk-Invocation-Id"

func (a *API) sendCommand(ctx context.Context, c *Call) (any, error) {
	var in sendCommandRequest
	if err := decode(c.Body, &in); err != nil {
		return nil, err
	}
	c.Subject = Subject{Document: in.DocumentName, Instances: in.InstanceIds, Bucket: in.OutputS3BucketName}
	if err := in.checkWhere(); err != nil {
		return nil, err
	}
	if err := in.checkUnsupported(); err != nil {
		return nil, err
	}
	doc, err := a.commandDocument(ctx, c.Scope, &in)
	if err != nil {
		return nil, err
	}
	size := len(doc.version.Content)
	for k, values := range in.Parameters {
		size += len(k)
		for _, v := range values {
			size += len(v)
		}
	}
	if size > ssmrun.MaxParametersBytes {
		return nil, ssmrun.Errorf(ssmrun.CodeMaxDocumentSize, "The document and its parameters have %d bytes; the limit is 97KB (%d bytes). Put large content into a file that the script fetches.", size, ssmrun.MaxParametersBytes)
	}
	if err := doc.parsed.CheckParameters(in.Parameters); err != nil {
		return nil, err
	}

	cmd := ssmrun.Command{
		Scope: c.Scope, Caller: c.Caller.ARN, Comment: in.Comment,
		Document: in.DocumentName, Version: orElse(in.DocumentVersion, "$DEFAULT"),
		Content: doc.json, Parameters: in.Parameters,
		InstanceIDs: in.InstanceIds, Targets: targetsIn(in.Targets),
		TimeoutSeconds: in.TimeoutSeconds,
		MaxConcurrency: orElse(in.MaxConcurrency, ssmrun.DefaultMaxConcurrency),
		MaxErrors:      orElse(in.MaxErrors, ssmrun.DefaultMaxErrors),
		Output: ssmrun.OutputLocation{
			Region: orElse(in.OutputS3Region, c.Scope.Region), Bucket: in.OutputS3BucketName,
			Prefix: strings.Trim(in.OutputS3KeyPrefix, "/"),
		},
		ServiceRole: in.ServiceRoleArn,
	}
	if cmd.TimeoutSeconds == 0 {
		cmd.TimeoutSeconds = ssmrun.DefaultTimeoutSeconds
	}
	req := control.SendRequest{
		Command:       cmd,
		Platforms:     doc.platforms,
		ExecutionTime: time.Duration(doc.parsed.ExecutionSeconds(in.Parameters)) * time.Second,
		Token:         c.Header.Get(HeaderInvocationID),
	}
	for _, name := range doc.parsed.PluginNames() {
		req.Command.Steps = append(req.Command.Steps, ssmrun.Step{Name: name, Action: doc.parsed.Action(name)})
	}
	sent, err := a.cfg.Control.Send(ctx, req)
	if err != nil {
		return nil, err
	}
	c.Subject.CommandID = sent.ID
	a.races.accepted(sent.ID)
	a.showRevision(c, sent)
	return struct{ Command commandJSON }{commandOut(sent, in.InstanceIds)}, nil
}

// checkWhere: a command says where it runs, in one way, each instance once.
func (in *sendCommandRequest) checkWhere() error {
	switch {
	case len(in.InstanceIds) == 0 && len(in.Targets) == 0:
		return ssmrun.Errorf(ssmrun.CodeValidation, "Either InstanceIds or Targets must name at least one instance.")
	case len(in.InstanceIds) > 0 && len(in.Targets) > 0:
		return ssmrun.Errorf(ssmrun.CodeValidation, "InstanceIds and Targets cannot be specified together in the same command. Remove one of them, and try again.")
	}
	seen := map[string]bool{}
	for _, id := range in.InstanceIds {
		if seen[id] {
			return ssmrun.Errorf(ssmrun.CodeDuplicateInstanceID, "Instance id %s is named more than once.", id)
		}
		seen[id] = true
	}
	return checkTargets(in.Targets)
}

// checkTargets: the texts about resource groups and duplicates are AWS's.
func checkTargets(targets []targetJSON) error {
	keys := map[string]bool{}
	for _, t := range targets {
		key := t.Key
		if strings.EqualFold(key, "InstanceIds") {
			key = "InstanceIds"
		}
		switch {
		case keys[key]:
			return ssmrun.Errorf(ssmrun.CodeValidation, "Duplicate keys are not supported for targets. Remove the duplicate key, and try again.")
		case len(t.Values) == 0:
			return ssmrun.Errorf(ssmrun.CodeValidation, "Target %s has no values. Give at least one value, and try again.", t.Key)
		}
		keys[key] = true
		switch key {
		case "resource-groups:Name":
			if len(t.Values) > 1 {
				return ssmrun.Errorf(ssmrun.CodeValidation, "Multiple resource key values are not supported for resource group targets. Remove all but one value, and try again.")
			}
		case "resource-groups:ResourceTypeFilters":
			if !slices.ContainsFunc(t.Values, func(v string) bool { return v == "AWS::EC2::Instance" || v == "AWS::SSM::ManagedInstance" }) {
				return ssmrun.Errorf(ssmrun.CodeValidation, "Resource type filters must specify at least one of the valid send-command resource types: AWS::EC2::Instance or AWS::SSM::ManagedInstance.Add one or all of these valid types, and try again.")
			}
		case "InstanceIds", "tag-key":
		default:
			if !strings.HasPrefix(key, "tag:") || key == "tag:" {
				return ssmrun.Errorf(ssmrun.CodeValidation, "Target key %s is not one of InstanceIds, tag:NAME, tag-key, resource-groups:Name and resource-groups:ResourceTypeFilters.", t.Key)
			}
		}
	}
	switch {
	case keys["resource-groups:Name"] && keys["InstanceIds"]:
		return ssmrun.Errorf(ssmrun.CodeValidation, "Instance IDs and a target resource group can\u2019t be specified together in the same command. Remove one target type, and try again.")
	case keys["resource-groups:ResourceTypeFilters"] && !keys["resource-groups:Name"]:
		return ssmrun.Errorf(ssmrun.CodeValidation, "Target resource-groups:ResourceTypeFilters needs a target resource-groups:Name beside it.")
	}
	return nil
}

// Codes of SendCommand's own.
const (
	CodeInvalidRole               ssmrun.Code = "InvalidRole"
	CodeInvalidNotificationConfig ssmrun.Code = "InvalidNotificationConfig"
)

var (
	topicARN    = regexp.MustCompile(`^arn:[a-z-]+:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_.-]{1,256}$`)
	serviceRole = regexp.MustCompile(`^arn:[a-z-]+:iam::[0-9]{12}:role/[\w+=,.@/-]+$`)
	logGroup    = regexp.MustCompile(`^[.\-_/#A-Za-z0-9]+$`)
)

// checkUnsupported checks what the service has no far end for as AWS does, then
// refuses it: better an error than a notification that never comes.
func (in *sendCommandRequest) checkUnsupported() error {
	no := func(member, what string) error {
		return ssmrun.Errorf(ssmrun.CodeValidation, "%s: this service has no %s. Leave %s out.", member, what, member)
	}
	if in.ServiceRoleArn != "" && !serviceRole.MatchString(in.ServiceRoleArn) {
		return ssmrun.Errorf(CodeInvalidRole, "ServiceRoleArn is not the ARN of an IAM role.")
	}
	if n := in.NotificationConfig; n != nil && (n.NotificationArn != "" || len(n.NotificationEvents) > 0 || n.NotificationType != "") {
		switch {
		case !topicARN.MatchString(n.NotificationArn):
			return ssmrun.Errorf(CodeInvalidNotificationConfig, "NotificationArn is not the ARN of an SNS topic.")
		case in.ServiceRoleArn == "":
			return ssmrun.Errorf(CodeInvalidRole, "ServiceRoleArn is missing: notifications need a role that may publish them.")
		}
		return no("NotificationConfig", "SNS endpoint to notify")
	}
	if w := in.CloudWatchOutputConfig; w != nil {
		switch {
		case w.CloudWatchLogGroupName != "" && !logGroup.MatchString(w.CloudWatchLogGroupName):
			return ssmrun.Errorf(ssmrun.CodeValidation, "CloudWatchLogGroupName may have letters, digits and any of . - _ / # only.")
		case w.CloudWatchOutputEnabled:
			return no("CloudWatchOutputConfig", "CloudWatch Logs endpoint to write to; use OutputS3BucketName")
		}
	}
	if len(in.AlarmConfiguration) > 0 && string(in.AlarmConfiguration) != "null" {
		return no("AlarmConfiguration", "CloudWatch alarms to watch")
	}
	return nil
}

// commandDocument finds the document of a SendCommand. AWS answers a missing
// document or version here with an empty message.
func (a *API) commandDocument(ctx context.Context, scope ssmrun.Scope, in *sendCommandRequest) (*loaded, error) {
	doc, err := a.loadDocument(ctx, scope, in.DocumentName, in.DocumentVersion)
	switch code := ssmrun.ErrorCode(err); {
	case errors.Is(err, errWrongVersion):
		return nil, &ssmrun.Error{Code: ssmrun.CodeInvalidDocumentVersion}
	case code == ssmrun.CodeInvalidDocument:
		return nil, &ssmrun.Error{Code: code}
	case err != nil:
		return nil, err
	}
	if doc.Type != "Command" {
		return nil, ssmrun.Errorf(ssmrun.CodeInvalidDocument, "Document %s is of type %s; SendCommand runs documents of type Command.", in.DocumentName, doc.Type)
	}
	if in.DocumentHash != "" && !slices.Contains(doc.hashes(), strings.ToLower(in.DocumentHash)) {
		return nil, ssmrun.Errorf(ssmrun.CodeInvalidDocument, "DocumentHash is not that of document %s.", in.DocumentName)
	}
	return doc, nil
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
