package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"ssmrun/internal/store"
)

// testVisible looks for what was written right after Update has returned.
func testVisible(t *testing.T, b *bundle) {
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for n := range 20 {
				id := commandID(100*g + n)
				if err := b.Update(b.ctx, func(tx store.Tx) error { return insert(tx, newCommand(id, at(0)), instanceID(1)) }); err != nil {
					t.Error(err)
					return
				}
				if err := b.View(b.ctx, func(tx store.Tx) error { _, err := tx.Command(home, id); return err }); err != nil {
					t.Errorf("a View after the Update has returned: %v", err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// testConcurrent counts in one row from 100 goroutines, by reading and writing.
func testConcurrent(t *testing.T, b *bundle) {
	const goroutines, each = 100, 10
	b.insert(t, newCommand(commandID(1), at(0)))
	var (
		mu   sync.Mutex
		seen = map[int64]bool{}
		wg   sync.WaitGroup
	)
	for range goroutines {
		wg.Go(func() {
			for range each {
				var revision int64
				err := b.Update(b.ctx, func(tx store.Tx) error {
					c, err := tx.Command(home, commandID(1))
					if err != nil {
						return err
					}
					c.Counts.Completed++
					err = tx.UpdateCommand(c)
					revision = c.Revision
					return err
				})
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				if seen[revision] {
					t.Errorf("revision %d was given twice", revision)
				}
				seen[revision] = true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	c := b.command(t, home, commandID(1))
	if c.Counts.Completed != goroutines*each || c.Revision != goroutines*each {
		t.Errorf("after %d Updates the count is %d and the revision %d", goroutines*each, c.Counts.Completed, c.Revision)
	}
}

// testNeighbours has Updates at once of which one in three fails, one panics
// and one succeeds; a driver that commits them together has to tell them apart.
func testNeighbours(t *testing.T, b *bundle) {
	const goroutines, each = 60, 10
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			for n := range each {
				id := commandID(each*g + n)
				boom := fmt.Errorf("boom %d", n)
				run := func(end func() error) error {
					return b.Update(b.ctx, func(tx store.Tx) error {
						if err := insert(tx, newCommand(id, at(0)), instanceID(1), instanceID(2)); err != nil {
							return err
						}
						return end()
					})
				}
				switch g % 3 {
				case 0:
					if err := run(func() error { return nil }); err != nil {
						t.Errorf("a good Update among bad ones: %v", err)
					}
				case 1:
					if err := run(func() error { return boom }); err != boom { //nolint:errorlint // as it is
						t.Errorf("a bad Update's error is %v, want its own", err)
					}
				case 2:
					if v := caught(func() { _ = run(func() error { panic(boom) }) }); v != any(boom) {
						t.Errorf("a panicking Update's panic is %v, want its own", v)
					}
				}
			}
		})
	}
	wg.Wait()
	for n := range goroutines * each {
		if got, want := b.has(t, commandID(n)), n/each%3 == 0; got != want {
			t.Fatalf("command %d is there: %v, want %v", n, got, want)
		}
	}
	b.view(t, func(tx store.Tx) error {
		list, err := tx.OpenInvocations(home, instanceID(2))
		if len(list) != goroutines*each/3 {
			t.Errorf("%d invocations, want %d", len(list), goroutines*each/3)
		}
		return err
	})
}

func testContext(t *testing.T, b *bundle) {
	ended, cancel := context.WithCancel(b.ctx)
	cancel()
	never := func(store.Tx) error {
		t.Error("fn ran although its context had ended before")
		return nil
	}
	if err := b.Update(ended, never); !errors.Is(err, context.Canceled) {
		t.Errorf("Update = %v, want context.Canceled", err)
	}
	if err := b.View(ended, never); !errors.Is(err, context.Canceled) {
		t.Errorf("View = %v, want context.Canceled", err)
	}

	ctx, cancel := context.WithCancel(b.ctx)
	err := b.Update(ctx, func(tx store.Tx) error {
		cancel()
		return insert(tx, newCommand(commandID(1), at(0)))
	})
	if err != nil || !b.has(t, commandID(1)) {
		t.Errorf("an Update whose context ended while it ran: error %v, stored %v; want it done", err, b.has(t, commandID(1)))
	}

	ctx, cancel = context.WithCancel(b.ctx)
	err = b.View(ctx, func(tx store.Tx) error {
		cancel()
		_, err := tx.Command(home, commandID(1))
		return err
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("a read of a View whose context has ended: %v, want context.Canceled", err)
	}
}

// testContextWhileWaiting ends the context of an Update while another one
// runs: what it answers has to be true.
func testContextWhileWaiting(t *testing.T, b *bundle) {
	for n := range 20 {
		running, release, held := make(chan struct{}), make(chan struct{}), make(chan error)
		go func() {
			held <- b.Update(b.ctx, func(tx store.Tx) error {
				close(running)
				<-release
				return nil
			})
		}()
		<-running
		ctx, cancel := context.WithCancel(b.ctx)
		answer := make(chan error)
		go func() {
			answer <- b.Update(ctx, func(tx store.Tx) error { return insert(tx, newCommand(commandID(n), at(0))) })
		}()
		cancel()
		if n%2 == 0 {
			close(release)
		}
		err := <-answer // with n odd the one before still runs
		if n%2 == 1 {
			close(release)
		}
		if err := <-held; err != nil {
			t.Errorf("the Update before: %v", err)
		}
		if err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("Update = %v", err)
		}
		if got := b.has(t, commandID(n)); got != (err == nil) {
			t.Errorf("Update = %v, and its command is there: %v", err, got)
		}
	}
}
