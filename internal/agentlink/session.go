package agentlink

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
	"github.com/google/uuid"

	"ssmrun/internal/wire"
)

const writeTimeout = 30 * time.Second

// session opens the control channel and serves it until it ends. opened tells
// whether it was open at all; err why it ended or did not open.
func (l *Link) session(ctx context.Context) (opened bool, err error) {
	if !l.beaten() || l.beatDue() <= 0 {
		if err := l.beat(ctx, ""); err != nil {
			return false, err
		}
	}
	if _, err := l.keys.get(ctx); err != nil {
		return false, err
	}
	// A channel that neither opens nor fails shall keep no job waiting.
	slow := time.AfterFunc(l.cfg.Timing.Fallback, func() { l.poll.begin(ctx, errSlow) })
	conn, err := l.openChannel(ctx)
	slow.Stop()
	if err != nil {
		return false, err
	}
	defer conn.CloseNow() //nolint:errcheck // it is closed already where that matters
	l.setOpen(func(w *ways) { w.channel = true })
	defer l.setOpen(func(w *ways) { w.channel = false })
	l.out.restart(l.poll.end())
	l.cfg.Opened()
	l.cfg.Logger.Info("connected to the service", "instance", l.cfg.Identity.InstanceID)
	// The reader ends with the connection, the writer with the context of the
	// session; each ends the other.
	sctx, end := context.WithCancelCause(context.WithoutCancel(ctx))
	defer end(nil)
	var wg sync.WaitGroup
	wg.Go(func() { end(l.write(sctx, conn)) })
	stop := context.AfterFunc(ctx, func() {
		// A clean goodbye: the service marks the instance as gone at once.
		_ = conn.Close(websocket.StatusNormalClosure, "agent stops")
		end(errStopped)
	})
	defer stop()
	end(l.read(sctx, conn))
	wg.Wait()
	return true, context.Cause(sctx)
}

// openChannel makes the control channel: POST, websocket, text frame. Its errors
// are channelErrors.
func (l *Link) openChannel(ctx context.Context) (*websocket.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, l.cfg.Timing.Open)
	defer cancel()
	path := wire.ControlChannelPath(l.cfg.Identity.InstanceID)
	var created wire.CreateControlChannelResponse
	var conn *websocket.Conn
	joining := false
	err := l.keys.signed(ctx, ServiceMessages, func(s signer) error {
		id, err := uuid.NewRandom()
		if err != nil {
			return fmt.Errorf("make request id: %w", err)
		}
		body, err := wire.Marshal(wire.CreateControlChannelRequest{MessageSchemaVersion: wire.ControlChannelSchema, RequestID: id.String()})
		if err != nil {
			return fmt.Errorf("encode control channel request: %w", err)
		}
		header := http.Header{"Content-Type": {"application/json"}}
		answer, err := l.caller.post(ctx, request{
			service: ServiceMessages, op: "CreateControlChannel", path: path, header: header, body: body, want: http.StatusCreated,
		}, s)
		if err != nil {
			return err
		}
		if created, err = wire.DecodeCreateControlChannelResponse(answer); err != nil {
			return err
		}
		joining = true
		conn, err = l.dial(ctx, path, s)
		return err
	})
	if err != nil {
		return nil, &channelError{err, joining}
	}
	conn.SetReadLimit(wire.MaxFrameBytes)
	id, err := uuid.NewRandom()
	if err != nil {
		return nil, &channelError{fmt.Errorf("make request id: %w", err), joining}
	}
	info := l.cfg.Info()
	hello, err := wire.Marshal(wire.OpenControlChannel{
		MessageSchemaVersion: wire.ControlChannelSchema, RequestID: id.String(), TokenValue: created.TokenValue,
		AgentVersion: info.AgentVersion, PlatformType: strings.ToLower(info.PlatformType),
	})
	if err == nil {
		err = conn.Write(ctx, websocket.MessageText, hello)
	}
	if err != nil {
		conn.CloseNow() //nolint:errcheck // the write's error says more
		return nil, &channelError{err, joining}
	}
	return conn, nil
}

func (l *Link) dial(ctx context.Context, path string, sign signer) (*websocket.Conn, error) {
	u, err := l.caller.where(ServiceMessages)
	if err != nil {
		return nil, err
	}
	address := u.String() + path + "?" + wire.ControlChannelQuery
	// The signature is made on a request like the one that will be sent.
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, fmt.Errorf("make websocket request: %w", err)
	}
	if err := sign(r, nil, l.caller.now()); err != nil {
		return nil, fmt.Errorf("sign websocket request: %w", err)
	}
	r.Header.Set("User-Agent", userAgent)
	conn, resp, err := websocket.Dial(ctx, address, &websocket.DialOptions{HTTPClient: l.cfg.HTTP, HTTPHeader: r.Header})
	if err != nil {
		if resp != nil && resp.StatusCode != http.StatusSwitchingProtocols {
			l.caller.observe(resp.Header)
			why, _ := io.ReadAll(resp.Body) // what there is of it: the library bounds it
			e := apiError("websocket", resp.StatusCode, why)
			e.RetryAfter = parseRetryAfter(resp.Header, l.caller.now())
			return nil, e
		}
		return nil, connectError("open websocket", u.Host, err)
	}
	return conn, nil
}

// read serves what the service sends, until the connection ends.
func (l *Link) read(ctx context.Context, conn *websocket.Conn) error {
	broken := 0
	for {
		f, err := wire.Next(ctx, conn.Reader, websocket.MessageBinary)
		switch {
		case errors.Is(err, wire.ErrFrame):
			broken++
			l.cfg.Logger.Warn("dropped a frame of the service, which sends again what it hears nothing of", "error", err, "so_far", broken)
			if broken > freeNonsense {
				pause(ctx, nil, nonsensePause)
			}
		case errors.Is(err, websocket.ErrMessageTooBig):
			return fmt.Errorf("a message of the service is over the limit of %d bytes, and cannot be read over: %w", wire.MaxFrameBytes, err)
		case err != nil:
			return closedError(err)
		default:
			l.handle(f)
		}
	}
}

