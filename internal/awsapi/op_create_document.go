package awsapi

import (
	"context"
	"errors"
	"log/slog"
	"strings"

	"ssmrun"
	"ssmrun/internal/document"
	"ssmrun/internal/store"
)

type createDocumentRequest struct {
	Content        string
	Requires       []ssmrun.DocumentRequirement
	Attachments    []ssmrun.AttachmentSource
	Name           string
	DisplayName    string
	VersionName    string
	DocumentType   string
	DocumentFormat string
	TargetType     string
	Tags           []tagJSON
}

// reservedPrefixes begin the names of AWS's documents, in whatever letters.
var reservedPrefixes = []string{"aws-", "awsec2", "awssupport", "awsconfigremediation", "amazon", "amzn"}

func (a *API) createDocument(ctx context.Context, c *Call) (any, error) {
	var in createDocumentRequest
	if err := decode(c.Body, &in); err != nil {
		return nil, err
	}
	c.Subject = Subject{Document: in.Name}
	for _, prefix := range reservedPrefixes {
		if strings.HasPrefix(strings.ToLower(in.Name), prefix) {
			return nil, ssmrun.Errorf(ssmrun.CodeValidation, "Document name %s begins with %s, which is reserved for documents of AWS. Choose another name.", in.Name, in.Name[:len(prefix)])
		}
	}
	file, err := document.ParseAs(orElse(in.DocumentType, document.CommandDocument), []byte(in.Content), orElse(in.DocumentFormat, document.FormatJSON))
	if err != nil {
		return nil, err
	}
	now := a.cfg.Now().UTC()
	d := &ssmrun.Document{
		Name: in.Name, Scope: c.Scope, Type: file.Type, CreatedAt: now, Default: 1, Latest: 1, Next: 2, Requires: in.Requires,
	}
	v := newDocumentVersion(file, c, 1)
	v.CreatedAt, v.Name, v.DisplayName, v.TargetType, v.Attachments = now, in.VersionName, in.DisplayName, in.TargetType, in.Attachments
	tags := make(map[string]string, len(in.Tags))
	for _, t := range in.Tags {
		tags[t.Key] = t.Value
	}
	var out struct{ DocumentDescription *documentDescription }
	err = a.cfg.Store.Update(ctx, func(tx store.Tx) error {
		if err := mayCreate(tx, c.Scope, in.Name); err != nil {
			return err
		}
		err := errors.Join(tx.PutDocument(d), tx.PutDocumentVersion(c.Scope, in.Name, v), tx.PutTags(c.Scope, tagDocument, in.Name, tags))
		if err != nil {
			return err
		}
		out.DocumentDescription, err = a.describeNew(tx, d, v, file)
		return err
	})
	if err != nil {
		return nil, err
	}
	out.DocumentDescription.Status = documentCreating
	WarnOfDocument(ctx, a.cfg.Logger, in.Name, file.Document)
	return out, nil
}

// mayCreate tells why there cannot be another document of the name.
func mayCreate(tx store.Tx, scope ssmrun.Scope, name string) error {
	_, builtIn := document.BuiltIn(name)
	_, err := tx.Document(scope, name)
	switch {
	case err == nil || builtIn:
		return ssmrun.Errorf(CodeDocumentAlreadyExists, "Document with same name %s already exists", name)
	case !errors.Is(err, ssmrun.ErrNotFound):
		return err
	}
	n, err := tx.CountDocuments(scope)
	if err == nil && n >= ssmrun.MaxDocuments {
		err = ssmrun.Errorf(CodeDocumentLimitExceeded, "An account can have %d documents in a region. Delete one that is not needed, and try again.", ssmrun.MaxDocuments)
	}
	return err
}

// newDocumentVersion is a version with what the content and the call decide.
func newDocumentVersion(f *document.File, c *Call, number int64) *ssmrun.DocumentVersion {
	return &ssmrun.DocumentVersion{
		Number: number, Content: string(f.Content), Format: f.Format, SchemaVersion: f.SchemaVersion,
		PlatformTypes: f.Platforms(), Author: c.Caller.ARN,
	}
}

// describeNew describes a version that was just stored.
func (a *API) describeNew(tx store.Tx, d *ssmrun.Document, v *ssmrun.DocumentVersion, f *document.File) (*documentDescription, error) {
	return a.describe(tx, &loaded{
		opened:  opened{Document: *d, owner: d.Scope.Account, shown: d.Name},
		version: *v, parsed: f.Document, platforms: v.PlatformTypes,
	})
}

// WarnOfDocument logs what the author of a document should know: where values
// can become part of a script, and which patterns do not bound them here. The
// document is accepted, as AWS accepts it.
func WarnOfDocument(ctx context.Context, log *slog.Logger, name string, d *document.Document) {
	if d == nil || log == nil {
		return
	}
	for _, p := range d.UncheckedPatterns() {
		log.WarnContext(ctx, "an allowedPattern is not checked", "document", name, "parameter", p.Name, "why", p.PatternError())
	}
	for _, f := range d.Lint() {
		log.WarnContext(ctx, "a document lets values become part of a script",
			"document", name, "parameter", f.Parameter, "step", f.Step, "why", f.Why, "fix", f.Fix)
	}
}
