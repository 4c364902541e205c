package store

import "ssmrun"

// DocumentEntry is a document in a list, with one of its versions without
// content.
type DocumentEntry struct {
	Document ssmrun.Document
	Version  ssmrun.DocumentVersion
}

// SharedDocument is a document that another account shares.
type SharedDocument struct {
	Scope ssmrun.Scope // whose it is
	Name  string
	Share ssmrun.DocumentShare
}

// Documents are the documents that are not built in, with their versions,
// whom they are shared with, and their reviews. An account has few documents in
// a region (ssmrun.MaxDocuments), so lists of them have no pages.
type Documents interface {
	// PutDocument adds a document, or replaces what it has; Latest is not
	// stored. Its default version must be there when the Update ends.
	PutDocument(d *ssmrun.Document) error
	// Document finds one. ssmrun.ErrNotFound where the scope has none.
	Document(scope ssmrun.Scope, name string) (*ssmrun.Document, error)
	// CountDocuments tells how many the scope has.
	CountDocuments(scope ssmrun.Scope) (int, error)
	// ListDocuments gives the documents of a scope with their default versions,
	// by name.
	ListDocuments(scope ssmrun.Scope) ([]DocumentEntry, error)
	// DeleteDocument removes a document with all that belongs to it, but for its
	// tags. What commands were sent with stays. ssmrun.ErrNotFound where there is
	// none.
	DeleteDocument(scope ssmrun.Scope, name string) error

	// PutDocumentVersion adds or replaces a version of a document that is there.
	PutDocumentVersion(scope ssmrun.Scope, name string, v *ssmrun.DocumentVersion) error
	// DocumentVersion finds a version: a number, or $DEFAULT (also ""), or
	// $LATEST. ssmrun.ErrNotFound where there is none.
	DocumentVersion(scope ssmrun.Scope, name, version string) (*ssmrun.DocumentVersion, error)
	// NamedDocumentVersion finds a version by its name, which is not "".
	NamedDocumentVersion(scope ssmrun.Scope, name, versionName string) (*ssmrun.DocumentVersion, error)
	// DocumentVersions gives all versions, newest number first, without content.
	DocumentVersions(scope ssmrun.Scope, name string) ([]ssmrun.DocumentVersion, error)
	// DeleteDocumentVersion removes one version, which may not be the default.
	// What commands were sent with stays. ssmrun.ErrNotFound where there is none.
	DeleteDocumentVersion(scope ssmrun.Scope, name string, number int64) error

	// PutDocumentShare shares a document that is there, or changes the share.
	PutDocumentShare(scope ssmrun.Scope, name string, s ssmrun.DocumentShare) error
	// RemoveDocumentShare ends a share; nothing happens where there is none.
	RemoveDocumentShare(scope ssmrun.Scope, name, account string) error
	// DocumentShares gives the shares of a document, by account.
	DocumentShares(scope ssmrun.Scope, name string) ([]ssmrun.DocumentShare, error)
	// SharedDocuments gives what is shared in a region with an account by its
	// number, or with ssmrun.EveryAccount, by owner and name.
	SharedDocuments(region, account string) ([]SharedDocument, error)

	// PutDocumentReview adds a review of a version that is there, or replaces
	// the one with its number.
	PutDocumentReview(scope ssmrun.Scope, name string, version int64, r *ssmrun.DocumentReview) error
	// DocumentReviews gives the reviews of a version, newest number first.
	DocumentReviews(scope ssmrun.Scope, name string, version int64) ([]ssmrun.DocumentReview, error)
}
