package identity

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"ssmrun"
	"ssmrun/internal/store"
)

// ManagedInstanceTags is the type under which the tags of instances are kept,
// whatever the kind of their id.
const ManagedInstanceTags = "ManagedInstance"

// NewActivation is what an activation is made from.
type NewActivation struct {
	Scope       ssmrun.Scope
	IamRole     string
	Description string
	// InstanceID is the id that the one agent which registers gets; "" gives
	// each agent a new mi- id.
	InstanceID string
	// DefaultName and Tags are given to the instances that register.
	DefaultName string
	Tags        map[string]string
	Limit       int // default 1
	// Expires is when it ends; zero: after Life, by default 24 h.
	Expires time.Time
	Life    time.Duration
	// Forget deletes the activation once it is used up.
	Forget bool
}

// CreateActivation makes an activation. The code is shown once, here. It is
// ssmrun.CodeInvalidParameters where another account or region has the instance
// id that it names.
func (s *Service) CreateActivation(ctx context.Context, n NewActivation) (id, code string, err error) {
	raw := make([]byte, 18)
	if _, err := rand.Read(raw); err != nil {
		return "", "", fmt.Errorf("make an activation code: %w", err)
	}
	code = base64.RawURLEncoding.EncodeToString(raw) // 24 characters; 20 to 250 are allowed
	hash := sha256.Sum256([]byte(code))
	now := s.cfg.Now().UTC()
	if n.Life == 0 {
		n.Life = 24 * time.Hour
	}
	a := store.Activation{
		ID: uuid.NewString(), Scope: n.Scope, CodeHash: hash[:], IamRole: n.IamRole,
		Description: n.Description, InstanceID: n.InstanceID, Limit: max(n.Limit, 1),
		DefaultName: n.DefaultName, Tags: n.Tags,
		CreatedAt: now, ExpiresAt: now.Add(n.Life), ForgetsAfter: n.Forget,
	}
	if !n.Expires.IsZero() {
		a.ExpiresAt = n.Expires.UTC()
	}
	err = s.cfg.Store.Update(ctx, func(tx store.Tx) error {
		if err := free(tx, n.Scope, n.InstanceID, now); err != nil {
			return err
		}
		return tx.PutActivation(&a)
	})
	if _, coded := errors.AsType[*ssmrun.Error](err); coded {
		return "", "", err
	}
	if err != nil {
		return "", "", fmt.Errorf("store an activation: %w", err)
	}
	return a.ID, code, nil
}

// free tells whether an instance id is the scope's own or nobody's: ids are
// known without their scope.
func free(tx store.Tx, scope ssmrun.Scope, id string, now time.Time) error {
	if id == "" {
		return nil
	}
	var has []ssmrun.Scope
	i, err := tx.FindInstance(id)
	if err == nil {
		has = append(has, i.Scope)
	} else if !errors.Is(err, ssmrun.ErrNotFound) {
		return err
	}
	e, err := tx.FindEC2Instance(id)
	if err == nil {
		has = append(has, e.Scope)
	} else if !errors.Is(err, ssmrun.ErrNotFound) {
		return err
	}
	list, err := tx.ActivationsOf(id)
	if err != nil {
		return err
	}
	for _, a := range list {
		if a.Usable(now) {
			has = append(has, a.Scope)
		}
	}
	for _, s := range has {
		if s != scope {
			return ssmrun.Errorf(ssmrun.CodeInvalidParameters, "Instance %s belongs to another account or region of this service. Ids are unique in all of them: name another one.", id)
		}
	}
	return nil
}

// Registration is what an agent says when it registers.
type Registration struct {
	ActivationID   string
	ActivationCode string
	Fingerprint    string
	PublicKey      string // base64 DER SPKI, RSA of at least 2048 bits
}

// Register makes an agent known and gives it its instance id. The same agent
// may register an id again that its activation names: a machine that lost its
// state. Errors: ssmrun.CodeInvalidActivation, ssmrun.CodeValidation.
func (s *Service) Register(ctx context.Context, r Registration) (*ssmrun.Instance, error) {
	if _, err := PublicKey(r.PublicKey); err != nil {
		return nil, ssmrun.Errorf(ssmrun.CodeValidation, "PublicKey: %v", err)
	}
	var instance *ssmrun.Instance
	err := s.cfg.Store.Update(ctx, func(tx store.Tx) error {
		a, err := tx.Activation(r.ActivationID)
		if err != nil && !errors.Is(err, ssmrun.ErrNotFound) {
			return fmt.Errorf("read the activation: %w", err)
		}
		hash := sha256.Sum256([]byte(r.ActivationCode))
		// One answer for "no such id" and "wrong code", so that ids cannot be
		// probed.
		if a == nil || subtle.ConstantTimeCompare(hash[:], a.CodeHash) != 1 {
			return ssmrun.Errorf(ssmrun.CodeInvalidActivation, "The activation id and code do not belong to an activation of this service.")
		}
		now := s.cfg.Now().UTC()
		if now.After(a.ExpiresAt) {
			return ssmrun.Errorf(ssmrun.CodeInvalidActivation, "Activation %s expired at %s.", a.ID, a.ExpiresAt.Format(time.RFC3339))
		}
		if a.Count >= a.Limit {
			return ssmrun.Errorf(ssmrun.CodeInvalidActivation, "Activation %s has been used %d times, which is its limit.", a.ID, a.Count)
		}
		id := a.InstanceID
		if id == "" {
			if id, err = newManagedID(); err != nil {
				return err
			}
		}
		instance = &ssmrun.Instance{
			ID: id, Scope: a.Scope, ActivationID: a.ID, IamRole: a.IamRole,
			DefaultName: a.DefaultName, PublicKey: r.PublicKey, Fingerprint: r.Fingerprint, RegisteredAt: now,
		}
		if err := tx.PutInstance(instance); err != nil {
			return fmt.Errorf("store the instance: %w", err)
		}
		if err := tx.PutTags(a.Scope, ManagedInstanceTags, id, a.Tags); err != nil {
			return err
		}
		a.Count++
		if a.ForgetsAfter && a.Count >= a.Limit {
			return tx.DeleteActivation(a.ID)
		}
		return tx.PutActivation(a)
	})
	if err != nil {
		return nil, err
	}
	return instance, nil
}

// PublicKey reads the key that an agent registers.
func PublicKey(b64 string) (*rsa.PublicKey, error) {
	der, err := base64.StdEncoding.DecodeString(b64)
	if err != nil {
		return nil, errors.New("is not base64")
	}
	key, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return nil, errors.New("is not a DER encoded SubjectPublicKeyInfo")
	}
	pub, ok := key.(*rsa.PublicKey)
	if !ok || pub.N.BitLen() < 2048 || pub.N.BitLen() > 8192 {
		return nil, errors.New("is not an RSA key of 2048 to 8192 bits")
	}
	return pub, nil
}

func newManagedID() (string, error) {
	raw := make([]byte, 9)
	if _, err := rand.Read(raw); err != nil {
		return "", fmt.Errorf("make an instance id: %w", err)
	}
	return "mi-" + hex.EncodeToString(raw)[:17], nil
}
