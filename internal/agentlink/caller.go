package agentlink

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"ssmrun/internal/wire"
)

const (
	callTimeout = 15 * time.Second
	// pollTimeout is for a call that the service answers when there is something
	// to say; it holds it for 18 s at most.
	pollTimeout = 25 * time.Second
	// maxSkew is how far the host's clock may be from the service's Date header
	// before requests are signed with the service's time. Services refuse
	// signatures that are five minutes off.
	maxSkew = 2 * time.Minute
)

// APIError is a refusal of the service.
type APIError struct {
	Operation string
	Status    int    // HTTP
	Code      string // AccessDeniedException; "" where the answer named none
	Message   string
	// RetryAfter is when the service wants to be asked again; 0 where it did not
	// say.
	RetryAfter time.Duration
}

// Error spells operation, code and message.
func (e *APIError) Error() string {
	s := fmt.Sprintf("%s: the service answered %d", e.Operation, e.Status)
	if e.Code != "" {
		s += " " + e.Code
	}
	if e.Message != "" {
		s += ": " + e.Message
	}
	return s
}

// authCodes are the refusals that newer temporary keys may mend.
var authCodes = map[string]bool{
	"ExpiredTokenException": true, "ExpiredToken": true, "UnrecognizedClientException": true,
	"InvalidSignatureException": true, "InvalidClientTokenId": true, "IncompleteSignatureException": true,
}

// badKeys tells whether err says that the keys are not (or no longer) good.
func badKeys(err error) bool {
	e, ok := errors.AsType[*APIError](err)
	return ok && authCodes[e.Code]
}

// deniedCodes are the refusals of an instance.
var deniedCodes = map[string]bool{
	"AccessDeniedException": true, "AccessDenied": true, "MachineFingerprintDoesNotMatch": true, "InvalidInstanceId": true,
}

// Denied tells whether err says that the service does not take this instance:
// it was removed, or its key is not the registered one. Trying again soon does
// not help.
func Denied(err error) bool {
	e, ok := errors.AsType[*APIError](err)
	return ok && (deniedCodes[e.Code] || e.Operation == wire.OpRequestManagedInstanceRoleToken && authCodes[e.Code])
}

// Busy tells whether err says that the service has too much to do: it throttles,
// or is not available for the moment.
func Busy(err error) bool {
	e, ok := errors.AsType[*APIError](err)
	return ok && (e.Status == http.StatusTooManyRequests || e.Status == http.StatusServiceUnavailable ||
		strings.Contains(e.Code, "Throttl") || e.Code == "TooManyUpdates")
}

// Permanent tells whether err is a refusal of the request itself, which the same
// request will get again: 4xx but for throttling.
func Permanent(err error) bool {
	e, ok := errors.AsType[*APIError](err)
	return ok && e.Status >= 400 && e.Status < 500 && !Busy(err)
}

// caller makes calls to the service and knows how far its clock is away.
type caller struct {
	endpoint EndpointsSource
	http     *http.Client
	clock    func() time.Time
	skew     atomic.Int64 // nanoseconds to add to clock; 0 below maxSkew
}

func newCaller(endpoint EndpointsSource, client *http.Client, clock func() time.Time) *caller {
	if client == nil {
		client = NewHTTPClient()
	}
	if clock == nil {
		clock = time.Now
	}
	return &caller{endpoint: endpoint, http: client, clock: clock}
}

// now is the service's time as far as it is known.
func (c *caller) now() time.Time { return c.clock().Add(time.Duration(c.skew.Load())) }

// observe learns the skew from an answer and tells whether it changed enough
// that the same request may now be accepted.
func (c *caller) observe(h http.Header) (changed bool) {
	date, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		return false
	}
	skew := date.Sub(c.clock())
	if skew.Abs() < maxSkew {
		skew = 0
	}
	old := time.Duration(c.skew.Swap(int64(skew)))
	return (skew - old).Abs() >= maxSkew
}

// signer puts a signature on a request made at a time.
type signer func(r *http.Request, body []byte, now time.Time) error

// unsignedOf tells the region that a signature would have told.
func unsignedOf(region string) signer {
	return func(r *http.Request, _ []byte, _ time.Time) error {
		r.Header.Set(wire.HeaderRegion, region)
		return nil
	}
}

// call makes one JSON call of an operation of Systems Manager. An answer other
// than 200 is an *APIError.
func (c *caller) call(ctx context.Context, op string, in, out any, sign signer) error {
	return c.callService(ctx, ServiceSSM, op, in, out, sign)
}

