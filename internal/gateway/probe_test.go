package gateway_test

import (
	"context"
	"testing"
	"time"

	"github.com/coder/websocket"

	"ssmrun/internal/gateway"
)

// TestSilentAgent: one that answers no ping is gone.
func TestSilentAgent(t *testing.T) {
	t.Parallel()
	b := setupWith(t, gateway.Config{Ping: 10 * time.Millisecond, PingTimeout: 50 * time.Millisecond})
	b.connect() // it reads nothing, so it answers nothing
	b.until("it is there", func() bool { return !b.gateway.Connected(instance) })
	b.until("it was not logged", func() bool { return b.log.has("the agent does not answer") })
}

// TestProbes: one that answers is pinged again and again, and each answer is a
// heartbeat, until the channel ends.
func TestProbes(t *testing.T) {
	t.Parallel()
	b := setupWith(t, gateway.Config{Ping: 10 * time.Millisecond, Heartbeat: time.Millisecond})
	pings := make(chan struct{}, 1000)
	conn, _ := b.dial(b.url, &websocket.DialOptions{OnPingReceived: func(context.Context, []byte) bool {
		pings <- struct{}{}
		return true
	}})
	b.must(conn.Write(b.ctx, websocket.MessageText, b.hello("r")))
	open := conn.CloseRead(b.ctx)
	for range 3 {
		<-pings
		last := b.instance().LastPing
		b.until("no heartbeat came", func() bool { return b.instance().LastPing.After(last) })
	}
	if open.Err() != nil {
		t.Error("the channel has ended")
	}
	b.must(b.gateway.Close(b.ctx)) // waits for a ping that is out
	<-open.Done()
}
