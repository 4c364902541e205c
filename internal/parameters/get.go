package parameters

import (
	"context"

	"ssmrun"
	"ssmrun/internal/store"
)

// Get finds a parameter by its name or ARN, either with ":version" behind it.
// Errors: CodeNotFound, CodeVersionNotFound, CodeInvalidKeyID.
func (s *Service) Get(ctx context.Context, scope ssmrun.Scope, name string, decrypt bool) (*Parameter, error) {
	var out *Parameter
	err := s.cfg.Store.View(ctx, func(tx store.Tx) (err error) {
		out, err = s.get(tx, scope, name, decrypt)
		return err
	})
	return out, wrap(err, "get parameter")
}

// GetMany finds parameters as Get does. What is not there is in invalid, as it
// was asked for.
func (s *Service) GetMany(ctx context.Context, scope ssmrun.Scope, names []string, decrypt bool) (found []Parameter, invalid []string, err error) {
	err = s.cfg.Store.View(ctx, func(tx store.Tx) error {
		found, invalid = []Parameter{}, []string{}
		for _, name := range distinct(names) {
			p, err := s.get(tx, scope, name, decrypt)
			switch ssmrun.ErrorCode(err) {
			case "":
				found = append(found, *p)
			case CodeNotFound, CodeVersionNotFound:
				invalid = append(invalid, name)
			default:
				return err
			}
		}
		return nil
	})
	return found, invalid, wrap(err, "get parameters")
}

func (s *Service) get(tx store.Tx, scope ssmrun.Scope, name string, decrypt bool) (*Parameter, error) {
	a, ok := parseName(scope, name)
	if !ok {
		return nil, missing(name)
	}
	for _, n := range a.names {
		p, err := tx.Parameter(scope, n, a.version)
		if notFound(err) && a.version != 0 {
			if _, e := tx.Parameter(scope, n, 0); e == nil {
				return nil, ssmrun.Errorf(CodeVersionNotFound, "Systems Manager could not find version %s of %s. Verify the version and try again.", a.selector[1:], n)
			}
		}
		if notFound(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if a.label {
			return nil, ssmrun.Errorf(CodeVersionNotFound, "Systems Manager could not find version label %s of %s. This service keeps no labels: name a version by its number.", a.selector[1:], n)
		}
		out, err := s.read(p, decrypt)
		if err != nil {
			return nil, err
		}
		out.Selector = a.selector
		return &out, nil
	}
	return nil, missing(name)
}

func missing(name string) error {
	return ssmrun.Errorf(CodeNotFound, "Parameter %s not found.", name)
}

// Delete removes parameters with all their versions and tags. What is not there
// is in invalid.
func (s *Service) Delete(ctx context.Context, scope ssmrun.Scope, names []string) (deleted, invalid []string, err error) {
	err = s.cfg.Store.Update(ctx, func(tx store.Tx) error {
		deleted, invalid = []string{}, []string{}
		for _, name := range distinct(names) {
			ok, err := remove(tx, scope, name)
			if err != nil {
				return err
			}
			if ok {
				deleted = append(deleted, name)
			} else {
				invalid = append(invalid, name)
			}
		}
		return nil
	})
	return deleted, invalid, wrap(err, "delete parameters")
}

func remove(tx store.Tx, scope ssmrun.Scope, name string) (bool, error) {
	a, ok := parseName(scope, name)
	if !ok || a.selector != "" {
		return false, nil
	}
	for _, n := range a.names {
		err := tx.DeleteParameter(scope, n)
		if notFound(err) {
			continue
		}
		if err != nil {
			return false, err
		}
		return true, tx.DropTags(scope, ResourceType, n)
	}
	return false, nil
}

func distinct(names []string) []string {
	seen := map[string]bool{}
	var out []string
	for _, n := range names {
		if !seen[n] {
			seen[n] = true
			out = append(out, n)
		}
	}
	return out
}
