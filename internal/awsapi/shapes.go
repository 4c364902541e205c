package awsapi

import (
	"strings"
	"unicode/utf8"
)

// The inputs of the operations, from the facts of AWS's API model (version
// 2014-11-06): required members, lengths, patterns and enums.

const patternInstanceID = `(^i-(\w{8}|\w{17})$)|(^mi-\w{17}$)`

var (
	commandID = str().length(36, 36).like(`^[A-Fa-f0-9]{8}-[A-Fa-f0-9]{4}-[A-Fa-f0-9]{4}-[A-Fa-f0-9]{4}-[A-Fa-f0-9]{12}$`)
	// The least length is not in the model, but in AWS's answers.
	instanceIDShape  = str().length(10, 20).like(patternInstanceID)
	instanceIDs      = listOf(0, 50, str().like(patternInstanceID))
	documentARN      = str().like(`^[a-zA-Z0-9_\-.:/]{3,128}$`)
	documentVersion  = str().like(`([$]LATEST|[$]DEFAULT|^[1-9][0-9]*$)`)
	versionName      = str().like(`^[a-zA-Z0-9_\-.]{1,128}$`)
	nextToken        = str()
	maxResults50     = num(1, 50).silent()
	stringFilterList = func(keys ...string) shape {
		return listOf(1, 5, object(need("key", enum(keys...)), need("value", str().length(1, 128))))
	}
)

var sendCommandInput = object(
	opt("InstanceIds", instanceIDs),
	opt("Targets", listOf(0, 5, object(
		opt("Key", str().length(1, 163).like(`^[\p{L}\p{Z}\p{N}_.:/=\-@]*$|resource-groups:ResourceTypeFilters|resource-groups:Name`)),
		opt("Values", listOf(0, 50, str()))))),
	need("DocumentName", documentARN),
	opt("DocumentVersion", documentVersion),
	opt("DocumentHash", str().length(0, 256)),
	opt("DocumentHashType", enum("Sha256", "Sha1")),
	opt("TimeoutSeconds", num(30, 2592000)),
	opt("Comment", str().length(0, 100)),
	opt("Parameters", mapOf(listOf(0, 0, str()).silent())),
	opt("OutputS3Region", str().length(3, 20)),
	opt("OutputS3BucketName", str().length(3, 63)),
	opt("OutputS3KeyPrefix", str().length(0, 500)),
	opt("MaxConcurrency", str().length(1, 7).like(`^([1-9][0-9]*|[1-9][0-9]%|[1-9]%|100%)$`)),
	opt("MaxErrors", str().length(1, 7).like(`^([1-9][0-9]*|[0]|[1-9][0-9]%|[0-9]%|100%)$`)),
	opt("ServiceRoleArn", str()),
	opt("NotificationConfig", object(
		opt("NotificationArn", str()),
		opt("NotificationEvents", listOf(0, 0, enum("All", "InProgress", "Success", "TimedOut", "Cancelled", "Failed"))),
		opt("NotificationType", enum("Command", "Invocation")))),
	opt("CloudWatchOutputConfig", object(
		opt("CloudWatchLogGroupName", str().length(1, 512)),
		opt("CloudWatchOutputEnabled", flag()))),
	opt("AlarmConfiguration", object(
		opt("IgnorePollAlarmFailure", flag()),
		need("Alarms", listOf(1, 1, object(need("Name", notBlank.length(1, 255))).named("Alarm"))))),
)

// notBlank is AWS's ^(?!\s*$).+, which Go's expressions cannot spell.
var notBlank = shape{kind: text, text: `^(?!\s*$).+`, match: func(s string) bool {
	for _, r := range s {
		if r != ' ' && r != '\t' && r != '\n' && r != '\r' && r != '\f' && r != '\v' {
			return true
		}
	}
	return false
}}

var cancelCommandInput = object(need("CommandId", commandID), opt("InstanceIds", instanceIDs))

var listCommandsInput = object(
	opt("CommandId", commandID), opt("InstanceId", instanceIDShape), opt("MaxResults", maxResults50),
	opt("NextToken", nextToken),
	opt("Filters", stringFilterList("InvokedAfter", "InvokedBefore", "Status", "ExecutionStage", "DocumentName")))

var listCommandInvocationsInput = object(
	opt("CommandId", commandID), opt("InstanceId", instanceIDShape), opt("MaxResults", maxResults50),
	opt("NextToken", nextToken), opt("Details", flag()),
	opt("Filters", stringFilterList("InvokedAfter", "InvokedBefore", "Status", "ExecutionStage", "DocumentName")))

var getCommandInvocationInput = object(
	need("CommandId", commandID), need("InstanceId", instanceIDShape), opt("PluginName", str().length(4, 0)))

// filterValue's pattern repeats more often than Go's expressions may.
var filterValue = shape{kind: text, text: `^.{1,100000}$`, match: func(s string) bool {
	return s != "" && utf8.RuneCountInString(s) <= 100000 && !strings.Contains(s, "\n")
}}.length(1, 100000)

var describeInstanceInformationInput = object(
	opt("InstanceInformationFilterList", listOf(0, 0, object(
		need("key", enum("InstanceIds", "AgentVersion", "PingStatus", "PlatformTypes", "ActivationIds", "IamRole", "ResourceType", "AssociationStatus")),
		need("valueSet", listOf(1, 100, str().length(1, 0)))))),
	opt("Filters", listOf(0, 0, object(
		need("Key", str().length(1, 0)),
		need("Values", listOf(1, 100, filterValue).silent())))),
	opt("MaxResults", num(5, 50).silent()),
	opt("NextToken", nextToken))

var describeDocumentInput = object(
	need("Name", documentARN), opt("DocumentVersion", documentVersion), opt("VersionName", versionName))

var getDocumentInput = object(
	need("Name", documentARN), opt("VersionName", versionName), opt("DocumentVersion", documentVersion),
	opt("DocumentFormat", enum("YAML", "JSON", "TEXT")))
