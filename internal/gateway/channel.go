package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"ssmrun"
	"ssmrun/internal/identity"
	"ssmrun/internal/store"
	"ssmrun/internal/wire"
)

var (
	errReplaced = errors.New("the agent opened another channel, or another host has a copy of its state folder")
	errClosing  = errors.New("the service is stopping")
	errDropped  = errors.New("the instance is not registered any more")
	errSilent   = errors.New("the agent does not answer")
	errInside   = errors.New("the channel failed inside")
)

// openTimeout bounds how long an agent may take to send its opening frame, and
// how long one frame may take to be written.
const openTimeout = 10 * time.Second

// CreateChannel answers POST /v1/control-channel/ID: JSON in, XML out, 201. The
// request has been verified as principal's. The error is for the record; it has
// been answered.
func (g *Gateway) CreateChannel(w http.ResponseWriter, r *http.Request, instanceID string, p identity.Principal, body []byte) error {
	out, err := g.createChannel(r.Context(), instanceID, p, body)
	if err != nil {
		g.refuseError(w, err)
		return err
	}
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(http.StatusCreated)
	_, _ = w.Write(out)
	return nil
}

func (g *Gateway) createChannel(ctx context.Context, instanceID string, p identity.Principal, body []byte) ([]byte, error) {
	var req wire.CreateControlChannelRequest
	if err := wire.Unmarshal(body, &req); err != nil {
		return nil, ssmrun.Errorf(ssmrun.CodeSerialization, "%v", err)
	}
	if !mayOpen(p, instanceID) {
		g.cfg.Logger.Warn("control channel refused", "instance", instanceID, "caller", p.ARN, "cause", "it is another instance's")
		return nil, ssmrun.Errorf(ssmrun.CodeAccessDenied, "%s may not open the channel of instance %s.", p.ARN, instanceID)
	}
	if err := g.permit(ctx, p, "ssmmessages:CreateControlChannel"); err != nil {
		return nil, err
	}
	return wire.CreateControlChannelResponse{
		MessageSchemaVersion: wire.ControlChannelSchema,
		TokenValue:           g.cfg.Identity.ChannelToken(instanceID),
	}.Encode()
}

func (g *Gateway) refuse(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	_, _ = w.Write(wire.EncodeChannelError(code, message))
}

// deny answers AccessDeniedException, on which the genuine agent gives the channel
// up: for nothing but an instance that is not there, or not the caller's.
func (g *Gateway) deny(w http.ResponseWriter, instanceID string, p identity.Principal, why string) {
	g.cfg.Logger.Warn("control channel refused", "instance", instanceID, "caller", p.ARN, "cause", why)
	g.refuse(w, http.StatusForbidden, wire.CodeAccessDenied, "For instance "+instanceID+": "+why+".")
}

// mayOpen: an agent may open its own channel only; the service's own key any,
// for agents whose identity is configured by hand.
func mayOpen(p identity.Principal, instanceID string) bool {
	return !p.Agent() || p.InstanceID == instanceID
}

// channel is an agent's open websocket. One goroutine reads, one writes.
type channel struct {
	g        *Gateway
	instance string
	scope    ssmrun.Scope
	conn     *websocket.Conn
	log      *slog.Logger
	cancel   context.CancelCauseFunc
	box      *mailbox // once the channel is its instance's
	wake     chan struct{}
	probes   probes

	window  window
	waits   atomic.Bool // the reader waits for room in the window
	strange bool        // a frame of unknown type has come
	broken  int         // messages that made no sense

	mu    sync.Mutex
	queue []outgoing // frames to write, other than jobs
}

