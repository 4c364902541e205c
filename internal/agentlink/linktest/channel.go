package linktest

import (
	"context"
	"encoding/json"
	"io"
	"net/http"

	"github.com/coder/websocket"

	"ssmrun/internal/sigv4"
	"ssmrun/internal/wire"
)

// serveChannel answers both calls that make a control channel.
func (s *Server) serveChannel(w http.ResponseWriter, r *http.Request, id string, set Settings) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		refuse(w, "SerializationException", err.Error())
		return
	}
	code, err := s.verify(r, sigv4.PayloadHash(body), "ssmmessages", set)
	if err == nil && (id != s.InstanceID || set.Deny) {
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, "<AccessDeniedException></AccessDeniedException>")
		return
	}
	if err != nil {
		s.add(Event{Kind: "refused channel"})
		refuse(w, code, err.Error())
		return
	}
	if s.spoil(w, r, set) {
		return
	}
	if r.Method == http.MethodPost {
		var in wire.CreateControlChannelRequest
		if err := json.Unmarshal(body, &in); err != nil || in.RequestID == "" || in.MessageSchemaVersion != "1.0" {
			refuse(w, "ValidationException", "request")
			return
		}
		b, err := wire.CreateControlChannelResponse{MessageSchemaVersion: "1.0", TokenValue: "token-" + id}.Encode()
		if err != nil {
			panic(err)
		}
		w.WriteHeader(http.StatusCreated)
		_, _ = w.Write(b)
		return
	}
	if r.URL.RawQuery != wire.ControlChannelQuery {
		refuse(w, "ValidationException", "query")
		return
	}
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer conn.CloseNow() //nolint:errcheck // a test's end
	conn.SetReadLimit(wire.MaxFrameBytes)
	ctx := context.WithoutCancel(r.Context())
	typ, hello, err := conn.Read(ctx)
	var open wire.OpenControlChannel
	if err != nil || typ != websocket.MessageText || wire.Unmarshal(hello, &open) != nil || open.TokenValue != "token-"+id {
		_ = conn.Close(websocket.StatusPolicyViolation, "opening frame")
		return
	}
	if set.Channel == ChannelShort {
		s.add(Event{Kind: "spoilt channel"})
		return
	}
	s.serveFrames(ctx, conn)
}

func (s *Server) serveFrames(ctx context.Context, conn *websocket.Conn) {
	c := &channel{conn: conn}
	s.mu.Lock()
	s.opened++
	c.n = s.opened
	s.channels[c] = true
	s.mu.Unlock()
	s.add(Event{Kind: "open", Conn: c.n})
	for {
		typ, b, err := conn.Read(ctx)
		if err != nil {
			s.mu.Lock()
			delete(s.channels, c)
			s.mu.Unlock()
			s.add(Event{Kind: "close", Conn: c.n, Close: websocket.CloseStatus(err)})
			return
		}
		f, err := wire.Decode(b)
		if typ != websocket.MessageBinary || err != nil {
			s.t.Errorf("the agent sent a bad frame: %v", err)
			continue
		}
		e := Event{Kind: f.Type, Conn: c.n, Size: len(f.Payload), MessageID: f.ID.String()}
		switch f.Type {
		case wire.TypeAgentJobAck:
			err = wire.Unmarshal(f.Payload, &e.Ack)
			e.JobID = e.Ack.JobID
		case wire.TypeAgentJobReply:
			var reply wire.AgentJobReply
			if err = wire.Unmarshal(f.Payload, &reply); err == nil {
				err = wire.Unmarshal([]byte(reply.Content), &e.Reply)
			}
			e.JobID, e.Topic = reply.JobID, reply.Topic
			if len(f.Payload) > wire.MaxReplyBytes {
				s.t.Errorf("a reply has %d bytes", len(f.Payload))
			}
		}
		if err != nil {
			s.t.Errorf("the agent sent a bad %s: %v", f.Type, err)
		}
		s.mu.Lock()
		quiet := s.NoReplyAck
		s.mu.Unlock()
		s.add(e)
		if f.Type == wire.TypeAgentJobReply && !quiet {
			ack, err := wire.NewFrame(wire.TypeAgentJobReplyAck, f.Created, wire.AgentJobReplyAck{JobID: e.JobID, AcknowledgedMessageID: f.ID.String()})
			if err == nil {
				_ = conn.Write(ctx, websocket.MessageBinary, ack.Encode())
			}
		}
	}
}
