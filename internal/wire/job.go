package wire

import (
	"fmt"
	"strings"
)

// Message types of frames. Others exist for sessions and telemetry; a reader
// ignores what it does not know.
const (
	TypeAgentJob         = "agent_job"           // service -> agent: AgentJob
	TypeAgentJobAck      = "agent_job_ack"       // agent -> service: AgentJobAck
	TypeAgentJobReply    = "agent_job_reply"     // agent -> service: AgentJobReply
	TypeAgentJobReplyAck = "agent_job_reply_ack" // service -> agent: AgentJobReplyAck
)

// Message types of sessions, which Run Command does not use.
const (
	TypeInteractiveShell     = "interactive_shell"      // service -> agent
	TypeChannelClosed        = "channel_closed"         // service -> agent
	TypeAgentTaskAcknowledge = "agent_task_acknowledge" // service -> agent
	TypeAgentTaskComplete    = "agent_task_complete"    // agent -> service
)

// Topics. A job's topic goes on with the region and the instance; an agent looks
// at nothing but this beginning. A reply's topic is the beginning alone.
const (
	TopicSendCommand   = "aws.ssm.sendCommand"
	TopicCancelCommand = "aws.ssm.cancelCommand"
)

// JobTopic is a job's topic: TopicSendCommand or TopicCancelCommand, then where
// the job goes.
func JobTopic(topic, region, instanceID string) string {
	return topic + "." + region + "." + instanceID
}

// IsTopic says whether a job's or a reply's topic is of the kind topic.
func IsTopic(got, topic string) bool {
	rest, ok := strings.CutPrefix(got, topic)
	return ok && (rest == "" || rest[0] == '.')
}

// Status codes of an agent_job_ack.
const (
	AckOK                   = "200"   // accepted: run now or queued
	AckClosedProcessor      = "51401" // the agent is stopping; offer again
	AckBufferFull           = "51402" // nothing kept: offer again
	AckUnexpectedDocument   = "51403" // a document type the agent does not run
	AckTranslation          = "51404" // the job could not be made into a document state
	AckDuplicateCommand     = "51405" // known already, not run again: as good as delivered
	AckInvalidDocument      = "51406" // the document is not valid
	AckUnsupportedContainer = "51407" // not in a container
	AckParseError           = "51408" // content that cannot be parsed; a Failed reply follows
	AckUnexpected           = "51499" // anything else
)

// Verdict is what an acknowledgement means for the delivery.
type Verdict int

// The verdicts.
const (
	// Delivered: the agent has the job, from this message or an earlier one.
	Delivered Verdict = iota
	// OfferAgain: the agent kept nothing; the same job id is sent again later.
	OfferAgain
	// Refused: the agent will not run the job, now or later.
	Refused
)

// AckVerdict classes a status code; codes nobody knows are Refused.
func AckVerdict(statusCode string) Verdict {
	switch statusCode {
	case AckOK, AckDuplicateCommand:
		return Delivered
	case AckBufferFull, AckClosedProcessor:
		return OfferAgain
	}
	return Refused
}

const jobPrefix = "aws.ssm."

// JobID names a command's delivery to one instance: aws.ssm.COMMAND.INSTANCE. It
// is the JobId of frames and the MessageId of long polls, and what an agent
// knows a duplicate by. A cancel job has an id of its own made from a fresh
// UUID, and names the command's in CancelPayload.
func JobID(commandID, instanceID string) string {
	return jobPrefix + commandID + "." + instanceID
}

// ParseJobID takes a job id apart: four fields between dots, the first two
// aws.ssm, none empty.
func ParseJobID(jobID string) (commandID, instanceID string, err error) {
	rest, ok := strings.CutPrefix(jobID, jobPrefix)
	if !ok {
		return "", "", fmt.Errorf("%w: job id does not begin with %s", ErrPayload, jobPrefix)
	}
	commandID, instanceID, ok = strings.Cut(rest, ".")
	if !ok || commandID == "" || instanceID == "" || strings.Contains(instanceID, ".") {
		return "", "", fmt.Errorf("%w: job id is not of the form %sCOMMAND.INSTANCE", ErrPayload, jobPrefix)
	}
	return commandID, instanceID, nil
}

// AgentJob offers an agent something to do: a command or a cancel, by its Topic.
type AgentJob struct {
	SchemaVersion int
	JobID         string `json:"JobId"`
	Topic         string
	// Content is a SendCommandPayload or a CancelPayload, as a JSON string.
	Content string
}

func (j *AgentJob) check() error {
	return missing("JobId", j.JobID, "Topic", j.Topic, "Content", j.Content)
}

// AgentJobAck is the agent's answer to an AgentJob, before anything runs.
type AgentJobAck struct {
	JobID string `json:"jobId"`
	// AcknowledgedMessageID is the frame id of the job.
	AcknowledgedMessageID string `json:"acknowledgedMessageId"`
	CreatedDate           string `json:"createdDate"`
	// StatusCode is one of the Ack constants.
	StatusCode   string `json:"statusCode"`
	ErrorMessage string `json:"errorMessage"`
}

func (a *AgentJobAck) check() error {
	return missing("jobId", a.JobID, "statusCode", a.StatusCode)
}

// AgentJobReply carries a Reply to the service. It is sent until it is
// acknowledged, so it may come twice, and out of order.
type AgentJobReply struct {
	SchemaVersion int    `json:"schemaVersion"`
	JobID         string `json:"jobId"`
	// Content is a Reply, as a JSON string.
	Content string `json:"content"`
	// Topic is TopicSendCommand, or TopicCancelCommand for a cancel job.
	Topic string `json:"topic"`
}

func (r *AgentJobReply) check() error {
	return missing("jobId", r.JobID, "content", r.Content)
}

// AgentJobReplyAck tells an agent that a reply was stored and need not be sent
// again. Without it within a second the agent keeps the reply and repeats it.
type AgentJobReplyAck struct {
	JobID string `json:"jobId"`
	// AcknowledgedMessageID is the frame id of the reply.
	AcknowledgedMessageID string `json:"acknowledgedMessageId"`
}

func (a *AgentJobReplyAck) check() error {
	return missing("acknowledgedMessageId", a.AcknowledgedMessageID)
}
