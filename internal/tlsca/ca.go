package tlsca

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// Lives of certificates.
const (
	// CALife is how long a CA lives. It is not renewed: whoever trusts it knows
	// this one.
	CALife = 20 * 365 * 24 * time.Hour
	// ServerLife is how long a server certificate lives; it is renewed after two
	// thirds of it.
	ServerLife = 30 * 24 * time.Hour
	// backdate lets clients in whose clocks are late.
	backdate = 24 * time.Hour
	// warnBefore is how long before its end a start warns of the CA's.
	warnBefore = 365 * 24 * time.Hour
)

// Names of the files in Config.Dir.
const (
	CertFile = "ca.pem"
	KeyFile  = "ca-key.pem"
)

// Config is what a CA needs.
type Config struct {
	// Dir is the folder of the two files; it is there already, and its owner's.
	Dir string
	// Domains are the DNS names that a new CA may speak for, with all below them.
	// A CA that is there keeps its own.
	Domains []string
	// Names are those of the server certificate: DNS names, with *. in front
	// for all names one level below, and IP addresses.
	Names []string
	// Now is the clock; time.Now where nil.
	Now func() time.Time
	// Logger gets a record of what is made and renewed; nil discards.
	Logger *slog.Logger
}

// CA is a certificate authority with the one server certificate that it has
// issued. It may be used by many goroutines.
type CA struct {
	cfg  Config
	key  *ecdsa.PrivateKey
	cert *x509.Certificate

	mu     sync.Mutex
	server *tls.Certificate
}

// Open reads the CA of a folder, makes it where there is none, and issues the
// first server certificate. Errors name the file and what to do: a file that does
// not hold a CA, a CA that has ended or may not speak for one of the names.
func Open(cfg Config) (*CA, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	c := &CA{cfg: cfg}
	file := filepath.Join(cfg.Dir, KeyFile)
	b, err := os.ReadFile(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = c.make(file)
	case err == nil:
		err = c.read(file, b)
	}
	if err != nil {
		return nil, fmt.Errorf("open the service's CA: %w", err)
	}
	if err := c.publish(); err != nil {
		return nil, fmt.Errorf("write the CA's certificate: %w", err)
	}
	if err := c.check(file); err != nil {
		return nil, err
	}
	if c.server, err = c.issue(); err != nil {
		return nil, err
	}
	return c, nil
}

// File is the path of the certificate that clients have to trust.
func (c *CA) File() string { return filepath.Join(c.cfg.Dir, CertFile) }

// Certificate gives the server certificate, whatever name a client asks for, and
// renews it when it is time. It is tls.Config's GetCertificate.
func (c *CA) Certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now, leaf := c.cfg.Now(), c.server.Leaf
	// A clock that was put back makes certificates of the future.
	if now.Before(leaf.NotBefore.Add(backdate+ServerLife*2/3)) && now.Before(leaf.NotAfter) && !now.Before(leaf.NotBefore) {
		return c.server, nil
	}
	fresh, err := c.issue()
	if err != nil {
		c.cfg.Logger.Error("renew the server certificate", "ends", leaf.NotAfter, "error", err)
		if now.Before(leaf.NotAfter) {
			return c.server, nil
		}
		return nil, err
	}
	c.server = fresh
	c.cfg.Logger.Info("the server certificate was renewed", "ends", fresh.Leaf.NotAfter)
	return fresh, nil
}

// make makes a CA and writes it, whole or not at all.
func (c *CA) make(file string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("make a key: %w", err)
	}
	serial, err := newSerial()
	if err != nil {
		return err
	}
	now := c.cfg.Now().UTC()
	cert, err := sign(&x509.Certificate{
		SerialNumber: serial,
		// Two services on one host must not have CAs of one name.
		Subject:   pkix.Name{CommonName: "ssmrun CA " + hex.EncodeToString(serial.Bytes()[:4])},
		NotBefore: now.Add(-backdate), NotAfter: now.Add(CALife),
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		IsCA:     true, BasicConstraintsValid: true, MaxPathLenZero: true,
		PermittedDNSDomainsCritical: true, PermittedDNSDomains: c.cfg.Domains,
	}, nil, key, key)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("encode the key: %w", err)
	}
	both := slices.Concat(
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}))
	if err := writeFile(file, both, 0o600); err != nil {
		return err
	}
	c.key, c.cert = key, cert
	c.cfg.Logger.Info("a CA was made for the service", "file", c.File(), "ends", cert.NotAfter)
	return nil
}

