package sqlite

import (
	"ssmrun"
	"ssmrun/internal/store"
)

const (
	putDocumentRow = `INSERT INTO documents (account, region, name, type, created_at, default_version, next_version, requires)
		VALUES (?,?,?,?,?,?,?,?) ON CONFLICT (account, region, name) DO UPDATE SET type = excluded.type,
		created_at = excluded.created_at, default_version = excluded.default_version,
		next_version = excluded.next_version, requires = excluded.requires`
	documentColumns = `d.account, d.region, d.name, d.type, d.created_at, d.default_version, d.next_version, d.requires,
		coalesce((SELECT max(l.number) FROM document_versions l
			WHERE l.account = d.account AND l.region = d.region AND l.name = d.name), 0)`
	selectDocument = `SELECT ` + documentColumns + ` FROM documents d WHERE d.account = ? AND d.region = ? AND d.name = ?`
	countDocuments = `SELECT count(*) FROM documents WHERE account = ? AND region = ?`
	listDocuments  = `SELECT ` + documentColumns + `, ` + versionColumns + ` FROM documents d JOIN document_versions v
		ON v.account = d.account AND v.region = d.region AND v.name = d.name AND v.number = d.default_version
		WHERE d.account = ? AND d.region = ? ORDER BY d.name`
	deleteDocument = `DELETE FROM documents WHERE account = ? AND region = ? AND name = ?`
)

func (t *tx) PutDocument(d *ssmrun.Document) error {
	requires, err := asJSON(d.Requires)
	if err != nil {
		return what(t.refuse(err), "put document %s", d.Name)
	}
	_, err = t.exec(putDocumentRow, d.Scope.Account, d.Scope.Region, d.Name, d.Type, micros(d.CreatedAt), d.Default, d.Next, requires)
	return what(err, "put document %s", d.Name)
}

func documentMembers(d *ssmrun.Document) []any {
	return []any{
		&d.Scope.Account, &d.Scope.Region, &d.Name, &d.Type, at(&d.CreatedAt), &d.Default, &d.Next, fromJSON{&d.Requires}, &d.Latest,
	}
}

func (t *tx) Document(scope ssmrun.Scope, name string) (*ssmrun.Document, error) {
	var d ssmrun.Document
	err := t.one(func(s scanner) error { return s.Scan(documentMembers(&d)...) }, selectDocument, scope.Account, scope.Region, name)
	if err != nil {
		return nil, what(err, "find document %s", name)
	}
	return &d, nil
}

func (t *tx) CountDocuments(scope ssmrun.Scope) (n int, err error) {
	err = t.one(func(s scanner) error { return s.Scan(&n) }, countDocuments, scope.Account, scope.Region)
	return n, what(err, "count documents")
}

func (t *tx) ListDocuments(scope ssmrun.Scope) ([]store.DocumentEntry, error) {
	var list []store.DocumentEntry
	err := t.each(func(s scanner) error {
		var e store.DocumentEntry
		err := s.Scan(append(documentMembers(&e.Document), versionMembers(&e.Version)...)...)
		list = append(list, e)
		return err
	}, listDocuments, scope.Account, scope.Region)
	return list, what(err, "list documents")
}

func (t *tx) DeleteDocument(scope ssmrun.Scope, name string) error {
	hashes, err := t.contentsOf(scope, name)
	if err == nil {
		err = t.execOne(deleteDocument, scope.Account, scope.Region, name)
	}
	if err == nil {
		err = t.dropContents(scope, hashes)
	}
	return what(err, "delete document %s", name)
}
