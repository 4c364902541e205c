package storetest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"pgregory.net/rapid"

	"ssmrun"
	"ssmrun/internal/store"
)

type parameterKey struct {
	scope ssmrun.Scope
	name  string
}

func (m *model) PutParameter(p *store.Parameter, keep int64) error {
	if p.Version < 1 || keep < 1 {
		return errRefused
	}
	key := parameterKey{p.Scope, p.Name}
	versions := m.parameters[key]
	if int64(len(versions)) != 0 && versions[len(versions)-1].Version != p.Version-1 || len(versions) == 0 && p.Version != 1 {
		return ssmrun.ErrNotFound
	}
	versions = slices.DeleteFunc(slices.Clone(versions), func(v store.Parameter) bool { return v.Version <= p.Version-keep })
	stored := *p
	stored.ModifiedAt = stored.ModifiedAt.UTC().Truncate(time.Microsecond)
	m.parameters[key] = append(versions, stored)
	return nil
}

func (m *model) Parameter(scope ssmrun.Scope, name string, version int64) (*store.Parameter, error) {
	versions := m.parameters[parameterKey{scope, name}]
	for i, v := range versions {
		if v.Version == version || version == 0 && i == len(versions)-1 {
			// Only values and changes are kept of each version.
			p := versions[len(versions)-1]
			p.Version, p.Value, p.ModifiedAt, p.ModifiedBy = v.Version, v.Value, v.ModifiedAt, v.ModifiedBy
			return &p, nil
		}
	}
	return nil, ssmrun.ErrNotFound
}

func (m *model) DeleteParameter(scope ssmrun.Scope, name string) error {
	key := parameterKey{scope, name}
	if len(m.parameters[key]) == 0 {
		return ssmrun.ErrNotFound
	}
	delete(m.parameters, key)
	return nil
}

func (m *model) CountParameters(scope ssmrun.Scope) (int, error) {
	n := 0
	for k := range m.parameters {
		if k.scope == scope {
			n++
		}
	}
	return n, nil
}

// ListParameters knows prefixes and types; testListParameters has the rest.
func (m *model) ListParameters(scope ssmrun.Scope, q store.ParameterQuery, _ store.Page) ([]store.Parameter, string, error) {
	var out []store.Parameter
	for k, versions := range m.parameters {
		p := versions[len(versions)-1]
		prefixed := slices.ContainsFunc(q.Prefixes, func(s string) bool { return strings.HasPrefix(p.Name, s) })
		if k.scope == scope && (prefixed || len(q.Prefixes) == 0) && (len(q.Types) == 0 || slices.Contains(q.Types, p.Type)) {
			out = append(out, p)
		}
	}
	slices.SortFunc(out, func(a, b store.Parameter) int { return cmp.Compare(a.Name, b.Name) })
	return out, "", nil
}

// drawParameters draws an operation on parameters.
func drawParameters(rt *rapid.T, scope ssmrun.Scope) op {
	name := rapid.SampledFrom([]string{"/a", "/a/b", "p"}).Draw(rt, "name")
	version := rapid.Int64Range(0, 4).Draw(rt, "version")
	switch rapid.IntRange(0, 6).Draw(rt, "parameters") {
	case 0, 1, 2:
		p := store.Parameter{
			Name: name, Scope: scope, Version: version, Type: someName.Draw(rt, "type"), Value: rapid.SliceOf(rapid.Byte()).Draw(rt, "value"),
			Description: someText.Draw(rt, "description"), KeyID: someText.Draw(rt, "key"), AllowedPattern: someText.Draw(rt, "pattern"),
			Tier: someText.Draw(rt, "tier"), DataType: someText.Draw(rt, "data type"), ModifiedAt: maybeTime.Draw(rt, "modified"),
			ModifiedBy: someCaller.Draw(rt, "by"),
		}
		keep := rapid.Int64Range(1, 2).Draw(rt, "keep")
		return wrote(fmt.Sprintf("PutParameter %s %d", name, version), func(tx store.Tx) error { return tx.PutParameter(&p, keep) })
	case 3:
		return wrote("DeleteParameter "+name, func(tx store.Tx) error { return tx.DeleteParameter(scope, name) })
	case 4:
		return op{"CountParameters", func(tx store.Tx) (any, error) { return tx.CountParameters(scope) }}
	case 5:
		q := store.ParameterQuery{}
		if rapid.Bool().Draw(rt, "by prefix") {
			q.Prefixes = []string{"/a"}
		}
		if rapid.Bool().Draw(rt, "by type") {
			q.Types = []string{someName.Draw(rt, "of type")}
		}
		limit := rapid.IntRange(1, 2).Draw(rt, "limit")
		return op{fmt.Sprintf("ListParameters %+v by %d", q, limit), func(tx store.Tx) (any, error) {
			var all []store.Parameter
			p := store.Page{Limit: pages(tx, limit)}
			for {
				list, next, err := tx.ListParameters(scope, q, p)
				all = append(all, list...)
				if err != nil || next == "" {
					return all, err
				}
				p.Token = next
			}
		}}
	default:
		return op{fmt.Sprintf("Parameter %s %d", name, version), func(tx store.Tx) (any, error) { return tx.Parameter(scope, name, version) }}
	}
}
