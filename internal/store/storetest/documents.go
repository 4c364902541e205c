package storetest

import (
	"errors"
	"strings"
	"testing"

	"ssmrun"
	"ssmrun/internal/store"
)

func newDocument(scope ssmrun.Scope, name string) *ssmrun.Document {
	return &ssmrun.Document{
		Name: name, Scope: scope, Type: "Command", CreatedAt: at(0), Default: 1, Latest: 0, Next: 2,
		Requires: []ssmrun.DocumentRequirement{{Name: "Other", Version: "1", RequireType: "x", VersionName: "y"}},
	}
}

func newVersion(number int64, content string) *ssmrun.DocumentVersion {
	return &ssmrun.DocumentVersion{
		Number: number, Name: "v" + ssmrun.DocumentVersionNumber(number), DisplayName: "ü", TargetType: "/AWS::EC2::Instance",
		Content: content, Format: "YAML", SchemaVersion: "2.2", PlatformTypes: []string{"Linux", "MacOS"},
		CreatedAt: at(int(number)), Author: "arn:aws:iam::111111111111:user/ann",
		Attachments: []ssmrun.AttachmentSource{{Key: "S3FileUrl", Values: []string{"s3://b/k"}, Name: "k"}}, ReviewStatus: ssmrun.ReviewPending,
	}
}

// putDocument stores a document with versions.
func (b *bundle) putDocument(t *testing.T, d *ssmrun.Document, versions ...*ssmrun.DocumentVersion) {
	t.Helper()
	b.update(t, func(tx store.Tx) error {
		if err := tx.PutDocument(d); err != nil {
			return err
		}
		for _, v := range versions {
			if err := tx.PutDocumentVersion(d.Scope, d.Name, v); err != nil {
				return err
			}
		}
		return nil
	})
}

// refuses wants an error that is not ErrNotFound, and nothing stored.
func (b *bundle) refuses(t *testing.T, what string, fn func(tx store.Tx) error) {
	t.Helper()
	if err := b.Update(b.ctx, fn); err == nil || errors.Is(err, ssmrun.ErrNotFound) {
		t.Errorf("%s: error %v, want it refused", what, err)
	}
}

func testDocuments(t *testing.T, b *bundle) {
	d := newDocument(home, "Doc")
	b.putDocument(t, d, newVersion(2, "two"), newVersion(1, "one"), newVersion(10, "ten"))
	b.putDocument(t, &ssmrun.Document{Name: "Bare", Scope: home, Default: 1}, &ssmrun.DocumentVersion{Number: 1})
	b.view(t, func(tx store.Tx) error {
		want := *d
		want.Latest = 10
		got, err := tx.Document(home, "Doc")
		same(t, "Doc", got, &want)
		if err != nil {
			return err
		}
		bare, err := tx.Document(home, "Bare")
		same(t, "Bare", bare, &ssmrun.Document{Name: "Bare", Scope: home, Default: 1, Latest: 1})
		for _, s := range []ssmrun.Scope{otherAcct, otherReg, {}} {
			_, err := tx.Document(s, "Doc")
			notFound(t, "in another scope", err)
		}
		_, err2 := tx.Document(home, "doc")
		notFound(t, "in other letters", err2)
		return err
	})
	again := &ssmrun.Document{Name: "Doc", Scope: home, Type: "Automation", CreatedAt: at(9), Default: 2, Next: 11}
	b.putDocument(t, again)
	b.view(t, func(tx store.Tx) error {
		want := *again
		want.Latest = 10
		got, err := tx.Document(home, "Doc")
		same(t, "Doc", got, &want)
		return err
	})
}

func testDocumentVersions(t *testing.T, b *bundle) {
	one, two, ten := newVersion(1, "one"), newVersion(2, strings.Repeat("x", ssmrun.MaxDocumentBytes)), newVersion(10, "one")
	ten.Name = ""
	d := newDocument(home, "Doc")
	d.Default = 2
	b.putDocument(t, d, ten, two, one)
	b.putDocument(t, newDocument(home, "Other"), &ssmrun.DocumentVersion{Number: 1, Name: "v1"})
	b.view(t, func(tx store.Tx) error {
		for version, want := range map[string]*ssmrun.DocumentVersion{
			"1": one, "2": two, "10": ten, "": two, "$DEFAULT": two, "$LATEST": ten,
			"3": nil, "0": nil, "01": nil, "-1": nil, "$OTHER": nil, "v1": nil,
		} {
			got, err := tx.DocumentVersion(home, "Doc", version)
			if want == nil {
				notFound(t, "version "+version, err)
				continue
			}
			same(t, "version "+version, got, want)
		}
		for name, want := range map[string]*ssmrun.DocumentVersion{"v1": one, "v2": two, "": nil, "V1": nil, "1": nil} {
			got, err := tx.NamedDocumentVersion(home, "Doc", name)
			if want == nil {
				notFound(t, "version named "+name, err)
				continue
			}
			same(t, "version named "+name, got, want)
		}
		_, err := tx.DocumentVersion(home, "None", "")
		notFound(t, "of no document", err)
		list, err := tx.DocumentVersions(home, "Doc")
		var want []ssmrun.DocumentVersion
		for _, v := range []*ssmrun.DocumentVersion{ten, two, one} {
			short := *v
			short.Content = ""
			want = append(want, short)
		}
		same(t, "versions", list, want)
		return err
	})
	changed := newVersion(2, "other")
	changed.ReviewStatus, changed.PlatformTypes, changed.Attachments = ssmrun.ReviewApproved, nil, nil
	b.update(t, func(tx store.Tx) error { return tx.PutDocumentVersion(home, "Doc", changed) })
	b.view(t, func(tx store.Tx) error {
		got, err := tx.DocumentVersion(home, "Doc", "2")
		same(t, "changed", got, changed)
		return err
	})
	for what, v := range map[string]*ssmrun.DocumentVersion{
		"number 0": {}, "number -1": {Number: -1}, "a name that another has": {Number: 3, Name: "v1"},
	} {
		b.refuses(t, what, func(tx store.Tx) error { return tx.PutDocumentVersion(home, "Doc", v) })
	}
	b.refuses(t, "no document", func(tx store.Tx) error { return tx.PutDocumentVersion(home, "None", one) })
}

