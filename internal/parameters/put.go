package parameters

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"ssmrun"
	"ssmrun/internal/store"
)

// ResourceType is what tags of parameters are kept under.
const ResourceType = "Parameter"

// PutRequest is a parameter to put. What an overwrite leaves out stays as it
// is.
type PutRequest struct {
	Name           string
	Value          string
	Type           string
	Description    string
	KeyID          string
	AllowedPattern string
	Tier           string
	DataType       string
	Policies       string
	Overwrite      bool
	Tags           map[string]string
	Caller         string // ARN
}

// Put stores a parameter, or a new version of it, and gives its version and
// tier.
func (s *Service) Put(ctx context.Context, scope ssmrun.Scope, in PutRequest) (version int64, tier string, err error) {
	if a := arn(scope, ""); strings.HasPrefix(in.Name, a) {
		in.Name = "/" + strings.TrimPrefix(in.Name, a)
	}
	if err := in.check(); err != nil {
		return 0, "", err
	}
	var p *store.Parameter
	err = s.cfg.Store.Update(ctx, func(tx store.Tx) error {
		before, err := tx.Parameter(scope, in.Name, 0)
		switch {
		case notFound(err):
			if err := s.room(tx, scope); err != nil {
				return err
			}
			before = nil
		case err != nil:
			return err
		case !in.Overwrite:
			return ssmrun.Errorf(CodeAlreadyExists, "The parameter already exists. To overwrite this value, set the overwrite option in the request to true.")
		}
		if p, err = s.version(scope, &in, before); err != nil {
			return err
		}
		if err := tx.PutParameter(p, keptVersions); err != nil {
			return err
		}
		return tx.PutTags(scope, ResourceType, in.Name, in.Tags)
	})
	if err != nil {
		return 0, "", wrap(err, "put parameter")
	}
	return p.Version, p.Tier, nil
}

// wrap says where an error that is the service's own came from; coded ones are
// for the caller as they are.
func wrap(err error, what string) error {
	if err == nil || ssmrun.ErrorCode(err) != ssmrun.CodeInternal {
		return err
	}
	return fmt.Errorf("%s: %w", what, err)
}

// check is what needs no look at what there is.
func (in *PutRequest) check() error {
	if err := checkName(in.Name); err != nil {
		return err
	}
	switch {
	case in.Value == "":
		return ssmrun.Errorf(ssmrun.CodeValidation, "1 validation error detected: Value at 'value' failed to satisfy constraint: Member must have length greater than or equal to 1.")
	case in.DataType != "" && in.DataType != dataTypeText:
		return ssmrun.Errorf(CodeUnsupportedType, "The data type %s is not supported: this service has text only, and checks no images or integrations.", in.DataType)
	case in.Policies != "" && in.Policies != "[]":
		return ssmrun.Errorf(CodeInvalidPolicy, "Parameter policies are not supported by this service: nothing would expire or be announced.")
	case in.Overwrite && len(in.Tags) > 0:
		return ssmrun.Errorf(ssmrun.CodeValidation, "Invalid request: tags and overwrite can't be used together. Tag a parameter that is there with AddTagsToResource.")
	}
	return nil
}

func (s *Service) room(tx store.Tx, scope ssmrun.Scope) error {
	n, err := tx.CountParameters(scope)
	if err == nil && n >= s.cfg.Limit {
		err = ssmrun.Errorf(CodeLimitExceeded, "There are %d parameters in this account and region, which is the limit. Delete some that are not needed.", n)
	}
	return err
}

// version makes the version that comes after before, nil for none.
func (s *Service) version(scope ssmrun.Scope, in *PutRequest, before *store.Parameter) (*store.Parameter, error) {
	p := &store.Parameter{
		Name: in.Name, Scope: scope, Version: 1, Type: in.Type, Description: in.Description, KeyID: in.KeyID,
		AllowedPattern: in.AllowedPattern, Tier: in.Tier, DataType: dataTypeText,
		ModifiedAt: s.cfg.Now().UTC(), ModifiedBy: in.Caller,
	}
	if before != nil {
		p.Version = before.Version + 1
		p.Type = orElse(in.Type, before.Type)
		p.Description = orElse(in.Description, before.Description)
		p.KeyID = orElse(in.KeyID, before.KeyID)
		p.AllowedPattern = orElse(in.AllowedPattern, before.AllowedPattern)
		p.Tier = orElse(in.Tier, before.Tier)
		if p.Type != before.Type {
			return nil, ssmrun.Errorf(CodeHierarchyType, "Parameter %s is a %s and cannot become a %s: delete it first, or choose another name.", p.Name, before.Type, p.Type)
		}
	}
	switch {
	case p.Type == "":
		return nil, ssmrun.Errorf(ssmrun.CodeValidation, "A parameter type is required when you create a parameter.")
	case p.Type == TypeSecureString:
		p.KeyID = orElse(p.KeyID, defaultKeyID)
	case in.KeyID != "":
		return nil, ssmrun.Errorf(ssmrun.CodeValidation, "KeyId is for the SecureString type only; this parameter is a %s.", p.Type)
	}
	if err := fit(p, in.Value, before); err != nil {
		return nil, err
	}
	if err := match(p.AllowedPattern, in.Value); err != nil {
		return nil, err
	}
	p.Value = []byte(in.Value)
	if p.Type == TypeSecureString {
		var err error
		if p.Value, err = s.seal(p, in.Value); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// fit settles the tier and checks that the value fits into it.
func fit(p *store.Parameter, value string, before *store.Parameter) error {
	if p.Tier == TierIntelligent {
		p.Tier = TierStandard
		if len(value) > maxStandardBytes || before != nil && before.Tier == TierAdvanced {
			p.Tier = TierAdvanced
		}
	}
	p.Tier = orElse(p.Tier, TierStandard)
	switch {
	case before != nil && before.Tier == TierAdvanced && p.Tier == TierStandard:
		return ssmrun.Errorf(ssmrun.CodeValidation, "This parameter uses the advanced tier and cannot go back to the standard tier. Delete it and create it anew.")
	case p.Tier == TierStandard && len(value) > maxStandardBytes:
		return ssmrun.Errorf(ssmrun.CodeValidation, "The value has %d bytes. Standard tier parameters support a maximum parameter value of %d characters; use the Advanced tier for up to %d.", len(value), maxStandardBytes, maxAdvancedBytes)
	case len(value) > maxAdvancedBytes:
		return ssmrun.Errorf(ssmrun.CodeValidation, "The value has %d bytes. Advanced tier parameters support a maximum parameter value of %d characters.", len(value), maxAdvancedBytes)
	}
	return nil
}

// match tells whether all of the value matches the pattern, "" for any.
func match(pattern, value string) error {
	if pattern == "" {
		return nil
	}
	re, err := regexp.Compile(`\A(?:` + pattern + `)\z`)
	if err != nil {
		return ssmrun.Errorf(CodeInvalidPattern, "AllowedPattern is no regular expression of this service, which has neither look-arounds nor back-references.")
	}
	if !re.MatchString(value) {
		return ssmrun.Errorf(CodePatternMismatch, "Parameter value, cannot be validated against allowedPattern: %s", pattern)
	}
	return nil
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
