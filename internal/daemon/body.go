package daemon

import (
	"errors"
	"io"
	"net/http"
	"os"
	"time"

	"ssmrun"
	"ssmrun/internal/awsapi"
)

// What a request may cost before it has proved anything, beside
// ssmrun.MaxBodyBytes. Uploads to the S3 endpoint have bounds of their own.
const (
	// maxHeaderBytes bounds the headers of a request.
	maxHeaderBytes = 64 << 10
	// maxUnsignedBody bounds the body of the one call that is not signed.
	maxUnsignedBody = 64 << 10
	// maxBodies bounds what the bodies of all calls have together that are being
	// read or answered; beyond it, who has sent smallBody already is refused, so
	// that large calls which do not end keep nobody from making small ones.
	maxBodies = 32 << 20
	smallBody = 64 << 10
	// headerTime is how long a TLS handshake, and then the headers of a request,
	// may take.
	headerTime = 10 * time.Second
	// bodyTime is how long the body of a call may take to come.
	bodyTime = 30 * time.Second
)

// deadline bounds the time in which what is still to be read of the request has
// to come; 0 for no bound.
func (q *request) deadline(d time.Duration) {
	at := time.Time{}
	if d > 0 {
		at = time.Now().Add(d) // of the connection: the clock that Config gives is not the network's
	}
	_ = http.NewResponseController(q.w).SetReadDeadline(at) // only tests have writers without one
}

// read reads the body of a call, up to limit bytes.
func (f *front) read(q *request, limit int64) error {
	tooLarge := ssmrun.Errorf(awsapi.CodeEntityTooLarge, "The request has more than %d bytes, which is the limit for a call.", limit)
	if q.r.ContentLength > limit {
		return tooLarge
	}
	b, err := io.ReadAll(&countedBody{Reader: http.MaxBytesReader(q.w, q.r.Body, limit), q: q, f: f})
	if err != nil {
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return tooLarge
		}
		var coded *ssmrun.Error
		switch {
		case errors.As(err, &coded):
			return err
		case errors.Is(err, os.ErrDeadlineExceeded):
			return &ssmrun.Error{Code: codeRequestTimeout, Message: "The body did not come in time.", Err: err}
		}
		return &ssmrun.Error{Code: ssmrun.CodeSerialization, Message: "The body could not be read.", Err: err}
	}
	q.body = b
	q.deadline(0)
	return nil
}

// codeRequestTimeout refuses a body that takes too long, as S3 does; AWS's other
// services were not seen to.
const codeRequestTimeout ssmrun.Code = "RequestTimeout"

// countedBody counts what is read among all that is held.
type countedBody struct {
	io.Reader
	q *request
	f *front
}

// Read implements io.Reader.
func (c *countedBody) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.q.held += int64(n)
	if c.f.bodies.Add(int64(n)) > maxBodies && c.q.held > smallBody {
		return n, ssmrun.Errorf(ssmrun.CodeUnavailable, "The service is busy with other calls. Try again.")
	}
	return n, err
}

// letGo gives back what a request held.
func (f *front) letGo(q *request) { f.bodies.Add(-q.held) }
