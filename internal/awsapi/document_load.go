package awsapi

import (
	"context"
	"crypto/sha1" //nolint:gosec // one of the two hashes of AWS's API
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"ssmrun"
	"ssmrun/internal/document"
	"ssmrun/internal/store"
)

// loaded is a version of a document: of one of AWS's, or of one that is in the
// store.
type loaded struct {
	opened
	version   ssmrun.DocumentVersion
	parsed    *document.Document // nil where it is no Command document
	json      string             // the content as agents get it; "" likewise
	platforms []string
}

// errWrongVersion: the document is there, the version is not.
var errWrongVersion = errors.New("no such version")

// loadDocument finds a document by its name or ARN, and a version of it.
// Errors: ssmrun.CodeInvalidDocument; ssmrun.CodeInvalidDocumentVersion around
// errWrongVersion.
func (a *API) loadDocument(ctx context.Context, scope ssmrun.Scope, name, version string) (l *loaded, err error) {
	err = a.cfg.Store.View(ctx, func(tx store.Tx) error {
		l, err = loadVersion(tx, scope, &documentRequest{Name: name, DocumentVersion: version})
		return err
	})
	return l, err
}

// loadVersion is loadDocument in a transaction, by the name of the version too.
func loadVersion(tx store.Tx, scope ssmrun.Scope, in *documentRequest) (*loaded, error) {
	o, err := openDocument(tx, scope, in.Name)
	if err != nil {
		return nil, err
	}
	if o.builtIn != nil {
		return loadBuiltIn(o, in)
	}
	v, err := o.find(tx, in.DocumentVersion, in.VersionName)
	if err != nil {
		return nil, err
	}
	l := &loaded{opened: *o, version: *v, platforms: v.PlatformTypes}
	if o.Type == document.CommandDocument {
		if l.parsed, err = document.Parse([]byte(v.Content), v.Format); err != nil {
			return nil, fmt.Errorf("parse document %s: %w", in.Name, err)
		}
		l.json, l.platforms = string(l.parsed.JSON()), l.parsed.PlatformTypes()
	}
	return l, nil
}

func loadBuiltIn(o *opened, in *documentRequest) (*loaded, error) {
	b := o.builtIn
	if v := in.DocumentVersion; v != "" && v[0] != '$' && v != b.Version {
		return nil, wrongVersion(v, o.Latest)
	}
	if in.VersionName != "" {
		return nil, wrongName(in.Name, in.VersionName)
	}
	l := &loaded{opened: *o, version: builtInVersion(b), platforms: b.PlatformTypes}
	if b.Document != nil {
		l.parsed, l.json = b.Document, string(b.Document.JSON())
	}
	return l, nil
}

func builtInVersion(b *document.Builtin) ssmrun.DocumentVersion {
	n, _ := strconv.ParseInt(b.Version, 10, 64) // it is "1"
	return ssmrun.DocumentVersion{
		Number: n, Content: b.Content, Format: b.Format, SchemaVersion: b.SchemaVersion,
		PlatformTypes: b.PlatformTypes, CreatedAt: b.CreatedDate,
	}
}

// find finds a version that the caller may see. In a document of the caller's
// account that is each; in another's, what it shares. Where both members are
// given, the version has to have the name.
func (o *opened) find(tx store.Tx, version, versionName string) (*ssmrun.DocumentVersion, error) {
	if version == "" && o.shares != nil && !o.visible(o.Default) {
		version = ssmrun.LatestVersion // it is all that there is for this caller
	}
	var v *ssmrun.DocumentVersion
	var err error
	if version == "" && versionName != "" {
		v, err = tx.NamedDocumentVersion(o.Scope, o.Name, versionName)
	} else {
		v, err = tx.DocumentVersion(o.Scope, o.Name, version)
	}
	switch {
	case errors.Is(err, ssmrun.ErrNotFound) && version == "":
		return nil, wrongName(o.shown, versionName)
	case errors.Is(err, ssmrun.ErrNotFound):
		return nil, wrongVersion(version, o.Latest)
	case err != nil:
		return nil, err
	case versionName != "" && v.Name != versionName:
		return nil, wrongName(o.shown, versionName)
	case !o.visible(v.Number):
		return nil, wrongVersion(orElse(version, versionName), o.Latest)
	}
	return v, nil
}

// visible tells whether the caller may see a version.
func (o *opened) visible(number int64) bool {
	return o.shares == nil || slices.ContainsFunc(o.shares, func(s ssmrun.DocumentShare) bool {
		switch s.Version {
		case ssmrun.AllVersions:
			return true
		case ssmrun.LatestVersion:
			return number == o.Latest
		default:
			return number == o.Default
		}
	})
}

func wrongVersion(version string, latest int64) error {
	return &ssmrun.Error{
		Code:    ssmrun.CodeInvalidDocumentVersion,
		Message: fmt.Sprintf("Document version: %s is invalid, latest version is %d", version, latest),
		Err:     errWrongVersion,
	}
}

func wrongName(document, versionName string) error {
	return &ssmrun.Error{
		Code:    ssmrun.CodeInvalidDocumentVersion,
		Message: fmt.Sprintf("Document %s has no version named %s.", document, versionName),
		Err:     errWrongVersion,
	}
}

// hashes are the document's, by which a caller may pin it.
func (l *loaded) hashes() []string { return contentHashes(l.version.Content) }

func contentHashes(content string) []string {
	s256 := sha256.Sum256([]byte(content))
	s1 := sha1.Sum([]byte(content)) //nolint:gosec // see above
	return []string{hex.EncodeToString(s256[:]), hex.EncodeToString(s1[:])}
}