// targets begin the X-Amz-Target of each service's calls.
var targets = map[string]string{ServiceSSM: wire.TargetSSM, ServiceLongPoll: wire.TargetMessageDelivery}

// callService is call for any service with JSON calls.
func (c *caller) callService(ctx context.Context, service, op string, in, out any, sign signer) error {
	body, err := wire.Marshal(in)
	if err != nil {
		return fmt.Errorf("encode %s: %w", op, err)
	}
	header := http.Header{"Content-Type": {wire.ContentType}, "X-Amz-Target": {targets[service] + op}}
	answer, err := c.post(ctx, request{service: service, op: op, path: "/", header: header, body: body, want: http.StatusOK}, sign)
	if err != nil {
		return err
	}
	if out == nil {
		return nil
	}
	if err := wire.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("read answer of %s: %w", op, err)
	}
	return nil
}

// request is a call before it is signed.
type request struct {
	service, op, path string
	header            http.Header
	body              []byte
	want              int // the status of an answer that is no refusal
}

// post makes one call and gives the body of its answer. A request that was
// refused by a service whose clock proves to be elsewhere is made once more with
// that clock.
func (c *caller) post(ctx context.Context, q request, sign signer) ([]byte, error) {
	timeout := callTimeout
	if q.op == wire.OpGetMessages {
		timeout = pollTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	for try := 0; ; try++ {
		status, header, answer, err := c.once(ctx, q, sign)
		if err != nil {
			return nil, err
		}
		skewed := c.observe(header)
		if status == q.want {
			return answer, nil
		}
		if skewed && try == 0 {
			continue
		}
		e := apiError(q.op, status, answer)
		e.RetryAfter = parseRetryAfter(header, c.now())
		return nil, e
	}
}

// where gives the address of a service.
func (c *caller) where(service string) (*url.URL, error) {
	raw, err := c.endpoint(service)
	if err != nil {
		return nil, fmt.Errorf("find the service: %w", err)
	}
	return ParseEndpoint(raw)
}

func (c *caller) once(ctx context.Context, q request, sign signer) (int, http.Header, []byte, error) {
	u, err := c.where(q.service)
	if err != nil {
		return 0, nil, nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String()+q.path, bytes.NewReader(q.body))
	if err != nil {
		return 0, nil, nil, fmt.Errorf("make request of %s: %w", q.op, err)
	}
	maps.Copy(r.Header, q.header)
	r.Header.Set("User-Agent", userAgent)
	if err := sign(r, q.body, c.now()); err != nil {
		return 0, nil, nil, fmt.Errorf("sign %s: %w", q.op, err)
	}
	resp, err := c.http.Do(r)
	if err != nil {
		return 0, nil, nil, connectError("call "+q.op, u.Host, err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, wire.MaxPayloadBytes+1))
	if err != nil && resp.StatusCode < 300 {
		return 0, nil, nil, fmt.Errorf("read answer of %s: %w", q.op, err)
	}
	// A refusal counts by its status. What speaks TLS refuses plain HTTP so, and
	// cuts the connection, often before its words are there.
	if err != nil && len(answer) == 0 && u.Scheme == "http" && resp.StatusCode == http.StatusBadRequest {
		answer = []byte(plainToTLS)
	}
	return resp.StatusCode, resp.Header, answer, nil
}

// maxMessage bounds what is told of a refusal, in bytes. The service's own are
// shorter, the lines that mend it included.
const maxMessage = 800

const userAgent = "ssmrun-agent"

// plainToTLS is what Go's servers, and others, tell of plain HTTP at their port
// for TLS.
const plainToTLS = "HTTP request to an HTTPS server"

// apiError reads a refusal: JSON, or the XML of the control channel.
func apiError(op string, status int, body []byte) *APIError {
	e := &APIError{Operation: op, Status: status}
	var b wire.ErrorBody
	if err := wire.Unmarshal(body, &b); err == nil {
		e.Code, e.Message = b.Type, b.Message
		if i := strings.LastIndexByte(e.Code, '#'); i >= 0 {
			e.Code = e.Code[i+1:]
		}
	} else {
		e.Code, e.Message = wire.DecodeChannelError(body)
	}
	if e.Code == "" && bytes.Contains(body, []byte(plainToTLS)) {
		e.Message = "the service speaks TLS there: its endpoint begins with https://"
	}
	if len(e.Message) > maxMessage {
		e.Message = e.Message[:maxMessage]
	}
	return e
}
