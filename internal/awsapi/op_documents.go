package awsapi

import (
	"context"
	"crypto/sha1" //nolint:gosec // one of the two hashes of AWS's API
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"ssmrun"
	"ssmrun/internal/document"
	"ssmrun/internal/store"
)

// loaded is a document of the service: one of AWS's, or one that was put into
// the store.
type loaded struct {
	record    ssmrun.Document
	parsed    *document.Document // nil where it is no Command document
	json      string             // the content as agents get it; "" likewise
	platforms []string
}

// errWrongVersion: the document is there, the version is not.
var errWrongVersion = errors.New("no such version")

// loadDocument finds a document by its name or ARN, and a version of it.
// Errors: ssmrun.CodeInvalidDocument; ssmrun.CodeInvalidDocumentVersion around
// errWrongVersion.
func (a *API) loadDocument(ctx context.Context, scope ssmrun.Scope, name, version string) (*loaded, error) {
	name = documentName(name)
	if b, ok := document.BuiltIn(name); ok {
		if version != "" && version[0] != '$' && version != b.Version {
			return nil, wrongVersion(version, b.Version)
		}
		return &loaded{
			record: ssmrun.Document{
				Name: b.Name, Version: b.Version, Content: b.Content, Format: b.Format, Type: b.Type,
				SchemaVersion: b.SchemaVersion, CreatedAt: b.CreatedDate, Owner: b.Owner,
			},
			parsed: b.Document, json: string(b.Document.JSON()), platforms: b.PlatformTypes,
		}, nil
	}
	var rec *ssmrun.Document
	latest := ""
	err := a.cfg.Store.View(ctx, func(tx store.Tx) error {
		newest, err := tx.Document(scope, name, "$LATEST")
		if err != nil {
			return err
		}
		latest = newest.Version
		rec, err = tx.Document(scope, name, version)
		return err
	})
	switch {
	case errors.Is(err, ssmrun.ErrNotFound) && latest == "":
		return nil, ssmrun.Errorf(ssmrun.CodeInvalidDocument, "Document with name %s does not exist.", name)
	case errors.Is(err, ssmrun.ErrNotFound):
		return nil, wrongVersion(version, latest)
	case err != nil:
		return nil, fmt.Errorf("read document %s: %w", name, err)
	}
	l := &loaded{record: *rec}
	if rec.Type == document.CommandDocument {
		if l.parsed, err = document.Parse([]byte(rec.Content), rec.Format); err != nil {
			return nil, fmt.Errorf("parse document %s: %w", name, err)
		}
		l.json, l.platforms = string(l.parsed.JSON()), l.parsed.PlatformTypes()
	}
	return l, nil
}

func wrongVersion(version, latest string) error {
	return &ssmrun.Error{
		Code:    ssmrun.CodeInvalidDocumentVersion,
		Message: fmt.Sprintf("Document version: %s is invalid, latest version is %s", version, latest),
		Err:     errWrongVersion,
	}
}

// hashes are the document's, by which a caller may pin it.
func (l *loaded) hashes() []string {
	s256 := sha256.Sum256([]byte(l.record.Content))
	s1 := sha1.Sum([]byte(l.record.Content)) //nolint:gosec // see above
	return []string{hex.EncodeToString(s256[:]), hex.EncodeToString(s1[:])}
}

// documentName gives the name in an ARN like
// arn:aws:ssm:us-east-1::document/AWS-RunShellScript; other names as they are.
func documentName(nameOrARN string) string {
	if rest, ok := strings.CutPrefix(nameOrARN, "arn:"); ok {
		if _, name, ok := strings.Cut(rest, ":document/"); ok {
			return name
		}
	}
	return nameOrARN
}

type documentRequest struct {
	Name            string
	DocumentVersion string
	VersionName     string
	DocumentFormat  string
}

