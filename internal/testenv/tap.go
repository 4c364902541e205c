package testenv

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"maps"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// Tap stands between an agent and its service, passes everything on, and lets a
// test hear what both say.
type Tap struct {
	// Plain and TLS are where it listens, CA the certificate to trust for TLS. It
	// answers to the names of a domain.
	Plain, TLS, CA string

	t    testing.TB
	s    *Service
	hear func(Said)
}

// Said is one message of one side.
type Said struct {
	Agent bool // the agent said it, else the service
	// Operation is that of a call; "" on the control channel.
	Operation string
	Text      bool // a text frame
	Bytes     []byte
}

// NewTap makes a Tap for the names of a domain. hear is called before a message
// is passed on, by several goroutines.
func NewTap(t testing.TB, s *Service, domain string, hear func(Said)) *Tap {
	t.Helper()
	p := &Tap{t: t, s: s, hear: hear, CA: filepath.Join(t.TempDir(), "ca.pem")}
	backend, err := url.Parse(s.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(backend)
		r.Out.Host = r.In.Host // it is signed
	}}
	handler := http.HandlerFunc(func(w http.ResponseWriter, in *http.Request) {
		if in.Header.Get("Upgrade") != "" {
			p.channel(w, in)
			return
		}
		p.call(proxy, w, in)
	})
	plain, secure := httptest.NewServer(handler), httptest.NewUnstartedServer(handler)
	secure.TLS = &tls.Config{Certificates: []tls.Certificate{p.certificate(domain)}}
	secure.StartTLS()
	t.Cleanup(func() { plain.Close(); secure.Close() })
	p.Plain, p.TLS = plain.URL, secure.URL
	return p
}

func (p *Tap) certificate(domain string) tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		p.t.Fatal(err)
	}
	names := p.s.Region + "." + domain
	cert := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "tap"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		DNSNames: []string{"localhost", "*." + names, "*.s3." + names}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, &key.PublicKey, key)
	if err != nil {
		p.t.Fatal(err)
	}
	WriteFile(p.t, p.CA, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), 0o644)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// call passes a call on.
func (p *Tap) call(proxy http.Handler, w http.ResponseWriter, in *http.Request) {
	_, op, ok := strings.Cut(in.Header.Get("X-Amz-Target"), ".")
	if !ok {
		proxy.ServeHTTP(w, in)
		return
	}
	body, err := io.ReadAll(in.Body)
	if err != nil {
		return
	}
	in.Body = io.NopCloser(strings.NewReader(string(body)))
	p.hear(Said{Agent: true, Operation: op, Bytes: body})
	answer := httptest.NewRecorder()
	proxy.ServeHTTP(answer, in)
	p.hear(Said{Operation: op, Bytes: answer.Body.Bytes()})
	maps.Copy(w.Header(), answer.Header())
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes())
}

// channel passes a websocket on, message by message.
func (p *Tap) channel(w http.ResponseWriter, in *http.Request) {
	header := in.Header.Clone()
	for k := range header {
		if strings.HasPrefix(k, "Sec-Websocket") || k == "Connection" || k == "Upgrade" {
			delete(header, k)
		}
	}
	far, resp, err := websocket.Dial(in.Context(), p.s.Endpoint+in.URL.RequestURI(), &websocket.DialOptions{HTTPHeader: header, Host: in.Host}) //nolint:bodyclose // the websocket's own
	if err != nil {
		status := http.StatusBadGateway
		if resp != nil {
			status = resp.StatusCode
		}
		http.Error(w, "", status)
		return
	}
	defer far.CloseNow() //nolint:errcheck // over
	near, err := websocket.Accept(w, in, &websocket.AcceptOptions{InsecureSkipVerify: true})
	if err != nil {
		return
	}
	defer near.CloseNow() //nolint:errcheck // over
	near.SetReadLimit(1 << 24)
	far.SetReadLimit(1 << 24)
	ctx, cancel := context.WithCancel(context.WithoutCancel(in.Context()))
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() { defer cancel(); p.pump(ctx, true, near, far) })
	wg.Go(func() { defer cancel(); p.pump(ctx, false, far, near) })
	wg.Wait()
}

func (p *Tap) pump(ctx context.Context, agent bool, in, out *websocket.Conn) {
	for {
		kind, b, err := in.Read(ctx)
		if err != nil {
			if closed, ok := errors.AsType[websocket.CloseError](err); ok {
				_ = out.Close(closed.Code, closed.Reason)
			}
			return
		}
		p.hear(Said{Agent: agent, Text: kind == websocket.MessageText, Bytes: b})
		if out.Write(ctx, kind, b) != nil {
			return
		}
	}
}
