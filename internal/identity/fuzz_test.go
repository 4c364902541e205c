package identity_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"ssmrun"
	"ssmrun/internal/identity"
)

// FuzzLookup presents any session token with any key: nobody is found by what the
// service did not seal.
func FuzzLookup(f *testing.F) {
	s, err := identity.Open(identity.Config{Dir: f.TempDir(), Account: "000000000000"})
	if err != nil {
		f.Fatal(err)
	}
	key, _, err := s.AssumeRole(identity.RoleSession{Account: "000000000000", Role: "Ops", Session: "ann", Life: 1 << 60})
	if err != nil {
		f.Fatal(err)
	}
	body, sum, _ := strings.Cut(key.SessionToken, ".")
	forged := base64.RawURLEncoding.EncodeToString([]byte(`{"k":"` + key.AccessKeyID + `","a":"111111111111","o":"Ops","e":9999999999}`))
	for _, token := range []string{"", ".", body, body + ".", "." + sum, forged + "." + sum, key.SessionToken + "A", key.SessionToken[1:], strings.Replace(key.SessionToken, ".", "..", 1)} {
		f.Add(key.AccessKeyID, token)
	}
	f.Fuzz(func(t *testing.T, id, token string) {
		secret, p, err := s.Lookup(t.Context(), id, token)
		switch {
		case err == nil && id == s.Root().AccessKeyID && token == "":
		case err == nil && id == key.AccessKeyID && strings.HasPrefix(token, body+"."):
			// The seal may be spelled otherwise; the secret is another's then.
			if token != key.SessionToken && secret == key.Secret {
				t.Fatalf("%q has the secret of another token", token)
			}
		case ssmrun.ErrorCode(err) != ssmrun.CodeUnrecognizedClient:
			t.Fatalf("%q, %q: %+v, %v", id, token, p, err)
		}
	})
}

// FuzzPublicKey reads any key that an agent may send.
func FuzzPublicKey(f *testing.F) {
	for _, s := range []string{"", "AAAA", "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A", "-----BEGIN PUBLIC KEY-----", "MAA="} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if key, err := identity.PublicKey(s); err == nil && key.N.BitLen() < 2048 {
			t.Fatalf("%q is taken, with %d bits", s, key.N.BitLen())
		}
	})
}
