package genuineagent

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"ssmrun/internal/testenv"
)

// recorder stands between an agent and the service, passes everything on, and
// writes down what both say on the control channel and over the long poll. What
// it wrote lies in testdata, and TestReplay says it again. It
// answers to the service's names by a certificate of its own.
type recorder struct {
	t      *testing.T
	s      *testenv.Service
	server *httptest.Server // TLS
	plain  *httptest.Server
	ca     string

	mu    sync.Mutex
	lines []exchange
}

// exchange is one line of a record.
type exchange struct {
	// From is agent or service.
	From string `json:"from"`
	// Kind is text, frame, or the operation of a call.
	Kind string `json:"kind"`
	// Bytes is a frame as it was; Text anything else.
	Bytes []byte `json:"bytes,omitempty"`
	Text  string `json:"text,omitempty"`
}

// hidden are the members of calls that a record does not keep: secrets, and
// what is of the machine.
var hidden = []string{"TokenValue", "SecretAccessKey", "SessionToken", "ActivationCode", "ComputerName", "IPAddress"}

// hiddenWord stands where something is hidden.
const hiddenWord = "hidden"

func newRecorder(t *testing.T, s *testenv.Service) *recorder {
	t.Helper()
	r := &recorder{t: t, s: s, ca: filepath.Join(t.TempDir(), "ca.pem")}
	backend, err := url.Parse(s.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) {
		p.SetURL(backend)
		p.Out.Host = p.In.Host // it is signed
	}}
	handler := http.HandlerFunc(func(w http.ResponseWriter, in *http.Request) {
		if in.Header.Get("Upgrade") != "" {
			r.channel(w, in)
			return
		}
		r.call(proxy, w, in)
	})
	r.plain = httptest.NewServer(handler)
	t.Cleanup(r.plain.Close)
	r.server = httptest.NewUnstartedServer(handler)
	r.server.TLS = &tls.Config{Certificates: []tls.Certificate{r.certificate()}}
	r.server.StartTLS()
	t.Cleanup(r.server.Close)
	return r
}

func (r *recorder) certificate() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		r.t.Fatal(err)
	}
	names := r.s.Region + "." + domain
	cert := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "recorder"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		DNSNames: []string{"localhost", "*." + names, "*.s3." + names}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, &key.PublicKey, key)
	if err != nil {
		r.t.Fatal(err)
	}
	testenv.WriteFile(r.t, r.ca, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), 0o644)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func (r *recorder) note(e exchange) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, e)
}

// call passes a call on, and notes that of the long poll and of registration.
func (r *recorder) call(proxy http.Handler, w http.ResponseWriter, in *http.Request) {
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
	r.note(exchange{From: "agent", Kind: op, Text: hide(body)})
	answer := httptest.NewRecorder()
	proxy.ServeHTTP(answer, in)
	r.note(exchange{From: "service", Kind: op, Text: hide(answer.Body.Bytes())})
	for k, v := range answer.Header() {
		w.Header()[k] = v
	}
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes())
}

// hide takes secrets out of a JSON text.
func hide(b []byte) string {
	var m map[string]any
	if json.Unmarshal(b, &m) != nil {
		return string(b)
	}
	for _, name := range hidden {
		if _, ok := m[name]; ok {
			m[name] = hiddenWord
		}
	}
	out, err := json.Marshal(m)
	if err != nil {
		return ""
	}
	return string(out)
}

// channel passes a websocket on, message by message.
func (r *recorder) channel(w http.ResponseWriter, in *http.Request) {
	header := in.Header.Clone()
	for k := range header {
		if strings.HasPrefix(k, "Sec-Websocket") || k == "Connection" || k == "Upgrade" {
			delete(header, k)
		}
	}
	far, resp, err := websocket.Dial(in.Context(), r.s.Endpoint+in.URL.RequestURI(), &websocket.DialOptions{HTTPHeader: header, Host: in.Host})
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
	wg.Go(func() { defer cancel(); r.pump(ctx, "agent", near, far) })
	wg.Go(func() { defer cancel(); r.pump(ctx, "service", far, near) })
	wg.Wait()
}

func (r *recorder) pump(ctx context.Context, from string, in, out *websocket.Conn) {
	for {
		kind, b, err := in.Read(ctx)
		if err != nil {
			var closed websocket.CloseError
			if errors.As(err, &closed) {
				_ = out.Close(closed.Code, closed.Reason)
			}
			return
		}
		e := exchange{From: from, Kind: "frame", Bytes: b}
		if kind == websocket.MessageText {
			e = exchange{From: from, Kind: "text", Text: hide(b)}
		}
		r.note(e)
		if out.Write(ctx, kind, b) != nil {
			return
		}
	}
}

// write keeps the record as lines of JSON.
func (r *recorder) write(file string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	for _, l := range r.lines {
		if err := e.Encode(l); err != nil {
			r.t.Fatal(err)
		}
	}
	if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
		r.t.Fatal(err)
	}
}