func testDocumentLists(t *testing.T, b *bundle) {
	for _, name := range []string{"b", "a", "C"} {
		d := newDocument(home, name)
		d.Default = 2
		b.putDocument(t, d, newVersion(1, "one"), newVersion(2, "two"), newVersion(3, "three"))
	}
	b.putDocument(t, newDocument(otherAcct, "d"), newVersion(1, "one"))
	b.view(t, func(tx store.Tx) error {
		list, err := tx.ListDocuments(home)
		if err != nil {
			return err
		}
		var names []string
		for _, e := range list {
			names = append(names, e.Document.Name)
			version := *newVersion(2, "")
			same(t, e.Document.Name, e.Version, version)
			if e.Document.Latest != 3 || e.Document.Default != 2 {
				t.Errorf("%s has latest %d and default %d", e.Document.Name, e.Document.Latest, e.Document.Default)
			}
		}
		same(t, "names", names, []string{"C", "a", "b"})
		for s, want := range map[ssmrun.Scope]int{home: 3, otherAcct: 1, otherReg: 0} {
			n, err := tx.CountDocuments(s)
			if err != nil || n != want {
				t.Errorf("CountDocuments = %d, %v; want %d", n, err, want)
			}
		}
		return nil
	})
}

func testDeleteDocuments(t *testing.T, b *bundle) {
	b.putDocument(t, newDocument(home, "Doc"), newVersion(1, "one"), newVersion(2, "two"), newVersion(3, "three"))
	b.putDocument(t, newDocument(otherReg, "Doc"), newVersion(1, "one"))
	b.update(t, func(tx store.Tx) error {
		return errors.Join(
			tx.PutDocumentReview(home, "Doc", 2, &ssmrun.DocumentReview{Number: 1}),
			tx.PutDocumentShare(home, "Doc", ssmrun.DocumentShare{Account: "222222222222", Version: "$ALL"}))
	})
	b.refuses(t, "the default version", func(tx store.Tx) error { return tx.DeleteDocumentVersion(home, "Doc", 1) })
	b.update(t, func(tx store.Tx) error {
		notFound(t, "version 9", tx.DeleteDocumentVersion(home, "Doc", 9))
		notFound(t, "no document", tx.DeleteDocumentVersion(home, "None", 1))
		notFound(t, "no document", tx.DeleteDocument(home, "None"))
		return tx.DeleteDocumentVersion(home, "Doc", 2)
	})
	b.view(t, func(tx store.Tx) error {
		list, err := tx.DocumentVersions(home, "Doc")
		if len(list) != 2 || list[0].Number != 3 || list[1].Number != 1 {
			t.Errorf("versions %+v", list)
		}
		reviews, err2 := tx.DocumentReviews(home, "Doc", 2)
		same(t, "reviews of a version that is gone", reviews, []ssmrun.DocumentReview{})
		return errors.Join(err, err2)
	})
	b.update(t, func(tx store.Tx) error { return tx.DeleteDocument(home, "Doc") })
	b.view(t, func(tx store.Tx) error {
		_, err := tx.Document(home, "Doc")
		notFound(t, "deleted", err)
		_, err = tx.DocumentVersion(home, "Doc", "1")
		notFound(t, "deleted", err)
		shares, err := tx.SharedDocuments(home.Region, "222222222222")
		same(t, "shares", shares, []store.SharedDocument{})
		if err != nil {
			return err
		}
		_, err = tx.DocumentVersion(otherReg, "Doc", "1")
		return err
	})
}

