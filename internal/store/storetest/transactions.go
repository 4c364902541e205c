package storetest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"

	"ssmrun"
	"ssmrun/internal/store"
)

// has tells whether home has the command, with its invocation and plugin.
func (b *bundle) has(t *testing.T, id string) bool {
	t.Helper()
	found := true
	b.view(t, func(tx store.Tx) error {
		_, err := tx.Command(home, id)
		if errors.Is(err, ssmrun.ErrNotFound) {
			found = false
			return nil
		}
		return err
	})
	return found
}

func testError(t *testing.T, b *bundle) {
	boom := errors.New("boom")
	err := b.Update(b.ctx, func(tx store.Tx) error {
		if err := insert(tx, newCommand(commandID(1), at(0)), instanceID(1)); err != nil {
			return err
		}
		return boom
	})
	if err != boom { //nolint:errorlint // it has to come back as it is
		t.Errorf("Update = %v, want fn's own error", err)
	}
	if b.has(t, commandID(1)) {
		t.Error("the changes of a fn that failed were kept")
	}
	b.insert(t, newCommand(commandID(1), at(0)), instanceID(1))
	if err := b.View(b.ctx, func(store.Tx) error { return boom }); err != boom { //nolint:errorlint // as above
		t.Errorf("View = %v, want fn's own error", err)
	}
}

func testSwallowed(t *testing.T, b *bundle) {
	b.insert(t, newCommand(commandID(1), at(0)))
	err := b.Update(b.ctx, func(tx store.Tx) error {
		if err := insert(tx, newCommand(commandID(2), at(0))); err != nil {
			return err
		}
		if err := insert(tx, newCommand(commandID(1), at(0))); err == nil {
			t.Error("a command was inserted twice")
		}
		if err := insert(tx, newCommand(commandID(3), at(0))); err == nil {
			t.Error("a write after a failed one succeeded")
		}
		return nil
	})
	if err == nil {
		t.Error("Update = nil after a write that failed")
	}
	if b.has(t, commandID(2)) || b.has(t, commandID(3)) {
		t.Error("the changes beside a write that failed were kept")
	}
	b.update(t, func(tx store.Tx) error { // finding nothing is no failure
		_, err := tx.Command(home, commandID(9))
		notFound(t, "Command", err)
		return insert(tx, newCommand(commandID(4), at(0)))
	})
	if !b.has(t, commandID(4)) {
		t.Error("the changes beside a command that was not found are lost")
	}
}

// caught runs fn and gives what it panicked with.
func caught(fn func()) (v any) {
	defer func() { v = recover() }()
	fn()
	return nil
}

func testPanic(t *testing.T, b *bundle) {
	boom := &struct{ s string }{"boom"}
	v := caught(func() {
		_ = b.Update(b.ctx, func(tx store.Tx) error {
			if err := insert(tx, newCommand(commandID(1), at(0))); err != nil {
				t.Error(err)
			}
			panic(boom)
		})
	})
	if v != any(boom) {
		t.Errorf("Update's caller catches %v, want fn's own panic", v)
	}
	if b.has(t, commandID(1)) {
		t.Error("the changes of a fn that panicked were kept")
	}
	for range 50 { // more than any pool of connections has
		v = caught(func() { _ = b.View(b.ctx, func(store.Tx) error { panic(boom) }) })
		if v != any(boom) {
			t.Errorf("View's caller catches %v, want fn's own panic", v)
		}
	}
	b.insert(t, newCommand(commandID(2), at(0)))
}

// testGoexit ends fn's goroutine, as t.Fatal inside fn does.
func testGoexit(t *testing.T, b *bundle) {
	for range 50 {
		var wg sync.WaitGroup
		wg.Go(func() {
			_ = b.Update(b.ctx, func(tx store.Tx) error {
				if err := insert(tx, newCommand(commandID(1), at(0))); err != nil {
					t.Error(err)
				}
				runtime.Goexit()
				return nil
			})
		})
		wg.Go(func() {
			_ = b.View(b.ctx, func(store.Tx) error {
				runtime.Goexit()
				return nil
			})
		})
		wg.Wait()
	}
	if b.has(t, commandID(1)) {
		t.Error("the changes of a fn that did not return were kept")
	}
	b.insert(t, newCommand(commandID(2), at(0)))
}

// testOver keeps a transaction beyond its fn.
func testOver(t *testing.T, b *bundle) {
	var kept []store.Tx
	keep := func(tx store.Tx) error {
		kept = append(kept, tx)
		return nil
	}
	b.update(t, keep)
	b.view(t, keep)
	for _, tx := range kept {
		if err := insert(tx, newCommand(commandID(1), at(0))); err == nil {
			t.Error("a transaction that is over wrote")
		}
		if _, err := tx.Command(home, commandID(1)); err == nil || errors.Is(err, ssmrun.ErrNotFound) {
			t.Errorf("a transaction that is over read: %v", err)
		}
	}
	if b.has(t, commandID(1)) {
		t.Error("what a transaction that is over wrote is there")
	}
}

