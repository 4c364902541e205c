package agentlink

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
)

// HTTPClientTrusting is NewHTTPClient that also trusts the authorities whose
// certificates are in a PEM file, beside the system's: an agent needs both where
// outputs go to AWS's S3. The file is read once.
func HTTPClientTrusting(file string) (*http.Client, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read certificates of authorities: %w", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(b) {
		return nil, fmt.Errorf("read certificates of authorities: %s holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)", file)
	}
	c := NewHTTPClient()
	c.Transport.(*http.Transport).TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	return c, nil
}

// connectError says what failed and, where TLS did, what to do about it.
func connectError(what, host string, err error) error {
	if advice := tlsAdvice(host, err); advice != "" {
		return fmt.Errorf("%s: %w; %s", what, err, advice)
	}
	return fmt.Errorf("%s: %w", what, err)
}

// tlsAdvice is "" for what TLS has no part in.
func tlsAdvice(host string, err error) string {
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &unknown):
		return "this host does not trust who signed the certificate of " + host + ": give the authority's own certificate with --ca-file"
	case errors.As(err, &name):
		return "the certificate is not one for " + host + ": give an endpoint whose name is in it, or have the service's certificate made for this name"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "the certificate of " + host + " is out of its time: renew it at the service, or set this host's clock right"
	case errors.As(err, &record), errors.Is(err, http.ErrSchemeMismatch):
		return host + " does not speak TLS there: is its endpoint one with http:// or another port?"
	}
	return ""
}
