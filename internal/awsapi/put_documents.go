package awsapi

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"ssmrun"
	"ssmrun/internal/document"
	"ssmrun/internal/store"
)

// PutDocuments stores documents that were read from files, in a scope. The file
// is the truth: where the default version, whoever made it, is not what the
// file says, the file's content becomes a new version, and that the default.
// Other versions stay.
func PutDocuments(tx store.Tx, scope ssmrun.Scope, files []*document.File, now time.Time) error {
	for _, f := range files {
		if _, ok := document.BuiltIn(f.Name); ok {
			return fmt.Errorf("store document %s: the name is that of a built-in document; rename the file", f.Name)
		}
		if err := putFile(tx, scope, f, now); err != nil {
			return fmt.Errorf("store document %s: %w", f.Name, err)
		}
	}
	return nil
}

func putFile(tx store.Tx, scope ssmrun.Scope, f *document.File, now time.Time) error {
	v := &ssmrun.DocumentVersion{
		Content: string(f.Content), Format: f.Format, SchemaVersion: f.SchemaVersion, PlatformTypes: f.Platforms(), CreatedAt: now,
	}
	d, err := tx.Document(scope, f.Name)
	switch {
	case errors.Is(err, ssmrun.ErrNotFound):
		d = &ssmrun.Document{Name: f.Name, Scope: scope, CreatedAt: now, Next: 1}
	case err != nil:
		return err
	default:
		before, err := tx.DocumentVersion(scope, f.Name, ssmrun.DefaultVersion)
		if err != nil && !errors.Is(err, ssmrun.ErrNotFound) {
			return err
		}
		if err == nil && before.Content == v.Content && before.Format == v.Format && d.Type == f.Type {
			if slices.Equal(before.PlatformTypes, v.PlatformTypes) {
				return nil
			}
			before.PlatformTypes = v.PlatformTypes // an older ssmrun did not note them
			return tx.PutDocumentVersion(scope, f.Name, before)
		}
	}
	v.Number = d.Next
	d.Type, d.Default, d.Next = f.Type, v.Number, d.Next+1
	return errors.Join(tx.PutDocument(d), tx.PutDocumentVersion(scope, f.Name, v))
}
