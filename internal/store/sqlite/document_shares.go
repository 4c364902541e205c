package sqlite

import (
	"ssmrun"
	"ssmrun/internal/store"
)

const (
	putShare = `INSERT INTO document_shares (account, region, name, shared_to, version) VALUES (?,?,?,?,?)
		ON CONFLICT (account, region, name, shared_to) DO UPDATE SET version = excluded.version`
	removeShare  = `DELETE FROM document_shares WHERE account = ? AND region = ? AND name = ? AND shared_to = ?`
	selectShares = `SELECT shared_to, version FROM document_shares
		WHERE account = ? AND region = ? AND name = ? ORDER BY shared_to`
	selectShared = `SELECT account, region, name, shared_to, version FROM document_shares
		WHERE region = ? AND shared_to = ? ORDER BY account, name`

	putReview = `INSERT INTO document_reviews (account, region, name, version, number, status, comment, reviewer,
		created_at, updated_at) VALUES (?,?,?,?,?,?,?,?,?,?)
		ON CONFLICT (account, region, name, version, number) DO UPDATE SET status = excluded.status,
		comment = excluded.comment, reviewer = excluded.reviewer, created_at = excluded.created_at,
		updated_at = excluded.updated_at`
	selectReviews = `SELECT number, status, comment, reviewer, created_at, updated_at FROM document_reviews
		WHERE account = ? AND region = ? AND name = ? AND version = ? ORDER BY number DESC`
)

func (t *tx) PutDocumentShare(scope ssmrun.Scope, name string, s ssmrun.DocumentShare) error {
	_, err := t.exec(putShare, scope.Account, scope.Region, name, s.Account, s.Version)
	return what(err, "share document %s", name)
}

func (t *tx) RemoveDocumentShare(scope ssmrun.Scope, name, account string) error {
	_, err := t.exec(removeShare, scope.Account, scope.Region, name, account)
	return what(err, "unshare document %s", name)
}

func (t *tx) DocumentShares(scope ssmrun.Scope, name string) ([]ssmrun.DocumentShare, error) {
	var list []ssmrun.DocumentShare
	err := t.each(func(s scanner) error {
		var share ssmrun.DocumentShare
		err := s.Scan(&share.Account, &share.Version)
		list = append(list, share)
		return err
	}, selectShares, scope.Account, scope.Region, name)
	return list, what(err, "find shares of document %s", name)
}

func (t *tx) SharedDocuments(region, account string) ([]store.SharedDocument, error) {
	var list []store.SharedDocument
	err := t.each(func(s scanner) error {
		var d store.SharedDocument
		err := s.Scan(&d.Scope.Account, &d.Scope.Region, &d.Name, &d.Share.Account, &d.Share.Version)
		list = append(list, d)
		return err
	}, selectShared, region, account)
	return list, what(err, "find documents shared with %s", account)
}

func (t *tx) PutDocumentReview(scope ssmrun.Scope, name string, version int64, r *ssmrun.DocumentReview) error {
	_, err := t.exec(putReview, scope.Account, scope.Region, name, version, r.Number, r.Status, r.Comment, r.Reviewer,
		micros(r.Created), micros(r.Updated))
	return what(err, "put review of document %s", name)
}

func (t *tx) DocumentReviews(scope ssmrun.Scope, name string, version int64) ([]ssmrun.DocumentReview, error) {
	var list []ssmrun.DocumentReview
	err := t.each(func(s scanner) error {
		var r ssmrun.DocumentReview
		err := s.Scan(&r.Number, &r.Status, &r.Comment, &r.Reviewer, at(&r.Created), at(&r.Updated))
		list = append(list, r)
		return err
	}, selectReviews, scope.Account, scope.Region, name, version)
	return list, what(err, "find reviews of document %s", name)
}
