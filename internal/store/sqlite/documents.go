package sqlite

import (
	"crypto/sha256"
	"fmt"
	"strconv"

	"ssmrun"
)

const (
	putDocumentRow = `INSERT INTO documents (account, region, name, version, content_hash, format, type, schema_version,
		created_at, owner) VALUES (?,?,?,?,?,?,?,?,?,?)
		ON CONFLICT (account, region, name, version) DO UPDATE SET content_hash = excluded.content_hash,
		format = excluded.format, type = excluded.type, schema_version = excluded.schema_version,
		created_at = excluded.created_at, owner = excluded.owner`
	selectDocument = `SELECT d.account, d.region, d.name, d.version, d.format, d.type, d.schema_version, d.created_at,
		d.owner, c.content FROM documents d
		JOIN documents_content c ON c.account = d.account AND c.region = d.region AND c.hash = d.content_hash
		WHERE d.account = ? AND d.region = ? AND d.name = ? `
	selectDefault  = selectDocument + `ORDER BY d.version LIMIT 1`
	selectLatest   = selectDocument + `ORDER BY d.version DESC LIMIT 1`
	selectNumbered = selectDocument + `AND d.version = ?`
	keepDocument   = `INSERT INTO documents_content (account, region, hash, content) VALUES (?,?,?,?) ON CONFLICT DO NOTHING`
	hasDocument    = `SELECT 1 FROM documents WHERE account = ? AND region = ? AND name = ? LIMIT 1`
)

// PutDocument takes versions that are numbers from 1.
func (t *tx) PutDocument(d *ssmrun.Document) error {
	return what(t.putDocument(d), "put document %s", d.Name)
}

func (t *tx) putDocument(d *ssmrun.Document) error {
	version, ok := versionNumber(d.Version)
	if !ok {
		return t.refuse(fmt.Errorf("its version %q is not a number from 1", d.Version))
	}
	hash, err := t.keepDocument(d.Scope, d.Content)
	if err != nil {
		return err
	}
	_, err = t.exec(putDocumentRow, d.Scope.Account, d.Scope.Region, d.Name, version, hash, d.Format, d.Type,
		d.SchemaVersion, micros(d.CreatedAt), d.Owner)
	return err
}

// keepDocument stores a content that is not there yet and gives its hash.
func (t *tx) keepDocument(s ssmrun.Scope, content string) ([]byte, error) {
	hash := sha256.Sum256([]byte(content))
	_, err := t.exec(keepDocument, s.Account, s.Region, hash[:], content)
	return hash[:], err
}

func versionNumber(s string) (int64, bool) {
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil && n > 0 && strconv.FormatInt(n, 10) == s
}

// Document looks in the scope, then among the documents of every scope. The
// default version is the lowest that is stored, as a document's default stays
// its first version until somebody names another.
func (t *tx) Document(scope ssmrun.Scope, name, version string) (*ssmrun.Document, error) {
	d, err := t.document(scope, name, version)
	if err == nil && d == nil && scope != (ssmrun.Scope{}) {
		d, err = t.document(ssmrun.Scope{}, name, version)
	}
	if err == nil && d == nil {
		err = ssmrun.ErrNotFound
	}
	if err != nil {
		return nil, what(err, "find document %s", name)
	}
	return d, nil
}

// document looks in one scope. It gives nil without an error where the scope
// has no document of the name, and ssmrun.ErrNotFound where it has one, but
// not of the version.
func (t *tx) document(scope ssmrun.Scope, name, version string) (*ssmrun.Document, error) {
	args := []any{scope.Account, scope.Region, name}
	text := selectDefault
	switch version {
	case "", "$DEFAULT":
	case "$LATEST":
		text = selectLatest
	default:
		text = selectNumbered
		n, ok := versionNumber(version)
		if !ok {
			n = 0 // no row has it
		}
		args = append(args, n)
	}
	var (
		found *ssmrun.Document
		known bool
	)
	err := t.each(func(s scanner) error {
		var d ssmrun.Document
		var n int64
		err := s.Scan(&d.Scope.Account, &d.Scope.Region, &d.Name, &n, &d.Format, &d.Type, &d.SchemaVersion,
			at(&d.CreatedAt), &d.Owner, &d.Content)
		d.Version = strconv.FormatInt(n, 10)
		found = &d
		return err
	}, text, args...)
	if err != nil || found != nil || text != selectNumbered {
		return found, err
	}
	err = t.each(func(scanner) error { known = true; return nil }, hasDocument, args[:3]...)
	if err == nil && known {
		err = ssmrun.ErrNotFound
	}
	return nil, err
}
