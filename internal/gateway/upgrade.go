package gateway

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
)

// What a channel's connection has for buffers. net/http's are 4 KiB each, which an
// idle agent would hold as long as it is there. These hold what most agents say at
// a time, and the job of an ordinary command; of what is longer, the rest goes past
// the buffer.
const (
	readBuffer  = 1 << 10
	writeBuffer = 2 << 10
)

// upgrade is the answer to a request that becomes a websocket: its connection is
// handed over with small buffers.
type upgrade struct{ http.ResponseWriter }

// Unwrap lets http.ResponseController through.
func (u upgrade) Unwrap() http.ResponseWriter { return u.ResponseWriter }

// Hijack implements http.Hijacker. What has come already, after the request, is in
// the buffer that it gives, as it was in net/http's.
func (u upgrade) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(u.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	early, err := rw.Reader.Peek(rw.Reader.Buffered())
	if err == nil {
		err = rw.Writer.Flush()
	}
	if err != nil {
		_ = conn.Close()
		return nil, nil, fmt.Errorf("take over the connection: %w", err)
	}
	r := bufio.NewReaderSize(io.MultiReader(bytes.NewReader(bytes.Clone(early)), conn), max(readBuffer, len(early)))
	if _, err := r.Peek(len(early)); err != nil {
		_ = conn.Close()
		return nil, nil, fmt.Errorf("take over the connection: %w", err)
	}
	return conn, bufio.NewReadWriter(r, bufio.NewWriterSize(conn, writeBuffer)), nil
}
