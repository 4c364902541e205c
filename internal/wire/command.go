package wire

import (
	"bytes"
	"encoding/json"
	"errors"
)

// SendCommandPayload is the command as the agent gets it: the Content of an
// AgentJob, the Payload of a Message.
type SendCommandPayload struct {
	// Parameters are the caller's: a string, a list of strings or a map by the
	// parameter's type. The agent substitutes them, and the document's defaults
	// for those that are absent.
	Parameters map[string]any
	// DocumentContent is the document, as JSON.
	DocumentContent json.RawMessage
	CommandID       string `json:"CommandId"`
	DocumentName    string
	// OutputS3BucketName is "" where output is not uploaded.
	OutputS3BucketName string
	OutputS3KeyPrefix  string
	// CloudWatchLogGroupName is "" for the agent's default.
	CloudWatchLogGroupName string
	// CloudWatchOutputEnabled is "true" or "false": a string on this wire.
	CloudWatchOutputEnabled string
}

func (p *SendCommandPayload) check() error {
	if len(p.DocumentContent) == 0 || bytes.Equal(p.DocumentContent, []byte("null")) {
		return errors.New("field DocumentContent is missing")
	}
	return missing("CommandId", p.CommandID)
}

// CancelPayload asks an agent to end a command. There is no final reply to it:
// a running command reports Cancelled for itself, a queued one goes silently.
type CancelPayload struct {
	// CancelMessageID is the job id of the command to be cancelled.
	CancelMessageID string `json:"CancelMessageId"`
}

func (p *CancelPayload) check() error { return missing("CancelMessageId", p.CancelMessageID) }
