package tlsca_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"ssmrun/internal/tlsca"

	"ssmrun/internal/testlog"
)

// TestCA: what a client that trusts ca.pem takes, and what not.
func TestCA(t *testing.T) {
	t.Parallel()
	dir, c := t.TempDir(), newClock()
	ca := open(t, config(dir, c, &testlog.Log{}))
	roots := pool(t, ca.File())
	for _, name := range []string{
		"localhost", "127.0.0.1", "::1", "lab.test", "ssmrun.lab.test", "ssm.us-east-1.lab.test", "logs.s3.us-east-1.lab.test",
	} {
		if _, err := handshake(t, ca.Certificate, roots, name, c.Now); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, name := range []string{"other.test", "a.b.lab.test", "ssm.eu-west-1.lab.test", "192.0.2.1"} {
		if _, err := handshake(t, ca.Certificate, roots, name, c.Now); !is[x509.HostnameError](err) {
			t.Errorf("%s: %v, want a name that does not match", name, err)
		}
	}
	other := open(t, config(t.TempDir(), c, &testlog.Log{}))
	if _, err := handshake(t, ca.Certificate, pool(t, other.File()), "localhost", c.Now); !is[x509.UnknownAuthorityError](err) {
		t.Errorf("with another service's CA: %v", err)
	}
	if runtime.GOOS == "windows" {
		return
	}
	for file, want := range map[string]os.FileMode{tlsca.CertFile: 0o644, tlsca.KeyFile: 0o600} {
		info, err := os.Stat(filepath.Join(dir, file))
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v, want mode %v", file, info.Mode(), err, want)
		}
	}
	if strings.Contains(string(read(t, ca.File())), "PRIVATE") {
		t.Error("ca.pem holds a key")
	}
}

func is[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

// TestRenewal: the certificate is there before the one before it ends, in a
// process that runs on, and after a clock that was put back.
func TestRenewal(t *testing.T) {
	t.Parallel()
	c, l := newClock(), &testlog.Log{}
	ca := open(t, config(t.TempDir(), c, l))
	roots := pool(t, ca.File())
	var last *x509.Certificate
	for _, step := range []struct {
		at    time.Duration
		fresh bool
	}{
		{0, true},
		{19 * 24 * time.Hour, false},
		{21 * 24 * time.Hour, true},
		{40 * 24 * time.Hour, false},
		{300 * 24 * time.Hour, true},   // nobody connected for long
		{-300 * 24 * time.Hour, false}, // before the CA: nothing can be done, and nothing breaks
		{5 * 24 * time.Hour, true},     // put back
		{19 * 365 * 24 * time.Hour, true},
	} {
		c.set(begin.Add(step.at))
		got, err := handshake(t, ca.Certificate, roots, "localhost", c.Now)
		if step.at < 0 {
			if !is[x509.CertificateInvalidError](err) {
				t.Errorf("at %v: %v", step.at, err)
			}
			continue
		}
		if err != nil {
			t.Fatalf("at %v: %v", step.at, err)
		}
		if fresh := last == nil || got.SerialNumber.Cmp(last.SerialNumber) != 0; fresh != step.fresh {
			t.Errorf("at %v: a new certificate is %v, want %v", step.at, fresh, step.fresh)
		}
		if left := got.NotAfter.Sub(c.Now()); left < 10*24*time.Hour-time.Minute {
			t.Errorf("at %v: it ends in %v", step.at, left)
		}
		last = got
	}
	if !strings.Contains(l.String(), "renewed") {
		t.Errorf("log: %s", l)
	}
	c.set(begin.Add(tlsca.CALife + time.Hour))
	if _, err := ca.Certificate(nil); err == nil || !strings.Contains(err.Error(), "has ended") {
		t.Errorf("after the CA's end: %v", err)
	}
}

// TestManyAtOnce: one renewal serves all that come at the time.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	c, l := newClock(), &testlog.Log{}
	ca := open(t, config(t.TempDir(), c, l))
	c.set(begin.Add(25 * 24 * time.Hour))
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if _, err := ca.Certificate(nil); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := strings.Count(l.String(), "renewed"); n != 1 {
		t.Errorf("%d renewals", n)
	}
}

// TestOpenAgain: the CA stays, the server's certificate is another, and ca.pem
// comes back.
func TestOpenAgain(t *testing.T) {
	t.Parallel()
	dir, c := t.TempDir(), newClock()
	ca := open(t, config(dir, c, &testlog.Log{}))
	roots, before := pool(t, ca.File()), read(t, ca.File())
	one, err := handshake(t, ca.Certificate, roots, "localhost", c.Now)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(ca.File()); err != nil {
		t.Fatal(err)
	}
	again := open(t, config(dir, c, &testlog.Log{}))
	two, err := handshake(t, again.Certificate, roots, "localhost", c.Now)
	if err != nil || one.SerialNumber.Cmp(two.SerialNumber) == 0 || !bytes.Equal(before, read(t, again.File())) {
		t.Errorf("opened again: %v, serials %v and %v", err, one.SerialNumber, two.SerialNumber)
	}
}

