package runner

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
)

// farNet is a network in memory. Real HTTP runs over it, and because its
// connections block on channels only, it runs in the time of a synctest bubble.
type farNet struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once

	// refuse is how many of the next dials are refused.
	refuse atomic.Int32
	dials  atomic.Int32
	mu     sync.Mutex
	open   []net.Conn

	// reset makes a closed connection look like a reset one.
	reset atomic.Bool
}

func newFarNet() *farNet {
	return &farNet{conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (n *farNet) Accept() (net.Conn, error) {
	select {
	case c := <-n.conns:
		return c, nil
	case <-n.closed:
		return nil, net.ErrClosed
	}
}

func (n *farNet) Close() error {
	n.once.Do(func() { close(n.closed) })
	return nil
}

func (n *farNet) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8440} }

func (n *farNet) dial(ctx context.Context, network, _ string) (net.Conn, error) {
	n.dials.Add(1)
	refused := &net.OpError{Op: "dial", Net: network, Addr: n.Addr(), Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	if n.refuse.Load() > 0 {
		n.refuse.Add(-1)
		return nil, refused
	}
	near, far := net.Pipe()
	select {
	case n.conns <- far:
		n.mu.Lock()
		n.open = append(n.open, near)
		n.mu.Unlock()
		return &farConn{Conn: near, net: n}, nil
	case <-n.closed:
		return nil, refused
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// hangUp closes all connections, so that the next call has to dial.
func (n *farNet) hangUp() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range n.open {
		c.Close()
	}
	n.open = nil
	synctest.Wait() // until the clients have seen it
}

// client is an HTTP client whose connections all lead here.
func (n *farNet) client(t testing.TB) *http.Client {
	tr := &http.Transport{DialContext: n.dial}
	if t != nil {
		t.Cleanup(tr.CloseIdleConnections)
	}
	return &http.Client{Transport: tr}
}

type farConn struct {
	net.Conn
	net *farNet
}

func (c *farConn) Read(p []byte) (int, error) {
	k, err := c.Conn.Read(p)
	if err != nil && c.net.reset.Load() && !errors.Is(err, os.ErrDeadlineExceeded) {
		err = &net.OpError{Op: "read", Net: "tcp", Addr: c.net.Addr(), Err: os.NewSyscallError("read", syscall.ECONNRESET)}
	}
	return k, err
}
