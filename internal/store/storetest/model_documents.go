package storetest

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"pgregory.net/rapid"

	"ssmrun"
	"ssmrun/internal/store"
)

// documentsModel is the part of the model that has documents.
type documentsModel struct {
	heads    map[documentKey]ssmrun.Document
	versions map[versionKey]ssmrun.DocumentVersion
	shares   map[shareKey]ssmrun.DocumentShare
	reviews  map[reviewKey]ssmrun.DocumentReview
}

type (
	documentKey struct {
		scope ssmrun.Scope
		name  string
	}
	versionKey struct {
		documentKey
		number int64
	}
	shareKey struct {
		documentKey
		account string
	}
	reviewKey struct {
		versionKey
		review int64
	}
)

func newDocumentsModel() documentsModel {
	return documentsModel{
		map[documentKey]ssmrun.Document{},
		map[versionKey]ssmrun.DocumentVersion{},
		map[shareKey]ssmrun.DocumentShare{},
		map[reviewKey]ssmrun.DocumentReview{},
	}
}

func (d documentsModel) clone() documentsModel {
	return documentsModel{maps.Clone(d.heads), maps.Clone(d.versions), maps.Clone(d.shares), maps.Clone(d.reviews)}
}

func (m *model) PutDocument(d *ssmrun.Document) error {
	m.documents.heads[documentKey{d.Scope, d.Name}] = *d
	return nil
}

func (m *model) Document(scope ssmrun.Scope, name string) (*ssmrun.Document, error) {
	d, err := find(m.documents.heads, documentKey{scope, name})
	if err == nil {
		d.Latest = 0
		if list := m.versionsOf(scope, name); len(list) > 0 {
			d.Latest = list[0].Number
		}
	}
	return d, err
}

func (m *model) CountDocuments(scope ssmrun.Scope) (int, error) {
	n := 0
	for k := range m.documents.heads {
		if k.scope == scope {
			n++
		}
	}
	return n, nil
}

func (m *model) ListDocuments(scope ssmrun.Scope) ([]store.DocumentEntry, error) {
	var list []store.DocumentEntry
	for k := range m.documents.heads {
		if k.scope != scope {
			continue
		}
		d, _ := m.Document(scope, k.name)
		if v, err := m.DocumentVersion(scope, k.name, ""); err == nil {
			v.Content = ""
			list = append(list, store.DocumentEntry{Document: *d, Version: *v})
		}
	}
	slices.SortFunc(list, func(a, b store.DocumentEntry) int { return cmp.Compare(a.Document.Name, b.Document.Name) })
	return list, nil
}

func (m *model) DeleteDocument(scope ssmrun.Scope, name string) error {
	key := documentKey{scope, name}
	if _, ok := m.documents.heads[key]; !ok {
		return ssmrun.ErrNotFound
	}
	delete(m.documents.heads, key)
	maps.DeleteFunc(m.documents.versions, func(k versionKey, _ ssmrun.DocumentVersion) bool { return k.documentKey == key })
	maps.DeleteFunc(m.documents.shares, func(k shareKey, _ ssmrun.DocumentShare) bool { return k.documentKey == key })
	maps.DeleteFunc(m.documents.reviews, func(k reviewKey, _ ssmrun.DocumentReview) bool { return k.documentKey == key })
	return nil
}

func (m *model) PutDocumentVersion(scope ssmrun.Scope, name string, v *ssmrun.DocumentVersion) error {
	key := documentKey{scope, name}
	if _, ok := m.documents.heads[key]; !ok || v.Number < 1 {
		return errRefused
	}
	for k, other := range m.documents.versions {
		if k.documentKey == key && k.number != v.Number && v.Name != "" && other.Name == v.Name {
			return errRefused
		}
	}
	m.documents.versions[versionKey{key, v.Number}] = *v
	return nil
}

func (m *model) versionsOf(scope ssmrun.Scope, name string) []ssmrun.DocumentVersion {
	var list []ssmrun.DocumentVersion
	for k, v := range m.documents.versions {
		if k.documentKey == (documentKey{scope, name}) {
			list = append(list, v)
		}
	}
	slices.SortFunc(list, func(a, b ssmrun.DocumentVersion) int { return cmp.Compare(b.Number, a.Number) })
	return list
}

func (m *model) DocumentVersion(scope ssmrun.Scope, name, version string) (*ssmrun.DocumentVersion, error) {
	d, err := m.Document(scope, name)
	if err != nil {
		return nil, err
	}
	n := d.Default
	switch version {
	case "", "$DEFAULT":
	case "$LATEST":
		n = d.Latest
	default:
		n, _ = strconv.ParseInt(version, 10, 64)
	}
	return find(m.documents.versions, versionKey{documentKey{scope, name}, n})
}