// read takes key and certificate from the file.
func (c *CA) read(file string, b []byte) error {
	pair, err := tls.X509KeyPair(b, b)
	if err != nil {
		return fmt.Errorf("%s does not hold a certificate and its key: %w; restore it from a backup, or %s", file, err, another)
	}
	key, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok || !pair.Leaf.IsCA {
		return fmt.Errorf("%s does not hold the certificate and the ECDSA key of a CA; restore it from a backup, or %s", file, another)
	}
	c.key, c.cert = key, pair.Leaf
	if othersMayRead(file) {
		c.cfg.Logger.Warn("the key of the CA can be read by other users of this machine: chmod 600 it", "file", file)
	}
	return nil
}

// another says how to get another CA.
const another = "move it away to make a new CA (every agent and caller then needs the new " + CertFile + ")"

// publish writes the certificate to its own file, where it is not there yet.
func (c *CA) publish() error {
	b := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.cert.Raw})
	if have, err := os.ReadFile(c.File()); err == nil && bytes.Equal(have, b) {
		return nil
	}
	return writeFile(c.File(), b, 0o644)
}

// check tells whether the CA can speak for all names now.
func (c *CA) check(file string) error {
	switch now := c.cfg.Now(); {
	case now.After(c.cert.NotAfter):
		return fmt.Errorf("the CA in %s has ended at %s: %s", file, c.cert.NotAfter.Format(time.RFC3339), another)
	case now.Before(c.cert.NotBefore):
		return fmt.Errorf("the CA in %s begins at %s, and the clock says %s: set the clock right, or, if the CA was made while it was wrong, %s",
			file, c.cert.NotBefore.Format(time.RFC3339), now.UTC().Format(time.RFC3339), another)
	case now.After(c.cert.NotAfter.Add(-warnBefore)):
		c.cfg.Logger.Warn("the service's CA ends soon: "+another, "file", file, "ends", c.cert.NotAfter)
	}
	for _, name := range c.cfg.Names {
		if !c.speaksFor(name) {
			return fmt.Errorf("the CA in %s was made for %s and may not speak for %s: %s, or bring a certificate of your own (--tls-cert, --tls-key)",
				file, strings.Join(c.cert.PermittedDNSDomains, ", "), name, another)
		}
	}
	return nil
}

func (c *CA) speaksFor(name string) bool {
	if len(c.cert.PermittedDNSDomains) == 0 || net.ParseIP(name) != nil {
		return true
	}
	name = strings.ToLower(strings.TrimPrefix(name, "*."))
	return slices.ContainsFunc(c.cert.PermittedDNSDomains, func(d string) bool {
		d = strings.ToLower(d)
		return name == d || strings.HasSuffix(name, "."+d)
	})
}

// issue makes a server certificate with a key of its own. Neither is kept: what
// clients trust is the CA.
func (c *CA) issue() (*tls.Certificate, error) {
	now := c.cfg.Now().UTC()
	if now.After(c.cert.NotAfter) {
		return nil, fmt.Errorf("the service's CA has ended at %s", c.cert.NotAfter.Format(time.RFC3339))
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "ssmrun"},
		NotBefore: now.Add(-backdate), NotAfter: now.Add(ServerLife),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	if template.NotAfter.After(c.cert.NotAfter) {
		template.NotAfter = c.cert.NotAfter
	}
	for _, name := range c.cfg.Names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	leaf, err := sign(template, c.cert, key, c.key)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}, nil
}

// sign makes a certificate for a key; by itself where parent is nil.
func sign(template, parent *x509.Certificate, key, by *ecdsa.PrivateKey) (*x509.Certificate, error) {
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, by)
	if err != nil {
		return nil, fmt.Errorf("make a certificate: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("make a certificate: %w", err)
	}
	return cert, nil
}

// newSerial is 16 random bytes, the first bit 0 and the second 1: positive, and
// always of one length.
func newSerial() (*big.Int, error) {
	b := make([]byte, 16)
	if _, err := rand.Read(b); err != nil {
		return nil, fmt.Errorf("make a serial number: %w", err)
	}
	b[0] = b[0]&0x3f | 0x40
	return new(big.Int).SetBytes(b), nil
}

// writeFile writes a file whole or not at all, and on the disk when it returns.
func writeFile(file string, b []byte, mode os.FileMode) error {
	tmp, err := os.CreateTemp(filepath.Dir(file), ".ca-*") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(b)
	if err = errors.Join(err, tmp.Chmod(mode), tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), file)
}