func (a *API) requestedDocument(ctx context.Context, c *Call) (*documentRequest, *loaded, error) {
	var in documentRequest
	if err := decode(c.Body, &in); err != nil {
		return nil, nil, err
	}
	c.Subject = Subject{Document: in.Name}
	l, err := a.loadDocument(ctx, c.Scope, in.Name, in.DocumentVersion)
	if err != nil {
		return nil, nil, err
	}
	if in.VersionName != "" {
		return nil, nil, ssmrun.Errorf(ssmrun.CodeInvalidDocumentVersion, "Document %s has no version named %s.", in.Name, in.VersionName)
	}
	return &in, l, nil
}

func (a *API) describeDocument(ctx context.Context, c *Call) (any, error) {
	_, l, err := a.requestedDocument(ctx, c)
	if err != nil {
		return nil, err
	}
	type description struct {
		Hash            string
		HashType        string
		Name            string
		Owner           string
		CreatedDate     epoch
		Status          string
		DocumentVersion string
		Description     string                          `json:",omitempty"`
		Parameters      []document.ParameterDescription `json:",omitzero"`
		PlatformTypes   []string                        `json:",omitempty"`
		DocumentType    string
		SchemaVersion   string
		LatestVersion   string
		DefaultVersion  string
		DocumentFormat  string
		Tags            []struct{}
		Category        []string
		CategoryEnum    []string
	}
	r := l.record
	out := description{
		Hash: l.hashes()[0], HashType: "Sha256", Name: r.Name, Owner: r.Owner,
		CreatedDate: epoch(r.CreatedAt), Status: "Active", DocumentVersion: r.Version,
		PlatformTypes: l.platforms, DocumentType: r.Type, SchemaVersion: r.SchemaVersion,
		LatestVersion: r.Version, DefaultVersion: r.Version, DocumentFormat: r.Format,
		Tags: []struct{}{}, Category: []string{}, CategoryEnum: []string{},
	}
	if l.parsed != nil {
		d := l.parsed.Describe()
		out.Description, out.Parameters = d.Description, d.Parameters
	}
	return struct{ Document description }{out}, nil
}

func (a *API) getDocument(ctx context.Context, c *Call) (any, error) {
	in, l, err := a.requestedDocument(ctx, c)
	if err != nil {
		return nil, err
	}
	r := l.record
	format := orElse(in.DocumentFormat, document.FormatJSON)
	content := []byte(r.Content)
	if format != r.Format && format != "TEXT" {
		if content, err = document.ConvertFormat(content, r.Format, format); err != nil {
			return nil, err
		}
	}
	return struct {
		Name            string
		CreatedDate     epoch
		DocumentVersion string
		Status          string
		Content         string
		DocumentType    string
		DocumentFormat  string
	}{r.Name, epoch(r.CreatedAt), r.Version, "Active", string(content), r.Type, format}, nil
}

// PutDocuments stores documents that were read from files, in a scope. The file
// is the truth: a document has one version, which is what its file says now.
func PutDocuments(tx store.Tx, scope ssmrun.Scope, files []*document.File, now time.Time) error {
	for _, f := range files {
		if _, ok := document.BuiltIn(f.Name); ok {
			return fmt.Errorf("store document %s: the name is that of a built-in document; rename the file", f.Name)
		}
		before, err := tx.Document(scope, f.Name, "$LATEST")
		if err == nil && before.Content == string(f.Content) {
			continue
		}
		if err != nil && !errors.Is(err, ssmrun.ErrNotFound) {
			return fmt.Errorf("read document %s: %w", f.Name, err)
		}
		d := ssmrun.Document{
			Name: f.Name, Scope: scope, Version: "1", Content: string(f.Content), Format: f.Format,
			Type: f.Type, SchemaVersion: f.SchemaVersion, CreatedAt: now, Owner: scope.Account,
		}
		if err := tx.PutDocument(&d); err != nil {
			return fmt.Errorf("store document %s: %w", f.Name, err)
		}
	}
	return nil
}
