package identity_test

import (
	"testing"
	"time"

	"ssmrun"
	"ssmrun/internal/identity"
	"ssmrun/internal/store"
)

func TestAssumeRole(t *testing.T) {
	t.Parallel()
	b := setup(t)
	key, user, err := b.AssumeRole(identity.RoleSession{Account: "111111111111", Role: "Ops", Session: "ann", Life: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	secret, p, err := b.Lookup(t.Context(), key.AccessKeyID, key.SessionToken)
	if err != nil || secret != key.Secret || p != user || p.Agent() || !p.Assumed || p.Account != "111111111111" ||
		p.ARN != "arn:aws:sts::111111111111:assumed-role/Ops/ann" {
		t.Errorf("%+v, %v", p, err)
	}
	if !b.CallerToken(key.SessionToken) || b.CallerToken("x"+key.SessionToken) || b.CallerToken("") {
		t.Error("whose token it is, is mistaken")
	}
	if !b.HasAccount(scope.Account) || b.HasAccount("111111111111") {
		t.Error("accounts are mistaken")
	}
	b.now = b.now.Add(time.Hour + time.Second)
	if _, _, err := b.Lookup(t.Context(), key.AccessKeyID, key.SessionToken); ssmrun.ErrorCode(err) != ssmrun.CodeExpiredToken {
		t.Errorf("after its time: %v", err)
	}
}

// TestKeysOfWhatIsGone: temporary keys are not stored, and end with their
// instance all the same.
func TestKeysOfWhatIsGone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	inst := &ssmrun.Instance{ID: "mi-0123456789abcdef0", Scope: scope, IamRole: "role"}
	put := func() error {
		return b.store.Update(t.Context(), func(tx store.Tx) error { return tx.PutInstance(inst) })
	}
	if err := put(); err != nil {
		t.Fatal(err)
	}
	key, err := b.RoleKey(inst)
	if err != nil {
		t.Fatal(err)
	}
	if b.CallerToken(key.SessionToken) {
		t.Error("an agent's token is a caller's")
	}
	if _, _, err := b.Lookup(t.Context(), key.AccessKeyID, key.SessionToken); err != nil {
		t.Fatal(err)
	}
	if err := b.store.Update(t.Context(), func(tx store.Tx) error { return tx.DeleteInstance(scope, inst.ID) }); err != nil {
		t.Fatal(err)
	}
	if _, _, err := b.Lookup(t.Context(), key.AccessKeyID, key.SessionToken); ssmrun.ErrorCode(err) != ssmrun.CodeUnrecognizedClient {
		t.Errorf("of an instance that is gone: %v", err)
	}
}

func TestActivationGivesItsTags(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ends := b.now.Add(2 * time.Hour)
	id, code, err := b.CreateActivation(t.Context(), identity.NewActivation{
		Scope: scope, IamRole: "role", DefaultName: "rack", Tags: map[string]string{"site": "bonn"}, Expires: ends,
	})
	if err != nil {
		t.Fatal(err)
	}
	inst, err := b.Register(t.Context(), identity.Registration{ActivationID: id, ActivationCode: code, PublicKey: publicKey(t, 2048)})
	if err != nil || inst.DefaultName != "rack" {
		t.Fatalf("%+v, %v", inst, err)
	}
	err = b.store.View(t.Context(), func(tx store.Tx) error {
		tags, err := tx.Tags(scope, identity.ManagedInstanceTags, inst.ID)
		if len(tags) != 1 || tags["site"] != "bonn" {
			t.Errorf("tags %v", tags)
		}
		a, err2 := tx.Activation(id)
		if err2 != nil || !a.ExpiresAt.Equal(ends) {
			t.Errorf("%+v, %v", a, err2)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
