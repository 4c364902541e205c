package objects

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// DefaultAccountID owns the buckets where Config names no account.
const DefaultAccountID = "000000000000"

// Config says where the objects live and who may reach them.
type Config struct {
	// Dir holds everything: buckets/ with the objects, and the sockets. It must be
	// absolute; it is made with mode 0700 where it is missing. One process at a
	// time may use it, which the lock of the service's data folder sees to.
	Dir string

	// Regions are the regions that are served, at least one. A bucket belongs to
	// the region of the request that made it; one of which that is not known
	// (put there by hand) belongs to the first.
	Regions []string

	// Domains are host names under which buckets are addressed as virtual
	// hosts: with "s3.lab.test", the host logs.s3.lab.test names the bucket logs.
	// None may hold another. Addressing by path works under every host name.
	// Default: none.
	Domains []string

	// AccountID owns every bucket; x-amz-expected-bucket-owner is compared with it.
	// 12 digits, default DefaultAccountID.
	AccountID string

	// Keys gives the secret of a permanent access key, false for one that does
	// not exist. Whoever has such a key may do everything here. It is called for
	// every request that carries no session token, by many goroutines.
	Keys func(accessKeyID string) (secret string, ok bool)

	// TemporarySecret gives the secret of a temporary access key when
	// sessionToken belongs to it. Whoever has such a key may only upload, unless
	// FullAccess says otherwise. An error
	// with the code ssmrun.CodeExpiredToken is answered as S3's ExpiredToken (SDKs
	// then renew), one with ssmrun.CodeUnrecognizedClient or ssmrun.ErrNotFound as
	// InvalidToken, any other as an internal error, which SDKs repeat. nil refuses
	// every token.
	TemporarySecret func(ctx context.Context, accessKeyID, sessionToken string) (secret string, err error)

	// FullAccess tells whether the key that a session token belongs to may do
	// everything. It is asked before the token is verified. nil: none may.
	FullAccess func(sessionToken string) bool

	// Logger gets one debug record per request and a warning for what failed
	// inside. nil discards.
	Logger *slog.Logger

	// fsync replaces (*os.File).Sync in tests, which cannot cut the power.
	fsync func(*os.File) error
}

// withDefaults checks c and fills in what may be left out.
func (c Config) withDefaults() (Config, error) {
	if !filepath.IsAbs(c.Dir) {
		return c, fmt.Errorf("objects: Dir %q is not absolute: the working directory changes when the S3 endpoint starts", c.Dir)
	}
	c.Dir = filepath.Clean(c.Dir)
	if len(c.Regions) == 0 {
		return c, errors.New("objects: no region to serve: name at least one in Regions")
	}
	for i, r := range c.Regions {
		if !validRegion(r) {
			return c, fmt.Errorf("objects: region %q cannot be: use lowercase letters, digits and hyphens, as in us-east-1", r)
		}
		if slices.Contains(c.Regions[:i], r) {
			return c, fmt.Errorf("objects: region %q is named twice", r)
		}
	}
	if c.Keys == nil {
		return c, errors.New("objects: Keys is missing: nobody could reach the endpoint")
	}
	domains := make([]string, 0, len(c.Domains))
	for _, d := range c.Domains {
		d = strings.ToLower(strings.Trim(d, "."))
		if d == "" || strings.ContainsAny(d, ":/ ") {
			return c, fmt.Errorf("objects: domain %q is no host name: give it without scheme and port", d)
		}
		for _, other := range domains {
			if strings.Contains("."+d+".", "."+other+".") || strings.Contains("."+other+".", "."+d+".") {
				return c, fmt.Errorf("objects: domains %q and %q hold one another: a host could name two buckets", other, d)
			}
		}
		domains = append(domains, d)
	}
	c.Domains = domains
	if c.AccountID == "" {
		c.AccountID = DefaultAccountID
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.fsync == nil {
		c.fsync = (*os.File).Sync
	}
	return c, nil
}

func validRegion(r string) bool {
	if r == "" || len(r) > 64 {
		return false
	}
	for _, ch := range r {
		if (ch < 'a' || ch > 'z') && (ch < '0' || ch > '9') && ch != '-' {
			return false
		}
	}
	return true
}
