package wire

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"net/url"
	"strings"
)

// ControlChannelSchema is the MessageSchemaVersion of the control channel.
const ControlChannelSchema = "1.0"

// controlChannelPath begins the path of both calls that make a control channel.
const controlChannelPath = "/v1/control-channel/"

// Limits of the channel's opening.
const (
	// ControlChannelQuery is the query of the websocket's address.
	ControlChannelQuery = "role=subscribe&stream=input"
	// MaxOpenBytes bounds CreateControlChannel's bodies and the opening text
	// frame.
	MaxOpenBytes = 16 << 10
)

// ControlChannelPath is where an instance's channel is made (POST) and joined
// (websocket).
func ControlChannelPath(instanceID string) string {
	return controlChannelPath + url.PathEscape(instanceID)
}

// ParseControlChannelPath takes the instance id out of an (unescaped) path; ok
// is false for any other path.
func ParseControlChannelPath(path string) (instanceID string, ok bool) {
	id, ok := strings.CutPrefix(path, controlChannelPath)
	if !ok || id == "" || strings.Contains(id, "/") {
		return "", false
	}
	return id, true
}

// CreateControlChannelRequest is the JSON of the first of the two calls.
type CreateControlChannelRequest struct {
	MessageSchemaVersion string
	RequestID            string `json:"RequestId"`
}

// CreateControlChannelResponse is its answer, in XML and with status 201: the
// genuine agent takes no other.
type CreateControlChannelResponse struct {
	XMLName              xml.Name `xml:"CreateControlChannelResponse"`
	MessageSchemaVersion string   `xml:"MessageSchemaVersion"`
	// TokenValue goes back in OpenControlChannel, once.
	TokenValue string `xml:"TokenValue"`
}

// Encode returns the XML body.
func (r CreateControlChannelResponse) Encode() ([]byte, error) {
	b, err := xml.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encode control channel response: %w", err)
	}
	return b, nil
}

// DecodeCreateControlChannelResponse reads the XML body; a response without a
// token is an ErrPayload.
func DecodeCreateControlChannelResponse(body []byte) (CreateControlChannelResponse, error) {
	var r CreateControlChannelResponse
	if len(body) > MaxOpenBytes {
		return r, fmt.Errorf("%w: control channel response of %d bytes, more than %d", ErrPayload, len(body), MaxOpenBytes)
	}
	if err := xml.Unmarshal(body, &r); err != nil {
		return CreateControlChannelResponse{}, fmt.Errorf("%w: control channel response is not the expected XML", ErrPayload)
	}
	if r.TokenValue == "" {
		return CreateControlChannelResponse{}, fmt.Errorf("%w: field TokenValue is missing", ErrPayload)
	}
	return r, nil
}

// CodeAccessDenied is the refusal by which agents know that a channel is not
// theirs, or not now: the genuine one looks for its element in the answer.
const CodeAccessDenied = "AccessDeniedException"

// EncodeChannelError writes the XML that refuses a channel: an element named by
// the code, with the reason in it, if there is one.
func EncodeChannelError(code, message string) []byte {
	var b bytes.Buffer
	b.WriteString("<" + code + ">")
	if message != "" {
		b.WriteString("<Message>")
		_ = xml.EscapeText(&b, []byte(message)) // a buffer takes all
		b.WriteString("</Message>")
	}
	b.WriteString("</" + code + ">")
	return b.Bytes()
}

// DecodeChannelError reads the refusal of a channel. Both are "" where the body
// is none, as a page of a proxy.
func DecodeChannelError(body []byte) (code, message string) {
	var r struct {
		XMLName xml.Name
		Message string
	}
	if len(body) > MaxOpenBytes || xml.Unmarshal(body, &r) != nil || strings.EqualFold(r.XMLName.Local, "html") {
		return "", ""
	}
	return r.XMLName.Local, r.Message
}

// OpenControlChannel is the one text frame an agent sends, first, on its
// websocket. It is not answered.
type OpenControlChannel struct {
	Cookie               *string
	MessageSchemaVersion string
	RequestID            string `json:"RequestId"`
	TokenValue           string
	AgentVersion         string
	// PlatformType is in lower case here: linux.
	PlatformType string
}

func (o *OpenControlChannel) check() error { return missing("TokenValue", o.TokenValue) }
