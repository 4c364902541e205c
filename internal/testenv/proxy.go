package testenv

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// Fault is what a Proxy does with a call.
type Fault int

// The faults.
const (
	Pass       Fault = iota // nothing
	DropAnswer              // pass the call on, then cut the connection instead of answering
	Refuse                  // cut the connection without passing the call on
	Throttle                // answer ThrottlingException without passing it on
	Break                   // answer 500 without passing it on
	BreakAfter              // pass the call on, then answer 500
	Missing                 // answer InvocationDoesNotExist without passing it on
	Empty                   // answer empty lists without passing it on
)

// Proxy stands before a service and breaks calls, as networks do. AWS's own
// races are what `ssmrun serve --emulate aws-races` is for. The Host header is kept, so
// that signatures hold: clients sign for the proxy's address.
type Proxy struct {
	URL    string
	mu     sync.Mutex
	rules  map[string][]Fault
	always map[string]Fault
	seen   map[string]int
}

// NewProxy starts a proxy before a service.
func NewProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{rules: map[string][]Fault{}, always: map[string]Fault{}, seen: map[string]int{}}
	forward := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(u)
			r.Out.Host = r.In.Host
			r.Out.Header["X-Forwarded-For"] = nil
		},
	}
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.serve(w, r, forward)
	}))
	srv.Config.ErrorLog = nil
	srv.Start()
	t.Cleanup(srv.Close)
	p.URL = srv.URL
	return p
}

// Next makes the next calls of an operation fail in these ways, one each.
func (p *Proxy) Next(operation string, faults ...Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rules[operation] = append(p.rules[operation], faults...)
}

// Always makes every call of an operation fail; Pass ends it.
func (p *Proxy) Always(operation string, f Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.always[operation] = f
}

// Seen tells how many calls of an operation reached the proxy.
func (p *Proxy) Seen(operation string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seen[operation]
}

func (p *Proxy) fault(operation string) Fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen[operation]++
	if f, ok := p.always[operation]; ok && f != Pass {
		return f
	}
	list := p.rules[operation]
	if len(list) == 0 {
		return Pass
	}
	p.rules[operation] = list[1:]
	return list[0]
}

func (p *Proxy) serve(w http.ResponseWriter, r *http.Request, forward http.Handler) {
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	switch f := p.fault(operation); f {
	case Pass:
		forward.ServeHTTP(w, r)
	case DropAnswer, BreakAfter:
		forward.ServeHTTP(httptest.NewRecorder(), r)
		if f == DropAnswer {
			cut(w)
			return
		}
		answer(w, http.StatusInternalServerError, `{"__type":"InternalServerError"}`)
	case Refuse:
		cut(w)
	case Throttle:
		answer(w, http.StatusBadRequest, `{"__type":"ThrottlingException","message":"Rate exceeded"}`)
	case Break:
		answer(w, http.StatusInternalServerError, `{"__type":"InternalServerError"}`)
	case Empty:
		answer(w, http.StatusOK, `{"Commands":[],"CommandInvocations":[]}`)
	}
}

func answer(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.WriteHeader(status)
	_, _ = io.Copy(w, bytes.NewBufferString(body))
}

// cut ends the connection with a reset.
func cut(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(errors.Join(http.ErrAbortHandler, err))
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}
