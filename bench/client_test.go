package bench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ssmrun/internal/sigv4"
	"ssmrun/internal/testenv"
)

// signedRequest is one call's bytes on the wire, signed beforehand: the client shall
// cost as little as it can, since it works on the machine that it measures. The
// signature holds for five minutes; load takes seconds.
func signedRequest(t *testing.T, s *testenv.Service, operation, body string) []byte {
	t.Helper()
	u, err := url.Parse(s.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequest(http.MethodPost, s.Endpoint+"/", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Target", "AmazonSSM."+operation)
	keys := sigv4.Keys{AccessKeyID: s.AccessKeyID, SecretAccessKey: s.SecretKey}
	sigv4.Sign(r, []byte(body), keys, "ssm", s.Region, time.Now())
	var b bytes.Buffer
	fmt.Fprintf(&b, "POST / HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n", u.Host, len(body))
	if err := r.Header.Write(&b); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(&b, "\r\n%s", body)
	return b.Bytes()
}

// load makes calls on so many connections for a while, each connection the next
// of requests when the last was answered, and gives how many were answered per
// second. An answer other than 200 fails the test.
func load(t *testing.T, s *testenv.Service, connections int, took time.Duration, requests [][]byte) float64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), took)
	defer cancel()
	var next, answered atomic.Int64
	var wg sync.WaitGroup
	began := time.Now()
	for range connections {
		wg.Go(func() {
			c, err := net.Dial("tcp", strings.TrimPrefix(s.Endpoint, "http://"))
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			in := bufio.NewReader(c)
			for ctx.Err() == nil {
				r := requests[int(next.Add(1))%len(requests)]
				if _, err := c.Write(r); err != nil {
					t.Error(err)
					return
				}
				length, err := answer(in)
				if err == nil {
					_, err = in.Discard(length)
				}
				if err != nil {
					t.Error(err)
					return
				}
				answered.Add(1)
			}
		})
	}
	wg.Wait()
	return float64(answered.Load()) / time.Since(began).Seconds()
}

// answer reads the head of an answer that is 200 and says its length, as the
// service's do, and gives the length.
func answer(in *bufio.Reader) (length int, err error) {
	status, err := in.ReadSlice('\n')
	if err != nil {
		return 0, fmt.Errorf("read answer: %w", err)
	}
	if !bytes.HasPrefix(status, []byte("HTTP/1.1 200")) {
		why := string(status)
		rest, _ := textproto.NewReader(in).ReadMIMEHeader()
		return 0, fmt.Errorf("answered %q %v", why, rest)
	}
	length = -1
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return 0, fmt.Errorf("read answer: %w", err)
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			break
		}
		if name, value, _ := bytes.Cut(line, []byte(": ")); bytes.EqualFold(name, []byte("Content-Length")) {
			if length, err = strconv.Atoi(string(value)); err != nil {
				return 0, fmt.Errorf("answered with Content-Length %q", value)
			}
		}
	}
	if length < 0 {
		return 0, errors.New("answered without a Content-Length")
	}
	return length, nil
}

// connection makes one call after the other.
type connection struct {
	t  *testing.T
	s  *testenv.Service
	c  net.Conn
	in *bufio.Reader
}

func connect(t *testing.T, s *testenv.Service) *connection {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(s.Endpoint, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &connection{t, s, c, bufio.NewReader(c)}
}

// call makes one call, gives how long it took, signing left out, and decodes the
// answer.
func (c *connection) call(operation string, in, out any) time.Duration {
	c.t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		c.t.Fatal(err)
	}
	r := signedRequest(c.t, c.s, operation, string(body))
	began := time.Now()
	var got []byte
	if _, err = c.c.Write(r); err == nil {
		var length int
		if length, err = answer(c.in); err == nil {
			got = make([]byte, length)
			_, err = io.ReadFull(c.in, got)
		}
	}
	took := time.Since(began)
	if err == nil {
		err = json.Unmarshal(got, out)
	}
	if err != nil {
		c.t.Fatalf("%s: %v", operation, err)
	}
	return took
}