// ServeChannel answers GET /v1/control-channel/ID. It returns as soon as the
// websocket is there, or is refused: the channel goes on in a goroutine of its
// own, so that nothing of the request is kept as long as an agent stays. Close
// waits for it.
func (g *Gateway) ServeChannel(w http.ResponseWriter, r *http.Request, instanceID string, p identity.Principal) {
	if !mayOpen(p, instanceID) {
		g.deny(w, instanceID, p, "it is another instance's")
		return
	}
	var inst *ssmrun.Instance
	err := g.cfg.Store.View(r.Context(), func(tx store.Tx) (err error) {
		inst, err = tx.FindInstance(instanceID)
		return err
	})
	switch {
	case errors.Is(err, ssmrun.ErrNotFound):
		g.deny(w, instanceID, p, "there is no such instance")
		return
	case err != nil:
		g.cfg.Logger.Error("open control channel", "instance", instanceID, "error", err)
		g.refuse(w, http.StatusInternalServerError, string(ssmrun.CodeInternal), "")
		return
	case !p.Agent() && inst.Scope.Account != p.Account:
		g.deny(w, instanceID, p, "it is another account's")
		return
	}
	// The request is signed: nothing is left for an Origin to protect.
	conn, err := websocket.Accept(upgrade{w}, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
	if err != nil {
		g.cfg.Logger.Info("control channel refused", "instance", instanceID, "error", err)
		return
	}
	conn.SetReadLimit(wire.MaxFrameBytes)
	ctx, cancel := context.WithCancelCause(context.Background())
	ch := &channel{
		g: g, instance: instanceID, scope: inst.Scope, conn: conn, cancel: cancel,
		log: g.cfg.Logger.With("instance", instanceID), wake: make(chan struct{}, 1),
	}
	if !g.enter(ch) {
		cancel(errClosing)
		_ = conn.Close(websocket.StatusGoingAway, errClosing.Error())
		return
	}
	go ch.run(ctx)
}

// run is the channel from its opening frame to its end.
func (ch *channel) run(ctx context.Context) {
	defer ch.cancel(nil)
	err := ch.guarded(ctx, ch.open)
	if ch.g.addChannel(ch, err == nil) {
		defer ch.g.open.Done()
		ch.serve(ctx)
		return
	}
	ch.g.open.Done() // nothing is left to be done; the agent may take its time for a goodbye
	if errors.Is(context.Cause(ctx), errClosing) {
		_ = ch.conn.Close(websocket.StatusGoingAway, errClosing.Error())
		return
	}
	ch.log.Info("control channel refused", "error", err)
	_ = ch.conn.Close(websocket.StatusPolicyViolation, "the opening frame is wrong")
}

// guarded calls what handles an agent's frames, and makes an error of a panic in
// it, as net/http does of one that happens in a request: it is to end the one
// channel, not the service.
func (ch *channel) guarded(ctx context.Context, f func(context.Context) error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			ch.log.Error("a channel failed inside", "panic", v, "stack", string(debug.Stack()))
			err = errInside
		}
	}()
	return f(ctx)
}

// open reads the opening text frame and checks its token.
func (ch *channel) open(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	kind, b, err := ch.conn.Read(ctx)
	if err != nil {
		return fmt.Errorf("read the opening frame: %w", err)
	}
	var frame wire.OpenControlChannel
	if kind != websocket.MessageText || len(b) > wire.MaxOpenBytes {
		return errors.New("the opening frame is not a short text")
	}
	if err := wire.Unmarshal(b, &frame); err != nil {
		return fmt.Errorf("read the opening frame: %w", err)
	}
	if !ch.g.cfg.Identity.CheckChannelToken(ch.instance, frame.TokenValue) {
		return errors.New("the token of the opening frame is not that of this channel")
	}
	return nil
}

// serve runs the channel until it ends, and tells control of both.
func (ch *channel) serve(ctx context.Context) {
	if !ch.box.seen(ctx, ch.g.cfg.Now(), false) {
		// It was deregistered before Drop could see its channel.
		ch.g.removeChannel(ch, false)
		_ = ch.conn.Close(websocket.StatusGoingAway, errDropped.Error())
		return
	}
	ch.log.Info("agent connected")
	var wg sync.WaitGroup
	wg.Go(func() { ch.write(ctx) })
	ch.beginProbes(ctx)
	ch.g.offer(ctx, ch.box)
	bye := make(chan struct{})
	context.AfterFunc(ctx, func() {
		defer close(bye)
		ch.goodbye(context.Cause(ctx))
	})
	err := ch.guarded(ctx, ch.read)
	ch.cancel(err)
	ch.endProbes()
	wg.Wait()
	<-bye
	ch.ended(context.Cause(ctx))
}

