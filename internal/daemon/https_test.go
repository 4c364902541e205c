package daemon_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/google/go-cmp/cmp"

	"ssmrun/internal/daemon"
	"ssmrun/internal/sigv4"
	"ssmrun/internal/testenv"
)

// startTLS is a service for lab.test with an HTTPS listener.
func startTLS(t *testing.T, o testenv.Options) *testenv.Service {
	t.Helper()
	o.Args = append([]string{"--tls-listen", "127.0.0.1:0", "--domain", "lab.test"}, o.Args...)
	return testenv.Start(t, o)
}

// tlsClient finds every host at the HTTPS listener, so that no names have to be
// known to the machine, and trusts the CA of a file.
func tlsClient(t *testing.T, info daemon.Info, caFile string) *http.Client {
	t.Helper()
	u, err := url.Parse(info.TLSEndpoint)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(caFile)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(b) {
		t.Fatalf("%s holds no certificate", caFile)
	}
	transport := &http.Transport{
		ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: roots},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, u.Host)
		},
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// at is an SDK configuration for a host name, without repeats.
func at(t *testing.T, s *testenv.Service, host string) aws.Config {
	cfg := s.Config(s.Region)
	cfg.BaseEndpoint, cfg.HTTPClient, cfg.RetryMaxAttempts = aws.String("https://"+host), tlsClient(t, s.Info, s.CAFile), 1
	return cfg
}

// TestHTTPS: the SDK's clients reach each service by its names and by the
// addresses in the certificate.
func TestHTTPS(t *testing.T) {
	t.Parallel()
	s := startTLS(t, testenv.Options{Buckets: []string{"logs"}, Args: []string{"--tls-name", "ssmrun.corp.test", "--tls-name", "192.0.2.7"}})
	ctx := testenv.Context(t)
	calls := map[string]func(aws.Config) error{
		"ssm": func(c aws.Config) error {
			_, err := ssm.NewFromConfig(c).ListCommands(ctx, &ssm.ListCommandsInput{})
			return err
		},
		"sts": func(c aws.Config) error {
			_, err := sts.NewFromConfig(c).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
			return err
		},
		"ec2": func(c aws.Config) error {
			_, err := ec2.NewFromConfig(c).DescribeInstances(ctx, &ec2.DescribeInstancesInput{})
			return err
		},
		"s3": func(c aws.Config) error {
			_, err := s3.NewFromConfig(c, func(o *s3.Options) { o.UsePathStyle = true }).HeadBucket(ctx, &s3.HeadBucketInput{Bucket: aws.String("logs")})
			return err
		},
	}
	for service, call := range calls {
		for _, host := range []string{
			service + ".us-east-1.lab.test", service + ".lab.test:8443", "lab.test", "ssmrun.lab.test", "localhost", "127.0.0.1", "[::1]:9",
			"ssmrun.corp.test", "192.0.2.7",
		} {
			if err := call(at(t, s, host)); err != nil {
				t.Errorf("%s at %s: %v", service, host, err)
			}
		}
	}
	var file struct {
		URL string `json:"tls_url"`
		CA  string `json:"ca_file"`
	}
	b, err := os.ReadFile(filepath.Join(s.Data, "endpoint.json"))
	if err == nil {
		err = json.Unmarshal(b, &file)
	}
	if err != nil || file.URL != s.TLSEndpoint || file.CA != s.CAFile || s.Domain != "lab.test" || s.CAFile != filepath.Join(s.Data, "ca.pem") {
		t.Errorf("endpoint.json %+v, ready file %+v, %v", file, s.Info, err)
	}
	before := serial(t, s)
	s.Stop()
	s.Restart()
	if err := calls["ssm"](at(t, s, "ssm.us-east-1.lab.test")); err != nil {
		t.Errorf("after a restart: %v", err)
	}
	if before.Cmp(serial(t, s)) == 0 {
		t.Error("the server's key outlived the process")
	}
}

// serial is that of the server's certificate.
func serial(t *testing.T, s *testenv.Service) *big.Int {
	t.Helper()
	resp, err := tlsClient(t, s.Info, s.CAFile).Get(s.TLSEndpoint)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.TLS.PeerCertificates[0].SerialNumber
}

