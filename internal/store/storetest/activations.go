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
	used.InstanceID, used.ForgetsAfter, used.ExpiresAt = "", false, at(99)
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
