package daemon

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"ssmrun"
)

// TestBodiesThatDoNotFit speaks HTTP by hand: bodies that are shorter or longer
// than their Content-Length, and one that never ends.
func TestBodiesThatDoNotFit(t *testing.T) {
	t.Parallel()
	d, front := newFront(t)
	front.bodyTime = time.Second
	server := httptest.NewServer(front)
	t.Cleanup(server.Close)
	for _, c := range []struct {
		name, body, sent string
		closes           bool // the client says that nothing more comes
		status           int
		says             string
	}{
		{"as it should be", "{}", "{}", false, 200, "Commands"},
		{"shorter", "{}", "{", true, 400, "The body could not be read."},
		{"never", "{}", "{", false, 400, "The body did not come in time."},
		{"never, unsigned", "", "", false, 400, "The body did not come in time."},
		// What is too much is the next request, and no good one.
		{"longer", "{}", "{}{}\r\n\r\n", false, 200, "Commands"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := d.signed("ssm", "AmazonSSM.ListCommands", c.body)
			head := "POST / HTTP/1.1\r\nHost: " + r.Host + "\r\n"
			if c.body == "" {
				r.Header = http.Header{"X-Amz-Target": {"AmazonSSM.RegisterManagedInstance"}}
				c.body = "{}"
			}
			for name, values := range r.Header {
				head += name + ": " + values[0] + "\r\n"
			}
			conn, err := net.Dial("tcp", server.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			fmt.Fprintf(conn, "%sContent-Length: %d\r\n\r\n%s", head, len(c.body), c.sent)
			if c.closes {
				_ = conn.(*net.TCPConn).CloseWrite()
			}
			_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			answer, err := io.ReadAll(resp.Body)
			if err != nil || resp.StatusCode != c.status || !strings.Contains(string(answer), c.says) {
				t.Errorf("%d %s, %v, want %d %q", resp.StatusCode, answer, err, c.status, c.says)
			}
		})
	}
}

// TestBodiesTogether: what is beyond the bound of all bodies is refused as
// "certainly not accepted", small calls are not, and what was held is given back.
func TestBodiesTogether(t *testing.T) {
	t.Parallel()
	d, front := newFront(t)
	call := func(body string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		front.ServeHTTP(w, d.signed("ssm", "AmazonSSM.ListCommands", body))
		return w
	}
	large := "{" + strings.Repeat(" ", ssmrun.MaxBodyBytes-2) + "}"
	front.bodies.Store(maxBodies - ssmrun.MaxBodyBytes/2)
	if w := call(large); w.Code != http.StatusServiceUnavailable || w.Header().Get("X-Ssmrun-Accepted") != "no" {
		t.Errorf("a large one: %d %s", w.Code, w.Body)
	}
	front.bodies.Store(maxBodies)
	if w := call("{}"); w.Code != http.StatusOK {
		t.Errorf("a small one: %d %s", w.Code, w.Body)
	}
	front.bodies.Store(0)
	if w := call(large); w.Code != http.StatusOK {
		t.Errorf("a large one alone: %d %s", w.Code, w.Body)
	}
	if n := front.bodies.Load(); n != 0 {
		t.Errorf("%d bytes are still counted", n)
	}
	// Who names no key is refused before the body is read.
	r := d.signed("ssm", "AmazonSSM.ListCommands", large)
	r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), d.identity.Root().AccessKeyID, "AKIAAAAAAAAAAAAAAAAA", 1))
	body := &untouched{Reader: strings.NewReader(large)}
	r.Body = io.NopCloser(body)
	w := httptest.NewRecorder()
	front.ServeHTTP(w, r)
	if body.read || !strings.Contains(w.Body.String(), "UnrecognizedClientException") {
		t.Errorf("an unknown key: %d %s, body read: %v", w.Code, w.Body, body.read)
	}
}

type untouched struct {
	io.Reader
	read bool
}

func (u *untouched) Read(p []byte) (int, error) {
	u.read = true
	return u.Reader.Read(p)
}
