package awsapi

import (
	"slices"

	"ssmrun"
)

type targetJSON struct {
	Key    string
	Values []string
}

type notificationConfig struct {
	NotificationArn    string
	NotificationEvents []string
	NotificationType   string
}

type cloudWatchOutputConfig struct {
	CloudWatchLogGroupName  string
	CloudWatchOutputEnabled bool
}

type alarmConfiguration struct {
	IgnorePollAlarmFailure bool
	Alarms                 []struct{}
}

// commandJSON is a Command. All members are always there, as observed.
type commandJSON struct {
	CommandId              string
	DocumentName           string
	DocumentVersion        string
	Comment                string
	ExpiresAfter           epoch
	Parameters             map[string][]string
	InstanceIds            []string
	Targets                []targetJSON
	RequestedDateTime      epoch
	Status                 ssmrun.Status
	StatusDetails          ssmrun.Details
	OutputS3Region         string
	OutputS3BucketName     string
	OutputS3KeyPrefix      string
	MaxConcurrency         string
	MaxErrors              string
	TargetCount            int
	CompletedCount         int
	ErrorCount             int
	DeliveryTimedOutCount  int
	ServiceRole            string
	NotificationConfig     notificationConfig
	CloudWatchOutputConfig cloudWatchOutputConfig
	TimeoutSeconds         int
	AlarmConfiguration     alarmConfiguration
	TriggeredAlarms        []struct{}
}

// commandOut spells a command. SendCommand's answer keeps the caller's order of
// the ids, lists sort them.
func commandOut(c *ssmrun.Command, ids []string) commandJSON {
	out := commandJSON{
		CommandId: c.ID, DocumentName: documentName(c.Document), DocumentVersion: c.Version, Comment: c.Comment,
		ExpiresAfter: epoch(c.ExpiresAfter), RequestedDateTime: epoch(c.RequestedAt),
		Parameters: c.Parameters, InstanceIds: ids, Targets: []targetJSON{},
		Status: c.State.Status, StatusDetails: c.State.Details,
		OutputS3Region: c.Output.Region, OutputS3BucketName: c.Output.Bucket, OutputS3KeyPrefix: c.Output.Prefix,
		MaxConcurrency: c.MaxConcurrency, MaxErrors: c.MaxErrors,
		TargetCount: c.Counts.Target, CompletedCount: c.Counts.Completed,
		ErrorCount: c.Counts.Errors, DeliveryTimedOutCount: c.Counts.DeliveryTimedOut,
		ServiceRole: c.ServiceRole, TimeoutSeconds: c.TimeoutSeconds,
		NotificationConfig: noNotification(), AlarmConfiguration: alarmConfiguration{Alarms: []struct{}{}},
		TriggeredAlarms: []struct{}{},
	}
	if out.Parameters == nil {
		out.Parameters = map[string][]string{}
	}
	if out.InstanceIds == nil {
		out.InstanceIds = []string{}
	}
	for _, t := range c.Targets {
		out.Targets = append(out.Targets, targetJSON(t))
	}
	return out
}

func noNotification() notificationConfig {
	return notificationConfig{NotificationEvents: []string{}}
}

func targetsIn(in []targetJSON) []ssmrun.Target {
	var out []ssmrun.Target
	for _, t := range in {
		out = append(out, ssmrun.Target(t))
	}
	return out
}

func sortedIDs(ids []string) []string {
	out := slices.Clone(ids)
	slices.Sort(out)
	return out
}
