// Package output is part of step 7 of a run: whole outputs of steps, on their
// way into S3. Package agent captures them in files and calls it; it calls S3
// with the instance's temporary keys.
package output

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"ssmrun/internal/agentlink"
)

const (
	// partSize is how much goes into one request; what is larger goes up in
	// parts, so that a broken connection repeats one part and not all.
	partSize = 16 << 20
	// patience is how long an upload may take at least, and slowest how many
	// bytes per second extend it.
	patience = 60 * time.Second
	slowest  = 1 << 20
	attempts = 4
)

// Config is what an Uploader needs.
type Config struct {
	// Credentials gives the instance's temporary keys.
	Credentials func(context.Context) (agentlink.Credentials, error)
	// Endpoint tells where S3 is: a URL, or "" for AWS's own in Region.
	Endpoint agentlink.EndpointSource
	Region   string
	HTTP     *http.Client // agentlink.NewHTTPClient where nil
	Logger   *slog.Logger
}

// Uploader puts files into buckets.
type Uploader struct{ cfg Config }

// New makes an Uploader.
func New(cfg Config) *Uploader {
	if cfg.HTTP == nil {
		cfg.HTTP = agentlink.NewHTTPClient()
	}
	return &Uploader{cfg: cfg}
}

// Error is an upload that failed, with a text for whoever sent the command.
type Error struct {
	Bucket, Key string
	Reason      string // public
	Err         error
}

// Error implements error.
func (e *Error) Error() string {
	return fmt.Sprintf("upload to s3://%s/%s failed: %s", e.Bucket, e.Key, e.Reason)
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Upload puts a file's first size bytes into a bucket, whole. It gives up after
// a minute and a second per MiB. Every error is an *Error.
func (u *Uploader) Upload(ctx context.Context, bucket, key, file string, size int64) error {
	ctx, cancel := context.WithTimeout(ctx, patience+time.Duration(size/slowest)*time.Second)
	defer cancel()
	f, err := os.Open(file)
	if err != nil {
		return u.fail(bucket, key, err)
	}
	defer f.Close()
	region := u.cfg.Region
	for redirected := false; ; redirected = true {
		client, err := u.client(region)
		if err == nil {
			err = put(ctx, client, bucket, key, f, size)
		}
		if err == nil {
			return nil
		}
		// A bucket in another region says where it is.
		if other := bucketRegion(err); !redirected && other != "" && other != region {
			region = other
			continue
		}
		return u.fail(bucket, key, err)
	}
}

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

func put(ctx context.Context, c *s3.Client, bucket, key string, f io.ReaderAt, size int64) error {
	const contentType = "text/plain"
	if size <= partSize {
		_, err := c.PutObject(ctx, &s3.PutObjectInput{
			Bucket: aws.String(bucket), Key: aws.String(key), ContentType: aws.String(contentType),
			Body: io.NewSectionReader(f, 0, size), ContentLength: aws.Int64(size),
		})
		return err
	}
	up, err := c.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{
		Bucket: aws.String(bucket), Key: aws.String(key), ContentType: aws.String(contentType),
	})
	if err != nil {
		return err
	}
	parts, err := putParts(ctx, c, bucket, key, up.UploadId, f, size)
	if err == nil {
		_, err = c.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
			Bucket: aws.String(bucket), Key: aws.String(key), UploadId: up.UploadId,
			MultipartUpload: &types.CompletedMultipartUpload{Parts: parts},
		})
	}
	if err != nil {
		// Parts that nobody completes cost their owner for ever.
		actx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		_, _ = c.AbortMultipartUpload(actx, &s3.AbortMultipartUploadInput{Bucket: aws.String(bucket), Key: aws.String(key), UploadId: up.UploadId})
	}
	return err
}

func putParts(ctx context.Context, c *s3.Client, bucket, key string, id *string, f io.ReaderAt, size int64) ([]types.CompletedPart, error) {
	var parts []types.CompletedPart
	for at := int64(0); at < size; at += partSize {
		n := min(partSize, size-at)
		number := aws.Int32(int32(len(parts) + 1))
		out, err := c.UploadPart(ctx, &s3.UploadPartInput{
			Bucket: aws.String(bucket), Key: aws.String(key), UploadId: id, PartNumber: number,
			Body: io.NewSectionReader(f, at, n), ContentLength: aws.Int64(n),
		})
		if err != nil {
			return nil, err
		}
		parts = append(parts, types.CompletedPart{ETag: out.ETag, PartNumber: number})
	}
	return parts, nil
}

// bucketRegion reads from a refusal where the bucket is; "" where it does not say.
func bucketRegion(err error) string {
	var resp *smithyhttp.ResponseError
	if errors.As(err, &resp) && resp.Response != nil && resp.HTTPStatusCode() >= 300 {
		return resp.Response.Header.Get("X-Amz-Bucket-Region")
	}
	return ""
}

// fail words an error for whoever sent the command.
func (u *Uploader) fail(bucket, key string, err error) error {
	e := &Error{Bucket: bucket, Key: key, Err: err}
	var api smithy.APIError
	var resp *smithyhttp.ResponseError
	switch {
	case errors.Is(err, context.Canceled):
		e.Reason = "the agent was stopped"
	case errors.As(err, &api):
		e.Reason = api.ErrorCode()
		if m := api.ErrorMessage(); m != "" {
			e.Reason += ": " + m
		}
		switch api.ErrorCode() {
		case "AccessDenied":
			e.Reason += " (the instance's role needs s3:PutObject on it)"
		case "NoSuchBucket":
			e.Reason += " (make the bucket, or name another)"
		}
	case errors.Is(err, context.DeadlineExceeded):
		e.Reason = "S3 did not take it in time"
	case errors.As(err, &resp):
		e.Reason = fmt.Sprintf("S3 answered %d", resp.HTTPStatusCode())
	default:
		e.Reason = innermost(err).Error()
	}
	if u.cfg.Logger != nil {
		u.cfg.Logger.Error("upload of output failed", "bucket", bucket, "key", key, "error", err)
	}
	return e
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
