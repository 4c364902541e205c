package objects

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"ssmrun"
)

const (
	regionA = "us-east-1"
	regionB = "eu-west-1"
	domain  = "s3.lab.test"

	accessKey, secretKey = "AKIAOBJECTSTESTKEY01", "an/open+secret"
	tempKey, tempSecret  = "ASIAOBJECTSTESTKEY01", "a/temporary+secret"
	goodToken            = "IQo+good/token=="
	expiredToken         = "IQo+expired/token=="
	brokenToken          = "IQo+broken/token=="
	callerToken          = "IQo+caller/token=="
)

// testConfig is a Config with one permanent and one temporary key.
func testConfig(dir string) Config {
	return Config{
		Dir:     dir,
		Regions: []string{regionA, regionB},
		Domains: []string{domain, "s3." + regionB + ".lab.test"},
		Keys: func(id string) (string, bool) {
			return secretKey, id == accessKey
		},
		TemporarySecret: func(_ context.Context, id, token string) (string, error) {
			switch {
			case id != tempKey:
				return "", ssmrun.ErrNotFound
			case token == expiredToken:
				return "", ssmrun.Errorf(ssmrun.CodeExpiredToken, "expired")
			case token == brokenToken:
				return "", errors.New("the database is away")
			case token != goodToken && token != callerToken:
				return "", ssmrun.Errorf(ssmrun.CodeUnrecognizedClient, "no such token")
			}
			return tempSecret, nil
		},
		FullAccess: func(token string) bool { return token == callerToken },
		Logger:     slog.New(slog.DiscardHandler),
	}
}

// endpoint is a running server behind a real listener.
type endpoint struct {
	*Server
	url  string
	addr string
}

// start runs a server of its own for a test that cannot share one. Such a test
// is not parallel: the server owns the process's working directory.
func start(tb testing.TB, cfg Config) *endpoint {
	tb.Helper()
	s, err := Start(context.Background(), cfg)
	if err != nil {
		tb.Fatal(err)
	}
	web := httptest.NewServer(s.Handler())
	tb.Cleanup(func() {
		web.Close()
		if err := s.Stop(context.Background()); err != nil {
			tb.Errorf("stop: %v", err)
		}
	})
	return &endpoint{Server: s, url: web.URL, addr: web.Listener.Addr().String()}
}

// sharing is the server that parallel tests use together. It runs only while one
// of them does, so that the working directory is the package's again afterwards.
var sharing struct {
	sync.Mutex
	users  int
	server *Server
	web    *httptest.Server
	dir    string
	bucket atomic.Int64
}

// shared gives the shared endpoint and a fresh bucket in regionA.
func shared(t *testing.T) (*endpoint, string) {
	t.Helper()
	sh := &sharing
	sh.Lock()
	defer sh.Unlock()
	if sh.users == 0 {
		dir, err := os.MkdirTemp("", "objects-test-")
		if err != nil {
			t.Fatal(err)
		}
		s, err := Start(context.Background(), testConfig(filepath.Join(dir, "objects")))
		if err != nil {
			t.Fatal(err)
		}
		sh.server, sh.web, sh.dir = s, httptest.NewServer(s.Handler()), dir
	}
	sh.users++
	t.Cleanup(func() {
		sh.Lock()
		defer sh.Unlock()
		if sh.users--; sh.users > 0 {
			return
		}
		sh.web.Close()
		if err := sh.server.Stop(context.Background()); err != nil {
			t.Errorf("stop: %v", err)
		}
		if err := os.RemoveAll(sh.dir); err != nil {
			t.Error(err)
		}
	})
	e := &endpoint{Server: sh.server, url: sh.web.URL, addr: sh.web.Listener.Addr().String()}
	bucket := fmt.Sprintf("outputs-%d", sh.bucket.Add(1))
	if err := e.EnsureBucket(t.Context(), bucket, regionA); err != nil {
		t.Fatal(err)
	}
	return e, bucket
}

// as changes how a client is made.
type as func(*s3.Options)

func asTemporary(token string) as {
	return func(o *s3.Options) {
		o.Credentials = credentials.NewStaticCredentialsProvider(tempKey, tempSecret, token)
	}
}

func asKey(id, secret, token string) as {
	return func(o *s3.Options) { o.Credentials = credentials.NewStaticCredentialsProvider(id, secret, token) }
}

func inRegion(region string) as { return func(o *s3.Options) { o.Region = region } }

// asVirtualHost addresses buckets as BUCKET.host, which needs no name service here.
func (e *endpoint) asVirtualHost(host string) as {
	return func(o *s3.Options) {
		o.UsePathStyle = false
		o.BaseEndpoint = aws.String("http://" + host)
		dial := (&net.Dialer{}).DialContext
		o.HTTPClient = &http.Client{Transport: &http.Transport{
			DisableKeepAlives: true,
			DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				return dial(ctx, network, e.addr)
			},
		}}
	}
}

// client is the SDK's client, by default with the permanent key, in regionA, by path,
// without repeats, so that a failure is seen.
func (e *endpoint) client(opts ...as) *s3.Client {
	o := s3.Options{
		Region:           regionA,
		BaseEndpoint:     aws.String(e.url),
		UsePathStyle:     true,
		Credentials:      credentials.NewStaticCredentialsProvider(accessKey, secretKey, ""),
		RetryMaxAttempts: 1,
	}
	for _, opt := range opts {
		opt(&o)
	}
	return s3.New(o)
}

// status gives the HTTP status and S3 code of an SDK error, 0 and "" for nil.
func status(err error) (int, string) {
	if err == nil {
		return 0, ""
	}
	code := ""
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		code = api.ErrorCode()
	}
	var withStatus interface{ HTTPStatusCode() int }
	if errors.As(err, &withStatus) {
		return withStatus.HTTPStatusCode(), code
	}
	return -1, code
}

// want fails unless err is an answer with the status and, where one is given, the code.
func want(t *testing.T, err error, wantStatus int, wantCode string) {
	t.Helper()
	st, code := status(err)
	if st != wantStatus || wantCode != "" && code != wantCode {
		t.Errorf("got status %d, code %q, want %d, %q (error: %v)", st, code, wantStatus, wantCode, err)
	}
}

func put(t testing.TB, c *s3.Client, bucket, key, body string) {
	t.Helper()
	_, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: strings.NewReader(body)})
	if err != nil {
		t.Fatalf("put %s/%s: %v", bucket, key, err)
	}
}

// responseHeader gives a header of the answer that an SDK error is about.
func responseHeader(err error, name string) string {
	var resp *smithyhttp.ResponseError
	if !errors.As(err, &resp) {
		return ""
	}
	return resp.Response.Header.Get(name)
}

func sha256hex(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// waitFor polls what the server's lock guards.
func (e *endpoint) waitFor(t *testing.T, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(20 * time.Second); ; {
		e.mu.Lock()
		ok := cond()
		e.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("it did not come to that in 20 s")
		}
	}
}
