package sqlite

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strconv"

	"ssmrun"
)

const (
	putDocumentVersion = `INSERT INTO document_versions (account, region, name, number, version_name, display_name,
		target_type, content_hash, format, schema_version, platform_types, created_at, author, attachments, review_status)
		VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT (account, region, name, number) DO UPDATE SET
		version_name = excluded.version_name, display_name = excluded.display_name, target_type = excluded.target_type,
		content_hash = excluded.content_hash, format = excluded.format, schema_version = excluded.schema_version,
		platform_types = excluded.platform_types, created_at = excluded.created_at, author = excluded.author,
		attachments = excluded.attachments, review_status = excluded.review_status`
	versionColumns = `v.number, v.version_name, v.display_name, v.target_type, v.format, v.schema_version,
		v.platform_types, v.created_at, v.author, v.attachments, v.review_status`
	ofDocument    = ` WHERE v.account = ? AND v.region = ? AND v.name = ?`
	selectVersion = `SELECT ` + versionColumns + `, c.content FROM document_versions v
		JOIN documents_content c ON c.account = v.account AND c.region = v.region AND c.hash = v.content_hash` + ofDocument
	selectNumbered = selectVersion + ` AND v.number = ?`
	selectNamed    = selectVersion + ` AND v.version_name = ? AND v.version_name <> ''`
	selectLatest   = selectVersion + ` ORDER BY v.number DESC LIMIT 1`
	selectDefault  = selectVersion + ` AND v.number = (SELECT d.default_version FROM documents d
		WHERE d.account = v.account AND d.region = v.region AND d.name = v.name)`
	listVersions  = `SELECT ` + versionColumns + ` FROM document_versions v` + ofDocument + ` ORDER BY v.number DESC`
	deleteVersion = `DELETE FROM document_versions WHERE account = ? AND region = ? AND name = ? AND number = ?
		RETURNING content_hash`
	selectHashes = `SELECT v.content_hash FROM document_versions v` + ofDocument
	dropContent  = `DELETE FROM documents_content AS c WHERE c.account = ? AND c.region = ? AND c.hash = ?
		AND NOT EXISTS (SELECT 1 FROM document_versions v
			WHERE v.account = c.account AND v.region = c.region AND v.content_hash = c.hash)`
	keepDocument = `INSERT INTO documents_content (account, region, hash, content) VALUES (?,?,?,?) ON CONFLICT DO NOTHING`
)

// PutDocumentVersion takes numbers from 1.
func (t *tx) PutDocumentVersion(scope ssmrun.Scope, name string, v *ssmrun.DocumentVersion) error {
	return what(t.putDocumentVersion(scope, name, v), "put version %d of document %s", v.Number, name)
}

func (t *tx) putDocumentVersion(scope ssmrun.Scope, name string, v *ssmrun.DocumentVersion) error {
	if v.Number < 1 {
		return t.refuse(errors.New("versions are numbers from 1"))
	}
	platforms, err := asJSON(v.PlatformTypes)
	if err != nil {
		return t.refuse(err)
	}
	attachments, err := asJSON(v.Attachments)
	if err != nil {
		return t.refuse(err)
	}
	before, err := t.hash(scope, name, v.Number)
	if err != nil {
		return err
	}
	hash, err := t.keepDocument(scope, v.Content)
	if err != nil {
		return err
	}
	if _, err := t.exec(putDocumentVersion, scope.Account, scope.Region, name, v.Number, v.Name, v.DisplayName, v.TargetType,
		hash, v.Format, v.SchemaVersion, platforms, micros(v.CreatedAt), v.Author, attachments, v.ReviewStatus); err != nil {
		return err
	}
	return t.dropContents(scope, before)
}

// keepDocument stores a content that is not there yet and gives its hash.
func (t *tx) keepDocument(s ssmrun.Scope, content string) ([]byte, error) {
	hash := sha256.Sum256([]byte(content))
	_, err := t.exec(keepDocument, s.Account, s.Region, hash[:], content)
	return hash[:], err
}

