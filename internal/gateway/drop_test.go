package gateway_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"ssmrun/internal/identity"
	"ssmrun/internal/store"
	"ssmrun/internal/wire"
)

func TestDrop(t *testing.T) {
	t.Parallel()
	b := setup(t, time.Hour)
	f := b.connect()
	b.must(b.control.Deregistered(b.ctx, scope, instance))
	b.gateway.Drop(instance)
	b.gateway.Drop("i-00000000000000000") // nobody's
	if _, _, err := f.conn.Read(b.ctx); err == nil || b.ctx.Err() != nil {
		t.Errorf("the channel of a dropped instance is open: %v", err)
	}
	_, resp, err := websocket.Dial(b.ctx, b.url, nil)
	if err == nil || resp == nil || resp.StatusCode != http.StatusForbidden {
		t.Errorf("it came back: %v", err)
	}
}

// TestDroppedWhileConnecting: it was deregistered after it was let in, and
// before its channel was there to be dropped.
func TestDroppedWhileConnecting(t *testing.T) {
	t.Parallel()
	b := setup(t, time.Hour)
	conn, _, err := websocket.Dial(b.ctx, b.url, nil)
	b.must(err)
	t.Cleanup(func() { _ = conn.CloseNow() })
	b.must(b.store.Update(b.ctx, func(tx store.Tx) error { return tx.DeleteInstance(scope, instance) }))
	b.gateway.Drop(instance)
	b.must(conn.Write(b.ctx, websocket.MessageText, []byte(`{"MessageSchemaVersion":"1.0","RequestId":"r","TokenValue":"`+b.identity.ChannelToken(instance)+`"}`)))
	if _, _, err := conn.Read(b.ctx); websocket.CloseStatus(err) != websocket.StatusGoingAway {
		t.Errorf("the channel: %v", err)
	}
	if b.gateway.Connected(instance) {
		t.Error("it is connected")
	}
}

// TestAnotherAccountsInstance: ids are those of all accounts, callers are not.
func TestAnotherAccountsInstance(t *testing.T) {
	t.Parallel()
	b := setup(t, time.Hour)
	caller := identity.Principal{Account: "111111111111"}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.gateway.ServeChannel(w, r, instance, caller)
	}))
	t.Cleanup(srv.Close)
	_, resp, err := websocket.Dial(b.ctx, "ws"+strings.TrimPrefix(srv.URL, "http"), nil)
	if err == nil || resp == nil || resp.StatusCode != http.StatusForbidden {
		t.Errorf("its channel: %v", err)
	}
	_, err = b.gateway.Call(b.ctx, wire.OpUpdateInstanceInformation, caller, []byte(`{"InstanceId":"`+instance+`"}`))
	if err == nil || !strings.Contains(err.Error(), "not registered") {
		t.Errorf("a report for it: %v", err)
	}
}
