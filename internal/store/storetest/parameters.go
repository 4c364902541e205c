package storetest

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"ssmrun"
	"ssmrun/internal/store"
)

func newParameter(scope ssmrun.Scope, name string, version int64) *store.Parameter {
	return &store.Parameter{
		Name: name, Scope: scope, Version: version, Type: "SecureString", Value: []byte("v\x00\xff" + fmt.Sprint(version)),
		Description: "d", KeyID: "alias/k", AllowedPattern: ".*", Tier: "Standard", DataType: "text",
		ModifiedAt: at(int(version)), ModifiedBy: "arn:aws:iam::111111111111:user/ann",
	}
}

func (b *bundle) putParameters(t *testing.T, keep int64, list ...*store.Parameter) {
	t.Helper()
	b.update(t, func(tx store.Tx) error {
		for _, p := range list {
			if err := tx.PutParameter(p, keep); err != nil {
				return err
			}
		}
		return nil
	})
}

// parameter wants a version of a parameter; nil for none.
func (b *bundle) parameter(t *testing.T, scope ssmrun.Scope, name string, version int64, want *store.Parameter) {
	t.Helper()
	b.view(t, func(tx store.Tx) error {
		p, err := tx.Parameter(scope, name, version)
		what := fmt.Sprint(name, " ", version)
		if want == nil {
			notFound(t, what, err)
			return nil
		}
		same(t, what, p, want)
		return err
	})
}

func testParameters(t *testing.T, b *bundle) {
	one, two, three := newParameter(home, "/a/b", 1), newParameter(home, "/a/b", 2), newParameter(home, "/a/b", 3)
	bare := &store.Parameter{Name: "bare", Scope: home, Version: 1, Value: []byte{}}
	other := newParameter(otherReg, "/a/b", 1)
	b.putParameters(t, 2, one, two, bare, other)
	b.parameter(t, home, "/a/b", 0, two)
	b.parameter(t, home, "/a/b", 2, two)
	b.parameter(t, home, "/a/b", 1, one)
	b.parameter(t, home, "bare", 0, bare)
	b.parameter(t, otherReg, "/a/b", 0, other)
	for _, missing := range []int64{3, -1} {
		b.parameter(t, home, "/a/b", missing, nil)
	}
	b.parameter(t, home, "/A/b", 0, nil)
	b.parameter(t, otherAcct, "/a/b", 0, nil)

	b.putParameters(t, 2, three)
	b.parameter(t, home, "/a/b", 1, nil) // forgotten
	b.parameter(t, home, "/a/b", 2, two)
	b.parameter(t, home, "/a/b", 0, three)
	b.parameter(t, otherReg, "/a/b", 1, other)

	b.update(t, func(tx store.Tx) error {
		for _, version := range []int64{1, 3, 5} { // neither the first nor the next
			notFound(t, fmt.Sprint("put version ", version), tx.PutParameter(newParameter(home, "/a/b", version), 2))
		}
		notFound(t, "put version 2 of nothing", tx.PutParameter(newParameter(home, "/new", 2), 2))
		n, err := tx.CountParameters(home)
		if n != 2 {
			t.Errorf("%d parameters, want 2", n)
		}
		return err
	})
	if err := b.Update(b.ctx, func(tx store.Tx) error { return tx.PutParameter(newParameter(home, "/zero", 0), 2) }); err == nil {
		t.Error("version 0 was stored")
	}
	b.update(t, func(tx store.Tx) error {
		notFound(t, "delete", tx.DeleteParameter(otherAcct, "/a/b"))
		return tx.DeleteParameter(home, "/a/b")
	})
	for _, version := range []int64{0, 2, 3} {
		b.parameter(t, home, "/a/b", version, nil)
	}
	b.parameter(t, otherReg, "/a/b", 0, other)
	b.putParameters(t, 2, one) // begins anew
	b.parameter(t, home, "/a/b", 0, one)
}

