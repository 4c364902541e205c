package storetest

import (
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
		"PutPlugin":        func(tx store.Tx) error { return tx.PutPlugin(home, &p) },
		"PutInstance":      func(tx store.Tx) error { return tx.PutInstance(newInstance(2)) },
		"Seen":             func(tx store.Tx) error { return tx.Seen(home, instanceID(1), at(99), true) },
		"PutDocument":      func(tx store.Tx) error { return tx.PutDocument(newDocument(home, "D")) },
		"PutActivation":    func(tx store.Tx) error { return tx.PutActivation(newActivation("a2")) },
		"DeleteActivation": func(tx store.Tx) error { return tx.DeleteActivation("a1") },
	}
	for name, write := range writes {
		b.view(t, func(tx store.Tx) error {
			if err := write(tx); err == nil || errors.Is(err, ssmrun.ErrNotFound) {
				t.Errorf("%s in a View: %v, want an error that says so", name, err)
			}
			if got, err := wholeCommand(tx, home, c.ID); err != nil {
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
		_, err := tx.Document(home, "D")
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
		got, err := wholeCommand(tx, home, c.ID)
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
					return errors.Join(tx.UpdateCommand(c), tx.PutPlugin(home, &p), insert(tx, newCommand(commandID(10+n), at(0))))
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
