package tlsca_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"ssmrun/internal/testlog"
	"ssmrun/internal/tlsca"
)

var begin = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

// clock is a clock that tests put forward.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: begin} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) set(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = t
}

// config is that of a service for lab.test.
func config(dir string, c *clock, l *testlog.Log) tlsca.Config {
	return tlsca.Config{
		Dir: dir, Domains: []string{"localhost", "lab.test"}, Now: c.Now, Logger: l.Logger(),
		Names: []string{"localhost", "127.0.0.1", "::1", "lab.test", "*.lab.test", "*.us-east-1.lab.test", "*.s3.us-east-1.lab.test"},
	}
}

func open(t *testing.T, cfg tlsca.Config) *tlsca.CA {
	t.Helper()
	ca, err := tlsca.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func pool(t *testing.T, file string) *x509.CertPool {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	p := x509.NewCertPool()
	if !p.AppendCertsFromPEM(b) {
		t.Fatalf("%s holds no certificate", file)
	}
	return p
}

// handshake is a client's, for a name, with a server; it gives the certificate
// that the server showed.
func handshake(t *testing.T, get func(*tls.ClientHelloInfo) (*tls.Certificate, error), roots *x509.CertPool, name string, now func() time.Time) (*x509.Certificate, error) {
	t.Helper()
	// Not net.Pipe: both ends write at once where one refuses the other.
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		server, err := listener.Accept()
		if err == nil {
			_ = tls.Server(server, &tls.Config{GetCertificate: get}).Handshake()
			_ = server.Close()
		}
	}()
	defer func() {
		_ = listener.Close()
		<-done
	}()
	client, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	conn := tls.Client(client, &tls.Config{RootCAs: roots, ServerName: name, Time: now})
	err = conn.Handshake()
	if err != nil {
		return nil, err
	}
	return conn.ConnectionState().PeerCertificates[0], nil
}

// pair writes a certificate that signs itself, and its key.
func pair(t *testing.T, dir, name string, ends time.Time) (cert, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{"*." + name, name},
		NotBefore: begin.Add(-time.Hour), NotAfter: ends,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, name+".pem"), filepath.Join(dir, name+"-key.pem")
	write(t, cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644)
	write(t, key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), 0o600)
	return cert, key
}

func write(t *testing.T, file string, b []byte, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(file, b, mode); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