func versionMembers(v *ssmrun.DocumentVersion) []any {
	return []any{
		&v.Number, &v.Name, &v.DisplayName, &v.TargetType, &v.Format, &v.SchemaVersion,
		fromJSON{&v.PlatformTypes},
		at(&v.CreatedAt), &v.Author,
		fromJSON{&v.Attachments},
		&v.ReviewStatus,
	}
}

func (t *tx) documentVersion(text string, args ...any) (*ssmrun.DocumentVersion, error) {
	var v ssmrun.DocumentVersion
	err := t.one(func(s scanner) error { return s.Scan(append(versionMembers(&v), &v.Content)...) }, text, args...)
	if err != nil {
		return nil, err
	}
	return &v, nil
}

func (t *tx) DocumentVersion(scope ssmrun.Scope, name, version string) (*ssmrun.DocumentVersion, error) {
	text, args := selectDefault, []any{scope.Account, scope.Region, name}
	switch version {
	case "", ssmrun.DefaultVersion:
	case ssmrun.LatestVersion:
		text = selectLatest
	default:
		n, ok := versionNumber(version)
		if !ok {
			n = 0 // no row has it
		}
		text, args = selectNumbered, append(args, n)
	}
	v, err := t.documentVersion(text, args...)
	return v, what(err, "find version %s of document %s", version, name)
}

func versionNumber(s string) (int64, bool) {
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil && n > 0 && strconv.FormatInt(n, 10) == s
}

func (t *tx) NamedDocumentVersion(scope ssmrun.Scope, name, versionName string) (*ssmrun.DocumentVersion, error) {
	v, err := t.documentVersion(selectNamed, scope.Account, scope.Region, name, versionName)
	return v, what(err, "find version %s of document %s", versionName, name)
}

func (t *tx) DocumentVersions(scope ssmrun.Scope, name string) ([]ssmrun.DocumentVersion, error) {
	var list []ssmrun.DocumentVersion
	err := t.each(func(s scanner) error {
		var v ssmrun.DocumentVersion
		err := s.Scan(versionMembers(&v)...)
		list = append(list, v)
		return err
	}, listVersions, scope.Account, scope.Region, name)
	return list, what(err, "list versions of document %s", name)
}

func (t *tx) DeleteDocumentVersion(scope ssmrun.Scope, name string, number int64) error {
	return what(t.deleteDocumentVersion(scope, name, number), "delete version %d of document %s", number, name)
}

func (t *tx) deleteDocumentVersion(scope ssmrun.Scope, name string, number int64) error {
	d, err := t.Document(scope, name)
	if err != nil {
		return err
	}
	if d.Default == number {
		return t.refuse(fmt.Errorf("%d is the default version", number))
	}
	var hash []byte
	if err := t.changeOne(func(s scanner) error { return s.Scan(&hash) }, deleteVersion,
		scope.Account, scope.Region, name, number); err != nil {
		return err
	}
	return t.dropContents(scope, [][]byte{hash})
}

// contentsOf gives the hashes of the contents of all versions.
func (t *tx) contentsOf(scope ssmrun.Scope, name string) ([][]byte, error) {
	return t.hashes(selectHashes, scope.Account, scope.Region, name)
}

// hash gives that of one version's content; none where it is not there.
func (t *tx) hash(scope ssmrun.Scope, name string, number int64) ([][]byte, error) {
	return t.hashes(selectHashes+` AND v.number = ?`, scope.Account, scope.Region, name, number)
}

func (t *tx) hashes(text string, args ...any) ([][]byte, error) {
	var list [][]byte
	err := t.each(func(s scanner) error {
		var h []byte
		err := s.Scan(&h)
		list = append(list, h)
		return err
	}, text, args...)
	return list, err
}

// dropContents removes contents that no version and no command refers to.
func (t *tx) dropContents(scope ssmrun.Scope, hashes [][]byte) error {
	for _, h := range hashes {
		if _, err := t.exec(dropContent, scope.Account, scope.Region, h); err != nil {
			return err
		}
	}
	return nil
}
