package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"sync"
)

// Keys are what a caller signs with. Printed or logged they show the access key
// id alone.
type Keys struct {
	AccessKeyID     string
	SecretAccessKey string
	// SessionToken belongs to temporary keys; "" for lasting ones.
	SessionToken string
}

// String implements fmt.Stringer without the secrets.
func (k Keys) String() string { return k.AccessKeyID }

// GoString implements fmt.GoStringer without the secrets.
func (k Keys) GoString() string { return "sigv4.Keys{" + k.AccessKeyID + "}" }

// LogValue implements slog.LogValuer without the secrets.
func (k Keys) LogValue() slog.Value { return slog.StringValue(k.AccessKeyID) }

// SigningKey derives the key that signs one day's requests (date is YYYYMMDD, in
// UTC) to one service in one region. It is no secret key: it is worthless for
// any other day, region and service.
func SigningKey(secret, date, region, service string) []byte {
	key := sum([]byte("AWS4"+secret), date)
	key = sum(key, region)
	key = sum(key, service)
	return sum(key, terminator)
}

func sum(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// PayloadHash is the SHA-256 of a body as Verify wants it: 64 lower-case hex
// digits.
func PayloadHash(body []byte) string {
	h := sha256.Sum256(body)
	return hex.EncodeToString(h[:])
}

// keyCache remembers derived keys in two generations: when the young one is
// full, the old one goes. Keys of past days leave that way too.
type keyCache struct {
	mu         sync.Mutex
	young, old map[keyScope][]byte
}

type keyScope struct{ secret, date, region, service string }

// generation is how many keys one generation holds: an agent has its own key and
// uses three services; those beyond it cost a derivation, about 2 µs.
const generation = 8192

func (c *keyCache) get(s keyScope) ([]byte, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if key, ok := c.young[s]; ok {
		return key, true
	}
	key, ok := c.old[s]
	if ok {
		c.add(s, key)
	}
	return key, ok
}

// put is called for verified requests only, so that nobody without a key can
// push others' keys out.
func (c *keyCache) put(s keyScope, key []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.add(s, key)
}

func (c *keyCache) add(s keyScope, key []byte) {
	if len(c.young) >= generation {
		c.old, c.young = c.young, nil
	}
	if c.young == nil {
		c.young = make(map[keyScope][]byte)
	}
	c.young[s] = key
}