func testReadOnly(t *testing.T, b *bundle) {
	c := newCommand(commandID(1), at(0))
	b.insert(t, c, instanceID(1))
	b.update(t, func(tx store.Tx) error { return tx.PutInstance(newInstance(1)) })
	b.update(t, func(tx store.Tx) error { return tx.PutActivation(newActivation("a1")) })
	i, p := newInvocation(c, instanceID(1)), newPlugin(c, instanceID(1), "aws:runShellScript", 0)
	i.State, p.State = success, success
	changed := *c
	changed.State = success
	writes := map[string]func(tx store.Tx) error{
		"InsertCommand":    func(tx store.Tx) error { return insert(tx, newCommand(commandID(2), at(0))) },
		"UpdateCommand":    func(tx store.Tx) error { return tx.UpdateCommand(&changed) },
		"UpdateInvocation": func(tx store.Tx) error { return tx.UpdateInvocation(&i) },
		"UpdatePlugin":     func(tx store.Tx) error { return tx.UpdatePlugin(home, &p) },
		"PutInstance":      func(tx store.Tx) error { return tx.PutInstance(newInstance(2)) },
		"Seen":             func(tx store.Tx) error { return tx.Seen(home, instanceID(1), at(99), true) },
		"PutDocument":      func(tx store.Tx) error { return tx.PutDocument(newDocument(home, "D", "1", "x")) },
		"PutActivation":    func(tx store.Tx) error { return tx.PutActivation(newActivation("a2")) },
		"DeleteActivation": func(tx store.Tx) error { return tx.DeleteActivation("a1") },
	}
	for name, write := range writes {
		b.view(t, func(tx store.Tx) error {
			if err := write(tx); err == nil || errors.Is(err, ssmrun.ErrNotFound) {
				t.Errorf("%s in a View: %v, want an error that says so", name, err)
			}
			if got, err := tx.Command(home, c.ID); err != nil {
				t.Errorf("Command after %s in a View: %v", name, err)
			} else {
				same(t, "command after "+name, got, c)
			}
			return nil
		})
	}
	if changed.Revision != 0 {
		t.Errorf("UpdateCommand in a View wrote revision %d into c", changed.Revision)
	}
	b.view(t, func(tx store.Tx) error {
		if _, err := tx.Activation("a1"); err != nil {
			t.Errorf("after DeleteActivation in a View: %v", err)
		}
		_, err := tx.Document(home, "D", "")
		notFound(t, "after PutDocument in a View", err)
		_, err = tx.FindInstance(instanceID(2))
		notFound(t, "after PutInstance in a View", err)
		return nil
	})
}

// testOwnWrites reads inside an Update what it has written.
func testOwnWrites(t *testing.T, b *bundle) {
	b.update(t, func(tx store.Tx) error {
		c := newCommand(commandID(1), at(0))
		if err := insert(tx, c, instanceID(1)); err != nil {
			return err
		}
		got, err := tx.Command(home, c.ID)
		same(t, "command", got, c)
		if err != nil {
			return err
		}
		c.State = success
		if err := tx.UpdateCommand(c); err != nil {
			return err
		}
		list, err := walkCommands(tx, home, store.CommandQuery{Complete: true}, 1)
		same(t, "complete ones", commandIDs(list), []string{c.ID})
		if err != nil {
			return err
		}
		open, err := tx.OpenInvocations(home, instanceID(1))
		same(t, "open invocations", invocationIDs(open), [][2]string{{c.ID, instanceID(1)}})
		return err
	})
}

// testSnapshot changes everything between two reads of a View.
func testSnapshot(t *testing.T, b *bundle) {
	c := newCommand(commandID(1), at(0))
	b.insert(t, c, instanceID(1))
	read := func(tx store.Tx) (string, error) {
		got, err := tx.Command(home, c.ID)
		if err != nil {
			return "", err
		}
		list, err := walkCommands(tx, home, store.CommandQuery{}, 2)
		if err != nil {
			return "", err
		}
		ps, err := tx.Plugins(home, c.ID, instanceID(1))
		return fmt.Sprint(got.State, got.Revision, commandIDs(list), ps), err
	}
	b.view(t, func(tx store.Tx) error {
		first, err := read(tx)
		if err != nil {
			return err
		}
		for n := range 3 {
			done := make(chan error)
			go func() {
				done <- b.Update(b.ctx, func(tx store.Tx) error {
					c.State = success
					p := newPlugin(c, instanceID(1), "aws:runShellScript", 0)
					p.Stdout = fmt.Sprint("after ", n)
					return errors.Join(tx.UpdateCommand(c), tx.UpdatePlugin(home, &p), insert(tx, newCommand(commandID(10+n), at(0))))
				})
			}()
			if err := <-done; err != nil {
				return err
			}
			again, err := read(tx)
			if again != first {
				t.Errorf("a View reads %s, and after an Update %s", first, again)
			}
			if err != nil {
				return err
			}
		}
		b.view(t, func(tx store.Tx) error { // a new one sees it all
			if now, err := read(tx); now == first || err != nil {
				t.Errorf("a View after the Updates reads the old %s, error %v", now, err)
			}
			return nil
		})
		return nil
	})
}

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
