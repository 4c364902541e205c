package objects

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/versity/versitygw/auth"
	"github.com/versity/versitygw/s3err"

	"ssmrun"
	"ssmrun/internal/sigv4"
)

// secretTimeout bounds one look-up of a temporary secret: the gateway hands
// over no context, so a stuck look-up would otherwise hold a request for ever.
const secretTimeout = 10 * time.Second

// keyring answers versitygw's question for a signing key. It is the interface
// through which the gateway takes session tokens; with GetUserAccount alone it
// refuses every request that carries one.
type keyring struct {
	auth.IAMService // what the admin API of the gateway would ask, which is not mounted

	owner     auth.Account
	keys      func(accessKeyID string) (string, bool)
	temporary func(ctx context.Context, accessKeyID, sessionToken string) (string, error)
	log       *slog.Logger
}

var (
	_ auth.IAMService         = (*keyring)(nil)
	_ auth.SigningKeyProvider = (*keyring)(nil)
	_ auth.FixedBucketOwner   = (*keyring)(nil)
)

func newKeyring(cfg Config, owner auth.Account) *keyring {
	return &keyring{
		IAMService: auth.NewIAMServiceSingle(owner),
		owner:      owner,
		keys:       cfg.Keys,
		temporary:  cfg.TemporarySecret,
		log:        cfg.Logger,
	}
}

// BucketOwner makes one account the owner of every bucket, whichever key made
// it, so that keys can be exchanged.
func (k *keyring) BucketOwner() auth.Account {
	return auth.Account{Access: k.owner.Access, Role: auth.RoleAdmin}
}

// DeriveSigningKey gives the SigV4 signing key of an access key for a day
// (yyyymmdd), region and service. With a session token only a temporary key can be
// meant, without one only a permanent key: that is what lets Handler tell the
// two apart by the token alone.
func (k *keyring) DeriveSigningKey(accessKeyID, sessionToken, date, region, service string) ([]byte, auth.Account, error) {
	secret, err := k.secret(accessKeyID, sessionToken)
	if err != nil {
		return nil, auth.Account{}, err
	}
	return sigv4.SigningKey(secret, date, region, service), k.BucketOwner(), nil
}

func (k *keyring) secret(accessKeyID, sessionToken string) (string, error) {
	if sessionToken == "" {
		secret, ok := k.keys(accessKeyID)
		if !ok || secret == "" {
			return "", auth.ErrNoSuchUser
		}
		return secret, nil
	}
	if k.temporary == nil {
		return "", auth.ErrInvalidSessionToken
	}
	ctx, cancel := context.WithTimeout(context.Background(), secretTimeout)
	defer cancel()
	secret, err := k.temporary(ctx, accessKeyID, sessionToken)
	switch {
	case err == nil && secret != "":
		return secret, nil
	case err == nil, errors.Is(err, ssmrun.ErrNotFound), ssmrun.ErrorCode(err) == ssmrun.CodeUnrecognizedClient:
		return "", auth.ErrInvalidSessionToken
	case ssmrun.ErrorCode(err) == ssmrun.CodeExpiredToken:
		return "", s3err.APIError{
			Code:           "ExpiredToken",
			Description:    "The provided token has expired.",
			HTTPStatusCode: http.StatusBadRequest,
		}
	}
	k.log.Warn("look up the secret of a temporary access key", "access_key_id", accessKeyID, "error", err)
	return "", s3err.GetAPIError(s3err.ErrInternalError)
}
