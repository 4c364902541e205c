package awsapi

import (
	"context"
	"errors"

	"ssmrun"
	"ssmrun/internal/store"
)

// deleteDocument removes a document, or one of its versions. What was sent
// before runs on: a command has its content of its own.
func (a *API) deleteDocument(ctx context.Context, c *Call) (any, error) {
	var in documentRequest // and Force, of which no type here takes notice
	if err := decode(c.Body, &in); err != nil {
		return nil, err
	}
	c.Subject = Subject{Document: in.Name}
	err := a.cfg.Store.Update(ctx, func(tx store.Tx) error {
		d, err := tx.Document(c.Scope, in.Name)
		if errors.Is(err, ssmrun.ErrNotFound) {
			return ssmrun.Errorf(ssmrun.CodeInvalidDocument, "Document %s does not exist in your account", in.Name)
		}
		if err != nil {
			return err
		}
		if in.DocumentVersion != "" || in.VersionName != "" {
			return deleteVersion(tx, d, &in)
		}
		shares, err := tx.DocumentShares(c.Scope, in.Name)
		if err != nil {
			return err
		}
		if len(shares) > 0 {
			return ssmrun.Errorf(CodeInvalidDocumentOperation, "Must unshare document first before delete")
		}
		return errors.Join(tx.DeleteDocument(c.Scope, in.Name), tx.DropTags(c.Scope, tagDocument, in.Name))
	})
	return struct{}{}, err
}

// deleteVersion: the operation declares no error for a wrong version, so that
// is one of what cannot be done.
func deleteVersion(tx store.Tx, d *ssmrun.Document, in *documentRequest) error {
	o := opened{Document: *d, shown: d.Name}
	v, err := o.find(tx, in.DocumentVersion, in.VersionName)
	switch {
	case errors.Is(err, errWrongVersion):
		return ssmrun.Errorf(CodeInvalidDocumentOperation, "%s", ssmrun.ErrorMessage(err))
	case err != nil:
		return err
	case v.Number == d.Default:
		return ssmrun.Errorf(CodeInvalidDocumentOperation, "Default version of the document can't be deleted.")
	}
	return tx.DeleteDocumentVersion(d.Scope, d.Name, v.Number)
}
