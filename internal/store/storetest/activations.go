package storetest

import (
	"crypto/sha256"
	"testing"

	"ssmrun/internal/store"
)

func newActivation(id string) *store.Activation {
	hash := sha256.Sum256([]byte(id))
	return &store.Activation{
		ID: id, Scope: home, CodeHash: hash[:], IamRole: "role", Description: "for tests",
		DefaultName: "name", InstanceID: instanceID(1), Limit: 10, Count: 3, CreatedAt: at(0), ExpiresAt: at(60), ForgetsAfter: true,
		Tags: map[string]string{"env": "it's", "empty": ""},
	}
}

func testActivations(t *testing.T, b *bundle) {
	find := func(id string) (a *store.Activation, err error) {
		b.view(t, func(tx store.Tx) error {
			a, err = tx.Activation(id)
			return nil
		})
		return a, err
	}
	put := func(a *store.Activation) error {
		return b.Update(b.ctx, func(tx store.Tx) error { return tx.PutActivation(a) })
	}
	full, bare := newActivation("a1"), &store.Activation{ID: "a2", Scope: otherReg}
	for _, a := range []*store.Activation{full, bare} {
		if err := put(a); err != nil {
			t.Fatal(err)
		}
		got, err := find(a.ID)
		if err != nil {
			t.Fatal(err)
		}
		same(t, "activation", got, a)
	}
	used := newActivation("a1")
	used.Count, used.Limit, used.CodeHash = 4, 5, []byte{0, 1, 2}
	used.InstanceID, used.ForgetsAfter, used.ExpiresAt, used.Tags = "", false, at(99), nil
	if err := put(used); err != nil {
		t.Fatal(err)
	}
	got, _ := find("a1")
	same(t, "replaced", got, used)
	stolen := newActivation("a2")
	if err := put(stolen); err == nil {
		t.Error("an activation of another scope was replaced")
	}
	got, _ = find("a2")
	same(t, "after the try to replace it", got, bare)
	for range 2 { // the second time there is none
		b.update(t, func(tx store.Tx) error { return tx.DeleteActivation("a1") })
		_, err := find("a1")
		notFound(t, "a deleted activation", err)
	}
	if _, err := find("a2"); err != nil {
		t.Errorf("the other activation: %v", err)
	}
}

func testListActivations(t *testing.T, b *bundle) {
	b.update(t, func(tx store.Tx) error {
		for n, id := range []string{"a3", "a1", "a2", "other"} {
			a := newActivation(id)
			a.DefaultName = []string{"x", "x", "y", "x"}[n]
			a.IamRole = []string{"r", "s", "s", "r"}[n]
			if id == "other" {
				a.Scope = otherReg
			}
			if id == "a2" {
				a.InstanceID = ""
			}
			if err := tx.PutActivation(a); err != nil {
				return err
			}
		}
		return nil
	})
	for name, c := range map[string]struct {
		q    store.ActivationQuery
		want []string
	}{
		"all":   {store.ActivationQuery{}, []string{"a1", "a2", "a3"}},
		"ids":   {store.ActivationQuery{IDs: []string{"a3", "a1", "other", "none"}}, []string{"a1", "a3"}},
		"names": {store.ActivationQuery{DefaultNames: []string{"x"}}, []string{"a1", "a3"}},
		"roles": {store.ActivationQuery{IamRoles: []string{"s", "t"}}, []string{"a1", "a2"}},
		"both":  {store.ActivationQuery{DefaultNames: []string{"x"}, IamRoles: []string{"s"}}, []string{"a1"}},
		"none":  {store.ActivationQuery{IamRoles: []string{"t"}}, nil},
	} {
		b.view(t, func(tx store.Tx) error {
			for limit := 1; limit <= 4; limit++ {
				list, err := walkActivations(tx, home, c.q, limit)
				if err != nil {
					return err
				}
				var got []string
				for _, a := range list {
					got = append(got, a.ID)
				}
				same(t, name, got, c.want)
			}
			return nil
		})
	}
	b.view(t, func(tx store.Tx) error {
		for instance, want := range map[string]int{instanceID(1): 3, instanceID(2): 0, "": 0} {
			list, err := tx.ActivationsOf(instance)
			if err != nil || len(list) != want {
				t.Errorf("activations of %q: %d, %v; want %d", instance, len(list), err, want)
			}
		}
		return nil
	})
}
