package gateway

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
)

func TestWindow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var w window
		ctx, cancel := context.WithCancel(t.Context())
		for range maxWords {
			if err := w.enter(ctx, 1); err != nil {
				t.Fatal(err)
			}
		}
		in := make(chan error, 2)
		go func() { in <- w.enter(ctx, 1) }()
		synctest.Wait()
		select {
		case err := <-in:
			t.Fatalf("one more than there is room for came in: %v", err)
		default:
		}
		w.leave(1)
		if err := <-in; err != nil {
			t.Fatal(err)
		}
		for range maxWords {
			w.leave(1)
		}
		// By bytes: one that is too big comes in alone, and the next waits.
		if err := w.enter(ctx, 2*maxWordBytes); err != nil {
			t.Fatal(err)
		}
		go func() { in <- w.enter(ctx, 1) }()
		synctest.Wait()
		cancel()
		if err := <-in; !errors.Is(err, context.Canceled) {
			t.Errorf("what waits when all is over: %v", err)
		}
	})
}

// TestTalking: the windows of instances are apart, and gone when nobody uses them.
func TestTalking(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var all talking
		ctx, cancel := context.WithCancel(t.Context())
		one, err := all.enter(ctx, "one", 2*maxWordBytes)
		if err != nil {
			t.Fatal(err)
		}
		two, err := all.enter(ctx, "two", 1)
		if err != nil {
			t.Fatal(err)
		}
		in := make(chan error)
		go func() {
			_, err := all.enter(ctx, "one", 1)
			in <- err
		}()
		synctest.Wait()
		cancel()
		if err := <-in; err == nil {
			t.Error("there was room beside one that is too big")
		}
		one()
		two()
		if len(all.windows) != 0 {
			t.Errorf("%d windows are left", len(all.windows))
		}
	})
}
