package storetest

import (
	"fmt"
	"slices"

	"pgregory.net/rapid"

	"ssmrun"
	"ssmrun/internal/store"
)

type tagKey struct {
	scope    ssmrun.Scope
	kind, id string
	key      string
}

func (m *model) PutTags(scope ssmrun.Scope, kind, id string, tags map[string]string) error {
	for key, value := range tags {
		m.tags[tagKey{scope, kind, id, key}] = value
	}
	return nil
}

func (m *model) RemoveTags(scope ssmrun.Scope, kind, id string, keys []string) error {
	for _, key := range keys {
		delete(m.tags, tagKey{scope, kind, id, key})
	}
	return nil
}

func (m *model) DropTags(scope ssmrun.Scope, kind, id string) error {
	for k := range m.tags {
		if k.scope == scope && k.kind == kind && k.id == id {
			delete(m.tags, k)
		}
	}
	return nil
}

func (m *model) Tags(scope ssmrun.Scope, kind, id string) (map[string]string, error) {
	tags := map[string]string{}
	for k, value := range m.tags {
		if k.scope == scope && k.kind == kind && k.id == id {
			tags[k.key] = value
		}
	}
	return tags, nil
}

func (m *model) TaggedIDs(scope ssmrun.Scope, kind, key string, values []string) ([]string, error) {
	var ids []string
	for k, value := range m.tags {
		if k.scope == scope && k.kind == kind && k.key == key && (values == nil || slices.Contains(values, value)) {
			ids = append(ids, k.id)
		}
	}
	slices.Sort(ids)
	return ids, nil
}

var someKind = rapid.SampledFrom([]string{"Document", "ManagedInstance"})

// drawTags draws an operation on tags.
func drawTags(rt *rapid.T, scope ssmrun.Scope) op {
	kind, id := someKind.Draw(rt, "kind"), someName.Draw(rt, "id")
	key := rapid.SampledFrom([]string{"k", "K", ""})
	value := rapid.SampledFrom([]string{"", "v", "w"})
	switch rapid.IntRange(0, 4).Draw(rt, "tags") {
	case 0:
		tags := rapid.MapOfN(key, value, 0, 3).Draw(rt, "tags")
		return wrote(fmt.Sprintf("PutTags %s %s %v", kind, id, tags), func(tx store.Tx) error { return tx.PutTags(scope, kind, id, tags) })
	case 1:
		keys := rapid.SliceOf(key).Draw(rt, "keys")
		return wrote(fmt.Sprintf("RemoveTags %s %s %q", kind, id, keys), func(tx store.Tx) error { return tx.RemoveTags(scope, kind, id, keys) })
	case 2:
		return wrote("DropTags "+kind+" "+id, func(tx store.Tx) error { return tx.DropTags(scope, kind, id) })
	case 3:
		return op{"Tags " + kind + " " + id, func(tx store.Tx) (any, error) { return tx.Tags(scope, kind, id) }}
	default:
		var values []string
		if rapid.Bool().Draw(rt, "by value") {
			values = rapid.SliceOfN(value, 0, 2).Draw(rt, "values")
		}
		key := key.Draw(rt, "key")
		return op{fmt.Sprintf("TaggedIDs %s %q %q", kind, key, values), func(tx store.Tx) (any, error) { return tx.TaggedIDs(scope, kind, key, values) }}
	}
}
