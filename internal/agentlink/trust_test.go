package agentlink_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
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

// authority is a private authority, and its certificate in a file.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{file: filepath.Join(t.TempDir(), "ca.pem")}
	der, key := a.make(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	})
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	a.cert, a.key = cert, key
	if err := os.WriteFile(a.file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return a
}

func (a *authority) make(t *testing.T, c *x509.Certificate) ([]byte, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c.SerialNumber = big.NewInt(time.Now().UnixNano())
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	return der, key
}

// sign makes a server's certificate.
func (a *authority) sign(t *testing.T, until time.Time, name string) tls.Certificate {
	t.Helper()
	c := &x509.Certificate{Subject: pkix.Name{CommonName: "service"}, NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: until}
	if ip := net.ParseIP(name); ip != nil {
		c.IPAddresses = []net.IP{ip}
	} else {
		c.DNSNames = []string{name}
	}
	der, key := a.make(t, c)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

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
	a := newAuthority(t)
	b := setup(t, func(c *agentlink.Config, s *linktest.Server) {
		s.Secure(a.sign(t, time.Now().Add(time.Hour), "127.0.0.1"))
		c.Endpoint, c.HTTP = agentlink.FixedEndpoint(s.URL()), trusting(t, a.file)
	})
	_, n := b.srv.WaitKind("open", 0)
	b.srv.WaitAck(b.srv.SendCommand(command("c")), n)
}

func TestTLSErrorsSayWhatToDo(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	hour := time.Now().Add(time.Hour)
	for name, c := range map[string]struct {
		cert   tls.Certificate
		file   bool
		plain  bool
		advice string
	}{
		"unknown authority": {cert: a.sign(t, hour, "127.0.0.1"), advice: "--ca-file"},
		"wrong name":        {cert: a.sign(t, hour, "elsewhere.test"), file: true, advice: "is not one for 127.0.0.1"},
		"expired":           {cert: a.sign(t, time.Now().Add(-time.Hour), "127.0.0.1"), file: true, advice: "out of its time"},
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
				client = trusting(t, a.file)
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
	a := newAuthority(t)
	front := httptest.NewTLSServer(http.NotFoundHandler()) // of an authority nobody trusts
	t.Cleanup(front.Close)
	b := setup(t, func(c *agentlink.Config, s *linktest.Server) {
		quick(c)
		s.Secure(a.sign(t, time.Now().Add(time.Hour), "127.0.0.1"))
		url := s.URL()
		c.HTTP = trusting(t, a.file)
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
	a := newAuthority(t)
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
		s.Secure(a.sign(t, time.Now().Add(time.Hour), "127.0.0.1"))
		c.Endpoint, c.HTTP = agentlink.FixedEndpoint(s.URL()), trusting(t, a.file)
		// The environment's proxy is never taken for the loopback.
		c.HTTP.Transport.(*http.Transport).Proxy = http.ProxyURL(at)
	})
	_, n := b.srv.WaitKind("open", 0)
	b.srv.WaitAck(b.srv.SendCommand(command("c")), n)
	if tunnels.Load() < 2 {
		t.Errorf("%d connections through the proxy; want calls and the websocket", tunnels.Load())
	}
}
