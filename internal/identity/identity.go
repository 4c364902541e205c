// Package identity is step 3a of a run: who exists. It keeps the service's
// access key, mints and reads the temporary keys that agents work with, and
// registers agents by their activations. awsapi and gateway ask it whose a
// request is; it calls store for activations and instances.
//
// Temporary keys are not stored: what they stand for is sealed into the session
// token with a key that the data folder holds, and the secret is derived from
// it. So they outlive a restart of the service, and another process on the same
// data can read them.
package identity

import (
	"context"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"ssmrun"
	"ssmrun/internal/store"
)

// RoleTokenLife is how long an agent's temporary keys hold; it renews them at
// half of that.
const RoleTokenLife = time.Hour

// Key is a permanent access key.
type Key struct {
	AccessKeyID string `json:"access_key_id"`
	Secret      string `json:"secret_access_key"`
}

// Principal is who signed a request.
type Principal struct {
	ARN        string
	Account    string
	InstanceID string // an agent's; "" for a caller
	Region     string // an agent's own region; "" for a caller
	UserID     string // as STS GetCallerIdentity answers it
	Assumed    bool   // a caller who has assumed a role
	// Role is the role that an agent has now, and Service the one that gave it
	// its keys, ServiceSSM or ServiceEC2, which the role has to trust; "" for a
	// caller.
	Role, Service string
}

// Agent tells whether the principal is an instance's agent.
func (p Principal) Agent() bool { return p.InstanceID != "" }

// TemporaryKey is a key that ends.
type TemporaryKey struct {
	AccessKeyID  string
	Secret       string
	SessionToken string
	Expires      time.Time
}

// Config is what a Service needs.
type Config struct {
	// Dir is the data folder; identity.json in it holds the secrets, mode 0600.
	Dir string
	// Account is the 12-digit account that the service's own key belongs to.
	Account string
	// OtherAccounts are those whose roles that key may assume.
	OtherAccounts []string
	// Key, where set, is used instead of a key that is made and kept.
	Key   Key
	Store store.Store
	// Now is the clock; time.Now where nil.
	Now func() time.Time
}

// Service knows who exists.
type Service struct {
	cfg   Config
	key   Key
	seal  []byte // signs session tokens and derives their secrets
	entry Principal

	verdicts verdicts
}

// secrets is the content of identity.json.
type secrets struct {
	Key
	SealingKey string `json:"sealing_key"`
}

// Open reads the secrets of a data folder, and makes them where there are none.
func Open(cfg Config) (*Service, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	file := filepath.Join(cfg.Dir, "identity.json")
	kept, err := readSecrets(file)
	if errors.Is(err, fs.ErrNotExist) {
		kept, err = newSecrets()
		if err == nil {
			err = writeSecrets(file, kept)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("open the service's keys: %w", err)
	}
	s := &Service{cfg: cfg, key: kept.Key}
	if cfg.Key.AccessKeyID != "" {
		s.key = cfg.Key
	}
	if s.seal, err = base64.StdEncoding.DecodeString(kept.SealingKey); err != nil || len(s.seal) < 32 {
		return nil, fmt.Errorf("open the service's keys: %s holds no usable sealing_key; restore it from a backup, or remove the file to make new keys (registered agents then renew theirs, but SecureStrings in the parameter store cannot be read any more)", file)
	}
	s.entry = Principal{ARN: "arn:aws:iam::" + cfg.Account + ":user/ssmrun", Account: cfg.Account, UserID: "AIDA" + s.key.AccessKeyID[min(4, len(s.key.AccessKeyID)):]}
	return s, nil
}

func readSecrets(file string) (*secrets, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var s secrets
	if err := json.Unmarshal(b, &s); err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	return &s, nil
}

// ReadKey reads an access key from a JSON file, identity.json among them.
func ReadKey(file string) (Key, error) {
	s, err := readSecrets(file)
	if err != nil {
		return Key{}, err
	}
	return s.Key, nil
}

func newSecrets() (*secrets, error) {
	raw := make([]byte, 10+30+32)
	if _, err := rand.Read(raw); err != nil {
		return nil, fmt.Errorf("make keys: %w", err)
	}
	return &secrets{
		Key: Key{
			AccessKeyID: "AKIA" + base32.StdEncoding.EncodeToString(raw[:10]),
			Secret:      base64.RawURLEncoding.EncodeToString(raw[10:40]),
		},
		SealingKey: base64.StdEncoding.EncodeToString(raw[40:]),
	}, nil
}

// writeSecrets writes the file whole or not at all.
func writeSecrets(file string, s *secrets) error {
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(file), ".identity-*") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(append(b, '\n'))
	err = errors.Join(err, tmp.Sync(), tmp.Close())
	if err != nil {
		return err
	}
	return os.Rename(tmp.Name(), file)
}

