// Package parameters is beside the way of a run, at step 3: the parameter
// store, whose values a document or a caller names as {{ssm:name}} and the
// agent fetches when the step runs. awsapi calls it for callers and agents;
// who may read what is decided before (internal/daemon). It calls store.
//
// A SecureString is sealed before it reaches the store (seal.go), with a key
// that the store does not hold. Values are never logged, and no error holds one.
package parameters

import (
	"crypto/cipher"
	"errors"
	"fmt"
	"time"

	"ssmrun"
	"ssmrun/internal/store"
)

// Types of parameters.
const (
	TypeString       = "String"
	TypeStringList   = "StringList" // items with commas between them
	TypeSecureString = "SecureString"
)

// Tiers of parameters.
const (
	TierStandard    = "Standard"
	TierAdvanced    = "Advanced"
	TierIntelligent = "Intelligent-Tiering" // Standard where the value fits, else Advanced
)

const (
	dataTypeText = "text"
	defaultKeyID = "alias/aws/ssm"

	maxStandardBytes = 4 << 10
	maxAdvancedBytes = 8 << 10
	// keptVersions is how many versions of a parameter are kept.
	keptVersions = 100
	// maxParameters is how many parameters a scope may have.
	maxParameters = 10_000
)

// Codes of errors, as AWS names them.
const (
	CodeNotFound            ssmrun.Code = "ParameterNotFound"
	CodeVersionNotFound     ssmrun.Code = "ParameterVersionNotFound"
	CodeAlreadyExists       ssmrun.Code = "ParameterAlreadyExists"
	CodeLimitExceeded       ssmrun.Code = "ParameterLimitExceeded"
	CodePatternMismatch     ssmrun.Code = "ParameterPatternMismatchException"
	CodeInvalidPattern      ssmrun.Code = "InvalidAllowedPatternException"
	CodeHierarchyLevel      ssmrun.Code = "HierarchyLevelLimitExceededException"
	CodeHierarchyType       ssmrun.Code = "HierarchyTypeMismatchException"
	CodeInvalidKeyID        ssmrun.Code = "InvalidKeyId"
	CodeUnsupportedType     ssmrun.Code = "UnsupportedParameterType"
	CodeInvalidPolicy       ssmrun.Code = "InvalidPolicyTypeException"
	CodeInvalidFilterOption ssmrun.Code = "InvalidFilterOption"
	CodeInvalidFilterValue  ssmrun.Code = "InvalidFilterValue"
)

// Config is what a Service needs.
type Config struct {
	Store store.Store
	// Key seals SecureStrings: 32 bytes that outlive the service and are not in
	// the store.
	Key []byte
	// Limit is how many parameters a scope may have; 10,000 where it is 0.
	Limit int
	Now   func() time.Time // time.Now where nil
}

// Service is the parameter store.
type Service struct {
	cfg  Config
	aead cipher.AEAD
}

// New makes a Service.
func New(cfg Config) (*Service, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Limit == 0 {
		cfg.Limit = maxParameters
	}
	aead, err := newAEAD(cfg.Key)
	if err != nil {
		return nil, fmt.Errorf("open the parameter store: %w", err)
	}
	return &Service{cfg: cfg, aead: aead}, nil
}

// Parameter is a version of a parameter.
type Parameter struct {
	Name           string
	ARN            string
	Type           string
	Value          string // of a SecureString: sealed, in base64, unless it was asked for in the clear
	Version        int64
	Selector       string // ":3" where a version was asked for
	Description    string
	KeyID          string // of a SecureString
	AllowedPattern string
	Tier           string
	DataType       string
	ModifiedAt     time.Time
	ModifiedBy     string // ARN
}

// shown is a stored parameter without its value.
func shown(p *store.Parameter) Parameter {
	return Parameter{
		Name: p.Name, ARN: arn(p.Scope, p.Name), Type: p.Type, Version: p.Version, Description: p.Description, KeyID: p.KeyID,
		AllowedPattern: p.AllowedPattern, Tier: p.Tier, DataType: p.DataType, ModifiedAt: p.ModifiedAt, ModifiedBy: p.ModifiedBy,
	}
}

// read is a stored parameter with its value, in the clear where that is asked
// for.
func (s *Service) read(p *store.Parameter, decrypt bool) (Parameter, error) {
	out := shown(p)
	switch {
	case p.Type != TypeSecureString:
		out.Value = string(p.Value)
	case !decrypt:
		out.Value = encoded(p.Value)
	default:
		text, err := s.open(p)
		if err != nil {
			return Parameter{}, err
		}
		out.Value = text
	}
	return out, nil
}

func notFound(err error) bool { return errors.Is(err, ssmrun.ErrNotFound) }