// goodbyeTimeout bounds how long an agent may take to answer a goodbye.
const goodbyeTimeout = time.Second

// goodbye closes the connection, and tells the agent why where it is not the one
// that left. The reader goes on meanwhile: the answer comes through it.
func (ch *channel) goodbye(cause error) {
	status := websocket.StatusGoingAway
	switch {
	case errors.Is(cause, errClosing):
		status = websocket.StatusServiceRestart
	case errors.Is(cause, errReplaced), errors.Is(cause, errDropped):
	default:
		_ = ch.conn.CloseNow()
		return
	}
	late := time.AfterFunc(goodbyeTimeout, func() { _ = ch.conn.CloseNow() })
	defer late.Stop()
	_ = ch.conn.Close(status, cause.Error())
}

// ended tells store and control that the channel is gone, unless the agent polls.
func (ch *channel) ended(cause error) {
	away := ch.g.removeChannel(ch, leftCleanly(cause))
	if closed, ok := errors.AsType[websocket.CloseError](cause); ok {
		cause = errors.New(strings.TrimSuffix("it closed the channel: "+closed.Reason, ": "))
	}
	ch.log.Info("agent disconnected", "cause", cause)
	if away {
		ch.box.away()
	}
}

// leftCleanly: the agent closed the channel itself, as it does when it stops.
func leftCleanly(err error) bool {
	switch websocket.CloseStatus(err) {
	case websocket.StatusNormalClosure, websocket.StatusGoingAway:
		return true
	}
	return false
}

// read handles frames until the channel ends.
func (ch *channel) read(ctx context.Context) error {
	for {
		f, err := wire.Next(ctx, ch.message, websocket.MessageBinary)
		switch {
		case errors.Is(err, wire.ErrFrame):
			if err := ch.nonsense(ctx, "", err); err != nil {
				return err
			}
			continue
		case errors.Is(err, io.EOF):
			return errors.New("the connection was cut")
		case errors.Is(err, websocket.ErrMessageTooBig):
			ch.log.Warn("a message is over the limit; its channel is closed", "error", err)
			return err
		case err != nil:
			return err
		}
		err = ch.handle(ctx, f)
		switch {
		case errors.Is(err, wire.ErrPayload):
			if err := ch.nonsense(ctx, f.Type, err); err != nil {
				return err
			}
		case err != nil && ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			ch.log.Error("handle a frame", "type", f.Type, "error", err)
		}
	}
}

var errText = errors.New("it is a text; frames are binary")

// message gives the channel's next message.
func (ch *channel) message(ctx context.Context) (websocket.MessageType, io.Reader, error) {
	// The end of ctx would close the connection without a goodbye.
	kind, r, err := ch.conn.Reader(context.WithoutCancel(ctx))
	if err == nil && kind != websocket.MessageBinary {
		err = ch.nonsense(ctx, "", errText)
	}
	return kind, r, err
}

// What a channel may say of nonsense before each more is followed by a pause.
const (
	freeNonsense  = 20
	nonsensePause = 500 * time.Millisecond
)

// nonsense logs what an agent has said that is of no use. One that goes on so is
// read slowly: it fills its own connection, not the log.
func (ch *channel) nonsense(ctx context.Context, typ string, err error) error {
	ch.broken++
	ch.log.Warn("drop a frame", "type", typ, "error", err, "so_far", ch.broken)
	if ch.broken <= freeNonsense {
		return nil
	}
	pause := time.NewTimer(nonsensePause)
	defer pause.Stop()
	select {
	case <-pause.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