// What a service may say of nonsense on one channel before each more is followed
// by a pause: it shall fill its own connection, not the host's log.
const (
	freeNonsense  = 20
	nonsensePause = 500 * time.Millisecond
)

// closedError words the end of a control channel: the service has said why, or the
// connection was cut.
func closedError(err error) error {
	var closed websocket.CloseError
	switch {
	case errors.As(err, &closed) && closed.Reason != "":
		return errors.New("the service closed the control channel: " + closed.Reason)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("the control channel was cut")
	}
	return fmt.Errorf("read control channel: %w", err)
}

func (l *Link) handle(f wire.Frame) {
	switch f.Type {
	case wire.TypeAgentJob:
		var job wire.AgentJob
		if err := wire.Unmarshal(f.Payload, &job); err != nil {
			// Without a job id there is nothing that could be acknowledged.
			l.cfg.Logger.Warn("dropped a job of the service", "error", err)
			return
		}
		l.handling.Lock()
		defer l.handling.Unlock()
		l.cfg.Handler.HandleJob(job, func(code, message string) { l.ack(f, job, code, message) })
	case wire.TypeAgentJobReplyAck:
		var a wire.AgentJobReplyAck
		if err := wire.Unmarshal(f.Payload, &a); err != nil {
			l.cfg.Logger.Warn("dropped an acknowledgement of the service", "error", err)
			return
		}
		id, err := uuid.Parse(a.AcknowledgedMessageID)
		if err != nil {
			l.cfg.Logger.Warn("dropped an acknowledgement of the service", "error", "acknowledgedMessageId is no UUID")
			return
		}
		l.acked(id)
	default:
		level := slog.LevelDebug
		if !l.strange {
			l.strange, level = true, slog.LevelInfo
		}
		l.cfg.Logger.Log(context.Background(), level, "passed over a message of the service: this agent serves commands, and nothing of this type", "type", f.Type)
	}
}

// acked drops a reply that the service has.
func (l *Link) acked(id uuid.UUID) {
	known, room := l.out.acked(id)
	l.handling.Lock()
	defer l.handling.Unlock()
	if known {
		l.cfg.Acked(Reply{ID: id, Tracked: true})
	}
	if room {
		l.cfg.Room()
	}
}

func (l *Link) ack(f wire.Frame, job wire.AgentJob, code, message string) {
	now := l.caller.now()
	out, err := wire.NewFrame(wire.TypeAgentJobAck, now, wire.AgentJobAck{
		JobID: job.JobID, AcknowledgedMessageID: f.ID.String(), CreatedDate: wire.FormatTime(now),
		StatusCode: code, ErrorMessage: message,
	})
	if err != nil {
		l.cfg.Logger.Error("could not acknowledge a job", "job", job.JobID, "error", err)
		return
	}
	l.out.send(outgoing{frame: out.Encode()})
}

func (l *Link) encode(r Reply) []byte {
	return wire.Frame{
		Type: wire.TypeAgentJobReply, SchemaVersion: wire.FrameSchemaVersion,
		Created: l.caller.now(), ID: r.ID, Payload: r.Payload,
	}.Encode()
}

// write sends what the outbox holds, pings, and heartbeats, until ctx ends or
// the connection does not take it any more.
func (l *Link) write(ctx context.Context, conn *websocket.Conn) error {
	// Its own goroutines end with it.
	ctx, end := context.WithCancelCause(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer end(nil)

	t := l.cfg.Timing
	ping := time.NewTicker(t.Ping)
	defer ping.Stop()
	beat := time.NewTimer(max(0, l.beatDue()))
	defer beat.Stop()
	resend := time.NewTimer(0)
	defer resend.Stop()
	beaten := make(chan error, 1)
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ping.C:
			wg.Go(func() {
				pctx, cancel := context.WithTimeout(ctx, t.Pong)
				defer cancel()
				if err := conn.Ping(pctx); err != nil && ctx.Err() == nil {
					end(fmt.Errorf("the service did not answer a ping within %v: %w", t.Pong, err))
					conn.CloseNow() //nolint:errcheck // it is beyond help
				}
			})
		case <-beat.C:
			wg.Go(func() { beaten <- l.beat(ctx, "") })
		case err := <-beaten:
			if err != nil && ctx.Err() == nil {
				l.cfg.Logger.Warn("heartbeat failed", "error", err)
			}
			beat.Reset(max(0, l.beatDue()))
		case <-l.out.wake:
			resend.Reset(0)
		case <-resend.C:
			next, err := l.drain(ctx, conn)
			if err != nil {
				return err
			}
			if !next.IsZero() {
				resend.Reset(time.Until(next))
			}
		}
	}
}

// drain sends everything that is due and gives when the next is.
func (l *Link) drain(ctx context.Context, conn *websocket.Conn) (time.Time, error) {
	once, replies, next := l.out.take(time.Now())
	for _, r := range replies {
		once = append(once, outgoing{reply: r})
	}
	for _, m := range once {
		b := m.frame
		if b == nil {
			b = l.encode(m.reply)
		}
		wctx, cancel := context.WithTimeout(ctx, writeTimeout)
		err := conn.Write(wctx, websocket.MessageBinary, b)
		cancel()
		if err != nil {
			return time.Time{}, fmt.Errorf("write control channel: %w", err)
		}
	}
	return next, nil
}