// Root gives the service's own access key: the one that callers use.
func (s *Service) Root() Key { return s.key }

// Account gives the account that the service's own key belongs to.
func (s *Service) Account() string { return s.cfg.Account }

// Lookup finds the secret of an access key and whose it is. Errors are AWS's:
// ssmrun.CodeUnrecognizedClient for a key that does not exist, a token that
// does not belong to it, and the key of an instance that is not registered any
// more; ssmrun.CodeExpiredToken; ssmrun.CodeAccessDenied for the keys of an
// instance's own identity, which are good for LookupIdentity only.
func (s *Service) Lookup(ctx context.Context, accessKeyID, sessionToken string) (secret string, p Principal, err error) {
	if sessionToken == "" {
		if !hmac.Equal([]byte(accessKeyID), []byte(s.key.AccessKeyID)) {
			return "", Principal{}, errUnknownKey()
		}
		return s.key.Secret, s.entry, nil
	}
	c, err := s.claims(accessKeyID, sessionToken)
	if err != nil {
		return "", Principal{}, err
	}
	p = c.principal()
	switch {
	case c.Kind == ofIdentity:
		return "", Principal{}, ssmrun.Errorf(ssmrun.CodeAccessDenied, "The keys of instance %s's own identity are good for its registration only.", c.InstanceID)
	case c.InstanceID != "" && c.Kind == "":
		if p.Role, err = s.registered(ctx, c); err != nil {
			return "", Principal{}, err
		}
	}
	return s.derive(sessionToken), p, nil
}

// claims reads a session token that belongs to a key and still holds.
func (s *Service) claims(accessKeyID, sessionToken string) (*claims, error) {
	c, ok := s.unseal(sessionToken)
	if !ok || c.AccessKeyID != accessKeyID {
		return nil, errUnknownKey()
	}
	if s.cfg.Now().After(time.Unix(c.Expires, 0)) {
		return nil, ssmrun.Errorf(ssmrun.CodeExpiredToken, "The security token included in the request is expired")
	}
	return &c, nil
}

// registered tells whether the instance that a key was given to is still there,
// and which role it has now.
func (s *Service) registered(ctx context.Context, c *claims) (role string, err error) {
	err = s.cfg.Store.View(ctx, func(tx store.Tx) error {
		i, err := tx.Instance(ssmrun.Scope{Account: c.Account, Region: c.Region}, c.InstanceID)
		if err == nil {
			role = i.IamRole
		}
		return err
	})
	if errors.Is(err, ssmrun.ErrNotFound) {
		return "", errUnknownKey()
	}
	if err != nil {
		return "", fmt.Errorf("look for the instance of a key: %w", err)
	}
	return role, nil
}

func errUnknownKey() error {
	return ssmrun.Errorf(ssmrun.CodeUnrecognizedClient, "The security token included in the request is invalid.")
}

// claims are what a session token stands for.
type claims struct {
	AccessKeyID string `json:"k"`
	Account     string `json:"a"`
	Region      string `json:"r"`
	Role        string `json:"o"`
	InstanceID  string `json:"i"`
	Session     string `json:"s,omitempty"` // of a caller; an agent's is its instance id
	Kind        string `json:"t,omitempty"` // of an instance's: see ec2.go
	Expires     int64  `json:"e"`           // unix seconds
}

