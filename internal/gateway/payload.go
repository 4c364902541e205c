package gateway

import (
	"encoding/json"
	"fmt"
	"sync"

	"ssmrun"
	"ssmrun/internal/document"
	"ssmrun/internal/wire"
)

// keptPayloads is how many commands' payloads are kept.
const keptPayloads = 16

// payloads makes what the agents get of a command. It is the same for all of
// them, so it is made once for a command that goes to many.
type payloads struct {
	mu   sync.Mutex
	made map[string]string // by command id
	ids  []string          // oldest first
}

func (p *payloads) of(d ssmrun.Delivery) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s, ok := p.made[d.CommandID]; ok {
		return s, nil
	}
	content, err := commandPayload(d)
	if err != nil {
		return "", err
	}
	b, err := wire.Marshal(content)
	if err != nil {
		return "", fmt.Errorf("encode the payload: %w", err)
	}
	if p.made == nil {
		p.made = map[string]string{}
	}
	if len(p.ids) == keptPayloads {
		delete(p.made, p.ids[0])
		p.ids = p.ids[1:]
	}
	p.made[d.CommandID] = string(b)
	p.ids = append(p.ids, d.CommandID)
	return string(b), nil
}

// commandPayload turns a delivery into what the agent gets. Parameters go by
// their declared type: lists as lists, maps as maps, the rest as one string.
func commandPayload(d ssmrun.Delivery) (wire.SendCommandPayload, error) {
	doc, err := document.ParseDelivered([]byte(d.Content))
	if err != nil {
		return wire.SendCommandPayload{}, fmt.Errorf("read document %s: %w", d.Document, err)
	}
	return wire.SendCommandPayload{
		Parameters: doc.Payload(d.Parameters), DocumentContent: json.RawMessage(d.Content), CommandID: d.CommandID,
		DocumentName: d.Document, OutputS3BucketName: d.Output.Bucket, OutputS3KeyPrefix: d.Output.Prefix,
		CloudWatchOutputEnabled: "false",
	}, nil
}
