package daemon

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ssmrun/internal/tlsca"
)

// pipes is a listener of connections within the process, which synctest's clock
// reaches.
type pipes struct {
	conns chan net.Conn
	once  sync.Once
}

// Accept implements net.Listener.
func (p *pipes) Accept() (net.Conn, error) {
	c, ok := <-p.conns
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}

// Close implements net.Listener.
func (p *pipes) Close() error {
	p.once.Do(func() { close(p.conns) })
	return nil
}

// Addr implements net.Listener.
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// TestSlowClients: who does not get on with the handshake, the headers or the
// next request is cut off in time.
func TestSlowClients(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		say    func(t *testing.T, conn net.Conn)
		within time.Duration
	}{
		"nothing at all":       {func(*testing.T, net.Conn) {}, headerTime},
		"half a hello":         {func(t *testing.T, conn net.Conn) { send(t, conn, "\x16\x03\x01\x02\x00\x01") }, headerTime},
		"no request":           {func(t *testing.T, conn net.Conn) { shake(t, conn) }, headerTime},
		"headers without end":  {func(t *testing.T, conn net.Conn) { send(t, shake(t, conn), "POST / HTTP/1.1\r\nHost: a\r\nX-A: ") }, headerTime},
		"no request after one": {func(t *testing.T, conn net.Conn) { ask(t, shake(t, conn)) }, 2 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				// Time in here begins long before that of the test.
				ca, err := tlsca.Open(tlsca.Config{Dir: t.TempDir(), Domains: []string{"localhost"}, Names: []string{"localhost"}})
				if err != nil {
					t.Fatal(err)
				}
				listener := &pipes{conns: make(chan net.Conn)}
				h := &httpsServer{listener: listener, tls: &tls.Config{GetCertificate: ca.Certificate}}
				h.server = h.newServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), slog.New(slog.DiscardHandler))
				served := make(chan error, 1)
				go func() { served <- h.serve() }()
				client, server := net.Pipe()
				listener.conns <- server
				start := time.Now()
				c.say(t, client)
				_, _ = io.Copy(io.Discard, client)
				if took := time.Since(start); took > c.within+time.Second || took < c.within-time.Second {
					t.Errorf("cut off after %v, want %v", took, c.within)
				}
				_ = client.Close()
				_ = h.server.Close()
				if err := <-served; !errors.Is(err, http.ErrServerClosed) {
					t.Error(err)
				}
			})
		})
	}
}

func send(t *testing.T, conn net.Conn, s string) {
	t.Helper()
	if _, err := io.WriteString(conn, s); err != nil {
		t.Error(err)
	}
}

// shake is a handshake; whom it trusts does not matter here.
func shake(t *testing.T, conn net.Conn) net.Conn {
	t.Helper()
	c := tls.Client(conn, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12})
	if err := c.Handshake(); err != nil {
		t.Error(err)
	}
	return c
}

func ask(t *testing.T, conn net.Conn) {
	t.Helper()
	send(t, conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Error(err)
		return
	}
	_ = resp.Body.Close()
}
