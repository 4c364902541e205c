package gateway_test

import (
	"crypto/tls"
	"encoding/binary"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"ssmrun"
	"ssmrun/internal/identity"
	"ssmrun/internal/wire"
)

// wrapped hides what a ResponseWriter can do, as a front's may.
type wrapped struct{ http.ResponseWriter }

func (w wrapped) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// serve gives a server whose answers go through a wrapper; returned is sent to
// whenever ServeChannel has returned.
func (b *bundle) serve(secure bool) (srv *httptest.Server, returned <-chan struct{}) {
	b.t.Helper()
	done := make(chan struct{}, 10)
	agent := identity.Principal{ARN: "the agent", Account: scope.Account, Region: scope.Region, InstanceID: instance}
	srv = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.gateway.ServeChannel(wrapped{w}, r, instance, agent)
		done <- struct{}{}
	}))
	if secure {
		srv.StartTLS()
	} else {
		srv.Start()
	}
	b.t.Cleanup(srv.Close)
	return srv, done
}

func (b *bundle) hello(request string) []byte {
	b.t.Helper()
	hello, err := json.Marshal(wire.OpenControlChannel{MessageSchemaVersion: "1.0", RequestID: request, TokenValue: b.identity.ChannelToken(instance)})
	b.must(err)
	return hello
}

// TestEarlyFrame: what an agent sends behind its request, without waiting for the
// answer, is not lost, be it longer than the channel's buffer. The request is over
// while the channel is open.
func TestEarlyFrame(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		secure bool
		size   int
	}{"short": {false, 10}, "long": {false, 1500}, "short, TLS": {true, 10}, "long, TLS": {true, 1500}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, time.Hour)
			srv, returned := b.serve(test.secure)
			address := srv.Listener.Addr().String()
			var conn net.Conn
			var err error
			if test.secure {
				conn, err = tls.Dial("tcp", address, srv.Client().Transport.(*http.Transport).TLSClientConfig)
			} else {
				conn, err = net.Dial("tcp", address)
			}
			b.must(err)
			t.Cleanup(func() { _ = conn.Close() })
			hello := b.hello(strings.Repeat("r", test.size))
			raw := []byte("GET / HTTP/1.1\r\nHost: " + address + "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
				"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")
			raw = append(raw, 0x81, 0x80|126) // a text, masked, its length in two bytes
			raw = binary.BigEndian.AppendUint16(raw, uint16(len(hello)))
			raw = append(append(raw, 0, 0, 0, 0), hello...) // the mask that changes nothing
			_, err = conn.Write(raw)
			b.must(err)
			b.must(b.gateway.WaitConnected(b.ctx, []string{instance}))
			<-returned
			if !b.gateway.Connected(instance) {
				t.Error("the channel ended with its request")
			}
		})
	}
}

// TestOverTLS: frames longer than the channel's buffers pass both ways.
func TestOverTLS(t *testing.T) {
	t.Parallel()
	b := setup(t, time.Minute)
	srv, returned := b.serve(true)
	conn, _ := b.dial("wss"+strings.TrimPrefix(srv.URL, "https"), &websocket.DialOptions{HTTPClient: srv.Client()})
	<-returned
	b.must(conn.Write(b.ctx, websocket.MessageText, b.hello("r")))
	b.must(b.gateway.WaitConnected(b.ctx, []string{instance}))
	f := &far{b, conn}
	for range 3 {
		id := b.send()
		j := f.job()
		f.ack(j.JobID, wire.AckOK)
		out := strings.Repeat("0123456789", 1000)
		f.reply(j.JobID, wire.StatusSuccess, map[string]wire.PluginStatus{"aws:runShellScript": {Status: wire.StatusSuccess, StandardOutput: out}})
		if s, p := b.state(id), b.plugin(id); s.Status != ssmrun.Success || p.Stdout != out {
			t.Errorf("state %s, %d bytes of output", s, len(p.Stdout))
		}
	}
}

// TestCloseEndsWhatIsOpening: an agent that has not sent its opening frame yet is
// not waited for.
func TestCloseEndsWhatIsOpening(t *testing.T) {
	t.Parallel()
	b := setup(t, time.Minute)
	srv, returned := b.serve(false)
	conn, err := net.Dial("tcp", srv.Listener.Addr().String())
	b.must(err)
	t.Cleanup(func() { _ = conn.Close() })
	_, err = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")
	b.must(err)
	<-returned // so the channel is on its own
	began := time.Now()
	b.must(b.gateway.Close(b.ctx))
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it was waited for: %s", took)
	}
	late, _ := b.dial(b.url, nil)
	if _, _, err := late.Read(b.ctx); websocket.CloseStatus(err) != websocket.StatusGoingAway {
		t.Errorf("one that comes later: %v", err)
	}
}