func (c *claims) principal() Principal {
	session := c.InstanceID
	if session == "" {
		session = c.Session
	}
	p := Principal{
		ARN:        "arn:aws:sts::" + c.Account + ":assumed-role/" + c.Role + "/" + session,
		Account:    c.Account,
		InstanceID: c.InstanceID,
		Region:     c.Region,
		UserID:     "AROA" + strings.TrimPrefix(c.AccessKeyID, "ASIA") + ":" + session,
		Assumed:    c.InstanceID == "",
	}
	if c.InstanceID != "" {
		p.Role, p.Service = c.Role, ServiceSSM
	}
	switch c.Kind {
	case ofProfile:
		p.Service = ServiceEC2
	case ofIdentity:
		p.Service = ServiceEC2
		p.ARN = "arn:aws:sts::" + c.Account + ":assumed-role/" + identityRole + "/" + session
	}
	return p
}

// RoleKey mints temporary keys for an instance's agent.
func (s *Service) RoleKey(i *ssmrun.Instance) (TemporaryKey, error) {
	return s.mint(&claims{Account: i.Scope.Account, Region: i.Scope.Region, Role: i.IamRole, InstanceID: i.ID}, RoleTokenLife)
}

// mint completes claims and seals them.
func (s *Service) mint(c *claims, life time.Duration) (TemporaryKey, error) {
	id := make([]byte, 10)
	if _, err := rand.Read(id); err != nil {
		return TemporaryKey{}, fmt.Errorf("make temporary keys: %w", err)
	}
	expires := s.cfg.Now().Add(life).Truncate(time.Second)
	c.AccessKeyID = "ASIA" + base32.StdEncoding.EncodeToString(id)
	c.Expires = expires.Unix()
	b, err := json.Marshal(c)
	if err != nil {
		return TemporaryKey{}, err
	}
	body := base64.RawURLEncoding.EncodeToString(b)
	token := body + "." + base64.RawURLEncoding.EncodeToString(s.mac("token", body))
	return TemporaryKey{AccessKeyID: c.AccessKeyID, Secret: s.derive(token), SessionToken: token, Expires: expires}, nil
}

func (s *Service) unseal(token string) (claims, bool) {
	var c claims
	body, sum, ok := strings.Cut(token, ".")
	if !ok {
		return c, false
	}
	got, err := base64.RawURLEncoding.DecodeString(sum)
	if err != nil || !hmac.Equal(got, s.mac("token", body)) {
		return c, false
	}
	b, err := base64.RawURLEncoding.DecodeString(body)
	if err != nil || json.Unmarshal(b, &c) != nil {
		return claims{}, false
	}
	return c, true
}

func (s *Service) derive(token string) string {
	return hex.EncodeToString(s.mac("secret", token))[:40]
}

// Seal makes the authentication code of a text for a use, 32 bytes, by which
// the service knows again what it gave away. Uses are kept apart.
func (s *Service) Seal(use, text string) []byte { return s.mac("seal\x00"+use, text) }

// Key derives a key of 32 bytes for a use from the sealing key, by HKDF: it
// lasts as long as that, and tells nothing about it or about another use's.
func (s *Service) Key(use string) ([]byte, error) {
	key, err := hkdf.Key(sha256.New, s.seal, nil, "ssmrun key for "+use, 32)
	if err != nil {
		return nil, fmt.Errorf("derive a key: %w", err)
	}
	return key, nil
}

func (s *Service) mac(use, text string) []byte {
	m := hmac.New(sha256.New, s.seal)
	m.Write([]byte(use + "\x00" + text))
	return m.Sum(nil)
}

// channelTokenLife is how long an agent may take from CreateControlChannel to
// its opening frame.
const channelTokenLife = time.Minute

// ChannelToken makes the token that an agent shows when it opens its control
// channel.
func (s *Service) ChannelToken(instanceID string) string {
	until := strconv.FormatInt(s.cfg.Now().Add(channelTokenLife).Unix(), 10)
	return until + "." + base64.RawURLEncoding.EncodeToString(s.mac("channel", until+" "+instanceID))
}

// CheckChannelToken tells whether a token is that of instanceID and still holds.
func (s *Service) CheckChannelToken(instanceID, token string) bool {
	until, sum, ok := strings.Cut(token, ".")
	if !ok {
		return false
	}
	got, err := base64.RawURLEncoding.DecodeString(sum)
	seconds, err2 := strconv.ParseInt(until, 10, 64)
	return err == nil && err2 == nil && hmac.Equal(got, s.mac("channel", until+" "+instanceID)) &&
		!s.cfg.Now().After(time.Unix(seconds, 0))
}
