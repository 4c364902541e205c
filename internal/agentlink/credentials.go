package agentlink

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"ssmrun/internal/sigv4"
	"ssmrun/internal/wire"
)

// Credentials are an instance's temporary keys. Printed or logged they do not
// show the secret.
type Credentials struct {
	sigv4.Keys
	Expires time.Time // by the host's clock
}

// keyring proves an instance and keeps its temporary keys fresh.
type keyring struct {
	caller *caller
	save   func(Identity) error       // nil: keys are never changed
	given  func() (sigv4.Keys, error) // nil: temporary keys; see Config.Keys
	log    *slog.Logger

	mu       sync.Mutex // held during a renewal: one at a time
	identity Identity
	creds    Credentials
	renew    time.Time // half life, or when to try again after a failure
}

// retryRenewal is the pause after a failed renewal while the old keys still hold.
const retryRenewal = 30 * time.Second

// get gives keys that hold, and renews them at half life. Old keys that still
// hold are good enough while the service cannot be reached.
func (k *keyring) get(ctx context.Context) (Credentials, error) {
	if k.given != nil {
		keys, err := k.given()
		if err != nil {
			return Credentials{}, fmt.Errorf("find keys: %w", err)
		}
		return Credentials{Keys: keys}, nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.caller.clock()
	if k.creds.AccessKeyID != "" && now.Before(k.renew) {
		return k.creds, nil
	}
	err := k.refresh(ctx)
	if err == nil {
		return k.creds, nil
	}
	if k.creds.AccessKeyID != "" && now.Before(k.creds.Expires) && !Denied(err) {
		k.log.Warn("temporary keys could not be renewed; going on with the old ones", "until", k.creds.Expires, "error", err)
		k.renew = now.Add(retryRenewal)
		return k.creds, nil
	}
	return Credentials{}, err
}

// forget drops keys that the service refused, so that the next get renews them.
func (k *keyring) forget(refused Credentials) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.creds.AccessKeyID == refused.AccessKeyID {
		k.creds = Credentials{}
	}
}

func (k *keyring) refresh(ctx context.Context) error {
	out, err := k.request(ctx, k.identity.Key)
	if err != nil && k.identity.Next != nil && Permanent(err) {
		// The change of keys may have reached the service before its answer was
		// lost.
		if out, err = k.request(ctx, k.identity.Next); err == nil {
			if err := k.promote(); err != nil {
				return err
			}
		}
	}
	if err != nil {
		return err
	}
	now := k.caller.clock()
	life := out.TokenExpirationDate.Sub(k.caller.now())
	if life <= 0 {
		return fmt.Errorf("%s: the service gave keys that have ended at %s", wire.OpRequestManagedInstanceRoleToken, out.TokenExpirationDate.Format(time.RFC3339))
	}
	k.creds = Credentials{
		Keys:    sigv4.Keys{AccessKeyID: out.AccessKeyID, SecretAccessKey: out.SecretAccessKey, SessionToken: out.SessionToken},
		Expires: now.Add(life),
	}
	k.renew = now.Add(life / 2)
	if out.UpdateKeyPair && k.save != nil {
		if err := k.rotate(ctx); err != nil {
			k.log.Warn("the service asks for a new key pair; the change failed and is tried again with the next renewal", "error", err)
		}
	}
	return nil
}

func (k *keyring) request(ctx context.Context, key *rsa.PrivateKey) (wire.RequestManagedInstanceRoleTokenResponse, error) {
	var out wire.RequestManagedInstanceRoleTokenResponse
	err := k.caller.call(ctx, wire.OpRequestManagedInstanceRoleToken,
		&wire.RequestManagedInstanceRoleTokenRequest{Fingerprint: k.identity.Fingerprint}, &out, k.keySigner(key))
	return out, err
}

// rotate registers a new key with the old one. The new one is saved before the
// service hears of it, the old one forgotten after.
func (k *keyring) rotate(ctx context.Context) error {
	if k.identity.Next == nil {
		next, err := rsa.GenerateKey(rand.Reader, KeyBits)
		if err != nil {
			return fmt.Errorf("make key: %w", err)
		}
		planned := k.identity
		planned.Next = next
		// A key that was not saved must never be told to the service.
		if err := k.save(planned); err != nil {
			return err
		}
		k.identity = planned
	}
	pub, err := PublicKey(k.identity.Next)
	if err != nil {
		return err
	}
	err = k.caller.call(ctx, wire.OpUpdateManagedInstancePublicKey,
		&wire.UpdateManagedInstancePublicKeyRequest{NewPublicKey: pub, NewPublicKeyType: wire.KeyTypeRSA}, nil, k.keySigner(k.identity.Key))
	if err != nil {
		return err
	}
	return k.promote()
}

func (k *keyring) promote() error {
	if k.save == nil {
		return errors.New("no way to save a new key")
	}
	k.identity.Key, k.identity.Next = k.identity.Next, nil
	if err := k.save(k.identity); err != nil {
		return err
	}
	k.log.Info("a new key is registered, as the service asked", "instance", k.identity.InstanceID)
	return nil
}

// keySigner signs with the registered key.
func (k *keyring) keySigner(key *rsa.PrivateKey) signer {
	return func(r *http.Request, body []byte, now time.Time) error {
		return sigv4.SignRSA(r, body, k.identity.InstanceID, key, "ssm", k.identity.Region, now)
	}
}

// signed runs a call with temporary keys for a service ("ssm", "ssmmessages"),
// and once more with new ones where the service refuses them.
func (k *keyring) signed(ctx context.Context, service string, call func(signer) error) error {
	for try := 0; ; try++ {
		creds, err := k.get(ctx)
		if err != nil {
			return err
		}
		err = call(func(r *http.Request, body []byte, now time.Time) error {
			sigv4.Sign(r, body, creds.Keys, service, k.identity.Region, now)
			return nil
		})
		if err == nil || !badKeys(err) || try > 0 || k.given != nil {
			return err
		}
		k.forget(creds)
	}
}
