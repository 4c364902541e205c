package store

import (
	"time"

	"ssmrun"
)

// Parameter is a version of a stored parameter: package parameters says what
// its members may be.
type Parameter struct {
	Name           string
	Scope          ssmrun.Scope
	Version        int64 // from 1
	Type           string
	Value          []byte // sealed where the type is SecureString
	Description    string
	KeyID          string
	AllowedPattern string
	Tier           string
	DataType       string
	ModifiedAt     time.Time
	ModifiedBy     string // ARN
}

// ParameterQuery selects parameters; zero members select all, and a parameter
// has to meet all members.
type ParameterQuery struct {
	// Names, Prefixes and Parts: the name is one of these, begins with one of
	// these, contains one of these.
	Names, Prefixes, Parts []string
	// Under: the name begins with one of these, each of which ends with a slash,
	// and no other slash follows unless Deep. "/" is the root: names that begin
	// without a slash are under it too.
	Under []string
	Deep  bool

	Types, KeyIDs, KeyIDPrefixes, Tiers, DataTypes []string
}

// Parameters are the stored parameters.
type Parameters interface {
	// PutParameter adds a version, which becomes the latest, and forgets those
	// that are keep or more versions older. The version is one more than the
	// latest; ssmrun.ErrNotFound otherwise.
	PutParameter(p *Parameter, keep int64) error
	// Parameter finds a version, 0 for the latest. ssmrun.ErrNotFound where
	// there is none.
	Parameter(scope ssmrun.Scope, name string, version int64) (*Parameter, error)
	// DeleteParameter removes a parameter with all its versions.
	// ssmrun.ErrNotFound where there is none.
	DeleteParameter(scope ssmrun.Scope, name string) error
	// CountParameters counts those of a scope.
	CountParameters(scope ssmrun.Scope) (int, error)
	// ListParameters lists the latest versions by name.
	ListParameters(scope ssmrun.Scope, q ParameterQuery, p Page) (list []Parameter, next string, err error)
}
