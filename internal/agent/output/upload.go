// Package output is part of step 7 of a run: whole outputs of steps, on their
// way into S3. Package agent gives it what scripts write, and it calls S3 with
// the instance's temporary keys.
//
// An output is written to a file until a part is full. The part goes up while
// the script goes on with the next one, and its file is removed. What was never
// more than a part goes up at the end, in one piece:
//
//	Write ─► file ─full─► waiting ─► UploadPart ─► removed        CompleteMultipartUpload
//	           └─ end, and it is the only one ─► PutObject
//
// Nothing of it is held in memory, and a slow S3 never holds the script: what
// waits lies on disk, up to a limit.
package output

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"ssmrun/internal/agentlink"
)

const (
	// patience is how long an upload may take at least, and slowest how many
	// bytes per second extend it.
	patience = 60 * time.Second
	slowest  = 1 << 20
	attempts = 4
	// abortTime bounds the call that gives an upload up.
	abortTime = 5 * time.Second
)

// Config is what an Uploader needs.
type Config struct {
	// Credentials gives the instance's temporary keys. It is asked before every
	// request.
	Credentials func(context.Context) (agentlink.Credentials, error)
	// Endpoint tells where S3 is: a URL, or "" for AWS's own in Region.
	Endpoint agentlink.EndpointSource
	Region   string
	// Notes is a folder that keeps which uploads in parts are open, for Tidy; ""
	// keeps it nowhere.
	Notes  string
	HTTP   *http.Client // like agentlink.NewHTTPClient's where nil
	Logger *slog.Logger // nil discards
}

// Uploader puts outputs into buckets.
type Uploader struct{ cfg Config }

// New makes an Uploader.
func New(cfg Config) *Uploader {
	if cfg.HTTP == nil {
		cfg.HTTP = agentlink.NewHTTPClient()
		// S3 may take its time to put a large object together. Every call has a
		// deadline of its own, by its size.
		if t, ok := cfg.HTTP.Transport.(*http.Transport); ok {
			t.ResponseHeaderTimeout = 0
			t.MaxIdleConnsPerHost = 2 * senders // of both streams of a step
		}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Uploader{cfg: cfg}
}

// timeFor is how long a call may take that moves so many bytes.
func timeFor(bytes int64) time.Duration {
	return patience + time.Duration(bytes/slowest)*time.Second
}

// client makes a client for one call: the endpoint may have moved since the last.
func (u *Uploader) client(region string) (*s3.Client, error) {
	endpoint, err := u.cfg.Endpoint()
	if err != nil {
		return nil, fmt.Errorf("find S3: %w", err)
	}
	o := s3.Options{
		Region:     region,
		HTTPClient: u.cfg.HTTP,
		Credentials: aws.CredentialsProviderFunc(func(ctx context.Context) (aws.Credentials, error) {
			c, err := u.cfg.Credentials(ctx)
			return aws.Credentials{
				AccessKeyID: c.AccessKeyID, SecretAccessKey: c.SecretAccessKey, SessionToken: c.SessionToken,
				CanExpire: true, Expires: c.Expires,
			}, err
		}),
		Retryer: retry.NewStandard(func(o *retry.StandardOptions) { o.MaxAttempts, o.MaxBackoff = attempts, 5*time.Second }),
		// Not every S3 takes the trailing checksums that the SDK would send; the
		// signature covers the body.
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired,
		ResponseChecksumValidation: aws.ResponseChecksumValidationWhenRequired,
	}
	if endpoint != "" {
		base, err := agentlink.ParseEndpoint(endpoint)
		if err != nil {
			return nil, fmt.Errorf("find S3: %w", err)
		}
		o.BaseEndpoint = aws.String(base.String())
		o.UsePathStyle = pathStyle(base)
	}
	return s3.New(o), nil
}

// pathStyle tells whether buckets are in the path: always where the host is an
// address, which has no subdomains, and wherever it is not AWS.
func pathStyle(u *url.URL) bool {
	host := u.Hostname()
	if net.ParseIP(host) != nil {
		return true
	}
	return !strings.HasSuffix(host, ".amazonaws.com") && !strings.HasSuffix(host, ".amazonaws.com.cn")
}

func innermost(err error) error {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err
		}
		err = next
	}
}
