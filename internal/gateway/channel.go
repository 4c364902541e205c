package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/coder/websocket"

	"ssmrun"
	"ssmrun/internal/identity"
	"ssmrun/internal/store"
	"ssmrun/internal/wire"
)

var (
	errReplaced = errors.New("the agent opened another channel")
	errClosing  = errors.New("the service is stopping")
	errDropped  = errors.New("the instance is not registered any more")
	errSilent   = errors.New("the agent does not answer")
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
	offered  bool // guarded by g.mu; see Gateway.offer

	mu    sync.Mutex
	jobs  map[string]*job // by job id: what the agent has not acknowledged
	queue [][]byte        // frames to write, other than jobs
	wake  chan struct{}
}

// ServeChannel answers GET /v1/control-channel/ID and returns when the channel
// is closed.
func (g *Gateway) ServeChannel(w http.ResponseWriter, r *http.Request, instanceID string, p identity.Principal) {
	if !mayOpen(p, instanceID) {
		g.refuse(w, http.StatusForbidden, wire.CodeAccessDenied, "")
		return
	}
	var inst *ssmrun.Instance
	err := g.cfg.Store.View(r.Context(), func(tx store.Tx) (err error) {
		inst, err = tx.FindInstance(instanceID)
		return err
	})
	if err != nil {
		if !errors.Is(err, ssmrun.ErrNotFound) {
			g.cfg.Logger.Error("open control channel", "instance", instanceID, "error", err)
		}
		g.refuse(w, http.StatusForbidden, wire.CodeAccessDenied, "")
		return
	}
	if !p.Agent() && inst.Scope.Account != p.Account {
		g.refuse(w, http.StatusForbidden, wire.CodeAccessDenied, "")
		return
	}
	// The request is signed: nothing is left for an Origin to protect.
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
	if err != nil {
		g.cfg.Logger.Info("control channel refused", "instance", instanceID, "error", err)
		return
	}
	conn.SetReadLimit(wire.MaxFrameBytes)
	// Not r.Context(): a hijacked connection outlives its request's.
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(r.Context()))
	defer cancel(nil)
	ch := &channel{
		g: g, instance: instanceID, scope: inst.Scope, conn: conn, cancel: cancel,
		log:  g.cfg.Logger.With("instance", instanceID),
		jobs: map[string]*job{}, wake: make(chan struct{}, 1),
	}
	if err := ch.open(ctx); err != nil {
		ch.log.Info("control channel refused", "error", err)
		_ = conn.Close(websocket.StatusPolicyViolation, "the opening frame is wrong")
		return
	}
	g.open.Add(1)
	defer g.open.Done()
	if !g.add(ch) {
		_ = conn.Close(websocket.StatusGoingAway, errClosing.Error())
		return
	}
	ch.serve(ctx)
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
	now := ch.g.cfg.Now()
	if !ch.seen(ctx, now, false) {
		// It was deregistered before Drop could see its channel.
		ch.g.remove(ch)
		_ = ch.conn.Close(websocket.StatusGoingAway, errDropped.Error())
		return
	}
	ch.log.Info("agent connected")
	var wg sync.WaitGroup
	wg.Go(func() { ch.write(ctx) })
	wg.Go(func() { ch.probe(ctx) })
	if err := ch.g.cfg.Control.Connected(ctx, ch.scope, ch.instance); err != nil {
		ch.log.Error("offer what waits", "error", err)
	}
	ch.g.offer(ch)
	err := ch.read(ctx)
	ch.cancel(err)
	wg.Wait()
	cause := context.Cause(ctx)
	switch {
	case errors.Is(cause, errClosing):
		_ = ch.conn.Close(websocket.StatusServiceRestart, cause.Error())
	case errors.Is(cause, errReplaced), errors.Is(cause, errDropped):
		_ = ch.conn.Close(websocket.StatusGoingAway, cause.Error())
	default:
		_ = ch.conn.CloseNow()
	}
	ch.ended(cause)
}

// ended tells store and control that the channel is gone.
func (ch *channel) ended(cause error) {
	last := ch.g.remove(ch)
	ch.log.Info("agent disconnected", "cause", cause)
	if !last {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), openTimeout)
	defer cancel()
	ch.seen(ctx, ch.g.cfg.Now(), leftCleanly(cause))
	if err := ch.g.cfg.Control.Disconnected(ctx, ch.scope, ch.instance); err != nil {
		ch.log.Error("note what was not delivered", "error", err)
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

// seen stores a heartbeat. It tells whether the instance is there.
func (ch *channel) seen(ctx context.Context, at time.Time, stopped bool) bool {
	err := ch.g.cfg.Store.Update(ctx, func(tx store.Tx) error {
		return tx.Seen(ch.scope, ch.instance, at, stopped)
	})
	if err != nil && !errors.Is(err, ssmrun.ErrNotFound) {
		ch.log.Error("store a heartbeat", "error", err)
	}
	return !errors.Is(err, ssmrun.ErrNotFound)
}

// probe pings, so that an agent that vanished without a word is noticed.
func (ch *channel) probe(ctx context.Context) {
	tick := time.NewTicker(ch.g.cfg.Ping)
	defer tick.Stop()
	stored := ch.g.cfg.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		ping, cancel := context.WithTimeout(ctx, ch.g.cfg.PingTimeout)
		err := ch.conn.Ping(ping)
		cancel()
		if err != nil {
			ch.cancel(fmt.Errorf("%w: %w", errSilent, err))
			return
		}
		if now := ch.g.cfg.Now(); now.Sub(stored) >= ch.g.cfg.Heartbeat {
			stored = now
			ch.seen(ctx, now, false)
		}
	}
}

// read handles frames until the channel ends.
func (ch *channel) read(ctx context.Context) error {
	for {
		f, err := wire.Next(ctx, ch.conn.Reader, websocket.MessageBinary) // agents may send texts, of no use here
		switch {
		case errors.Is(err, wire.ErrFrame):
			ch.log.Warn("drop a frame", "error", err)
			continue
		case errors.Is(err, io.EOF):
			return errors.New("the connection was cut")
		case err != nil:
			return err
		}
		if err := ch.handle(ctx, f); err != nil {
			ch.log.Error("handle a frame", "type", f.Type, "error", err)
		}
	}
}
