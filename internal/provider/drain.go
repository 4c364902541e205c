package provider

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/providerserver"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
)

// drainLimit is how long a stop waits for invocations to end: longer than the
// runner takes to cancel a command, see it end and read its results.
const drainLimit = 90 * time.Second

// NewServer makes the provider's protocol server.
//
// Ctrl-C has a trap. Terraform calls StopProvider, which cancels the contexts of
// the running invocations. As soon as it has answered, plugin-go drops whatever
// they still have to say: their errors are lost, and Terraform prints "Apply
// complete!" and exits 0. So StopProvider answers only when the invocations have
// ended, with their errors sent.
func NewServer(opts ...Option) (tfprotov6.ProviderServer, error) {
	inner, ok := providerserver.NewProtocol6(New(opts...))().(tfprotov6.ProviderServerWithActions)
	if !ok {
		return nil, fmt.Errorf("the framework's server knows no actions")
	}
	return newDrainingServer(inner, drainLimit), nil
}

// drainingServer waits for invocations when it is stopped.
//
// The interface with the actions is embedded: the plain one would hide the calls
// of actions from Terraform.
type drainingServer struct {
	tfprotov6.ProviderServerWithActions
	limit time.Duration

	mu      sync.Mutex
	stopped bool
	live    map[*invocation]struct{}
}

// invocation is a call of InvokeAction that has not ended.
type invocation struct {
	cancel context.CancelFunc
	ended  chan struct{}
}

func newDrainingServer(inner tfprotov6.ProviderServerWithActions, limit time.Duration) *drainingServer {
	return &drainingServer{ProviderServerWithActions: inner, limit: limit, live: map[*invocation]struct{}{}}
}

// ConfigureProvider implements tfprotov6.ProviderServer. A server that a
// debugger holds outlives a stopped run of Terraform: it begins anew here.
func (d *drainingServer) ConfigureProvider(ctx context.Context, req *tfprotov6.ConfigureProviderRequest) (*tfprotov6.ConfigureProviderResponse, error) {
	d.mu.Lock()
	d.stopped = false
	d.mu.Unlock()
	return d.ProviderServerWithActions.ConfigureProvider(ctx, req)
}

// InvokeAction implements tfprotov6.ActionServer.
func (d *drainingServer) InvokeAction(ctx context.Context, req *tfprotov6.InvokeActionRequest) (*tfprotov6.InvokeActionServerStream, error) {
	ctx, done := d.begin(ctx)
	stream, err := d.ProviderServerWithActions.InvokeAction(ctx, req)
	if err != nil || stream == nil {
		done()
		return stream, err
	}
	inner := stream.Events
	stream.Events = func(yield func(tfprotov6.InvokeActionEvent) bool) {
		defer done()
		inner(yield)
	}
	return stream, nil
}

// begin notes an invocation and gives its context, which a stop ends. The inner
// server has contexts of its own to end, but knows of an invocation a moment
// later than this one. done notes the end, and may be called twice.
func (d *drainingServer) begin(ctx context.Context) (_ context.Context, done func()) {
	ctx, cancel := context.WithCancel(ctx)
	i := &invocation{cancel: cancel, ended: make(chan struct{})}
	d.mu.Lock()
	d.live[i] = struct{}{}
	if d.stopped {
		cancel()
	}
	d.mu.Unlock()
	return ctx, sync.OnceFunc(func() {
		cancel()
		d.mu.Lock()
		delete(d.live, i)
		d.mu.Unlock()
		close(i.ended)
	})
}

// StopProvider implements tfprotov6.ProviderServer.
func (d *drainingServer) StopProvider(ctx context.Context, req *tfprotov6.StopProviderRequest) (*tfprotov6.StopProviderResponse, error) {
	resp, err := d.ProviderServerWithActions.StopProvider(ctx, req)
	d.mu.Lock()
	d.stopped = true
	var ending []*invocation
	for i := range d.live {
		i.cancel()
		ending = append(ending, i)
	}
	d.mu.Unlock()
	limit := time.NewTimer(d.limit)
	defer limit.Stop()
	for _, i := range ending {
		select {
		case <-i.ended:
		case <-limit.C:
			return resp, err
		}
	}
	return resp, err
}
