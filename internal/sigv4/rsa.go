package sigv4

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"time"
)

var pss = &rsa.PSSOptions{SaltLength: 32, Hash: crypto.SHA256}

// SignRSA signs a request with the key pair that an instance registered: the
// instance id stands for the access key id, and the signature is base64 of
// RSA-PSS (SHA-256, salt of 32 bytes) over the ordinary string to sign. Agents
// ask for their temporary keys that way, and replace their key pair. Which
// headers are signed, and what is set, is as for Sign, without a session token.
func SignRSA(r *http.Request, body []byte, instanceID string, key *rsa.PrivateKey, service, region string, now time.Time) error {
	r.Header.Del(headerToken)
	c := Credential{AccessKeyID: instanceID, Region: region, Service: service}
	text, signed := prepare(r, &c, body, now)
	digest := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPSS(rand.Reader, key, crypto.SHA256, digest[:], pss)
	if err != nil {
		return fmt.Errorf("sign with instance key: %w", err)
	}
	authorize(r, c, signed, base64.StdEncoding.EncodeToString(signature))
	return nil
}

// VerifyRSA is Verify for a request that an instance signed with its registered
// key pair. Such requests have no session token and are never presigned.
func (v *Verifier) VerifyRSA(r *http.Request, s *Signed, payloadHash string, key *rsa.PublicKey) error {
	if s.SessionToken != "" {
		return UnknownKey()
	}
	if s.Presigned {
		return incomplete("A request signed by an instance's key has an Authorization header.")
	}
	text, err := v.check(r, s, payloadHash)
	if err != nil {
		return err
	}
	// The decoder passes over line ends, and the strict one refuses spare bits:
	// one signature has one spelling.
	signature, err := base64.StdEncoding.Strict().DecodeString(s.Signature)
	if err != nil || strings.ContainsAny(s.Signature, "\r\n") {
		return mismatch()
	}
	digest := sha256.Sum256([]byte(text))
	if err := rsa.VerifyPSS(key, crypto.SHA256, digest[:], signature, pss); err != nil {
		return mismatch()
	}
	return v.checkClock(s)
}
