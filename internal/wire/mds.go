package wire

import "time"

// ServiceMessageDelivery is the service that long-poll calls are signed for.
const ServiceMessageDelivery = "ec2messages"

// Limits of a long poll.
const (
	// MaxHold is how long a poll may be held: agents hang up after 20 s.
	MaxHold = 18 * time.Second
	// StandardVisibility hides a message that was handed out where the agent does
	// not say for how long.
	StandardVisibility = 10 * time.Second
	// maxVisibility bounds what an agent may ask for: a message that it lost comes
	// back within.
	maxVisibility = 10 * time.Minute
)

// TargetMessageDelivery begins the X-Amz-Target of long-poll calls.
const TargetMessageDelivery = "EC2WindowsMessageDeliveryService."

// GetMessagesRequest asks for messages and waits for the first.
type GetMessagesRequest struct {
	// Destination is the instance id.
	Destination       string
	MessagesRequestID string `json:"MessagesRequestId"`
	// VisibilityTimeoutInSeconds is how long a message that was handed out stays
	// hidden from the next poll unless it is acknowledged.
	VisibilityTimeoutInSeconds int
}

func (r *GetMessagesRequest) check() error { return missing("Destination", r.Destination) }

// Visibility is VisibilityTimeoutInSeconds within its bounds.
func (r *GetMessagesRequest) Visibility() time.Duration {
	switch n := r.VisibilityTimeoutInSeconds; {
	case n <= 0:
		return StandardVisibility
	case n >= int(maxVisibility/time.Second):
		return maxVisibility
	default:
		return time.Duration(n) * time.Second
	}
}

// GetMessagesResponse answers a poll; an empty list after at most 18 s, since
// agents hang up after 20.
type GetMessagesResponse struct {
	Destination       string
	MessagesRequestID string `json:"MessagesRequestId"`
	// Messages is never null.
	Messages []Message
}

func (r *GetMessagesResponse) check() error {
	for i := range r.Messages {
		if err := r.Messages[i].check(); err != nil {
			return err
		}
	}
	return nil
}

// Message is a job as a long poll delivers it.
type Message struct {
	// MessageID is the job id: see JobID.
	MessageID   string `json:"MessageId"`
	Destination string
	// CreatedDate is as FormatTime writes it.
	CreatedDate string
	// Topic is as JobTopic makes it.
	Topic string
	// Payload is a SendCommandPayload or a CancelPayload, as a JSON string.
	Payload string
	// PayloadDigest is not looked at by agents.
	PayloadDigest string
}

func (m *Message) check() error {
	return missing("MessageId", m.MessageID, "Topic", m.Topic, "Payload", m.Payload)
}

// AcknowledgeMessageRequest tells that the agent has the message.
type AcknowledgeMessageRequest struct {
	MessageID string `json:"MessageId"`
}

func (r *AcknowledgeMessageRequest) check() error { return missing("MessageId", r.MessageID) }

// SendReplyRequest carries a Reply over HTTP.
type SendReplyRequest struct {
	MessageID string `json:"MessageId"`
	// Payload is a Reply, as a JSON string.
	Payload string
	ReplyID string `json:"ReplyId"`
}

func (r *SendReplyRequest) check() error {
	return missing("MessageId", r.MessageID, "Payload", r.Payload)
}

// SendReplyResponse may be empty: agents do not look.
type SendReplyResponse struct {
	MessageID   string `json:"MessageId,omitempty"`
	ReplyID     string `json:"ReplyId,omitempty"`
	ReplyStatus string `json:",omitempty"`
}

// FailMessageRequest refuses a message whose topic or content makes no sense.
type FailMessageRequest struct {
	MessageID string `json:"MessageId"`
	// FailureType is FailureInternal in all that agents send.
	FailureType string
}

// FailureInternal is the failure type that agents name.
const FailureInternal = "InternalHandlerException"

func (r *FailMessageRequest) check() error { return missing("MessageId", r.MessageID) }

// DeleteMessageRequest takes a message back for good.
type DeleteMessageRequest struct {
	MessageID string `json:"MessageId"`
}

func (r *DeleteMessageRequest) check() error { return missing("MessageId", r.MessageID) }

// GetEndpointRequest asks where an instance's messages are to be had.
type GetEndpointRequest struct {
	// Destination is the instance id.
	Destination string
}

func (r *GetEndpointRequest) check() error { return missing("Destination", r.Destination) }

// GetEndpointResponse is its answer: a URL.
type GetEndpointResponse struct {
	Endpoint string
}

// MarshalJSON writes an empty list for nil.
func (r GetMessagesResponse) MarshalJSON() ([]byte, error) {
	type plain GetMessagesResponse
	if r.Messages == nil {
		r.Messages = []Message{}
	}
	return Marshal(plain(r))
}
