package provider

import (
	"context"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/providerserver"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
)

// drainLimit is how long a stop waits for invocations to end: longer than the
// runner takes to cancel a command and see it end.
const drainLimit = 90 * time.Second

// NewServer makes the provider's protocol server.
//
// Ctrl-C has a trap. Terraform calls StopProvider, which cancels the contexts of
// the running invocations, and kills the provider as soon as that returns. An
// invocation that is still ending then loses its error, and Terraform prints
// "Apply complete!" and exits 0. So StopProvider returns only when the
// invocations have ended, with their errors sent.
func NewServer() (tfprotov6.ProviderServer, error) {
	inner, ok := providerserver.NewProtocol6(New())().(tfprotov6.ProviderServerWithActions)
	if !ok {
		return nil, fmt.Errorf("the framework's server knows no actions")
	}
	return &drainingServer{ProviderServerWithActions: inner, limit: drainLimit, live: map[*int]chan struct{}{}}, nil
}

// drainingServer waits for invocations when it is stopped.
type drainingServer struct {
	tfprotov6.ProviderServerWithActions
	limit time.Duration

	mu   sync.Mutex
	live map[*int]chan struct{} // closed when the invocation has ended
}

// InvokeAction implements tfprotov6.ActionServer.
func (d *drainingServer) InvokeAction(ctx context.Context, req *tfprotov6.InvokeActionRequest) (*tfprotov6.InvokeActionServerStream, error) {
	done := d.begin()
	stream, err := d.ProviderServerWithActions.InvokeAction(ctx, req)
	if err != nil || stream == nil {
		done()
		return stream, err
	}
	inner := stream.Events
	stream.Events = func(yield func(tfprotov6.InvokeActionEvent) bool) {
		defer done()
		iter.Seq[tfprotov6.InvokeActionEvent](inner)(yield)
	}
	return stream, nil
}

// begin notes an invocation; the function it gives notes its end, and is safe
// to call twice.
func (d *drainingServer) begin() (done func()) {
	key, ended := new(int), make(chan struct{})
	d.mu.Lock()
	d.live[key] = ended
	d.mu.Unlock()
	return sync.OnceFunc(func() {
		d.mu.Lock()
		delete(d.live, key)
		d.mu.Unlock()
		close(ended)
	})
}

// StopProvider implements tfprotov6.ProviderServer.
func (d *drainingServer) StopProvider(ctx context.Context, req *tfprotov6.StopProviderRequest) (*tfprotov6.StopProviderResponse, error) {
	resp, err := d.ProviderServerWithActions.StopProvider(ctx, req)
	d.mu.Lock()
	var ended []chan struct{}
	for _, c := range d.live {
		ended = append(ended, c)
	}
	d.mu.Unlock()
	limit := time.NewTimer(d.limit)
	defer limit.Stop()
	for _, c := range ended {
		select {
		case <-c:
		case <-limit.C:
			return resp, err
		}
	}
	return resp, err
}
