package output

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

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

// errUnreadable is a part that cannot be read back from the disk.
var errUnreadable = errors.New("what was kept cannot be read")

// errLate is why uploads end that take too long after the end of their script.
var errLate = errors.New("S3 did not take it in time")

// fail words an error for whoever sent the command. ctx is that of the upload:
// its end may be the cause.
func (u *Uploader) fail(ctx context.Context, bucket, key string, err error) *Error {
	e := &Error{Bucket: bucket, Key: key, Err: err}
	var api smithy.APIError
	var resp *smithyhttp.ResponseError
	switch cause := context.Cause(ctx); {
	case cause != nil && !errors.Is(cause, errLate):
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
		case "InsufficientStorage":
			e.Reason += " (the S3 endpoint's disk is full: free some space there)"
		}
	case cause != nil, errors.Is(err, context.DeadlineExceeded):
		e.Reason = errLate.Error()
	case errors.As(err, &resp) && statusCode(err) != 0:
		e.Reason = fmt.Sprintf("S3 answered %d", resp.HTTPStatusCode())
	case unreachable(err) != "":
		e.Reason = unreachable(err)
	default:
		e.Reason = innermost(err).Error()
	}
	u.cfg.Logger.Error("upload of output failed", "bucket", bucket, "key", key, "error", err)
	return e
}

// unreachable says that S3 could not be asked, and where; "" where it answered.
func unreachable(err error) string {
	call, ok := errors.AsType[*url.Error](err)
	if !ok {
		return ""
	}
	host := call.URL
	if u, err := url.Parse(call.URL); err == nil {
		host = u.Host
	}
	return fmt.Sprintf("S3 cannot be reached at %s: %v (--s3-endpoint names another)", host, call.Err)
}

// final tells whether trying again later is of no use: S3 has refused the
// request, for another reason than that it is busy or that the keys ran out in
// between, or the part cannot be read any more.
func final(err error) bool {
	if errors.Is(err, errUnreadable) {
		return true
	}
	switch errorCode(err) {
	case "ExpiredToken", "InvalidToken", "TokenRefreshRequired", "InvalidAccessKeyId", "RequestTimeTooSkewed",
		"RequestTimeout", "OperationAborted", "SlowDown":
		return false
	}
	status := statusCode(err)
	return status >= 300 && status < 500 && status != http.StatusRequestTimeout && status != http.StatusTooManyRequests
}

// errorCode is S3's code of an error, "" where it has none.
func errorCode(err error) string {
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		return api.ErrorCode()
	}
	return ""
}

// statusCode is the status of the answer that an error is, 0 where none came.
func statusCode(err error) int {
	var resp *smithyhttp.ResponseError
	if errors.As(err, &resp) && resp.Response != nil {
		return resp.HTTPStatusCode()
	}
	return 0
}

// bucketRegion reads from a refusal where the bucket is; "" where it does not say.
func bucketRegion(err error) string {
	var resp *smithyhttp.ResponseError
	if errors.As(err, &resp) && resp.Response != nil && resp.HTTPStatusCode() >= 300 {
		return resp.Response.Header.Get("X-Amz-Bucket-Region")
	}
	return ""
}