// TestHTTPSTrust: what a client refuses by itself, and what the listener does.
func TestHTTPSTrust(t *testing.T) {
	t.Parallel()
	s, other := startTLS(t, testenv.Options{}), startTLS(t, testenv.Options{})
	get := func(caFile, url string, change func(*tls.Config)) (string, error) {
		client := tlsClient(t, s.Info, caFile)
		if change != nil {
			change(client.Transport.(*http.Transport).TLSClientConfig)
		}
		resp, err := client.Get(url)
		if err != nil {
			return "", err
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		return resp.Proto + " " + resp.Status + " " + string(b), err
	}
	if _, err := get(other.CAFile, "https://ssm.lab.test", nil); !isA[x509.UnknownAuthorityError](err) {
		t.Errorf("the CA of another service: %v", err)
	}
	if _, err := get(s.CAFile, "https://ssm.other.test", nil); !isA[x509.HostnameError](err) {
		t.Errorf("a name that is not the service's: %v", err)
	}
	if _, err := get(s.CAFile, "https://ssm.lab.test", func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }); err == nil || !strings.Contains(err.Error(), "protocol version") {
		t.Errorf("TLS 1.1: %v", err)
	}
	if got, err := get(s.CAFile, "https://ssm.lab.test", nil); err != nil || !strings.HasPrefix(got, "HTTP/1.1 400") || !strings.Contains(got, "MissingAuthenticationToken") {
		t.Errorf("TLS 1.2 and more, unsigned: %s, %v", got, err)
	}
	if got, err := get(s.CAFile, strings.Replace(s.TLSEndpoint, "https:", "http:", 1), nil); err != nil || !strings.Contains(got, "400") || !strings.Contains(got, "HTTP request to an HTTPS server") {
		t.Errorf("plain HTTP: %q, %v", got, err)
	}
	s.Stop()
	if log := s.Log(); !strings.Contains(log, "remote error: tls: bad certificate") {
		t.Errorf("log of the service: %s", log)
	}
}

