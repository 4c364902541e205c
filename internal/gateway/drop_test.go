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

// dial asks for a channel, and gives the status of the answer.
func (b *bundle) dial(url string, o *websocket.DialOptions) (*websocket.Conn, int) {
	b.t.Helper()
	conn, resp, err := websocket.Dial(b.ctx, url, o)
	if resp == nil {
		b.t.Fatal(err)
	}
	if err != nil {
		_ = resp.Body.Close()
		return nil, resp.StatusCode
	}
	b.t.Cleanup(func() { _ = conn.CloseNow() })
	return conn, resp.StatusCode
}

func TestDrop(t *testing.T) {
	t.Parallel()
	b := setup(t, time.Hour)
	f := b.connect()
	b.must(b.control.Deregistered(b.ctx, scope, instance))
	b.gateway.Drop(instance)
	b.gateway.Drop("i-00000000000000000") // nobody's
	if _, _, err := f.conn.Read(b.ctx); websocket.CloseStatus(err) != websocket.StatusGoingAway || !strings.Contains(err.Error(), "not registered any more") {
		t.Errorf("the channel of a dropped instance: %v", err)
	}
	if _, status := b.dial(b.url, nil); status != http.StatusForbidden {
		t.Errorf("it came back: %d", status)
	}
}

// TestReplacedIsToldSo: of two agents with one state folder, the one that loses its
// channel learns why. One that does not answer the goodbye holds nothing up.
func TestReplacedIsToldSo(t *testing.T) {
	t.Parallel()
	b := setup(t, time.Hour)
	one := b.connect()
	two := b.connect()
	if _, _, err := one.conn.Read(b.ctx); websocket.CloseStatus(err) != websocket.StatusGoingAway || !strings.Contains(err.Error(), "a copy of its state folder") {
		t.Errorf("the first one: %v", err)
	}
	b.connect() // two reads nothing any more
	b.must(b.gateway.Close(b.ctx))
	if _, _, err := two.conn.Read(b.ctx); err == nil {
		t.Error("the second one is open")
	}
}

// TestDroppedWhileConnecting: it was deregistered after it was let in, and
// before its channel was there to be dropped.
func TestDroppedWhileConnecting(t *testing.T) {
	t.Parallel()
	b := setup(t, time.Hour)
	conn, _ := b.dial(b.url, nil)
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
	if _, status := b.dial("ws"+strings.TrimPrefix(srv.URL, "http"), nil); status != http.StatusForbidden {
		t.Errorf("its channel: %d", status)
	}
	_, err := b.gateway.Call(b.ctx, wire.OpUpdateInstanceInformation, caller, []byte(`{"InstanceId":"`+instance+`"}`))
	if err == nil || !strings.Contains(err.Error(), "not registered") {
		t.Errorf("a report for it: %v", err)
	}
}