func (m *model) NamedDocumentVersion(scope ssmrun.Scope, name, versionName string) (*ssmrun.DocumentVersion, error) {
	for _, v := range m.versionsOf(scope, name) {
		if v.Name == versionName && v.Name != "" {
			return &v, nil
		}
	}
	return nil, ssmrun.ErrNotFound
}

func (m *model) DocumentVersions(scope ssmrun.Scope, name string) ([]ssmrun.DocumentVersion, error) {
	list := m.versionsOf(scope, name)
	for i := range list {
		list[i].Content = ""
	}
	return list, nil
}

func (m *model) DeleteDocumentVersion(scope ssmrun.Scope, name string, number int64) error {
	key := versionKey{documentKey{scope, name}, number}
	d, ok := m.documents.heads[key.documentKey]
	switch {
	case !ok:
		return ssmrun.ErrNotFound
	case d.Default == number:
		return errRefused
	}
	if _, ok := m.documents.versions[key]; !ok {
		return ssmrun.ErrNotFound
	}
	delete(m.documents.versions, key)
	maps.DeleteFunc(m.documents.reviews, func(k reviewKey, _ ssmrun.DocumentReview) bool { return k.versionKey == key })
	return nil
}

func (m *model) PutDocumentShare(scope ssmrun.Scope, name string, s ssmrun.DocumentShare) error {
	key := documentKey{scope, name}
	if _, ok := m.documents.heads[key]; !ok {
		return errRefused
	}
	m.documents.shares[shareKey{key, s.Account}] = s
	return nil
}

func (m *model) RemoveDocumentShare(scope ssmrun.Scope, name, account string) error {
	delete(m.documents.shares, shareKey{documentKey{scope, name}, account})
	return nil
}

func (m *model) DocumentShares(scope ssmrun.Scope, name string) ([]ssmrun.DocumentShare, error) {
	var list []ssmrun.DocumentShare
	for k, s := range m.documents.shares {
		if k.documentKey == (documentKey{scope, name}) {
			list = append(list, s)
		}
	}
	slices.SortFunc(list, func(a, b ssmrun.DocumentShare) int { return cmp.Compare(a.Account, b.Account) })
	return list, nil
}

func (m *model) SharedDocuments(region, account string) ([]store.SharedDocument, error) {
	var list []store.SharedDocument
	for k, s := range m.documents.shares {
		if k.scope.Region == region && s.Account == account {
			list = append(list, store.SharedDocument{Scope: k.scope, Name: k.name, Share: s})
		}
	}
	slices.SortFunc(list, func(a, b store.SharedDocument) int {
		return cmp.Or(cmp.Compare(a.Scope.Account, b.Scope.Account), cmp.Compare(a.Name, b.Name))
	})
	return list, nil
}

func (m *model) PutDocumentReview(scope ssmrun.Scope, name string, version int64, r *ssmrun.DocumentReview) error {
	key := versionKey{documentKey{scope, name}, version}
	if _, ok := m.documents.versions[key]; !ok {
		return errRefused
	}
	m.documents.reviews[reviewKey{key, r.Number}] = *r
	return nil
}

func (m *model) DocumentReviews(scope ssmrun.Scope, name string, version int64) ([]ssmrun.DocumentReview, error) {
	var list []ssmrun.DocumentReview
	for k, r := range m.documents.reviews {
		if k.versionKey == (versionKey{documentKey{scope, name}, version}) {
			list = append(list, r)
		}
	}
	slices.SortFunc(list, func(a, b ssmrun.DocumentReview) int { return cmp.Compare(b.Number, a.Number) })
	return list, nil
}

var (
	someNumber    = rapid.Int64Range(1, 3)
	someContent   = rapid.SampledFrom([]string{"", "one", "two"})
	someReceiver  = rapid.SampledFrom([]string{"222222222222", ssmrun.EveryAccount})
	someSharing   = rapid.SampledFrom([]string{"$DEFAULT", "$ALL"})
	someSelector  = rapid.SampledFrom([]string{"", "$DEFAULT", "$LATEST", "1", "2", "10"})
	someVersionOf = rapid.SampledFrom([]string{"", "", "first", "second"})
)

