package agentlink_test

import (
	"bufio"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"ssmrun/internal/agentlink"
	"ssmrun/internal/agentlink/linktest"
)

func trusting(t *testing.T, file string) *http.Client {
	t.Helper()
	c, err := agentlink.HTTPClientTrusting(file)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestPrivateAuthority: calls and the websocket trust the file's authority.
func TestPrivateAuthority(t *testing.T) {
	t.Parallel()
	a := linktest.NewAuthority(t)
	b := setup(t, func(c *agentlink.Config, s *linktest.Server) {
		s.Secure(a.Sign(t, time.Now().Add(time.Hour), "127.0.0.1"))
		c.Endpoint, c.HTTP = agentlink.FixedEndpoint(s.URL()), trusting(t, a.File)
	})
	_, n := b.srv.WaitKind("open", 0)
	b.srv.WaitAck(b.srv.SendCommand(command("c")), n)
}

func TestTLSErrorsSayWhatToDo(t *testing.T) {
	t.Parallel()
	a := linktest.NewAuthority(t)
	hour := time.Now().Add(time.Hour)
	for name, c := range map[string]struct {
		cert   tls.Certificate
		file   bool
		plain  bool
		advice string
	}{
		"unknown authority": {cert: a.Sign(t, hour, "127.0.0.1"), advice: "--ca-file"},
		"wrong name":        {cert: a.Sign(t, hour, "elsewhere.test"), file: true, advice: "is not one for 127.0.0.1"},
		"expired":           {cert: a.Sign(t, time.Now().Add(-time.Hour), "127.0.0.1"), file: true, advice: "out of its time"},
		"no TLS":            {plain: true, advice: "does not speak TLS"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := linktest.New(t)
			if !c.plain {
				s.Secure(c.cert)
			}
			client := agentlink.NewHTTPClient()
			if c.file {
				client = trusting(t, a.File)
			}
			r := agentlink.Registrar{Endpoint: agentlink.FixedEndpoint(strings.Replace(s.URL(), "http:", "https:", 1)), HTTP: client}
			_, err := r.Register(t.Context(), s.ActivationID, s.ActivationCode, testKey())
			if err == nil || !strings.Contains(err.Error(), c.advice) || agentlink.Permanent(err) {
				t.Errorf("got %v, want advice that says %q", err, c.advice)
			}
		})
	}
}

func TestAuthorityFilesThatDoNotDo(t *testing.T) {
	t.Parallel()
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{empty, empty + ".not"} {
		if _, err := agentlink.HTTPClientTrusting(file); err == nil || !strings.Contains(err.Error(), "empty.pem") {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// TestControlChannelUntrusted: only the control channel's name is not in the
// certificate that is presented there, as behind a proxy that breaks TLS open.
func TestControlChannelUntrusted(t *testing.T) {
	t.Parallel()
	a := linktest.NewAuthority(t)
	front := httptest.NewUnstartedServer(http.NotFoundHandler()) // of an authority nobody trusts
	front.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
	front.StartTLS()
	t.Cleanup(front.Close)
	b := setup(t, func(c *agentlink.Config, s *linktest.Server) {
		quick(c)
		s.Secure(a.Sign(t, time.Now().Add(time.Hour), "127.0.0.1"))
		url := s.URL()
		c.HTTP = trusting(t, a.File)
		c.Endpoints = func(service string) (string, error) {
			if service == agentlink.ServiceMessages {
				return front.URL, nil
			}
			return url, nil
		}
	})
	exchange(t, b, "one", 0)
}

// TestThroughAProxy: calls and the websocket go through a proxy.
func TestThroughAProxy(t *testing.T) {
	t.Parallel()
	a := linktest.NewAuthority(t)
	var tunnels atomic.Int32
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect {
			http.Error(w, "tunnels only", http.StatusMethodNotAllowed)
			return
		}
		far, err := net.Dial("tcp", r.Host)
		if err != nil {
			http.Error(w, "no way", http.StatusBadGateway)
			return
		}
		defer far.Close()
		tunnels.Add(1)
		conn, buf, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n")
		go func() {
			_, _ = io.Copy(far, bufio.NewReader(buf))
			far.Close()
		}()
		_, _ = io.Copy(conn, far)
	}))
	t.Cleanup(proxy.Close)
	at, err := url.Parse(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	b := setup(t, func(c *agentlink.Config, s *linktest.Server) {
		s.Secure(a.Sign(t, time.Now().Add(time.Hour), "127.0.0.1"))
		c.Endpoint, c.HTTP = agentlink.FixedEndpoint(s.URL()), trusting(t, a.File)
		// The environment's proxy is never taken for the loopback.
		c.HTTP.Transport.(*http.Transport).Proxy = http.ProxyURL(at)
	})
	_, n := b.srv.WaitKind("open", 0)
	b.srv.WaitAck(b.srv.SendCommand(command("c")), n)
	if tunnels.Load() < 2 {
		t.Errorf("%d connections through the proxy; want calls and the websocket", tunnels.Load())
	}
}
