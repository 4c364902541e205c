package linktest

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/google/uuid"

	"ssmrun/internal/sigv4"
	"ssmrun/internal/wire"
)

// holdTime is how long a poll is held that there is nothing for.
const holdTime = 18 * time.Second

// queued is a message that waits for polls until it is acknowledged or failed.
type queued struct {
	id     string
	raw    json.RawMessage
	hidden time.Time // until then
}

// Queue lets polls bring messages, which show again until they are settled.
func (s *Server) Queue(list ...wire.Message) {
	s.t.Helper()
	for _, m := range list {
		b, err := wire.Marshal(m)
		if err != nil {
			s.t.Fatal(err)
		}
		s.QueueRaw(m.MessageID, string(b))
	}
}

// QueueRaw lets polls bring any JSON as a message.
func (s *Server) QueueRaw(id, raw string) {
	s.mu.Lock()
	s.queue = append(s.queue, &queued{id: id, raw: json.RawMessage(raw)})
	s.mu.Unlock()
	s.cond.Broadcast()
}

// Command is a message that offers a command.
func (s *Server) Command(p wire.SendCommandPayload) wire.Message {
	s.t.Helper()
	return s.message(wire.TopicSendCommand, s.JobID(p.CommandID), p)
}

// CancelMessage is a message that asks for the end of a command.
func (s *Server) CancelMessage(commandID string) wire.Message {
	s.t.Helper()
	return s.message(wire.TopicCancelCommand, s.JobID(uuid.NewString()), wire.CancelPayload{CancelMessageID: s.JobID(commandID)})
}

func (s *Server) message(topic, id string, payload any) wire.Message {
	s.t.Helper()
	b, err := wire.Marshal(payload)
	if err != nil {
		s.t.Fatal(err)
	}
	return wire.Message{
		MessageID: id, Destination: s.InstanceID, CreatedDate: wire.FormatTime(time.Now()),
		Topic: wire.JobTopic(topic, "us-east-1", s.InstanceID), Payload: string(b), PayloadDigest: "not looked at",
	}
}

// Waiting is how many messages are not settled.
func (s *Server) Waiting() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.queue)
}

// servePolls answers the calls of ec2messages.
func (s *Server) servePolls(w http.ResponseWriter, r *http.Request, op string, set Settings) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		refuse(w, "SerializationException", err.Error())
		return
	}
	if code, err := s.verify(r, sigv4.PayloadHash(body), "ec2messages", set); err != nil || set.Deny {
		if err == nil {
			code, err = "AccessDeniedException", errors.New("denied")
		}
		s.add(Event{Kind: "refused " + op})
		refuse(w, code, err.Error())
		return
	}
	if s.failing(op) {
		s.add(Event{Kind: "failed " + op})
		w.Header().Set("Retry-After", set.RetryAfter)
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	var out any = struct{}{}
	switch op {
	case wire.OpGetMessages:
		out, err = s.getMessages(r.Context(), body, set)
	case wire.OpAcknowledgeMessage, wire.OpFailMessage:
		var in struct{ MessageId, FailureType string } //nolint:revive,staticcheck // the wire's name
		if err = wire.Unmarshal(body, &in); err == nil {
			s.settled(in.MessageId)
			s.add(Event{Kind: op, JobID: in.MessageId})
		}
	case wire.OpSendReply:
		var in wire.SendReplyRequest
		e := Event{Kind: op}
		if err = wire.Unmarshal(body, &in); err == nil {
			err = wire.Unmarshal([]byte(in.Payload), &e.Reply)
			e.JobID, e.MessageID, e.Size = in.MessageID, in.ReplyID, len(body)
			s.add(e)
		}
		if set.LoseReplyAnswer {
			conn, _, _ := w.(http.Hijacker).Hijack()
			conn.Close()
			return
		}
	default:
		err = errors.New(op)
	}
	if err != nil {
		s.t.Errorf("%s: %v", op, err)
		refuse(w, "ValidationException", err.Error())
		return
	}
	if set.PollAnswer != "" && op == wire.OpGetMessages {
		_, _ = io.WriteString(w, set.PollAnswer)
		return
	}
	b, err := wire.Marshal(out)
	if err != nil {
		panic(err)
	}
	w.Header().Set("Content-Type", wire.ContentType)
	_, _ = w.Write(b)
}

// failing counts down Settings.PollFail.
func (s *Server) failing(op string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.PollFail[op] == 0 {
		return false
	}
	s.PollFail[op]--
	return true
}

func (s *Server) settled(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, q := range s.queue {
		if q.id == id {
			s.queue = append(s.queue[:i:i], s.queue[i+1:]...)
			return
		}
	}
}

// getMessages holds a poll until there is something for it.
func (s *Server) getMessages(ctx context.Context, body []byte, set Settings) (any, error) {
	var in wire.GetMessagesRequest
	if err := wire.Unmarshal(body, &in); err != nil {
		return nil, err
	}
	if in.Destination != s.InstanceID || in.MessagesRequestID == "" || in.VisibilityTimeoutInSeconds < 1 {
		return nil, errors.New("the poll lacks something")
	}
	s.add(Event{Kind: wire.OpGetMessages})
	defer s.add(Event{Kind: "polled"})
	hold := holdTime
	if set.PollAtOnce || set.PollAnswer != "" {
		hold = 0
	}
	until := time.Now().Add(hold)
	visibility := time.Duration(in.VisibilityTimeoutInSeconds) * time.Second
	if set.Visibility != 0 {
		visibility = set.Visibility
	}
	out := struct {
		Destination, MessagesRequestId string //nolint:revive,staticcheck // the wire's name
		Messages                       []json.RawMessage
	}{in.Destination, in.MessagesRequestID, []json.RawMessage{}}
	ctx, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	defer context.AfterFunc(ctx, s.cond.Broadcast)()
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		now := time.Now()
		for _, q := range s.queue {
			if q.hidden.After(now) {
				time.AfterFunc(time.Until(q.hidden), s.cond.Broadcast)
				continue
			}
			q.hidden = now.Add(visibility)
			out.Messages = append(out.Messages, q.raw)
		}
		if len(out.Messages) > 0 || ctx.Err() != nil {
			return out, nil
		}
		s.cond.Wait()
	}
}
