package gateway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"time"

	"ssmrun"
	"ssmrun/internal/identity"
	"ssmrun/internal/wire"
)

// message serves a call of the message delivery service as the front does, but
// for its signature.
func (b *bundle) message(w http.ResponseWriter, r *http.Request, agent identity.Principal) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the agent has hung up
	}
	op := strings.TrimPrefix(r.Header.Get("X-Amz-Target"), wire.TargetMessageDelivery)
	out, err := b.gateway.Message(r.Context(), op, agent, "http://"+r.Host, body)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		out = wire.ErrorBody{Type: string(ssmrun.ErrorCode(err)), Message: err.Error()}
	}
	_ = json.NewEncoder(w).Encode(out)
}

// refusal is a call's answer that is not 200.
type refusal struct{ code string }

func (r *refusal) Error() string { return "refused with " + r.code }

// try calls an operation; in is a request of package wire, or a body as it is.
func (b *bundle) try(ctx context.Context, op string, in, out any) error {
	body, ok := in.(string)
	if !ok {
		raw, err := wire.Marshal(in)
		if err != nil {
			return err
		}
		body = string(raw)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, b.http+"/", bytes.NewReader([]byte(body)))
	if err != nil {
		return err
	}
	r.Header.Set("X-Amz-Target", wire.TargetMessageDelivery+op)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		var e wire.ErrorBody
		if err := json.NewDecoder(resp.Body).Decode(&e); err != nil {
			return err
		}
		return &refusal{e.Type}
	}
	return json.NewDecoder(resp.Body).Decode(out)
}

func (b *bundle) call(op string, in any) {
	b.t.Helper()
	var out map[string]any
	b.must(b.try(b.ctx, op, in, &out))
}

// poll asks for messages, which are hidden for seconds then.
func (b *bundle) poll(seconds int) []wire.Message {
	b.t.Helper()
	var out wire.GetMessagesResponse
	b.must(b.try(b.ctx, wire.OpGetMessages, wire.GetMessagesRequest{Destination: instance, MessagesRequestID: "r", VisibilityTimeoutInSeconds: seconds}, &out))
	if out.Destination != instance || out.MessagesRequestID != "r" || out.Messages == nil {
		b.t.Errorf("answer %+v", out)
	}
	return out.Messages
}

// polled is a poll that goes on beside the test.
func (b *bundle) polled(seconds int) <-chan []wire.Message {
	done := make(chan []wire.Message, 1)
	go func() {
		var out wire.GetMessagesResponse
		err := b.try(b.ctx, wire.OpGetMessages, wire.GetMessagesRequest{Destination: instance, VisibilityTimeoutInSeconds: seconds}, &out)
		if err != nil {
			out.Messages = []wire.Message{{MessageID: err.Error()}}
		}
		done <- out.Messages
	}()
	return done
}

// one wants a poll to give one message.
func (b *bundle) one(list []wire.Message) wire.Message {
	b.t.Helper()
	if len(list) != 1 {
		b.t.Fatalf("messages %+v", list)
	}
	return list[0]
}

func (b *bundle) acknowledge(id string) {
	b.t.Helper()
	b.call(wire.OpAcknowledgeMessage, wire.AcknowledgeMessageRequest{MessageID: id})
}

func (b *bundle) sendReply(id, status string, plugins map[string]wire.PluginStatus) {
	b.t.Helper()
	payload, err := wire.Marshal(wire.Reply{DocumentStatus: status, RuntimeStatus: plugins})
	b.must(err)
	b.call(wire.OpSendReply, wire.SendReplyRequest{MessageID: id, Payload: string(payload), ReplyID: "reply"})
}

// until waits for what no signal tells of.
func (b *bundle) until(what string, ok func() bool) {
	b.t.Helper()
	for !ok() {
		select {
		case <-b.ctx.Done():
			b.t.Fatal(what)
		case <-time.After(time.Millisecond):
		}
	}
}
