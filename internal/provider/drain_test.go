package provider

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
)

// slowServer invokes actions that end when they are told to, or when their
// context does and a cleanup has passed.
type slowServer struct {
	tfprotov6.ProviderServerWithActions
	cleanup time.Duration
	refuse  error
}

func (s slowServer) InvokeAction(ctx context.Context, _ *tfprotov6.InvokeActionRequest) (*tfprotov6.InvokeActionServerStream, error) {
	if s.refuse != nil {
		return nil, s.refuse
	}
	return &tfprotov6.InvokeActionServerStream{Events: func(yield func(tfprotov6.InvokeActionEvent) bool) {
		<-ctx.Done()
		time.Sleep(s.cleanup)
		yield(tfprotov6.InvokeActionEvent{Type: tfprotov6.CompletedInvokeActionEventType{}})
	}}, nil
}

func (slowServer) StopProvider(context.Context, *tfprotov6.StopProviderRequest) (*tfprotov6.StopProviderResponse, error) {
	return &tfprotov6.StopProviderResponse{}, nil
}

func TestDrain(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ cleanup, want time.Duration }{
		"as long as the cleanup takes": {5 * time.Second, 5 * time.Second},
		"no longer than the limit":     {10 * drainLimit, drainLimit},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				d := newDrainingServer(slowServer{cleanup: test.cleanup}, drainLimit)
				stream, err := d.InvokeAction(t.Context(), &tfprotov6.InvokeActionRequest{})
				if err != nil {
					t.Fatal(err)
				}
				ended := make(chan struct{})
				go func() {
					defer close(ended)
					for range stream.Events {
					}
				}()
				synctest.Wait()
				start := time.Now()
				if _, err := d.StopProvider(t.Context(), &tfprotov6.StopProviderRequest{}); err != nil {
					t.Fatal(err)
				}
				if took := time.Since(start); took != test.want {
					t.Errorf("the stop took %s, want %s", took, test.want)
				}
				<-ended
			})
		})
	}
	t.Run("nothing to wait for", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			d, start := newDrainingServer(slowServer{refuse: errors.New("no")}, drainLimit), time.Now()
			if _, err := d.InvokeAction(t.Context(), &tfprotov6.InvokeActionRequest{}); err == nil {
				t.Error("no error")
			}
			if _, err := d.StopProvider(t.Context(), &tfprotov6.StopProviderRequest{}); err != nil || time.Since(start) != 0 {
				t.Errorf("the stop took %s, %v", time.Since(start), err)
			}
		})
	})
}
