package objects

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"slices"
	"strings"
	"sync"
	"time"

	"ssmrun"
)

// maxInFlight bounds the requests that one gateway works on, and with them file
// descriptors (up to a dozen each) and buffers of a mebibyte. More wait in
// Handler, where they cost little, until their client gives up.
const maxInFlight = 128

// regionHeader tells in which region a bucket is.
const regionHeader = "x-amz-bucket-region"

// handler is the front: it refuses what needs no secret to be refused and passes
// the rest on.
type handler struct {
	server *Server
}

// ServeHTTP answers a request in S3's REST protocol.
func (h handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s := h.server
	leave, ok := s.enter()
	if !ok {
		errStopped.write(w, r)
		return
	}
	defer leave()
	t, refused := parseTarget(r, s.cfg.Domains)
	if refused == nil {
		at := s.store.region(t.bucket)
		if refused = s.refuse(r, &t, at); refused != nil && at != "" {
			w.Header().Set(regionHeader, at) // as S3 does, for clients that look for the region
		}
	}
	if refused != nil {
		s.log.Debug("S3 request refused", "method", r.Method, "bucket", t.bucket, "code", refused.code,
			"access_key_id", t.accessKeyID, "region", t.region)
		refused.write(w, r)
		return
	}
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	defer context.AfterFunc(s.ctx, func() {
		cancel(context.Cause(s.ctx))
		// The proxy waits for its reader of the body, which knows no context.
		conn := http.NewResponseController(w)
		_ = conn.SetReadDeadline(time.Now())
		_ = conn.SetWriteDeadline(time.Now().Add(time.Second))
	})()
	r = r.WithContext(context.WithValue(ctx, targetKey{}, &t))
	if err := readAhead(r); err != nil {
		errIncompleteBody.write(w, r) // to nobody, most likely
		return
	}
	s.gateway(&t).proxy.ServeHTTP(w, r)
}

// ahead is what the gateway reads of a body before it looks at the request; an
// error there it prints to standard error.
const ahead = 8 << 10

// readAhead reads the beginning of the body before the gateway is bothered with
// the request, so that a client that goes away, or is slow with a small body, is
// dealt with here.
func readAhead(r *http.Request) error {
	if r.ContentLength <= 0 {
		return nil
	}
	begin := make([]byte, min(r.ContentLength, ahead))
	if _, err := io.ReadFull(r.Body, begin); err != nil {
		return fmt.Errorf("read the body: %w", err)
	}
	r.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(begin), r.Body), r.Body}
	return nil
}

// targetKey carries the target to the proxy's look at the answer.
type targetKey struct{}

// refuse gives the reason why a request is not passed on, nil where there is
// none. at is the region of the bucket, "" where there is no bucket.
func (s *Server) refuse(r *http.Request, t *target, at string) *refusal {
	creates := t.createsBucket(r.Method)
	switch {
	case !t.signed:
		return errAnonymous
	case r.Method == http.MethodPost && strings.HasPrefix(r.Header.Get("Content-Type"), "multipart/form-data"):
		return errFormUpload // it carries credentials of its own, which nothing here has looked at
	case t.region != "" && !slices.Contains(s.cfg.Regions, t.region):
		if at == "" {
			at = s.cfg.Regions[0]
		}
		return errWrongRegion(t.region, at)
	case t.region != "" && at != "" && at != t.region && !creates:
		return errOtherRegion(t.bucket, at)
	case t.temporary && !s.full(t) && !t.uploads(r.Method, r.Header):
		return errUploadOnly
	case creates:
		if err := ssmrun.CheckBucketName(t.bucket); err != nil {
			return errBucketName(t.bucket, err)
		}
	}
	return nil
}

// full tells whether the temporary key of a request may do everything. Of more
// than one token nobody knows which the gateway takes.
func (s *Server) full(t *target) bool {
	return len(t.tokens) == 1 && s.cfg.FullAccess != nil && s.cfg.FullAccess(t.tokens[0])
}

// newProxy passes requests on to the gateway behind a socket, unchanged in all
// that a signature covers.
func newProxy(socket string, store *store, log *slog.Logger) *httputil.ReverseProxy {
	dialer := &net.Dialer{Timeout: 10 * time.Second}
	return &httputil.ReverseProxy{
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return dialer.DialContext(ctx, "unix", socket)
			},
			MaxConnsPerHost:     maxInFlight,
			MaxIdleConnsPerHost: 16,
			IdleConnTimeout:     30 * time.Second,
			DisableCompression:  true, // no Accept-Encoding of our own: it may be signed
			WriteBufferSize:     64 << 10,
			ReadBufferSize:      64 << 10,
		},
		Rewrite: func(p *httputil.ProxyRequest) {
			p.Out.URL.Scheme = "http"
			p.Out.URL.Host = "objects" // one pool of connections; the socket is dialled in any case
			p.Out.Host = p.In.Host
			p.Out.URL.RawQuery = p.In.URL.RawQuery // the proxy drops what it cannot parse, but it is signed
			// The server answered 100 Continue already when the proxy read the body.
			p.Out.Header.Del("Expect")
		},
		BufferPool: &buffers{},
		ErrorLog:   slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		ModifyResponse: func(resp *http.Response) error {
			t, ok := resp.Request.Context().Value(targetKey{}).(*target)
			if !ok {
				return errors.New("a request without a target")
			}
			resp.Header.Del("Server")
			resp.Header.Del("Date") // the server that Handler runs in sets its own
			for _, twice := range []string{"X-Amz-Request-Id", "X-Amz-Id-2"} {
				if values := resp.Header[twice]; len(values) > 1 {
					resp.Header[twice] = values[:1]
				}
			}
			if resp.Request.Method == http.MethodHead && t.key == "" && resp.Header.Get(regionHeader) == "" {
				if at := store.region(t.bucket); at != "" {
					resp.Header.Set(regionHeader, at)
				}
			}
			if resp.StatusCode == http.StatusNotImplemented && resp.Request.Method == http.MethodGet && t.key == "" && t.query.Has("encryption") {
				errNoEncryption.replace(resp)
			}
			level := slog.LevelDebug
			if resp.StatusCode >= http.StatusInternalServerError {
				level = slog.LevelWarn
			}
			log.Log(resp.Request.Context(), level, "S3 request", "method", resp.Request.Method, "bucket", t.bucket, "key", t.key,
				"status", resp.StatusCode, "access_key_id", t.accessKeyID, "region", t.region)
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if r.Context().Err() == nil {
				log.Warn("pass an S3 request on", "method", r.Method, "error", err)
			}
			errStopped.write(w, r)
		},
	}
}

// buffers lends the proxy the buffers with which it copies bodies.
type buffers struct{ pool sync.Pool }

// Get gives a buffer of 64 KiB.
func (b *buffers) Get() []byte {
	if p, ok := b.pool.Get().(*[]byte); ok {
		return *p
	}
	return make([]byte, 64<<10)
}

// Put takes a buffer back.
func (b *buffers) Put(p []byte) { b.pool.Put(&p) }
