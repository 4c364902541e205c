package awsapi

import (
	"context"
	"errors"
	"slices"
	"strings"

	"ssmrun"
	"ssmrun/internal/document"
	"ssmrun/internal/store"
)

type updateDocumentRequest struct {
	Content         string
	Attachments     []ssmrun.AttachmentSource
	Name            string
	DisplayName     string
	VersionName     string
	DocumentVersion string
	DocumentFormat  string
	TargetType      string
}

func (a *API) updateDocument(ctx context.Context, c *Call) (any, error) {
	var in updateDocumentRequest
	if err := decode(c.Body, &in); err != nil {
		return nil, err
	}
	c.Subject = Subject{Document: in.Name}
	now := a.cfg.Now().UTC()
	var file *document.File
	var out struct{ DocumentDescription *documentDescription }
	err := a.cfg.Store.Update(ctx, func(tx store.Tx) error {
		d, latest, err := updatable(tx, c.Scope, &in)
		if err != nil {
			return err
		}
		if file, err = document.ParseAs(d.Type, []byte(in.Content), orElse(in.DocumentFormat, document.FormatJSON)); err != nil {
			return err
		}
		v := newDocumentVersion(file, c, d.Next)
		v.CreatedAt, v.Name, v.Attachments = now, in.VersionName, in.Attachments
		v.DisplayName, v.TargetType = orElse(in.DisplayName, latest.DisplayName), orElse(in.TargetType, latest.TargetType)
		if err := mayAdd(tx, d, latest, v); err != nil {
			return err
		}
		d.Next, d.Latest = d.Next+1, v.Number
		if err := errors.Join(tx.PutDocument(d), tx.PutDocumentVersion(d.Scope, d.Name, v)); err != nil {
			return err
		}
		out.DocumentDescription, err = a.describeNew(tx, d, v, file)
		return err
	})
	if err != nil {
		return nil, err
	}
	out.DocumentDescription.Status = documentUpdating
	WarnOfDocument(ctx, a.cfg.Logger, in.Name, file.Document)
	return out, nil
}

// updatable gives the document and its latest version, which the caller has to
// name: nobody overwrites what another has just written.
func updatable(tx store.Tx, scope ssmrun.Scope, in *updateDocumentRequest) (*ssmrun.Document, *ssmrun.DocumentVersion, error) {
	d, err := ownDocument(tx, scope, in.Name)
	if err != nil {
		return nil, nil, err
	}
	switch in.DocumentVersion {
	case "", ssmrun.DefaultVersion:
		return nil, nil, ssmrun.Errorf(ssmrun.CodeInvalidDocumentVersion, "Document version for UpdateDocument must be number or $LATEST")
	case ssmrun.LatestVersion, ssmrun.DocumentVersionNumber(d.Latest):
	default:
		return nil, nil, ssmrun.Errorf(ssmrun.CodeInvalidDocumentVersion,
			"Version provided for document %s is not latest. Please provide the latest version to update document %s", in.Name, in.Name)
	}
	latest, err := tx.DocumentVersion(scope, in.Name, ssmrun.LatestVersion)
	if err != nil {
		return nil, nil, err
	}
	if d.Type == document.CommandDocument && strings.HasPrefix(latest.SchemaVersion, "1.") {
		return nil, nil, ssmrun.Errorf(document.CodeInvalidSchemaVersion, "Update is not allowed for documentType: %s, schemaVersion: %s", d.Type, latest.SchemaVersion)
	}
	return d, latest, nil
}

// mayAdd tells why v cannot be the version after latest.
func mayAdd(tx store.Tx, d *ssmrun.Document, latest, v *ssmrun.DocumentVersion) error {
	if v.Content == latest.Content && v.Format == latest.Format && v.DisplayName == latest.DisplayName &&
		v.TargetType == latest.TargetType && sameAttachments(v.Attachments, latest.Attachments) {
		return ssmrun.Errorf(CodeDuplicateDocumentContent,
			"Document to be updated with name %s has the same metadata and content as document version provided in request", d.Name)
	}
	versions, err := tx.DocumentVersions(d.Scope, d.Name)
	if err != nil {
		return err
	}
	for i := range versions {
		if v.Name != "" && versions[i].Name == v.Name {
			return ssmrun.Errorf(CodeDuplicateDocumentVersionName, "Document %s already has a version named %s: version %d", d.Name, v.Name, versions[i].Number)
		}
	}
	if len(versions) >= ssmrun.MaxDocumentVersions {
		return ssmrun.Errorf(CodeDocumentVersionLimitExceeded, "A document can have %d versions. Delete one that is not needed, and try again.", ssmrun.MaxDocumentVersions)
	}
	return nil
}

func sameAttachments(a, b []ssmrun.AttachmentSource) bool {
	return slices.EqualFunc(a, b, func(a, b ssmrun.AttachmentSource) bool {
		return a.Key == b.Key && a.Name == b.Name && slices.Equal(a.Values, b.Values)
	})
}

func (a *API) updateDocumentDefaultVersion(ctx context.Context, c *Call) (any, error) {
	var in documentRequest
	if err := decode(c.Body, &in); err != nil {
		return nil, err
	}
	c.Subject = Subject{Document: in.Name}
	err := a.cfg.Store.Update(ctx, func(tx store.Tx) error {
		d, err := ownDocument(tx, c.Scope, in.Name)
		if err != nil {
			return err
		}
		v, err := tx.DocumentVersion(c.Scope, in.Name, in.DocumentVersion)
		if errors.Is(err, ssmrun.ErrNotFound) {
			return wrongVersion(in.DocumentVersion, d.Latest)
		}
		if err != nil {
			return err
		}
		d.Default = v.Number
		return tx.PutDocument(d)
	})
	if err != nil {
		return nil, err
	}
	type description struct{ Name, DefaultVersion string }
	return struct{ Description description }{description{in.Name, in.DocumentVersion}}, nil
}
