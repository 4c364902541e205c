package daemon

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"ssmrun/internal/tlsca"
)

// httpsServer is the listener that other machines reach.
type httpsServer struct {
	listener net.Listener
	tls      *tls.Config
	caFile   string // "" where the certificate is the operator's
	name     string // first name of the operator's certificate
	server   *http.Server
}

// openHTTPS listens and has a certificate when it returns; nil where no HTTPS
// listener is wanted.
func openHTTPS(cfg *Config) (*httpsServer, error) {
	if cfg.TLSListen == "" {
		return nil, nil
	}
	h := &httpsServer{tls: &tls.Config{
		MinVersion: tls.VersionTLS12,
		// No h2: a websocket cannot begin on it, and the rest of what agents and
		// callers say is too little to gain by it, while every bound of a
		// connection would have to hold in two protocols.
		NextProtos: []string{"http/1.1"},
	}}
	if cfg.TLSCert != "" {
		files, err := tlsca.OpenFiles(cfg.TLSCert, cfg.TLSKey, cfg.Now, cfg.Logger)
		if err != nil {
			return nil, err
		}
		h.tls.GetCertificate, h.name = files.Certificate, files.Name()
	} else {
		ca, err := tlsca.Open(tlsca.Config{
			Dir: cfg.Data, Domains: cfg.caDomains(), Names: cfg.certificateNames(), Now: cfg.Now, Logger: cfg.Logger,
		})
		if err != nil {
			return nil, err
		}
		h.tls.GetCertificate, h.caFile = ca.Certificate, ca.File()
	}
	var err error
	if h.listener, err = net.Listen("tcp", cfg.TLSListen); err != nil {
		return nil, fmt.Errorf("--tls-listen %s: %w", cfg.TLSListen, err)
	}
	return h, nil
}

// newServer is the server behind the listener.
func (h *httpsServer) newServer(handler http.Handler, logger *slog.Logger) *http.Server {
	s := newServer(handler)
	s.TLSConfig = h.tls
	s.Protocols = new(http.Protocols)
	s.Protocols.SetHTTP1(true)
	s.ErrorLog = slog.NewLogLogger(handshakeLog{logger.Handler()}, slog.LevelDebug)
	return s
}

// serve is http.Server's, with its errors.
func (h *httpsServer) serve() error { return h.server.ServeTLS(h.listener, "", "") }

// handshakeLog keeps what net/http says about connections from filling the log:
// whoever can connect can make it say something. What a client says, that it does
// not trust the certificate above all, an operator wants to see.
type handshakeLog struct{ slog.Handler }

// Enabled implements slog.Handler: the level is known with the text only.
func (h handshakeLog) Enabled(context.Context, slog.Level) bool { return true }

// Handle implements slog.Handler.
func (h handshakeLog) Handle(ctx context.Context, r slog.Record) error {
	if strings.Contains(r.Message, "remote error: tls:") {
		r.Level = slog.LevelInfo
	}
	if !h.Handler.Enabled(ctx, r.Level) {
		return nil
	}
	return h.Handler.Handle(ctx, r)
}

// url is an address of the listener that its certificate holds: the one it
// listens on, or, where that is every address of the machine, a name that was
// given, or else one that works on this machine.
func (h *httpsServer) url(cfg *Config) string {
	host, _, _ := net.SplitHostPort(cfg.TLSListen) // checked
	_, port, _ := net.SplitHostPort(h.listener.Addr().String())
	switch {
	case h.name != "":
		host = h.name
	case concrete(host):
	default:
		host = "127.0.0.1"
		for _, name := range cfg.TLSNames {
			if !strings.HasPrefix(name, "*.") {
				host = name
				break
			}
		}
	}
	return "https://" + net.JoinHostPort(host, port)
}

// concrete tells an address from those that mean all of a machine's.
func concrete(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host != "" && (err != nil || !ip.IsUnspecified())
}

// certificateNames are all names under which the service may be called.
func (c *Config) certificateNames() []string {
	names := []string{"localhost", "127.0.0.1", "::1"}
	if host, _, _ := net.SplitHostPort(c.TLSListen); concrete(host) {
		names = append(names, strings.ToLower(host))
	}
	for _, name := range c.TLSNames {
		names = append(names, strings.ToLower(name))
	}
	names = append(names, c.Domain, "*."+c.Domain)
	for _, r := range c.Regions {
		names = append(names, "*."+r+"."+c.Domain)
	}
	for _, d := range c.bucketDomains() {
		names = append(names, "*."+d)
	}
	var once []string
	for _, name := range names {
		if !slices.Contains(once, name) {
			once = append(once, name)
		}
	}
	return once
}

// caDomains are what a new CA may speak for.
func (c *Config) caDomains() []string {
	domains := []string{"localhost", c.Domain}
	for _, name := range c.certificateNames() {
		name = strings.TrimPrefix(name, "*.")
		if net.ParseIP(name) == nil && name != "localhost" && name != c.Domain && !strings.HasSuffix(name, "."+c.Domain) {
			domains = append(domains, name)
		}
	}
	return domains
}

// bucketDomains are the names below which a bucket is a host; none without a
// Domain.
func (c *Config) bucketDomains() []string {
	if c.Domain == "" {
		return nil
	}
	domains := []string{"s3." + c.Domain}
	for _, r := range c.Regions {
		domains = append(domains, "s3."+r+"."+c.Domain)
	}
	return domains
}

var (
	dnsName = regexp.MustCompile(`^([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z]([a-z0-9-]{0,61}[a-z0-9])?$`)
	// maxDomain leaves room for BUCKET.s3.REGION. before it.
	maxDomain = 253 - 63 - len(".s3.") - len("ap-southeast-99.")
)

// checkTLS says what is wrong with the settings of the HTTPS listener.
func (c *Config) checkTLS() (errs []error) {
	if c.Domain != "" && (!dnsName.MatchString(c.Domain) || len(c.Domain) > maxDomain) {
		errs = append(errs, fmt.Errorf("--domain %q is not a domain of the form lab.test, with %d characters at most", c.Domain, maxDomain))
	}
	if c.TLSListen == "" {
		if len(c.TLSNames) > 0 || c.TLSCert != "" || c.TLSKey != "" {
			errs = append(errs, errors.New("--tls-name, --tls-cert and --tls-key are of the HTTPS listener: say where it listens with --tls-listen HOST:PORT"))
		}
		return errs
	}
	if _, _, err := net.SplitHostPort(c.TLSListen); err != nil {
		errs = append(errs, fmt.Errorf("--tls-listen %q is not HOST:PORT, as in 0.0.0.0:8443", c.TLSListen))
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		errs = append(errs, errors.New("--tls-cert and --tls-key go together: give both files"))
	}
	if c.TLSCert != "" && len(c.TLSNames) > 0 {
		errs = append(errs, errors.New("--tls-name puts a name into the certificate that the service makes, and --tls-cert brings one with names of its own: use one of the two"))
	}
	for _, name := range c.TLSNames {
		if net.ParseIP(name) == nil && !dnsName.MatchString(strings.ToLower(strings.TrimPrefix(name, "*."))) {
			errs = append(errs, fmt.Errorf("--tls-name %q is neither a host name nor an IP address; it has no scheme and no port", name))
		}
	}
	return errs
}
