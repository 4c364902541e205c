package sigv4

import (
	"crypto/hmac"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// DefaultMaxSkew is how far a signer's clock may be from ours.
const DefaultMaxSkew = 5 * time.Minute

const unsignedPayload = "UNSIGNED-PAYLOAD"

// Verifier checks signatures. The zero value is ready; it may be used by many
// goroutines and must not be copied.
type Verifier struct {
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// MaxSkew is how far X-Amz-Date may be from Now, both ways; 0 is
	// DefaultMaxSkew. At exactly MaxSkew a request is still taken.
	MaxSkew time.Duration

	keys keyCache
}

// Verify returns nil if the request was signed with the key and within
// MaxSkew, as s says, which Parse made of the same request. payloadHash is the
// PayloadHash of the body that was really received. sessionToken is the one
// that belongs to the key, "" for a lasting key.
//
// A payload hash that the request declares must be the body's; only requests to
// S3 may leave their payload unsigned, and none may stream it in signed chunks.
// That the key and the scope are allowed here is for the caller to decide: see
// UnknownKey, Credential.RequireScope. Errors wrap ErrToken, ErrMismatch,
// ErrIncomplete or ErrClock.
func (v *Verifier) Verify(r *http.Request, s *Signed, payloadHash, secret, sessionToken string) error {
	if !hmac.Equal([]byte(s.SessionToken), []byte(sessionToken)) {
		return UnknownKey()
	}
	text, err := v.check(r, s, payloadHash)
	if err != nil {
		return err
	}
	scope := keyScope{secret, s.Date, s.Region, s.Service}
	key, cached := v.keys.get(scope)
	if !cached {
		key = SigningKey(secret, s.Date, s.Region, s.Service)
	}
	// As text: the same bytes in upper-case hex are another signature.
	if want := hex.EncodeToString(sum(key, text)); !hmac.Equal([]byte(want), []byte(s.Signature)) {
		return mismatch()
	}
	if !cached {
		v.keys.put(scope, key)
	}
	return v.checkClock(s)
}

// check does what is common to all kinds of signatures before the key comes in,
// and returns the string that must have been signed.
func (v *Verifier) check(r *http.Request, s *Signed, payloadHash string) (string, error) {
	if err := s.requireHeaders(r.Header); err != nil {
		return "", err
	}
	payload, err := s.payload(r, payloadHash)
	if err != nil {
		return "", err
	}
	b, ok := canonical(r, s.Service, s.SignedHeaders, payload, s.Presigned)
	if !ok {
		return "", invalid(ErrMismatch, "SignedHeaders names a header that the request does not have.")
	}
	return stringToSign(s.Time.Format(timeLayout), s.scope(), b), nil
}

// single are the headers that steer the service. Two of one name sign like one
// with a comma, and a handler would look at the first only.
var single = map[string]bool{
	"x-amz-date":           true,
	"x-amz-target":         true,
	"x-amz-security-token": true,
	"x-amz-content-sha256": true,
}

// requireHeaders is about the headers that a request has; the date is among them
// (Parse wants it), or in the query, all of which is signed.
func (s *Signed) requireHeaders(header http.Header) error {
	if !s.signs("host") {
		return invalid(ErrMismatch, "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.")
	}
	for name, values := range header {
		if len(name) < 6 || !strings.EqualFold(name[:6], "x-amz-") {
			continue
		}
		lower := strings.ToLower(name)
		// The body's hash is signed with the body; outside S3 the header says the
		// same once more (see payload), and amazon-ssm-agent does not sign it where
		// it signs with its registered key.
		said := lower == "x-amz-content-sha256" && s.Service != serviceS3
		// In another spelling it would be a second header beside the signed one.
		if !s.signs(lower) && !said || name != http.CanonicalHeaderKey(lower) {
			return invalid(ErrMismatch, "'"+name+"' must be a 'SignedHeader' in the AWS Authorization.")
		}
		if single[lower] && len(values) != 1 {
			return once(name)
		}
	}
	return nil
}

// payload is the last line of the canonical request.
func (s *Signed) payload(r *http.Request, hash string) (string, error) {
	declared := r.Header.Get(headerPayload)
	if s.Presigned && declared == "" && r.URL.RawQuery != "" {
		declared = r.URL.Query().Get(queryPayload)
	}
	switch {
	case declared == "" && s.Presigned && s.Service == serviceS3:
		return unsignedPayload, nil
	case declared == "", declared == hash:
		return hash, nil
	case declared == unsignedPayload && s.Service == serviceS3:
		return unsignedPayload, nil
	}
	return "", invalid(ErrMismatch, "The provided 'x-amz-content-sha256' header does not match what was computed.")
}

// checkClock comes after the signature, so that nobody without a key can ask
// for our clock's opinion.
func (v *Verifier) checkClock(s *Signed) error {
	now := time.Now
	if v.Now != nil {
		now = v.Now
	}
	skew := v.MaxSkew
	if skew == 0 {
		skew = DefaultMaxSkew
	}
	life := skew
	if s.Presigned {
		life = s.Expires
	}
	at := now().UTC().Truncate(time.Second)
	if first := at.Add(-life); s.Time.Before(first) {
		return invalid(ErrClock, fmt.Sprintf("Signature expired: %s is now earlier than %s (%s - %s)",
			s.Time.Format(timeLayout), first.Format(timeLayout), at.Format(timeLayout), span(life)))
	}
	if last := at.Add(skew); s.Time.After(last) {
		return invalid(ErrClock, fmt.Sprintf("Signature not yet current: %s is still later than %s (%s + %s)",
			s.Time.Format(timeLayout), last.Format(timeLayout), at.Format(timeLayout), span(skew)))
	}
	return nil
}

// span writes whole minutes as AWS does: 5 min.
func span(d time.Duration) string {
	if d%time.Minute == 0 {
		return fmt.Sprintf("%d min.", d/time.Minute)
	}
	return fmt.Sprintf("%d s.", d/time.Second)
}
