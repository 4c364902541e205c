package store

import "time"

// Role is an IAM role. It belongs to an account, not to a region.
type Role struct {
	Account     string
	Name        string // unique in its account
	Path        string // /, or /a/b/
	ID          string // AROA…, never used again
	Description string
	// Trust is the role's trust policy as it was given, JSON. Services are the
	// service principals that it lets assume the role.
	Trust    string
	Services []string
	// Policies are the ARNs of the managed policies that are attached, in the
	// order in which they were.
	Policies []string
	// MaxSession is how many seconds a session may last.
	MaxSession int
	CreatedAt  time.Time
	Tags       map[string]string
}

// Roles are the IAM roles of all accounts.
type Roles interface {
	// NewAccount notes that an account is served, and tells whether it is for the
	// first time.
	NewAccount(account string) (bool, error)
	// PutRole adds or replaces a role.
	PutRole(r *Role) error
	// Role finds one. ssmrun.ErrNotFound where the account has none.
	Role(account, name string) (*Role, error)
	// DeleteRole removes one. ssmrun.ErrNotFound where the account has none.
	DeleteRole(account, name string) error
	// ListRoles lists by name.
	ListRoles(account string, p Page) (list []Role, next string, err error)
}
