package storetest

import (
	"strings"
	"testing"

	"ssmrun"
	"ssmrun/internal/store"
)

func newDocument(scope ssmrun.Scope, name, version, content string) *ssmrun.Document {
	return &ssmrun.Document{
		Name: name, Scope: scope, Version: version, Content: content, Format: "YAML", Type: "Command",
		SchemaVersion: "2.2", CreatedAt: at(0), Owner: scope.Account,
	}
}

func (b *bundle) put(t *testing.T, docs ...*ssmrun.Document) {
	t.Helper()
	b.update(t, func(tx store.Tx) error {
		for _, d := range docs {
			if err := tx.PutDocument(d); err != nil {
				return err
			}
		}
		return nil
	})
}

// document wants the document that a name and version stand for; nil for none.
func (b *bundle) document(t *testing.T, scope ssmrun.Scope, name, version string, want *ssmrun.Document) {
	t.Helper()
	b.view(t, func(tx store.Tx) error {
		d, err := tx.Document(scope, name, version)
		if want == nil {
			notFound(t, name+" "+version, err)
			return nil
		}
		same(t, name+" "+version, d, want)
		return err
	})
}

func testDocuments(t *testing.T, b *bundle) {
	one := newDocument(home, "Doc", "1", "content: 1")
	two := newDocument(home, "Doc", "2", "content: 2")
	ten := newDocument(home, "Doc", "10", "content: 1") // the same content again
	bare := &ssmrun.Document{Name: "Bare", Scope: home, Version: "1"}
	big := newDocument(home, "Big", "1", strings.Repeat("x", ssmrun.MaxDocumentBytes))
	b.put(t, ten, two, one, bare, big)
	for version, want := range map[string]*ssmrun.Document{
		"1": one, "2": two, "10": ten, "": one, "$DEFAULT": one, "$LATEST": ten,
		"3": nil, "0": nil, "01": nil, "-1": nil, "$OTHER": nil, "x": nil,
	} {
		b.document(t, home, "Doc", version, want)
	}
	b.document(t, home, "Bare", "", bare)
	b.document(t, home, "Big", "", big)
	b.document(t, home, "doc", "", nil)
	b.document(t, otherAcct, "Doc", "", nil)
	b.document(t, otherReg, "Doc", "1", nil)

	again := newDocument(home, "Doc", "2", "replaced")
	again.Format, again.Type, again.SchemaVersion, again.CreatedAt, again.Owner = "JSON", "Automation", "0.3", at(9), "me"
	b.put(t, again)
	b.document(t, home, "Doc", "2", again)
	b.document(t, home, "Doc", "10", ten)

	for _, version := range []string{"", "0", "-1", "01", "$LATEST", "x"} {
		bad := newDocument(home, "Bad", version, "x")
		if err := b.Update(b.ctx, func(tx store.Tx) error { return tx.PutDocument(bad) }); err == nil {
			t.Errorf("a document with version %q was stored", version)
		}
	}
}

func testDocumentsOfEveryScope(t *testing.T, b *bundle) {
	amazon := newDocument(ssmrun.Scope{}, "AWS-Doc", "1", "of Amazon")
	amazon.Owner = "Amazon"
	hidden := newDocument(ssmrun.Scope{}, "Doc", "1", "of Amazon")
	newer := newDocument(ssmrun.Scope{}, "Doc", "2", "of Amazon")
	own := newDocument(home, "Doc", "1", "of home")
	b.put(t, amazon, hidden, newer, own)
	for _, s := range scopes {
		b.document(t, s, "AWS-Doc", "$LATEST", amazon)
	}
	b.document(t, ssmrun.Scope{}, "AWS-Doc", "", amazon)
	b.document(t, ssmrun.Scope{}, "Doc", "1", hidden)
	b.document(t, otherReg, "Doc", "1", hidden)
	b.document(t, otherReg, "Doc", "$LATEST", newer)
	b.document(t, home, "Doc", "1", own)
	b.document(t, home, "Doc", "$LATEST", own)
	b.document(t, home, "Doc", "2", nil)
}
