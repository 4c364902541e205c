package agentlink

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/google/uuid"

	"ssmrun/internal/wire"
)

// KeyBits is the size of the keys that agents register.
const KeyBits = 2048

// Identity is who an instance is and how it proves it. Its JSON form holds the
// private key: it goes into a file of mode 0600 and nowhere else.
type Identity struct {
	// InstanceID is i- or mi- and hex digits; "" before the registration.
	InstanceID  string
	Region      string
	Fingerprint string // UUID
	Key         *rsa.PrivateKey
	// Next is a key that the service may or may not have taken yet in place of
	// Key; nil for none. See Config.SaveIdentity.
	Next       *rsa.PrivateKey
	Registered time.Time
}

// NewIdentity makes the key and the fingerprint of an instance that is not yet
// registered. Keep it before Register: an attempt whose answer was lost can then
// be repeated as the same host.
func NewIdentity(region string) (Identity, error) {
	key, err := rsa.GenerateKey(rand.Reader, KeyBits)
	if err != nil {
		return Identity{}, fmt.Errorf("make key: %w", err)
	}
	id, err := uuid.NewRandom()
	if err != nil {
		return Identity{}, fmt.Errorf("make fingerprint: %w", err)
	}
	return Identity{Region: region, Fingerprint: id.String(), Key: key}, nil
}

// PublicKey is base64 of the DER SubjectPublicKeyInfo of a key, as
// registrations carry it.
func PublicKey(key *rsa.PrivateKey) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return "", fmt.Errorf("encode public key: %w", err)
	}
	return base64.StdEncoding.EncodeToString(der), nil
}

type identityJSON struct {
	InstanceID  string    `json:"instance_id"`
	Region      string    `json:"region"`
	Fingerprint string    `json:"fingerprint"`
	PrivateKey  []byte    `json:"private_key"` // DER PKCS #8
	NextKey     []byte    `json:"next_private_key,omitempty"`
	Registered  time.Time `json:"registered,omitzero"`
}

// MarshalJSON implements json.Marshaler.
func (i Identity) MarshalJSON() ([]byte, error) {
	out := identityJSON{InstanceID: i.InstanceID, Region: i.Region, Fingerprint: i.Fingerprint, Registered: i.Registered}
	var err error
	if out.PrivateKey, err = x509.MarshalPKCS8PrivateKey(i.Key); err != nil {
		return nil, fmt.Errorf("encode private key: %w", err)
	}
	if i.Next != nil {
		if out.NextKey, err = x509.MarshalPKCS8PrivateKey(i.Next); err != nil {
			return nil, fmt.Errorf("encode next private key: %w", err)
		}
	}
	return json.Marshal(out)
}

// UnmarshalJSON implements json.Unmarshaler. It refuses an identity without a
// fingerprint or an RSA key.
func (i *Identity) UnmarshalJSON(b []byte) error {
	var in identityJSON
	if err := json.Unmarshal(b, &in); err != nil {
		return errors.New("registration is not valid JSON") // err could quote the key
	}
	key, err := parseKey(in.PrivateKey)
	if err != nil {
		return fmt.Errorf("field private_key: %w", err)
	}
	out := Identity{InstanceID: in.InstanceID, Region: in.Region, Fingerprint: in.Fingerprint, Key: key, Registered: in.Registered}
	if len(in.NextKey) > 0 {
		if out.Next, err = parseKey(in.NextKey); err != nil {
			return fmt.Errorf("field next_private_key: %w", err)
		}
	}
	if out.Fingerprint == "" {
		return errors.New("field fingerprint is missing")
	}
	*i = out
	return nil
}

func parseKey(der []byte) (*rsa.PrivateKey, error) {
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, errors.New("no PKCS #8 key")
	}
	r, ok := key.(*rsa.PrivateKey)
	if !ok {
		return nil, errors.New("no RSA key")
	}
	return r, nil
}

// Registrar registers instances.
type Registrar struct {
	Endpoint EndpointSource
	HTTP     *http.Client     // NewHTTPClient where nil
	Now      func() time.Time // time.Now where nil
}

// Register makes a host an instance of the service, with the id and the code of
// an activation, and gives the identity with the id that the service chose. The
// call is unsigned. An *APIError is the service's refusal; see Permanent.
func (r Registrar) Register(ctx context.Context, activationID, code string, id Identity) (Identity, error) {
	pub, err := PublicKey(id.Key)
	if err != nil {
		return id, err
	}
	c := newCaller(r.Endpoint.everywhere(), r.HTTP, r.Now)
	var out wire.RegisterManagedInstanceResponse
	err = c.call(ctx, wire.OpRegisterManagedInstance, &wire.RegisterManagedInstanceRequest{
		ActivationID: activationID, ActivationCode: code,
		Fingerprint: id.Fingerprint, PublicKey: pub, PublicKeyType: wire.KeyTypeRSA,
	}, &out, unsignedOf(id.Region))
	if err != nil {
		return id, fmt.Errorf("register: %w", err)
	}
	id.InstanceID, id.Registered = out.InstanceID, c.now().UTC().Truncate(time.Second)
	return id, nil
}
