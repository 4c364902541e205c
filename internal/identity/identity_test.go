package identity_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ssmrun"
	"ssmrun/internal/identity"
	"ssmrun/internal/store"
	"ssmrun/internal/store/sqlite"
)

var scope = ssmrun.Scope{Account: "000000000000", Region: "us-east-1"}

type bundle struct {
	*identity.Service
	dir   string
	now   time.Time
	store store.Store
}

func setup(t *testing.T) *bundle {
	t.Helper()
	b := &bundle{dir: t.TempDir(), now: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)}
	db, err := sqlite.Open(context.Background(), filepath.Join(b.dir, "test.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	b.store = db
	b.Service, err = identity.Open(identity.Config{Dir: b.dir, Account: scope.Account, Store: db, Now: func() time.Time { return b.now }})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.PrepareAccounts(t.Context(), []string{scope.Account}, []store.Role{
		{Name: "role", Trust: identity.TrustPolicy(identity.ServiceSSM), Policies: []string{identity.CorePolicy}},
	}); err != nil {
		t.Fatal(err)
	}
	return b
}

func TestKeysAreKept(t *testing.T) {
	t.Parallel()
	b := setup(t)
	again, err := identity.Open(identity.Config{Dir: b.dir, Account: scope.Account})
	if err != nil || again.Root() != b.Root() {
		t.Errorf("other keys after a restart: %v", err)
	}
	info, err := os.Stat(filepath.Join(b.dir, "identity.json"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	given := identity.Key{AccessKeyID: "AKIAGIVEN", Secret: "s"}
	other, err := identity.Open(identity.Config{Dir: b.dir, Account: scope.Account, Key: given})
	if err != nil || other.Root() != given {
		t.Errorf("the given key is not used: %v", err)
	}
	secret, p, err := b.Lookup(t.Context(), b.Root().AccessKeyID, "")
	if err != nil || secret != b.Root().Secret || p.Agent() || !strings.HasPrefix(p.ARN, "arn:aws:iam::000000000000:user/") {
		t.Errorf("look-up: %+v, %v", p, err)
	}
}

func TestSpoiledKeysAreNotReplaced(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "identity.json")
	if err := os.WriteFile(file, []byte(`{"access_key_id":"a","secret_access_key":"hunter2"`), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := identity.Open(identity.Config{Dir: dir})
	if err == nil || !strings.Contains(err.Error(), "identity.json") || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v", err)
	}
}

func TestRoleKeys(t *testing.T) {
	t.Parallel()
	b := setup(t)
	inst := &ssmrun.Instance{ID: "i-0123456789abcdef0", Scope: scope, IamRole: "role"}
	if err := b.store.Update(t.Context(), func(tx store.Tx) error { return tx.PutInstance(inst) }); err != nil {
		t.Fatal(err)
	}
	key, err := b.RoleKey(inst)
	if err != nil {
		t.Fatal(err)
	}
	secret, p, err := b.Lookup(t.Context(), key.AccessKeyID, key.SessionToken)
	if err != nil || secret != key.Secret || p.InstanceID != inst.ID || p.Region != scope.Region {
		t.Fatalf("%+v, %v", p, err)
	}
	// Another process on the same data knows them too.
	again, err := identity.Open(identity.Config{Dir: b.dir, Account: scope.Account, Store: b.store, Now: func() time.Time { return b.now }})
	if err != nil {
		t.Fatal(err)
	}
	if secret, _, err := again.Lookup(t.Context(), key.AccessKeyID, key.SessionToken); err != nil || secret != key.Secret {
		t.Errorf("after a restart: %v", err)
	}
	other, err := b.RoleKey(inst)
	if err != nil || other.Secret == key.Secret {
		t.Errorf("the same secret twice: %v", err)
	}
	for name, c := range map[string]struct{ id, token string }{
		"another key id":    {other.AccessKeyID, key.SessionToken},
		"no token":          {key.AccessKeyID, ""},
		"the root's id":     {b.Root().AccessKeyID, key.SessionToken},
		"a changed token":   {key.AccessKeyID, "x" + key.SessionToken},
		"a changed sum":     {key.AccessKeyID, key.SessionToken[:len(key.SessionToken)-3] + "AAA"},
		"nonsense":          {key.AccessKeyID, "nonsense"},
		"nonsense with a .": {key.AccessKeyID, "non.sense"},
	} {
		if _, _, err := b.Lookup(t.Context(), c.id, c.token); ssmrun.ErrorCode(err) != ssmrun.CodeUnrecognizedClient {
			t.Errorf("%s: %v", name, err)
		}
	}
	b.now = b.now.Add(identity.RoleTokenLife + time.Second)
	if _, _, err := b.Lookup(t.Context(), key.AccessKeyID, key.SessionToken); ssmrun.ErrorCode(err) != ssmrun.CodeExpiredToken {
		t.Errorf("after its time: %v", err)
	}
}

func TestChannelToken(t *testing.T) {
	t.Parallel()
	b := setup(t)
	token := b.ChannelToken("i-0123456789abcdef0")
	if !b.CheckChannelToken("i-0123456789abcdef0", token) {
		t.Error("not taken")
	}
	for _, bad := range []string{"", ".", "x.y", token + "A", "9" + token} {
		if b.CheckChannelToken("i-0123456789abcdef0", bad) {
			t.Errorf("%q is taken", bad)
		}
	}
	if b.CheckChannelToken("i-1123456789abcdef0", token) {
		t.Error("another instance's token is taken")
	}
	b.now = b.now.Add(2 * time.Minute)
	if b.CheckChannelToken("i-0123456789abcdef0", token) {
		t.Error("taken after its time")
	}
}

func publicKey(t *testing.T, bits int) string {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&k.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(der)
}

func TestRegister(t *testing.T) {
	t.Parallel()
	b, ctx := setup(t), context.Background()
	key := publicKey(t, 2048)
	reg := func(id, code string) (*ssmrun.Instance, error) {
		return b.Register(ctx, identity.Registration{ActivationID: id, ActivationCode: code, Fingerprint: "f", PublicKey: key})
	}
	id, code, err := b.CreateActivation(ctx, identity.NewActivation{Scope: scope, IamRole: "role", Limit: 2})
	if err != nil || len(code) < 20 {
		t.Fatalf("code of %d characters, %v", len(code), err)
	}
	if _, err := b.Register(ctx, identity.Registration{ActivationID: id, ActivationCode: code, Fingerprint: "f", PublicKey: key, Region: "xx-else-1"}); ssmrun.ErrorCode(err) != ssmrun.CodeValidation ||
		!strings.Contains(err.Error(), "xx-else-1") || !strings.Contains(err.Error(), "Set it up for "+scope.Region) {
		t.Errorf("for another region: %v", err)
	}
	one, err := reg(id, code) // which has used nothing up
	if err != nil || !ssmrun.ValidInstanceID(one.ID) || one.ResourceType() != "ManagedInstance" || one.IamRole != "role" {
		t.Fatalf("%+v, %v", one, err)
	}
	two, err := reg(id, code)
	if err != nil || two.ID == one.ID {
		t.Fatalf("%+v, %v", two, err)
	}
	_, err = reg(id, code)
	if ssmrun.ErrorCode(err) != ssmrun.CodeInvalidActivation || !strings.Contains(err.Error(), "limit") {
		t.Errorf("over the limit: %v", err)
	}
	for name, c := range map[string]struct{ id, code string }{
		"a wrong code": {id, "xxxxxxxxxxxxxxxxxxxxxxxx"}, "a wrong id": {"11111111-1111-4111-8111-111111111111", code}, "nothing": {},
	} {
		_, err := reg(c.id, c.code)
		if ssmrun.ErrorCode(err) != ssmrun.CodeInvalidActivation || code != "" && strings.Contains(err.Error(), code) {
			t.Errorf("%s: %v", name, err)
		}
	}
	named, ncode, err := b.CreateActivation(ctx, identity.NewActivation{Scope: scope, IamRole: "role", InstanceID: "i-0123456789abcdef0", Forget: true})
	if err != nil {
		t.Fatal(err)
	}
	if i, err := reg(named, ncode); err != nil || i.ID != "i-0123456789abcdef0" {
		t.Errorf("%+v, %v", i, err)
	}
	if _, err := reg(named, ncode); ssmrun.ErrorCode(err) != ssmrun.CodeInvalidActivation {
		t.Errorf("a used-up activation: %v", err)
	}
	late, lcode, err := b.CreateActivation(ctx, identity.NewActivation{Scope: scope, IamRole: "role", Life: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	b.now = b.now.Add(2 * time.Hour)
	if _, err := reg(late, lcode); ssmrun.ErrorCode(err) != ssmrun.CodeInvalidActivation || !strings.Contains(err.Error(), "expired") {
		t.Errorf("an expired activation: %v", err)
	}
}

func TestPublicKey(t *testing.T) {
	t.Parallel()
	if _, err := identity.PublicKey(publicKey(t, 2048)); err != nil {
		t.Error(err)
	}
	for name, k := range map[string]string{"nothing": "", "no base64": "!", "no key": "aGVsbG8="} {
		if _, err := identity.PublicKey(k); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

// TestKey: a derived key lasts as long as the folder, and each use has its own.
func TestKey(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	keys := map[string]string{}
	for range 2 {
		s, err := identity.Open(identity.Config{Dir: dir, Account: "000000000000"})
		if err != nil {
			t.Fatal(err)
		}
		for _, use := range []string{"a", "b"} {
			key, err := s.Key(use)
			if err != nil || len(key) != 32 {
				t.Fatalf("%s: %d bytes, %v", use, len(key), err)
			}
			if before, ok := keys[use]; ok && before != string(key) {
				t.Errorf("the key for %s changed", use)
			}
			keys[use] = string(key)
		}
	}
	if keys["a"] == keys["b"] {
		t.Error("two uses have one key")
	}
}