func drawDocumentWrite(rt *rapid.T, scope ssmrun.Scope) op {
	name, number := someDocument.Draw(rt, "name"), someNumber.Draw(rt, "number")
	switch rapid.IntRange(0, 8).Draw(rt, "document") {
	case 0, 1:
		d := ssmrun.Document{
			Name: name, Scope: scope, Type: someText.Draw(rt, "type"), CreatedAt: maybeTime.Draw(rt, "created"),
			Default: number, Next: someNumber.Draw(rt, "next"),
			Requires: []ssmrun.DocumentRequirement{{Name: someText.Draw(rt, "required"), Version: someText.Draw(rt, "version")}},
		}
		return wrote("PutDocument "+name, func(tx store.Tx) error { return tx.PutDocument(&d) })
	case 2, 3, 4:
		v := ssmrun.DocumentVersion{
			Number: number, Name: someVersionOf.Draw(rt, "version name"), DisplayName: someText.Draw(rt, "display name"),
			TargetType: someText.Draw(rt, "target type"), Content: someContent.Draw(rt, "content"), Format: someText.Draw(rt, "format"),
			SchemaVersion: someText.Draw(rt, "schema"), PlatformTypes: []string{someText.Draw(rt, "platform")},
			CreatedAt: maybeTime.Draw(rt, "created"), Author: someText.Draw(rt, "author"),
			Attachments: []ssmrun.AttachmentSource{{Name: someText.Draw(rt, "attachment")}}, ReviewStatus: ssmrun.ReviewPending,
		}
		return wrote(fmt.Sprintf("PutDocumentVersion %s %d", name, number), func(tx store.Tx) error { return tx.PutDocumentVersion(scope, name, &v) })
	case 5:
		if rapid.IntRange(0, 3).Draw(rt, "whole") == 0 {
			return wrote("DeleteDocument "+name, func(tx store.Tx) error { return tx.DeleteDocument(scope, name) })
		}
		return wrote(fmt.Sprintf("DeleteDocumentVersion %s %d", name, number), func(tx store.Tx) error {
			return tx.DeleteDocumentVersion(scope, name, number)
		})
	case 6:
		s := ssmrun.DocumentShare{Account: someReceiver.Draw(rt, "account"), Version: someSharing.Draw(rt, "version")}
		return wrote("PutDocumentShare "+name, func(tx store.Tx) error { return tx.PutDocumentShare(scope, name, s) })
	case 7:
		account := someReceiver.Draw(rt, "account")
		return wrote("RemoveDocumentShare "+name, func(tx store.Tx) error { return tx.RemoveDocumentShare(scope, name, account) })
	default:
		r := ssmrun.DocumentReview{
			Number: someNumber.Draw(rt, "review"), Status: ssmrun.ReviewApproved, Comment: someText.Draw(rt, "comment"),
			Reviewer: someText.Draw(rt, "reviewer"), Created: maybeTime.Draw(rt, "created"), Updated: maybeTime.Draw(rt, "updated"),
		}
		return wrote(fmt.Sprintf("PutDocumentReview %s %d", name, number), func(tx store.Tx) error {
			return tx.PutDocumentReview(scope, name, number, &r)
		})
	}
}

func drawDocumentRead(rt *rapid.T, scope ssmrun.Scope) op {
	name, number := someDocument.Draw(rt, "name"), someNumber.Draw(rt, "number")
	switch rapid.IntRange(0, 8).Draw(rt, "document") {
	case 0:
		return op{"Document " + name, func(tx store.Tx) (any, error) { return tx.Document(scope, name) }}
	case 1:
		return op{"CountDocuments", func(tx store.Tx) (any, error) { return tx.CountDocuments(scope) }}
	case 2:
		return op{"ListDocuments", func(tx store.Tx) (any, error) { return tx.ListDocuments(scope) }}
	case 3:
		selector := someSelector.Draw(rt, "version")
		return op{"DocumentVersion " + name + " " + selector, func(tx store.Tx) (any, error) { return tx.DocumentVersion(scope, name, selector) }}
	case 4:
		versionName := someVersionOf.Draw(rt, "version name")
		return op{"NamedDocumentVersion " + name, func(tx store.Tx) (any, error) { return tx.NamedDocumentVersion(scope, name, versionName) }}
	case 5:
		return op{"DocumentVersions " + name, func(tx store.Tx) (any, error) { return tx.DocumentVersions(scope, name) }}
	case 6:
		return op{"DocumentShares " + name, func(tx store.Tx) (any, error) { return tx.DocumentShares(scope, name) }}
	case 7:
		account := someReceiver.Draw(rt, "account")
		return op{"SharedDocuments", func(tx store.Tx) (any, error) { return tx.SharedDocuments(scope.Region, account) }}
	default:
		return op{"DocumentReviews " + name, func(tx store.Tx) (any, error) { return tx.DocumentReviews(scope, name, number) }}
	}
}
