package runner

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/http/httptrace"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

const (
	// sendAttempts is how often SendCommand is tried where the client's own
	// configuration does not say.
	sendAttempts = 8
	// dialAttempts bounds the tries that found no connection: a wrong address
	// should not take a minute to be noticed.
	dialAttempts = 4
	// attemptTimeout bounds one try. What it cuts off may have been accepted.
	attemptTimeout = 45 * time.Second
	// sendGrace is how long a try that is on its way may take to be answered
	// after an interrupt: an answer tells what to cancel.
	sendGrace = 5 * time.Second
)

// attempts is the retryer of SendCommand, one for every call. The SDK's own
// repeats a call after a reset connection or a 500, when the service may long
// have accepted it: SendCommand carries no client token, so the script would
// run twice. This one repeats only what certainly was not accepted, and keeps
// that verdict for the caller.
type attempts struct {
	interrupted <-chan struct{} // the run's context
	max         int

	mu        sync.Mutex
	connected bool // this try got a connection
	asked     bool // this try asked for one
	open      bool // a try is on its way
	judged    bool
	ambiguous bool // a try may have been accepted
	dials     int
}

// trace makes the transport tell whether a try got a connection. Without one
// not a byte was sent, whatever the error looks like.
func (a *attempts) trace(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn: func(string) {
			a.mu.Lock()
			defer a.mu.Unlock()
			a.asked, a.connected = true, false
		},
		GotConn: func(httptrace.GotConnInfo) {
			a.mu.Lock()
			defer a.mu.Unlock()
			a.connected = true
		},
	})
}

// options puts the retryer and the bound of one try into a call.
func (a *attempts) options(o *ssm.Options) {
	a.max = sendAttempts
	if o.RetryMaxAttempts > 0 {
		a.max = o.RetryMaxAttempts
	}
	o.Retryer = a
	o.APIOptions = append(o.APIOptions, func(stack *middleware.Stack) error {
		return stack.Finalize.Insert(middleware.FinalizeMiddlewareFunc("SsmrunAttempt", func(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (middleware.FinalizeOutput, middleware.Metadata, error) {
			a.begin()
			ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
			defer cancel()
			return next.HandleFinalize(ctx, in)
		}), "Retry", middleware.After)
	})
}

func (a *attempts) begin() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.open, a.asked, a.connected = true, false, false
}

// underway tells whether a try is on its way.
func (a *attempts) underway() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.open
}

// mayBeAccepted tells, after the call has failed with err, whether one of its
// tries may have been accepted.
func (a *attempts) mayBeAccepted(err error) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.judged {
		return a.ambiguous
	}
	return !refused(err, a.asked, a.connected)
}

// IsErrorRetryable judges a try that failed.
func (a *attempts) IsErrorRetryable(err error) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.open, a.judged = false, true
	if !refused(err, a.asked, a.connected) {
		a.ambiguous = true
		return false
	}
	select {
	case <-a.interrupted:
		return false
	default:
	}
	f := faultOf(err)
	var skew interface{ RetryableError() bool }
	switch {
	case f.throttled:
		return true
	case errors.As(err, &skew) && skew.RetryableError():
		// The SDK has learnt the service's clock from the refusal.
		return true
	case f.class == KindUnreachable && worthDialling(err):
		a.dials++
		return a.dials < dialAttempts
	}
	return false
}

// refused tells whether a try that failed with err certainly was not accepted.
func refused(err error, asked, connected bool) bool {
	f := faultOf(err)
	if f.throttled || f.unaccepted {
		return true
	}
	if f.status != 0 {
		// 408: something on the way gave up waiting, for whom is not known.
		return f.status >= 300 && f.status < 500 && f.status != 408
	}
	if asked {
		return !connected
	}
	var ae smithy.APIError
	var send *smithyhttp.RequestSendError
	var op *net.OpError
	switch {
	case errors.As(err, &ae):
		return ae.ErrorFault() == smithy.FaultClient
	case errors.As(err, &op) && op.Op == "dial":
		return true
	case f.class == KindCredentials, missingRegion(err):
		return true
	case errors.As(err, &send), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return false
	}
	// It did not come as far as the transport: it could not be written or signed.
	var op2 *smithy.OperationError
	return errors.As(err, &op2)
}

// worthDialling tells whether a connection that failed may come about later:
// not where the name or the certificate is wrong.
func worthDialling(err error) bool {
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		return !dns.IsNotFound
	}
	return !badCertificate(err)
}

// MaxAttempts bounds the tries.
func (a *attempts) MaxAttempts() int { return a.max }

// RetryDelay grows from 0.2 s where there was no connection and from 1 s where
// the service throttles, doubling up to 20 s, of which a random part is taken.
func (a *attempts) RetryDelay(attempt int, err error) (time.Duration, error) {
	base := time.Second
	switch f := faultOf(err); {
	case f.throttled:
	case f.class == KindUnreachable:
		base = 200 * time.Millisecond
	default:
		return 0, nil
	}
	return jitter(min(base<<min(max(attempt-1, 0), 10), 20*time.Second)), nil
}

// GetRetryToken always has one: a run's budget is its number of tries.
func (a *attempts) GetRetryToken(context.Context, error) (func(error) error, error) {
	return func(error) error { return nil }, nil
}

// GetAttemptToken always has one.
func (a *attempts) GetAttemptToken(context.Context) (func(error) error, error) {
	return func(error) error { return nil }, nil
}

// GetInitialToken always has one.
func (a *attempts) GetInitialToken() func(error) error {
	return func(error) error { return nil }
}

// jitter takes between half and all of d, so that many callers that were
// throttled together do not come back together.
func jitter(d time.Duration) time.Duration {
	return d/2 + time.Duration(rand.Int64N(int64(d/2)+1))
}
