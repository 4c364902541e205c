package daemon

import (
	"fmt"
	"slices"

	"ssmrun"
	"ssmrun/internal/document"
	"ssmrun/internal/store"
)

// mayRead decides what an agent may read of the parameter store: what the
// commands name that are open for its instance.
func (f *front) mayRead(q *request, operation string) func(names []string, decrypt bool) error {
	return func(names []string, decrypt bool) error {
		refs, err := f.references(q)
		if err != nil {
			return err
		}
		if denied := unreferenced(refs, names, decrypt); denied != "" {
			why := "no command that is open for the instance names it"
			if decrypt {
				why += " as {{" + document.SecurePrefix + denied + "}}"
			}
			return ssmrun.Errorf(ssmrun.CodeAccessDenied, "User: %s is not authorized to perform: ssm:%s on parameter %s: %s", q.caller.ARN, operation, denied, why)
		}
		return nil
	}
}

// unreferenced gives the first name that no reference names exactly as it is
// asked for, version and all; "" where all may be read. In the clear, a
// parameter may be read that is named as a secret; else, one that is named in
// either way.
func unreferenced(refs, names []string, decrypt bool) string {
	for _, name := range names {
		secure := slices.Contains(refs, document.SecurePrefix+name)
		plain := slices.Contains(refs, document.StoredPrefix+name)
		if !secure && (decrypt || !plain) {
			return name
		}
	}
	return ""
}

// references gives what the commands name that are open for the caller's
// instance, in its own scope.
func (f *front) references(q *request) ([]string, error) {
	scope := ssmrun.Scope{Account: q.caller.Account, Region: q.caller.Region}
	var refs []string
	err := f.store.View(q.r.Context(), func(tx store.Tx) error {
		refs = nil
		open, err := tx.OpenInvocations(scope, q.caller.InstanceID)
		if err != nil {
			return err
		}
		for _, i := range open {
			c, err := tx.Command(scope, i.CommandID)
			if err == nil {
				err = tx.ReadInput(c)
			}
			if err != nil {
				return err
			}
			refs = append(refs, document.CommandReferences(c.Content, c.Parameters)...)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look for what the commands of %s name: %w", q.caller.InstanceID, err)
	}
	return refs, nil
}