func testListParameters(t *testing.T, b *bundle) {
	for _, name := range []string{"/a", "/a/b", "/a/b/c", "/a/x", "/a-b/c", "/ab/c", "plain", "ü"} {
		p := newParameter(home, name, 1)
		if name == "plain" {
			p.Type, p.KeyID, p.Tier, p.DataType = "String", "", "Advanced", "other"
		}
		b.putParameters(t, 5, p)
	}
	b.putParameters(t, 5, newParameter(home, "/a/x", 2), newParameter(otherReg, "/a/b", 1))
	for _, c := range []struct {
		q    store.ParameterQuery
		want string
	}{
		{store.ParameterQuery{}, "/a /a-b/c /a/b /a/b/c /a/x /ab/c plain ü"},
		{store.ParameterQuery{Names: []string{"ü", "/a", "/no"}}, "/a ü"},
		{store.ParameterQuery{Prefixes: []string{"/a/b", "p"}}, "/a/b /a/b/c plain"},
		{store.ParameterQuery{Parts: []string{"b/", "lai"}}, "/a-b/c /a/b/c /ab/c plain"},
		{store.ParameterQuery{Parts: []string{"%"}}, ""},
		{store.ParameterQuery{Under: []string{"/a/"}}, "/a/b /a/x"},
		{store.ParameterQuery{Under: []string{"/a/"}, Deep: true}, "/a/b /a/b/c /a/x"},
		{store.ParameterQuery{Under: []string{"/"}}, "/a plain ü"},
		{store.ParameterQuery{Under: []string{"/"}, Deep: true, Prefixes: []string{"/a/", "p"}}, "/a/b /a/b/c /a/x plain"},
		{store.ParameterQuery{Under: []string{"/a/", "/"}}, "/a /a/b /a/x plain ü"},
		{store.ParameterQuery{Under: []string{"/a/", "/ab/"}}, "/a/b /a/x /ab/c"},
		{store.ParameterQuery{Under: []string{"/a/", "/ab/"}, Deep: true}, "/a/b /a/b/c /a/x /ab/c"},
		{store.ParameterQuery{Types: []string{"String"}}, "plain"},
		{store.ParameterQuery{KeyIDs: []string{"alias/k"}, Names: []string{"/a", "plain"}}, "/a"},
		{store.ParameterQuery{KeyIDPrefixes: []string{"alias"}, Names: []string{"/a", "plain"}}, "/a"},
		{store.ParameterQuery{Tiers: []string{"Advanced"}}, "plain"},
		{store.ParameterQuery{DataTypes: []string{"other"}}, "plain"},
		{store.ParameterQuery{Types: []string{"String"}, Tiers: []string{"Standard"}}, ""},
	} {
		for _, limit := range []int{1, 3, 100} {
			var names []string
			p := store.Page{Limit: limit}
			b.view(t, func(tx store.Tx) error {
				for {
					list, next, err := tx.ListParameters(home, c.q, p)
					if err != nil {
						return err
					}
					for _, p := range list {
						names = append(names, p.Name)
						if p.Name == "/a/x" && (p.Version != 2 || string(p.Value) != "v\x00\xff2") {
							t.Errorf("version %d of %s is listed", p.Version, p.Name)
						}
					}
					if next == "" {
						return nil
					}
					p.Token = next
				}
			})
			if got := strings.Join(names, " "); got != c.want {
				t.Errorf("%+v by %d: %s, want %s", c.q, limit, got, c.want)
			}
		}
	}
	b.view(t, func(tx store.Tx) error {
		_, _, err := tx.ListParameters(home, store.ParameterQuery{}, store.Page{Limit: 1, Token: "x"})
		if ssmrun.ErrorCode(err) != ssmrun.CodeInvalidNextToken {
			t.Errorf("a token that is none: %v", err)
		}
		if _, _, err := tx.ListParameters(home, store.ParameterQuery{}, store.Page{}); err == nil {
			t.Error("a page of no rows was given")
		}
		return nil
	})
	long := newParameter(home, "/"+strings.Repeat("x", 1010), 1)
	b.putParameters(t, 1, long, newParameter(home, long.Name+"/y", 1))
	b.view(t, func(tx store.Tx) error {
		q := store.ParameterQuery{Prefixes: []string{long.Name}}
		_, next, err := tx.ListParameters(home, q, store.Page{Limit: 1})
		if err != nil {
			return err
		}
		list, _, err := tx.ListParameters(home, q, store.Page{Limit: 1, Token: next})
		if len(list) != 1 {
			return errors.Join(err, errors.New("a token of a long name leads nowhere"))
		}
		return err
	})
}
