package storetest

import (
	"errors"
	"strings"
	"testing"

	"ssmrun"
	"ssmrun/internal/store"
)

func (b *bundle) plugins(t *testing.T, command, instance string) []ssmrun.Plugin {
	t.Helper()
	var list []ssmrun.Plugin
	b.view(t, func(tx store.Tx) (err error) {
		list, err = tx.Plugins(home, command, instance)
		return err
	})
	return list
}

func testPlugins(t *testing.T, b *bundle) {
	c := newCommand(commandID(1), at(0))
	b.insert(t, c, instanceID(1), instanceID(2))
	first, second := newPlugin(c, instanceID(1), "z-first", 0), newPlugin(c, instanceID(1), "a-second", 1)
	other := newPlugin(c, instanceID(2), "z-first", 0)
	if list := b.plugins(t, c.ID, instanceID(1)); len(list) != 0 {
		t.Errorf("plugins of which nothing was said: %v", list)
	}
	b.update(t, func(tx store.Tx) error {
		return errors.Join(tx.PutPlugin(home, &second), tx.PutPlugin(home, &first), tx.PutPlugin(home, &other))
	})
	same(t, "by index", b.plugins(t, c.ID, instanceID(1)), []ssmrun.Plugin{first, second})

	full := second
	full.State, full.ExitCode, full.Started, full.Finished = failed, 3, at(1), at(2)
	full.Stdout, full.Stderr = "out\x00\n ü", "err"
	full.Output = ssmrun.OutputLocation{Region: "us-east-2", Bucket: "logs", Prefix: "p"}
	b.update(t, func(tx store.Tx) error { return tx.PutPlugin(home, &full) })
	same(t, "replaced", b.plugins(t, c.ID, instanceID(1)), []ssmrun.Plugin{first, full})
	same(t, "the other instance", b.plugins(t, c.ID, instanceID(2)), []ssmrun.Plugin{other})

	b.update(t, func(tx store.Tx) error { return tx.PutPlugin(home, &second) })
	got := b.plugins(t, c.ID, instanceID(1))
	same(t, "back to nothing", got, []ssmrun.Plugin{first, second})
	if len(got) == 2 && (!got[1].Started.IsZero() || !got[1].Finished.IsZero()) {
		t.Errorf("Started %v and Finished %v are not zero", got[1].Started, got[1].Finished)
	}

	unknown, nowhere := newPlugin(c, instanceID(9), "z-first", 0), newPlugin(c, instanceID(1), "z-first", 0)
	nowhere.CommandID = commandID(9)
	b.update(t, func(tx store.Tx) error {
		notFound(t, "PutPlugin of an instance that has not the command", tx.PutPlugin(home, &unknown))
		notFound(t, "PutPlugin of an unknown command", tx.PutPlugin(home, &nowhere))
		notFound(t, "PutPlugin from another scope", tx.PutPlugin(otherAcct, &first))
		return nil
	})
	if list := b.plugins(t, c.ID, instanceID(9)); len(list) != 0 {
		t.Errorf("an unknown instance has plugins %v", list)
	}
}

// testBigOutputs fills both streams to the limit with characters of 3 bytes.
func testBigOutputs(t *testing.T, b *bundle) {
	c := newCommand(commandID(1), at(0))
	b.insert(t, c, instanceID(1))
	p := newPlugin(c, instanceID(1), "aws:runShellScript", 0)
	p.Stdout, p.Stderr = strings.Repeat("日", ssmrun.MaxStreamChars), strings.Repeat("本", ssmrun.MaxStreamChars)
	b.update(t, func(tx store.Tx) error { return tx.PutPlugin(home, &p) })
	got := b.plugins(t, c.ID, instanceID(1))
	if len(got) != 1 || got[0].Stdout != p.Stdout || got[0].Stderr != p.Stderr {
		t.Error("the outputs came back changed")
	}
}