// TestOpenRefuses: each error says what to do.
func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(t *testing.T, cfg *tlsca.Config, c *clock)
		says   []string
	}{
		"another domain": {func(_ *testing.T, cfg *tlsca.Config, _ *clock) {
			cfg.Names = append(cfg.Names, "*.corp.test")
		}, []string{"made for localhost, lab.test", "*.corp.test", "move it away", "--tls-cert"}},
		"a domain that ends alike": {func(_ *testing.T, cfg *tlsca.Config, _ *clock) {
			cfg.Names = append(cfg.Names, "notlab.test")
		}, []string{"may not speak for notlab.test"}},
		"no PEM": {func(t *testing.T, cfg *tlsca.Config, _ *clock) {
			write(t, filepath.Join(cfg.Dir, tlsca.KeyFile), []byte("\x00"), 0o600)
		}, []string{tlsca.KeyFile, "backup"}},
		"the certificate alone": {func(t *testing.T, cfg *tlsca.Config, _ *clock) {
			write(t, filepath.Join(cfg.Dir, tlsca.KeyFile), read(t, filepath.Join(cfg.Dir, tlsca.CertFile)), 0o600)
		}, []string{tlsca.KeyFile, "backup"}},
		"no CA": {func(t *testing.T, cfg *tlsca.Config, _ *clock) {
			cert, key := pair(t, cfg.Dir, "x.test", begin.Add(time.Hour))
			write(t, filepath.Join(cfg.Dir, tlsca.KeyFile), append(read(t, cert), read(t, key)...), 0o600)
		}, []string{"of a CA"}},
		"after its end":      {func(_ *testing.T, _ *tlsca.Config, c *clock) { c.set(begin.Add(tlsca.CALife + time.Hour)) }, []string{"has ended at 2046", "move it away"}},
		"before its begin":   {func(_ *testing.T, _ *tlsca.Config, c *clock) { c.set(begin.Add(-48 * time.Hour)) }, []string{"set the clock right"}},
		"a folder for a key": {func(t *testing.T, cfg *tlsca.Config, _ *clock) { folder(t, cfg.Dir) }, []string{"open the service's CA"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clk := newClock()
			cfg := config(t.TempDir(), clk, &testlog.Log{})
			open(t, cfg)
			c.change(t, &cfg, clk)
			_, err := tlsca.Open(cfg)
			if err == nil {
				t.Fatal("it was opened")
			}
			for _, want := range c.says {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v\nwant %q in it", err, want)
				}
			}
		})
	}
}

func folder(t *testing.T, dir string) {
	t.Helper()
	file := filepath.Join(dir, tlsca.KeyFile)
	if err := errors.Join(os.Remove(file), os.Mkdir(file, 0o700)); err != nil {
		t.Fatal(err)
	}
}

// TestWarnings: a CA that ends soon, and a key that others can read.
func TestWarnings(t *testing.T) {
	t.Parallel()
	c, l := newClock(), &testlog.Log{}
	cfg := config(t.TempDir(), c, l)
	open(t, cfg)
	if strings.Contains(l.String(), "WARN") {
		t.Errorf("log: %s", l)
	}
	c.set(begin.Add(tlsca.CALife - 24*time.Hour))
	if err := os.Chmod(filepath.Join(cfg.Dir, tlsca.KeyFile), 0o644); err != nil {
		t.Fatal(err)
	}
	ca := open(t, cfg)
	if !strings.Contains(l.String(), "ends soon") || runtime.GOOS != "windows" && !strings.Contains(l.String(), "chmod 600") {
		t.Errorf("log: %s", l)
	}
	got, err := handshake(t, ca.Certificate, pool(t, ca.File()), "localhost", c.Now)
	if err != nil || got.NotAfter.After(begin.Add(tlsca.CALife)) {
		t.Errorf("a certificate that ends after its CA, or %v", err)
	}
}

// TestConstrained: what somebody signs with the CA's key for another site,
// clients refuse.
func TestConstrained(t *testing.T) {
	t.Parallel()
	dir, c := t.TempDir(), newClock()
	ca := open(t, config(dir, c, &testlog.Log{}))
	both := read(t, filepath.Join(dir, tlsca.KeyFile))
	stolen, err := tls.X509KeyPair(both, both)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(read(t, ca.File()))
	parent, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(nil, &x509.Certificate{
		SerialNumber: parent.SerialNumber, DNSNames: []string{"elsewhere.example"},
		NotBefore: begin.Add(-time.Hour), NotAfter: begin.Add(time.Hour),
	}, parent, parent.PublicKey, stolen.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	forged := &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: stolen.PrivateKey}
	_, err = handshake(t, func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return forged, nil }, pool(t, ca.File()), "elsewhere.example", c.Now)
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); !ok || invalid.Reason != x509.CANotAuthorizedForThisName {
		t.Errorf("a forged certificate: %v", err)
	}
}
