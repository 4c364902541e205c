package storetest

import (
	"cmp"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"ssmrun"
	"ssmrun/internal/store"
)

func newRole(name string) *store.Role {
	return &store.Role{
		Account: home.Account, Name: name, Path: "/team/", ID: "AROA1", Description: "of 'racks' – ü", Trust: `{"Statement":[]}`,
		Services: []string{"ssm.amazonaws.com", "ec2.amazonaws.com"}, Policies: []string{"arn:b", "arn:a"}, MaxSession: 3600,
		CreatedAt: at(3), Tags: map[string]string{"site": "bonn", "empty": ""},
	}
}

func walkRoles(tx store.Tx, account string, limit int) ([]store.Role, error) {
	return walk(limit, func(p store.Page) ([]store.Role, string, error) { return tx.ListRoles(account, p) })
}

func testRoles(t *testing.T, b *bundle) {
	full, bare, away := newRole("b"), &store.Role{Account: home.Account, Name: "a"}, newRole("b")
	away.Account = otherAcct.Account
	for _, r := range []*store.Role{full, bare, away} {
		b.update(t, func(tx store.Tx) error { return tx.PutRole(r) })
		b.view(t, func(tx store.Tx) error {
			got, err := tx.Role(r.Account, r.Name)
			same(t, "found", got, utc(r))
			return err
		})
	}
	changed := newRole("b")
	changed.Policies, changed.Services, changed.Tags = nil, []string{"x"}, nil
	b.update(t, func(tx store.Tx) error { return tx.PutRole(changed) })
	b.view(t, func(tx store.Tx) error {
		for limit := 1; limit <= 3; limit++ {
			got, err := walkRoles(tx, home.Account, limit)
			if err != nil {
				return err
			}
			same(t, "listed", got, []store.Role{*bare, *utc(changed)})
		}
		_, err := tx.Role(home.Account, "B")
		notFound(t, "another spelling", err)
		_, err = tx.Role("333333333333", "b")
		notFound(t, "another account's role", err)
		return nil
	})
	b.update(t, func(tx store.Tx) error { return tx.DeleteRole(home.Account, "b") })
	notFound(t, "the second deletion", b.Update(b.ctx, func(tx store.Tx) error { return tx.DeleteRole(home.Account, "b") }))
	b.view(t, func(tx store.Tx) error {
		got, err := tx.Role(away.Account, "b")
		same(t, "another account's", got, utc(away))
		return err
	})
}

func testAccounts(t *testing.T, b *bundle) {
	for n, want := range []bool{true, false, false} {
		b.update(t, func(tx store.Tx) error {
			got, err := tx.NewAccount(home.Account)
			if got != want {
				t.Errorf("at time %d the account is new: %t", n, got)
			}
			return err
		})
	}
	b.update(t, func(tx store.Tx) error {
		got, err := tx.NewAccount(otherAcct.Account)
		if !got {
			t.Error("another account is not new")
		}
		return err
	})
}

func utc(r *store.Role) *store.Role {
	c := *r
	if !c.CreatedAt.IsZero() {
		c.CreatedAt = c.CreatedAt.UTC().Truncate(time.Microsecond)
	}
	return &c
}

type roleKey struct{ account, name string }

func (m *model) NewAccount(account string) (bool, error) {
	had := m.accounts[account]
	m.accounts[account] = true
	return !had, nil
}

func (m *model) PutRole(r *store.Role) error {
	m.roles[roleKey{r.Account, r.Name}] = *utc(r)
	return nil
}

func (m *model) Role(account, name string) (*store.Role, error) {
	return find(m.roles, roleKey{account, name})
}

func (m *model) DeleteRole(account, name string) error {
	key := roleKey{account, name}
	if _, ok := m.roles[key]; !ok {
		return ssmrun.ErrNotFound
	}
	delete(m.roles, key)
	return nil
}

func (m *model) ListRoles(account string, _ store.Page) ([]store.Role, string, error) {
	return sorted(m.roles, func(r store.Role) bool { return r.Account == account },
		func(a, b store.Role) int { return cmp.Compare(a.Name, b.Name) }), "", nil
}

// drawRoles draws an operation on roles.
func drawRoles(rt *rapid.T, scope ssmrun.Scope) op {
	name := someName.Draw(rt, "name")
	switch rapid.IntRange(0, 5).Draw(rt, "roles") {
	case 0, 1:
		r := store.Role{
			Account: scope.Account, Name: name, Path: someText.Draw(rt, "path"), ID: someText.Draw(rt, "id"),
			Description: someText.Draw(rt, "description"), Trust: someText.Draw(rt, "trust"),
			Services: rapid.SliceOfN(someText, 0, 2).Draw(rt, "services"), Policies: rapid.SliceOfN(someText, 0, 2).Draw(rt, "policies"),
			MaxSession: rapid.IntRange(0, 43200).Draw(rt, "session"), CreatedAt: maybeTime.Draw(rt, "created"),
			Tags: rapid.MapOfN(someText, someText, 0, 2).Draw(rt, "tags"),
		}
		return wrote("PutRole "+name, func(tx store.Tx) error { return tx.PutRole(&r) })
	case 2:
		return wrote("DeleteRole "+name, func(tx store.Tx) error { return tx.DeleteRole(scope.Account, name) })
	case 3:
		limit := rapid.IntRange(1, 3).Draw(rt, "limit")
		return op{fmt.Sprintf("ListRoles by %d", limit), func(tx store.Tx) (any, error) {
			return walkRoles(tx, scope.Account, pages(tx, limit))
		}}
	case 4:
		return op{"NewAccount", func(tx store.Tx) (any, error) { return tx.NewAccount(scope.Account) }}
	default:
		return op{"Role " + name, func(tx store.Tx) (any, error) { return tx.Role(scope.Account, name) }}
	}
}
