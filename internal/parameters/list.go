package parameters

import (
	"context"
	"slices"
	"strings"

	"ssmrun"
	"ssmrun/internal/store"
)

// Filter is a filter of a list: Key is Name, Type, KeyId, Path, Label, Tier,
// DataType or tag:KEY; Option is one of Equals, BeginsWith, Contains, OneLevel
// and Recursive, "" for the key's own.
type Filter struct {
	Key    string
	Option string
	Values []string
}

// Describe lists parameters without their values. Errors:
// ssmrun.CodeInvalidFilterKey, CodeInvalidFilterOption, CodeInvalidFilterValue,
// ssmrun.CodeInvalidNextToken.
func (s *Service) Describe(ctx context.Context, scope ssmrun.Scope, filters []Filter, p store.Page) (list []Parameter, next string, err error) {
	return s.list(ctx, scope, store.ParameterQuery{}, filters, p, func(p *store.Parameter) (Parameter, error) { return shown(p), nil })
}

// ByPath lists the parameters below a path with their values. Errors are as of
// Describe, and CodeInvalidKeyID.
func (s *Service) ByPath(ctx context.Context, scope ssmrun.Scope, path string, deep bool, filters []Filter, decrypt bool, p store.Page) (list []Parameter, next string, err error) {
	if !strings.HasPrefix(path, "/") || path != "/" && checkPath(path) != nil {
		return nil, "", ssmrun.Errorf(ssmrun.CodeValidation, "The parameter doesn't meet the parameter name requirements: a path begins with a slash and has letters, digits and _.- between slashes.")
	}
	for _, f := range filters {
		if !slices.Contains([]string{"Type", "KeyId", "Label"}, f.Key) {
			return nil, "", ssmrun.Errorf(ssmrun.CodeInvalidFilterKey, "The following filter key is not valid: %s. Valid filter keys include: [Type, KeyId, Label].", f.Key)
		}
	}
	q := store.ParameterQuery{Under: []string{under(path)}, Deep: deep}
	return s.list(ctx, scope, q, filters, p, func(p *store.Parameter) (Parameter, error) { return s.read(p, decrypt) })
}

// checkPath is checkName for the name of a level.
func checkPath(path string) error {
	path = strings.TrimSuffix(strings.TrimPrefix(path, "/"), "/")
	if !nameChars.MatchString(path) {
		return ssmrun.Errorf(ssmrun.CodeValidation, "no path")
	}
	return nil
}

// under is a path with one slash at its end.
func under(path string) string { return strings.TrimSuffix(path, "/") + "/" }

func (s *Service) list(ctx context.Context, scope ssmrun.Scope, q store.ParameterQuery, filters []Filter, p store.Page, show func(*store.Parameter) (Parameter, error)) (list []Parameter, next string, err error) {
	err = s.cfg.Store.View(ctx, func(tx store.Tx) error {
		list = []Parameter{}
		q := q
		some, err := narrow(tx, scope, &q, filters)
		if err != nil || !some {
			return err
		}
		rows, token, err := tx.ListParameters(scope, q, p)
		if err != nil {
			return err
		}
		next = token
		for i := range rows {
			out, err := show(&rows[i])
			if err != nil {
				return err
			}
			list = append(list, out)
		}
		return nil
	})
	return list, next, wrap(err, "list parameters")
}

// options are those that a filter's key takes; the first is its own.
var options = map[string][]string{
	"Name": {"Equals", "BeginsWith", "Contains"}, "KeyId": {"Equals", "BeginsWith"}, "Path": {"OneLevel", "Recursive"},
	"Type": {"Equals"}, "Tier": {"Equals"}, "DataType": {"Equals"}, "Label": {"Equals"},
}

// narrow puts filters into a query. false: nothing can match.
func narrow(tx store.Tx, scope ssmrun.Scope, q *store.ParameterQuery, filters []Filter) (bool, error) {
	seen := map[string]bool{}
	for _, f := range filters {
		if seen[f.Key] {
			return false, ssmrun.Errorf(ssmrun.CodeInvalidFilterKey, "The following filter key is given more than once: %s.", f.Key)
		}
		seen[f.Key] = true
		tag, tagged := strings.CutPrefix(f.Key, "tag:")
		allowed, known := options[f.Key]
		if tagged {
			allowed, known = []string{"Equals"}, true
		}
		if !known {
			return false, ssmrun.Errorf(ssmrun.CodeInvalidFilterKey, "The following filter key is not valid: %s.", f.Key)
		}
		option := orElse(f.Option, allowed[0])
		if !slices.Contains(allowed, option) {
			return false, ssmrun.Errorf(CodeInvalidFilterOption, "The following filter option is not valid: %s. Valid options include: [%s].", option, strings.Join(allowed, ", "))
		}
		if len(f.Values) == 0 && !tagged {
			return false, ssmrun.Errorf(CodeInvalidFilterValue, "The filter %s has no values.", f.Key)
		}
		if tagged {
			names, err := tagValues(tx, scope, tag, f.Values)
			if err != nil || len(names) == 0 {
				return false, err
			}
			if q.Names = both(q.Names, names); len(q.Names) == 0 {
				return false, nil
			}
			continue
		}
		some, err := f.apply(q, option)
		if err != nil || !some {
			return false, err
		}
	}
	return true, nil
}

func tagValues(tx store.Tx, scope ssmrun.Scope, key string, values []string) ([]string, error) {
	if len(values) == 0 {
		values = nil // any
	}
	return tx.TaggedIDs(scope, ResourceType, key, values)
}

// both gives what is in two lists; nil stands for everything.
func both(a, b []string) []string {
	if a == nil {
		return b
	}
	var out []string
	for _, s := range a {
		if slices.Contains(b, s) {
			out = append(out, s)
		}
	}
	return out
}

func (f Filter) apply(q *store.ParameterQuery, option string) (bool, error) {
	switch f.Key {
	case "Name":
		switch option {
		case "BeginsWith":
			q.Prefixes = f.Values
		case "Contains":
			q.Parts = f.Values
		default:
			q.Names = both(q.Names, f.Values)
			return len(q.Names) > 0, nil
		}
	case "KeyId":
		if option == "BeginsWith" {
			q.KeyIDPrefixes = f.Values
		} else {
			q.KeyIDs = f.Values
		}
	case "Path":
		q.Deep = option == "Recursive"
		for _, path := range f.Values {
			if !strings.HasPrefix(path, "/") || path != "/" && checkPath(path) != nil {
				return false, ssmrun.Errorf(CodeInvalidFilterValue, "The following filter value is not valid: %s. A path begins with a slash.", path)
			}
			q.Under = append(q.Under, under(path))
		}
	case "Type":
		q.Types = f.Values
		return true, f.oneOf(TypeString, TypeStringList, TypeSecureString)
	case "Tier":
		q.Tiers = f.Values
		return true, f.oneOf(TierStandard, TierAdvanced, TierIntelligent)
	case "DataType":
		q.DataTypes = f.Values
	case "Label":
		return false, nil // no version has one
	}
	return true, nil
}

func (f Filter) oneOf(valid ...string) error {
	for _, v := range f.Values {
		if !slices.Contains(valid, v) {
			return ssmrun.Errorf(CodeInvalidFilterValue, "The following filter value is not valid: %s. Valid values include: [%s].", v, strings.Join(valid, ", "))
		}
	}
	return nil
}
