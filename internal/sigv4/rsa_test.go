package sigv4

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"ssmrun"
)

// rsaKeys makes two key pairs, once for all tests.
var rsaKeys = sync.OnceValue(func() [2]*rsa.PrivateKey {
	var keys [2]*rsa.PrivateKey
	for i := range keys {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err)
		}
		keys[i] = key
	}
	return keys
})

const (
	instance  = "mi-0123456789abcdef0"
	tokenBody = `{"Fingerprint":"d6ced2fc-0000-4000-8000-000000000000"}`
)

func roleToken(t testing.TB) *http.Request {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, "http://127.0.0.1:8440/", strings.NewReader(tokenBody))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Target", "AmazonSSM.RequestManagedInstanceRoleToken")
	r.Header.Set("User-Agent", "any")
	if err := SignRSA(r, []byte(tokenBody), instance, rsaKeys()[0], "ssm", "us-east-1", noon); err != nil {
		t.Fatal(err)
	}
	return received(t, r, tokenBody)
}

func verifyRSA(now time.Time, r *http.Request, body string, key *rsa.PublicKey) error {
	s, err := Parse(r)
	if err != nil {
		return err
	}
	return at(now).VerifyRSA(r, s, PayloadHash([]byte(body)), key)
}

func TestRSA(t *testing.T) {
	t.Parallel()
	r := roleToken(t)
	if err := verifyRSA(noon.Add(time.Minute), r, tokenBody, &rsaKeys()[0].PublicKey); err != nil {
		t.Fatal(err)
	}
	const want = "AWS4-HMAC-SHA256 Credential=mi-0123456789abcdef0/20261122/us-east-1/ssm/aws4_request, " +
		"SignedHeaders=content-type;host;x-amz-date;x-amz-target, Signature="
	auth := r.Header.Get("Authorization")
	if !strings.HasPrefix(auth, want) {
		t.Errorf("Authorization: %s", auth)
	}

	// By the standard library alone, over texts written down by hand.
	request := "POST\n/\n\ncontent-type:application/x-amz-json-1.1\nhost:127.0.0.1:8440\nx-amz-date:20261122T120000Z\n" +
		"x-amz-target:AmazonSSM.RequestManagedInstanceRoleToken\n\ncontent-type;host;x-amz-date;x-amz-target\n" + PayloadHash([]byte(tokenBody))
	text := "AWS4-HMAC-SHA256\n20261122T120000Z\n20261122/us-east-1/ssm/aws4_request\n" + PayloadHash([]byte(request))
	signature, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(auth, want))
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256([]byte(text))
	options := &rsa.PSSOptions{SaltLength: 32}
	if err := rsa.VerifyPSS(&rsaKeys()[0].PublicKey, crypto.SHA256, digest[:], signature, options); err != nil {
		t.Error(err)
	}
}

func TestRSARefuses(t *testing.T) {
	t.Parallel()
	good, other := &rsaKeys()[0].PublicKey, &rsaKeys()[1].PublicKey
	for name, c := range map[string]struct {
		tamper func(*http.Request)
		body   string
		now    time.Time
		key    *rsa.PublicKey
		class  error
	}{
		"another key":       {nil, tokenBody, noon, other, ErrMismatch},
		"another body":      {nil, "{}", noon, good, ErrMismatch},
		"another operation": {func(r *http.Request) { r.Header.Set("X-Amz-Target", "AmazonSSM.SendCommand") }, tokenBody, noon, good, ErrMismatch},
		"too old":           {nil, tokenBody, noon.Add(6 * time.Minute), good, ErrClock},
		"too early":         {nil, tokenBody, noon.Add(-6 * time.Minute), good, ErrClock},
		"a token":           {func(r *http.Request) { r.Header.Set(headerToken, "x") }, tokenBody, noon, good, ErrToken},
		"no base64":         {replaceAuth("Signature=", "Signature=!"), tokenBody, noon, good, ErrMismatch},
		"cut":               {func(r *http.Request) { cutSignature(r, 4) }, tokenBody, noon, good, ErrMismatch},
		"a spare bit": {func(r *http.Request) {
			auth := r.Header.Get("Authorization") // ends in X== of which four bits are spare
			i := len(auth) - 3
			const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
			last := digits[strings.IndexByte(digits, auth[i])|1]
			if last == auth[i] {
				panic("nothing changed")
			}
			r.Header.Set("Authorization", auth[:i]+string(last)+"==")
		}, tokenBody, noon, good, ErrMismatch},
		"a line end": {func(r *http.Request) { replaceAuth("Signature=", "Signature=\n")(r) }, tokenBody, noon, good, ErrMismatch},
		"hmac": {func(r *http.Request) {
			Sign(r, []byte(tokenBody), Keys{AccessKeyID: instance}, "ssm", "us-east-1", noon)
		}, tokenBody, noon, good, ErrMismatch},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := roleToken(t)
			if c.tamper != nil {
				c.tamper(r)
			}
			err := verifyRSA(c.now, r, c.body, c.key)
			wantError(t, err, c.class, ssmrun.ErrorCode(err))
		})
	}
}

// A signature of an instance's key is no signature of a secret key, and cannot
// be made into one: an empty secret is no way in.
func TestRSAIsNotHMAC(t *testing.T) {
	t.Parallel()
	r := roleToken(t)
	s, err := Parse(r)
	if err != nil {
		t.Fatal(err)
	}
	wantError(t, at(noon).Verify(r, s, PayloadHash([]byte(tokenBody)), "", ""), ErrMismatch, ssmrun.CodeInvalidSignature)
}