// testDocumentContents: what commands and other documents have in common with
// what is deleted stays.
func testDocumentContents(t *testing.T, b *bundle) {
	c := newCommand(commandID(1), at(0))
	c.Content = "shared"
	b.insert(t, c, instanceID(1))
	b.putDocument(t, newDocument(home, "Doc"), newVersion(1, "shared"), newVersion(2, "shared too"))
	b.putDocument(t, newDocument(home, "Twin"), newVersion(1, "shared too"))
	b.update(t, func(tx store.Tx) error { return tx.PutDocumentVersion(home, "Doc", newVersion(1, "changed")) })
	b.update(t, func(tx store.Tx) error { return tx.DeleteDocumentVersion(home, "Doc", 2) })
	b.update(t, func(tx store.Tx) error { return tx.DeleteDocument(home, "Doc") })
	b.view(t, func(tx store.Tx) error {
		got, err := wholeCommand(tx, home, c.ID)
		if err != nil {
			return err
		}
		same(t, "content of the command", got.Content, "shared")
		twin, err := tx.DocumentVersion(home, "Twin", "")
		if err == nil {
			same(t, "content of the other document", twin.Content, "shared too")
		}
		return err
	})
	b.putDocument(t, newDocument(home, "Doc"), newVersion(1, "shared"))
	b.view(t, func(tx store.Tx) error {
		v, err := tx.DocumentVersion(home, "Doc", "")
		if err == nil {
			same(t, "content", v.Content, "shared")
		}
		return err
	})
}

func testDocumentShares(t *testing.T, b *bundle) {
	share := func(account, version string) ssmrun.DocumentShare {
		return ssmrun.DocumentShare{Account: account, Version: version}
	}
	b.putDocument(t, newDocument(home, "B"), newVersion(1, "x"))
	b.putDocument(t, newDocument(home, "A"), newVersion(1, "x"))
	b.putDocument(t, newDocument(otherReg, "A"), newVersion(1, "x"))
	b.update(t, func(tx store.Tx) error {
		return errors.Join(
			tx.PutDocumentShare(home, "B", share("222222222222", "$DEFAULT")),
			tx.PutDocumentShare(home, "B", share(ssmrun.EveryAccount, "$LATEST")),
			tx.PutDocumentShare(home, "B", share("222222222222", "$ALL")),
			tx.PutDocumentShare(home, "A", share("222222222222", "$DEFAULT")),
			tx.PutDocumentShare(otherReg, "A", share("222222222222", "$DEFAULT")),
			tx.RemoveDocumentShare(home, "A", "333333333333"))
	})
	b.refuses(t, "no document", func(tx store.Tx) error { return tx.PutDocumentShare(home, "None", share("222222222222", "$ALL")) })
	b.view(t, func(tx store.Tx) error {
		list, err := tx.DocumentShares(home, "B")
		same(t, "shares", list, []ssmrun.DocumentShare{share("222222222222", "$ALL"), share("all", "$LATEST")})
		shared, err2 := tx.SharedDocuments(home.Region, "222222222222")
		same(t, "shared with 222222222222", shared, []store.SharedDocument{
			{Scope: home, Name: "A", Share: share("222222222222", "$DEFAULT")}, {Scope: home, Name: "B", Share: share("222222222222", "$ALL")},
		})
		public, err3 := tx.SharedDocuments(home.Region, ssmrun.EveryAccount)
		same(t, "shared with all", public, []store.SharedDocument{{Scope: home, Name: "B", Share: share("all", "$LATEST")}})
		return errors.Join(err, err2, err3)
	})
	b.update(t, func(tx store.Tx) error { return tx.RemoveDocumentShare(home, "B", ssmrun.EveryAccount) })
	b.view(t, func(tx store.Tx) error {
		list, err := tx.DocumentShares(home, "B")
		same(t, "shares", list, []ssmrun.DocumentShare{share("222222222222", "$ALL")})
		return err
	})
}

func testDocumentReviews(t *testing.T, b *bundle) {
	b.putDocument(t, newDocument(home, "Doc"), newVersion(1, "x"), newVersion(2, "y"))
	review := func(n int64, s ssmrun.ReviewStatus) *ssmrun.DocumentReview {
		return &ssmrun.DocumentReview{Number: n, Status: s, Comment: "ü", Reviewer: "ann", Created: at(1), Updated: at(2)}
	}
	first, second := review(1, ssmrun.ReviewPending), review(2, ssmrun.ReviewApproved)
	b.update(t, func(tx store.Tx) error {
		return errors.Join(tx.PutDocumentReview(home, "Doc", 1, review(1, ssmrun.ReviewRejected)),
			tx.PutDocumentReview(home, "Doc", 1, second), tx.PutDocumentReview(home, "Doc", 1, first),
			tx.PutDocumentReview(home, "Doc", 2, &ssmrun.DocumentReview{Number: 1}))
	})
	b.refuses(t, "no version", func(tx store.Tx) error { return tx.PutDocumentReview(home, "Doc", 3, first) })
	b.view(t, func(tx store.Tx) error {
		list, err := tx.DocumentReviews(home, "Doc", 1)
		same(t, "reviews", list, []ssmrun.DocumentReview{*second, *first})
		return err
	})
}
