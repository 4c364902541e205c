package storetest

import (
	"runtime"
	"sync"
	"testing"

	"ssmrun/internal/store"
)

func testClose(t *testing.T, b *bundle) {
	b.insert(t, newCommand(commandID(1), at(0)))
	for range 2 {
		if err := b.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	never := func(store.Tx) error {
		t.Error("fn ran in a store that is closed")
		return nil
	}
	if err := b.Update(b.ctx, never); err == nil {
		t.Error("Update of a closed store = nil")
	}
	if err := b.View(b.ctx, never); err == nil {
		t.Error("View of a closed store = nil")
	}
}

// testCloseWaits closes while an Update and a View run.
func testCloseWaits(t *testing.T, b *bundle) {
	release := make(chan struct{})
	started, ended := make(chan struct{}, 2), make(chan error, 2)
	hold := func(tx store.Tx) error {
		started <- struct{}{}
		<-release
		_, err := tx.Command(home, commandID(1))
		notFound(t, "a read while the store waits to close", err)
		return nil
	}
	go func() { ended <- b.Update(b.ctx, hold) }()
	go func() { ended <- b.View(b.ctx, hold) }()
	<-started
	<-started
	closed := make(chan error, 2)
	for range 2 {
		go func() { closed <- b.Close() }()
	}
	// Once a View is refused, Close is on its way.
	for b.View(b.ctx, func(store.Tx) error { return nil }) == nil {
		runtime.Gosched()
	}
	select {
	case err := <-closed:
		t.Errorf("Close = %v while an Update and a View run", err)
	default:
	}
	close(release)
	for range 2 {
		if err := <-ended; err != nil {
			t.Errorf("what ran when Close was called: %v", err)
		}
		if err := <-closed; err != nil {
			t.Errorf("Close: %v", err)
		}
	}
}

// testCloseRace closes while Updates and Views come from everywhere: each is
// done or refused, none waits for ever, and what was done is there.
func testCloseRace(t *testing.T, b *bundle) {
	var wg sync.WaitGroup
	running := make(chan struct{}, 64)
	for g := range 32 {
		wg.Go(func() {
			for n := 0; ; n++ {
				if b.Update(b.ctx, func(tx store.Tx) error { return insert(tx, newCommand(commandID(10_000*g+n), at(0))) }) != nil {
					return
				}
				running <- struct{}{}
			}
		})
		wg.Go(func() {
			for b.View(b.ctx, func(tx store.Tx) error {
				_, err := walkCommands(tx, home, store.CommandQuery{CommandID: commandID(0)}, 1)
				return err
			}) == nil {
				runtime.Gosched()
			}
		})
	}
	for range 100 {
		<-running
	}
	go func() { // let go of those that have more to tell
		for range running {
		}
	}()
	if err := b.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	wg.Wait()
	close(running)
}