func isA[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

// TestHostsOfServices: what is sent to a service's name has to be for it.
func TestHostsOfServices(t *testing.T) {
	t.Parallel()
	s := startTLS(t, testenv.Options{Regions: []string{"us-east-1", "eu-west-1"}, Buckets: []string{"logs"}})
	client := tlsClient(t, s.Info, s.CAFile)
	for name, c := range map[string]struct {
		host, service, region string // service "": unsigned
		target                string
		status                int
		says                  []string
	}{
		"ssm":                      {"ssm.eu-west-1.lab.test", "ssm", "eu-west-1", "AmazonSSM.ListCommands", 200, nil},
		"ssm of a name for all":    {"ssm.lab.test", "ssm", "eu-west-1", "AmazonSSM.ListCommands", 200, nil},
		"another region":           {"ssm.eu-west-1.lab.test", "ssm", "us-east-1", "AmazonSSM.ListCommands", 400, []string{"InvalidSignatureException", "valid region, not 'us-east-1'", "sent to ssm.eu-west-1.lab.test"}},
		"another service":          {"ssm.us-east-1.lab.test", "ssmmessages", "us-east-1", "", 400, []string{"InvalidSignatureException", "correct service: 'ssm'", "sent to ssm.us-east-1.lab.test"}},
		"ssm at messages":          {"ec2messages.us-east-1.lab.test", "ssm", "us-east-1", "AmazonSSM.ListCommands", 400, []string{"correct service: 'ec2messages'"}},
		"ssm at the channel":       {"ssmmessages.us-east-1.lab.test", "ssm", "us-east-1", "AmazonSSM.ListCommands", 400, []string{"correct service: 'ssmmessages'"}},
		"unsigned at messages":     {"ec2messages.us-east-1.lab.test", "", "", "AmazonSSM.RegisterManagedInstance", 400, []string{"MissingAuthenticationToken"}},
		"unsigned at ssm":          {"ssm.us-east-1.lab.test", "", "", "AmazonSSM.ListCommands", 400, []string{"MissingAuthenticationToken"}},
		"unsigned registration":    {"ssm.us-east-1.lab.test", "", "", "AmazonSSM.RegisterManagedInstance", 400, []string{"ValidationException"}},
		"ssm at sts":               {"sts.lab.test", "ssm", "us-east-1", "AmazonSSM.ListCommands", 400, []string{"InvalidSignatureException", "sent to sts.lab.test"}},
		"unsigned at sts":          {"sts.lab.test", "", "", "", 400, []string{"<ErrorResponse", "<Code>MissingAuthenticationToken</Code>"}},
		"ssm at s3":                {"s3.us-east-1.lab.test", "ssm", "us-east-1", "AmazonSSM.ListCommands", 400, []string{"InvalidSignatureException", "correct service: 's3'"}},
		"s3 at ssm":                {"ssm.us-east-1.lab.test", "s3", "us-east-1", "", 400, []string{"<Code>AuthorizationHeaderMalformed</Code>", "correct service: 'ssm'"}},
		"sts at ssm":               {"ssm.us-east-1.lab.test", "sts", "us-east-1", "", 403, []string{"<ErrorResponse", "<Code>SignatureDoesNotMatch</Code>", "correct service: 'ssm'"}},
		"ec2 at s3":                {"s3.us-east-1.lab.test", "ec2", "us-east-1", "", 403, []string{"<Response>", "<Code>AuthFailure</Code>", "correct service: 's3'"}},
		"ssm at a bucket":          {"logs.s3.us-east-1.lab.test", "ssm", "us-east-1", "AmazonSSM.ListCommands", 400, []string{"correct service: 's3'", "sent to logs.s3"}},
		"a bucket, another region": {"logs.s3.eu-west-1.lab.test", "s3", "us-east-1", "", 400, []string{"<Code>AuthorizationHeaderMalformed</Code>", "not 'us-east-1'"}},
		"an unsigned probe":        {"logs.s3.us-east-1.lab.test", "", "", "", 403, []string{"<Code>AccessDenied</Code>", "carries no signature"}},
		"a region that is not":     {"ssm.ap-south-1.lab.test", "ssm", "us-east-1", "AmazonSSM.ListCommands", 400, []string{"InvalidSignatureException"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			host := c.host
			if strings.Contains(host, "ap-south-1") {
				host = "ssm.lab.test" // no certificate holds it
			}
			r, err := http.NewRequestWithContext(testenv.Context(t), http.MethodPost, "https://"+host+"/", strings.NewReader("{}"))
			if err != nil {
				t.Fatal(err)
			}
			r.Host = c.host
			if c.target != "" {
				r.Header.Set("X-Amz-Target", c.target)
			}
			if c.service != "" {
				sigv4.Sign(r, []byte("{}"), sigv4.Keys{AccessKeyID: s.AccessKeyID, SecretAccessKey: s.SecretKey}, c.service, c.region, time.Now())
			}
			resp, err := client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			b, err := io.ReadAll(resp.Body)
			if err != nil || resp.StatusCode != c.status {
				t.Errorf("status %d, want %d: %s %v", resp.StatusCode, c.status, b, err)
			}
			got := strings.NewReplacer("&#39;", "'").Replace(string(b))
			for _, want := range c.says {
				if !strings.Contains(got, want) {
					t.Errorf("%s\nwant %q in it", got, want)
				}
			}
		})
	}
}

// TestHTTPSCertificateIsRenewed: in a service that runs on, by its clock.
func TestHTTPSCertificateIsRenewed(t *testing.T) {
	t.Parallel()
	var later atomic.Int64
	now := func() time.Time { return time.Now().Add(time.Duration(later.Load())) }
	ctx, stop := context.WithCancel(testenv.Context(t))
	d, err := daemon.New(ctx, daemon.Config{
		Data: filepath.Join(t.TempDir(), "data"), Listen: "127.0.0.1:0", TLSListen: "127.0.0.1:0", Now: now,
		S3Endpoint: "http://127.0.0.1:1", // the embedded one owns the process's working directory
	})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	<-d.Ready()
	var ends []time.Time
	for _, days := range []time.Duration{0, 25, 90} {
		later.Store(int64(days * 24 * time.Hour))
		client := tlsClient(t, d.Info(), d.Info().CAFile)
		client.Transport.(*http.Transport).TLSClientConfig.Time = now
		resp, err := client.Get("https://logs.s3.us-east-1.ssmrun.internal/")
		if err != nil {
			t.Fatalf("after %d days: %v", days, err)
		}
		b, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusNotImplemented || !strings.Contains(string(b), "--s3-endpoint") {
			t.Errorf("a bucket where S3 is elsewhere: %d %s", resp.StatusCode, b)
		}
		ends = append(ends, resp.TLS.PeerCertificates[0].NotAfter)
	}
	if !ends[0].Before(ends[1]) || !ends[1].Before(ends[2]) {
		t.Errorf("certificates end at %v", ends)
	}
}

// TestServeRefusesTLS: wrong settings of the HTTPS listener, told at once.
func TestServeRefusesTLS(t *testing.T) {
	t.Parallel()
	made := testenv.Start(t, testenv.Options{Args: []string{"--tls-listen", "127.0.0.1:0", "--domain", "old.test"}})
	made.Stop()
	listen := func(more ...string) []string { return append([]string{"--tls-listen", "127.0.0.1:0"}, more...) }
	for name, c := range map[string]struct {
		args []string
		says string
	}{
		"no port":              {[]string{"--tls-listen", "0.0.0.0"}, "HOST:PORT"},
		"an address elsewhere": {[]string{"--tls-listen", "192.0.2.1:0"}, "--tls-listen 192.0.2.1:0"},
		"names without it":     {[]string{"--tls-name", "a.test"}, "--tls-listen HOST:PORT"},
		"a URL for a name":     {listen("--tls-name", "https://a.test"), "neither a host name nor an IP address"},
		"a domain with a port": {listen("--domain", "lab.test:443"), "--domain"},
		"an address as domain": {listen("--domain", "10.0.0.1"), "--domain"},
		"a certificate alone":  {listen("--tls-cert", "x.pem"), "go together"},
		"a name in another's":  {listen("--tls-cert", "x.pem", "--tls-key", "x.key", "--tls-name", "a.test"), "use one of the two"},
		"no such file":         {listen("--tls-cert", "x.pem", "--tls-key", "x.key"), "--tls-cert"},
		"another domain later": {listen("--data", made.Data, "--domain", "new.test"), "made for localhost, old.test and may not speak for new.test"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			args := append([]string{"serve", "--data", filepath.Join(t.TempDir(), "d"), "--listen", "127.0.0.1:0"}, c.args...)
			cmd := exec.CommandContext(testenv.Context(t), testenv.Binary(t, "ssmrun"), args...)
			cmd.Dir = t.TempDir()
			out, err := cmd.CombinedOutput()
			if err == nil || !strings.Contains(string(out), c.says) {
				t.Errorf("got %v: %s", err, out)
			}
		})
	}
}

// TestOwnCertificate: with files of the operator's there is no CA to tell of.
func TestOwnCertificate(t *testing.T) {
	t.Parallel()
	cert, key := ownCertificate(t, "ssmrun.corp.test")
	s := testenv.Start(t, testenv.Options{Args: []string{"--tls-listen", "0.0.0.0:0", "--tls-cert", cert, "--tls-key", key}})
	if diff := cmp.Diff("", s.CAFile); diff != "" || !strings.HasPrefix(s.TLSEndpoint, "https://ssmrun.corp.test:") {
		t.Errorf("the ready file: %+v", s.Info)
	}
	if _, err := os.Stat(filepath.Join(s.Data, "ca-key.pem")); err == nil {
		t.Error("a CA was made")
	}
	info := s.Info
	info.TLSEndpoint = strings.Replace(s.TLSEndpoint, "ssmrun.corp.test", "127.0.0.1", 1)
	resp, err := tlsClient(t, info, cert).Get(s.TLSEndpoint)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
}
