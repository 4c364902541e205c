package tlsca

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"
)

// lookEvery is how often the files of a Files are looked at for a change.
const lookEvery = time.Minute

// Files is a certificate with its key that the operator brings. When the files
// change, new connections get the new certificate, without a restart. It may be
// used by many goroutines.
type Files struct {
	cert, key string
	now       func() time.Time
	log       *slog.Logger

	mu     sync.Mutex
	server *tls.Certificate
	stamp  [2]stamp
	looked time.Time
}

// stamp tells one content of a file from the next without reading it.
type stamp struct {
	changed time.Time
	size    int64
}

// OpenFiles reads a certificate, with what stands between it and its root, and
// its key, both PEM. now and log may be nil. The errors of a pair that is not
// one, a file that cannot be read and a certificate that has ended name file and
// flag (--tls-cert, --tls-key).
func OpenFiles(cert, key string, now func() time.Time, log *slog.Logger) (*Files, error) {
	if now == nil {
		now = time.Now
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	f := &Files{cert: cert, key: key, now: now, log: log, looked: now()}
	var err error
	if f.stamp, err = f.look(); err == nil {
		f.server, err = f.read()
	}
	if err != nil {
		return nil, err
	}
	if ends := f.server.Leaf.NotAfter; now().After(ends) {
		return nil, fmt.Errorf("--tls-cert %s has ended at %s: renew it", cert, ends.Format(time.RFC3339))
	}
	if begins := f.server.Leaf.NotBefore; now().Before(begins) {
		return nil, fmt.Errorf("--tls-cert %s begins at %s only: is the clock right?", cert, begins.Format(time.RFC3339))
	}
	if othersMayRead(key) {
		log.Warn("the key of --tls-key can be read by other users of this machine: chmod 600 it", "file", key)
	}
	return f, nil
}

// Name is the first DNS name of the certificate that is no wildcard, "" where
// there is none.
func (f *Files) Name() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, name := range f.server.Leaf.DNSNames {
		if name != "" && name[0] != '*' {
			return name
		}
	}
	return ""
}

// Certificate gives the certificate, whatever name a client asks for. It is
// tls.Config's GetCertificate. Files that cannot be read any more, or are half
// written, leave the one that is there.
func (f *Files) Certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.now()
	if since := now.Sub(f.looked); since >= 0 && since < lookEvery {
		return f.server, nil
	}
	f.looked = now
	seen, err := f.look()
	if err == nil && seen != f.stamp {
		var fresh *tls.Certificate
		if fresh, err = f.read(); err == nil {
			f.server, f.stamp = fresh, seen
			f.log.Info("the certificate was read again", "file", f.cert, "ends", fresh.Leaf.NotAfter)
		}
	}
	if err != nil {
		f.log.Warn("the certificate was not read again; the one before stays", "error", err)
	}
	if now.After(f.server.Leaf.NotAfter) {
		f.log.Warn("the certificate has ended, and clients refuse it: renew it", "file", f.cert, "ended", f.server.Leaf.NotAfter)
	}
	return f.server, nil
}

func (f *Files) look() (seen [2]stamp, err error) {
	for i, file := range []string{f.cert, f.key} {
		info, err := os.Stat(file)
		if err != nil {
			return seen, fmt.Errorf("%s: %w", f.flag(i), err)
		}
		seen[i] = stamp{info.ModTime(), info.Size()}
	}
	return seen, nil
}

func (f *Files) flag(i int) string { return []string{"--tls-cert", "--tls-key"}[i] }

func (f *Files) read() (*tls.Certificate, error) {
	var content [2][]byte
	for i, file := range []string{f.cert, f.key} {
		b, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.flag(i), err)
		}
		content[i] = b
	}
	if !holds(content[0], "CERTIFICATE") {
		return nil, fmt.Errorf("--tls-cert %s holds no certificate: it has to be PEM, -----BEGIN CERTIFICATE-----", f.cert)
	}
	if holds(content[1], "ENCRYPTED PRIVATE KEY") {
		return nil, fmt.Errorf("--tls-key %s is encrypted by a passphrase, which the service cannot ask for: decrypt it, as with openssl pkey", f.key)
	}
	pair, err := tls.X509KeyPair(content[0], content[1])
	if err != nil {
		if cert, certErr := firstCertificate(content[0]); certErr == nil && holds(content[1], "PRIVATE KEY", "EC PRIVATE KEY", "RSA PRIVATE KEY") {
			return nil, fmt.Errorf("--tls-key %s is not the key of --tls-cert %s (%s), the first certificate of which has to be the server's: %w", f.key, f.cert, cert.Subject, err)
		}
		return nil, fmt.Errorf("--tls-cert %s and --tls-key %s cannot be read: %w", f.cert, f.key, err)
	}
	return &pair, nil
}

// holds tells whether PEM text has a block of one of the types.
func holds(b []byte, types ...string) bool {
	for {
		block, rest := pem.Decode(b)
		if block == nil {
			return false
		}
		if slices.Contains(types, block.Type) {
			return true
		}
		b = rest
	}
}

func firstCertificate(b []byte) (*x509.Certificate, error) {
	for {
		block, rest := pem.Decode(b)
		if block == nil {
			return nil, errors.New("no certificate")
		}
		if block.Type == "CERTIFICATE" {
			return x509.ParseCertificate(block.Bytes)
		}
		b = rest
	}
}
