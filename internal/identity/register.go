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
	Scope ssmrun.Scope
	// IamRole names the role of the instances that register: its name, with its
	// path or without, or its ARN. See HybridRole.
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
// id that it names, ssmrun.CodeValidation where HybridRole refuses its role.
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
		ID: uuid.NewString(), Scope: n.Scope, CodeHash: hash[:],
		Description: n.Description, InstanceID: n.InstanceID, Limit: max(n.Limit, 1),
		DefaultName: n.DefaultName, Tags: n.Tags,
		CreatedAt: now, ExpiresAt: now.Add(n.Life), ForgetsAfter: n.Forget,
	}
	if !n.Expires.IsZero() {
		a.ExpiresAt = n.Expires.UTC()
	}
	err = s.cfg.Store.Update(ctx, func(tx store.Tx) error {
		role, err := HybridRole(tx, n.Scope.Account, n.IamRole)
		if err != nil {
			return err
		}
		a.IamRole = role.Name
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
	Region         string // the one that the agent is set up for; "" where it does not tell
	// Connected tells whether the agent of an instance is connected; nil: none is.
	Connected func(instanceID string) bool
}

// CodeAlreadyRegistered refuses an id that another machine has.
const CodeAlreadyRegistered ssmrun.Code = "InstanceAlreadyRegistered"

// Register makes an agent known and gives it its instance id. An id that its
// activation names may be registered again, by a machine that lost its state,
// unless another one is at work under it. A refusal uses up nothing. Errors:
// ssmrun.CodeInvalidActivation, ssmrun.CodeValidation, ssmrun.CodeAccessDenied
// where the role does not let agents work, CodeAlreadyRegistered.
func (s *Service) Register(ctx context.Context, r Registration) (*ssmrun.Instance, error) {
	if err := checkKey(r.PublicKey); err != nil {
		return nil, err
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
			return ssmrun.Errorf(ssmrun.CodeInvalidActivation, "The activation id and code do not belong to an activation of this service. It may have been used up or deleted; else look for a slip.")
		}
		now := s.cfg.Now().UTC()
		if now.After(a.ExpiresAt) {
			return ssmrun.Errorf(ssmrun.CodeInvalidActivation, "Activation %s expired at %s. Make a new one.", a.ID, a.ExpiresAt.Format(time.RFC3339))
		}
		if a.Count >= a.Limit {
			return ssmrun.Errorf(ssmrun.CodeInvalidActivation, "Activation %s is used up: its limit of registrations, %d, is reached. Make a new one.", a.ID, a.Limit)
		}
		if r.Region != "" && r.Region != a.Scope.Region {
			return ssmrun.Errorf(ssmrun.CodeValidation, "Activation %s is one of region %s, and the agent is set up for %s, with which it would be refused from then on. Set it up for %s.", a.ID, a.Scope.Region, ssmrun.Head(r.Region, 64), a.Scope.Region)
		}
		if err := mayRegister(tx, a.Scope.Account, a.IamRole, ServiceSSM); err != nil {
			return err
		}
		if err := notHeld(tx, a, &r); err != nil {
			return err
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

func checkKey(b64 string) error {
	if _, err := PublicKey(b64); err != nil {
		return ssmrun.Errorf(ssmrun.CodeValidation, "PublicKey %v. Send the DER encoded SubjectPublicKeyInfo of an RSA key of 2048 to 8192 bits, in base64.", err)
	}
	return nil
}

// notHeld refuses an activation's id under which another machine is at work: two
// agents would push each other from one channel.
func notHeld(tx store.Tx, a *store.Activation, r *Registration) error {
	if a.InstanceID == "" || r.Connected == nil || !r.Connected(a.InstanceID) {
		return nil
	}
	held, err := tx.FindInstance(a.InstanceID)
	if errors.Is(err, ssmrun.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if held.Fingerprint == r.Fingerprint && held.PublicKey == r.PublicKey {
		return nil
	}
	return ssmrun.Errorf(CodeAlreadyRegistered, "Instance %s is registered by another machine, %s, whose agent is connected. Stop that agent first, or make an activation for another id.", held.ID, orUnnamed(held.Name))
}

func orUnnamed(host string) string {
	if host == "" {
		return "which has not told its name"
	}
	return host
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
