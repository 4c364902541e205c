package objects

import (
	"errors"
	"io"

	"github.com/versity/versitygw/s3api/middlewares"
)

// whole gives a body that fails where it ends before length bytes were read. The
// gateway takes the end of a connection for the end of the body, and would keep
// half an object where the signature does not cover the payload. nil length: the
// body as it is.
func whole(body io.Reader, length *int64) io.Reader {
	if body == nil || length == nil {
		return body
	}
	b := &wholeBody{Reader: body, left: *length}
	if sums, ok := body.(middlewares.ChecksumReader); ok {
		return wholeSummedBody{b, sums}
	}
	return b
}

// errCutOff is the error of a body that ended too early.
var errCutOff = errors.New("the body ended too early")

type wholeBody struct {
	io.Reader

	left int64 // bytes that are still to come
}

// Read implements io.Reader.
func (b *wholeBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	b.left -= int64(n)
	if err == io.EOF && b.left > 0 {
		err = errCutOff
	}
	return n, err
}

// wholeSummedBody keeps what the store asks a body that carries its own checksum.
type wholeSummedBody struct {
	*wholeBody

	sums middlewares.ChecksumReader
}

// Algorithm implements middlewares.ChecksumReader.
func (b wholeSummedBody) Algorithm() string { return b.sums.Algorithm() }

// Checksum implements middlewares.ChecksumReader.
func (b wholeSummedBody) Checksum() string { return b.sums.Checksum() }
