package identity

import (
	"slices"
	"time"
)

// RoleSession is a role that a caller assumes.
type RoleSession struct {
	Account string
	Role    string // its name, without a path
	Session string // the caller's own name for it
	Life    time.Duration
}

// HasAccount tells whether an account is one of the service's.
func (s *Service) HasAccount(account string) bool {
	return account == s.cfg.Account || slices.Contains(s.cfg.OtherAccounts, account)
}

// AssumeRole mints temporary keys for a caller, who is from then on the
// returned principal. Whether the caller may, and whether the account is
// served, is for the asker to know.
func (s *Service) AssumeRole(r RoleSession) (TemporaryKey, Principal, error) {
	c := claims{Account: r.Account, Role: r.Role, Session: r.Session}
	key, err := s.mint(&c, r.Life)
	return key, c.principal(), err
}

// CallerToken tells whether a session token is that of a caller who assumed a
// role, rather than of an agent. Whether it still holds is Lookup's to say.
func (s *Service) CallerToken(token string) bool {
	c, ok := s.unseal(token)
	return ok && c.InstanceID == ""
}
