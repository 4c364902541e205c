package storetest

import (
	"testing"

	"ssmrun"
	"ssmrun/internal/store"
)

func testTags(t *testing.T, b *bundle) {
	put := func(scope ssmrun.Scope, kind, id string, tags map[string]string) {
		t.Helper()
		b.update(t, func(tx store.Tx) error { return tx.PutTags(scope, kind, id, tags) })
	}
	tags := func(scope ssmrun.Scope, kind, id string, want map[string]string) {
		t.Helper()
		b.view(t, func(tx store.Tx) error {
			got, err := tx.Tags(scope, kind, id)
			same(t, kind+" "+id, got, want)
			return err
		})
	}
	ids := func(scope ssmrun.Scope, kind, key string, values, want []string) {
		t.Helper()
		b.view(t, func(tx store.Tx) error {
			got, err := tx.TaggedIDs(scope, kind, key, values)
			same(t, kind+" by "+key, got, want)
			return err
		})
	}
	put(home, "Document", "b", map[string]string{"env": "test", "Name": "x", "empty": ""})
	put(home, "Document", "a", map[string]string{"env": "prod"})
	put(home, "Document", "c", map[string]string{"env": "dev", "ENV": "test"})
	put(home, "Parameter", "a", map[string]string{"env": "test"})
	put(otherAcct, "Document", "a", map[string]string{"env": "test"})
	put(otherReg, "Document", "d", map[string]string{"env": "test"})
	put(home, "Document", "b", nil)
	tags(home, "Document", "b", map[string]string{"env": "test", "Name": "x", "empty": ""})
	tags(home, "Document", "none", nil)
	ids(home, "Document", "env", nil, []string{"a", "b", "c"})
	ids(home, "Document", "env", []string{"test", "prod", "test"}, []string{"a", "b"})
	ids(home, "Document", "env", []string{}, nil)
	ids(home, "Document", "env", []string{""}, nil)
	ids(home, "Document", "empty", []string{""}, []string{"b"})
	ids(home, "Document", "none", nil, nil)
	ids(home, "Parameter", "env", []string{"test"}, []string{"a"})
	ids(otherReg, "Document", "env", nil, []string{"d"})

	put(home, "Document", "b", map[string]string{"env": "prod", "more": "1"})
	tags(home, "Document", "b", map[string]string{"env": "prod", "Name": "x", "empty": "", "more": "1"})
	ids(home, "Document", "env", []string{"test"}, nil)

	b.update(t, func(tx store.Tx) error {
		return tx.RemoveTags(home, "Document", "b", []string{"more", "none", "empty"})
	})
	b.update(t, func(tx store.Tx) error { return tx.RemoveTags(home, "Document", "b", nil) })
	tags(home, "Document", "b", map[string]string{"env": "prod", "Name": "x"})

	b.update(t, func(tx store.Tx) error { return tx.DropTags(home, "Document", "a") })
	b.update(t, func(tx store.Tx) error { return tx.DropTags(home, "Document", "none") })
	tags(home, "Document", "a", nil)
	tags(home, "Parameter", "a", map[string]string{"env": "test"})
	tags(otherAcct, "Document", "a", map[string]string{"env": "test"})
	ids(home, "Document", "env", nil, []string{"b", "c"})
}
