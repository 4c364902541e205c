package awsapi

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"ssmrun"
	"ssmrun/internal/document"
	"ssmrun/internal/store"
)

type documentIdentifier struct {
	Name            string
	CreatedDate     epoch
	DisplayName     string `json:",omitempty"`
	Owner           string
	VersionName     string   `json:",omitempty"`
	PlatformTypes   []string `json:",omitempty"`
	DocumentVersion string
	DocumentType    string
	SchemaVersion   string `json:",omitempty"`
	DocumentFormat  string
	TargetType      string `json:",omitempty"`
	Tags            []tagJSON
	Requires        []ssmrun.DocumentRequirement `json:",omitempty"`
	ReviewStatus    ssmrun.ReviewStatus          `json:",omitempty"`
}

// listed is a document that may be in a list, with the version that the list
// shows.
type listed struct {
	opened
	version ssmrun.DocumentVersion
	private bool // another account's, shared with the caller's by its number
}

// place is where it stands in the list.
func (l *listed) place() string { return l.Name + "@" + l.owner }

func (a *API) listDocuments(ctx context.Context, c *Call) (any, error) {
	var in struct {
		DocumentFilterList []struct {
			Key   string `json:"key"`
			Value string `json:"value"`
		}
		Filters    []documentFilter
		MaxResults int
		NextToken  string
	}
	if err := decode(c.Body, &in); err != nil {
		return nil, err
	}
	if len(in.Filters) > 0 && len(in.DocumentFilterList) > 0 {
		return nil, ssmrun.Errorf(ssmrun.CodeValidation, "Cannot use both legacy and new filter simultaneously.")
	}
	filters := in.Filters
	for _, f := range in.DocumentFilterList {
		filters = append(filters, documentFilter{f.Key, []string{f.Value}})
	}
	for _, f := range filters {
		if err := f.check(); err != nil {
			return nil, err
		}
	}
	page, err := a.page(c, pageSize(in.MaxResults), in.NextToken)
	if err != nil {
		return nil, err
	}
	var out struct {
		DocumentIdentifiers []documentIdentifier
		NextToken           string `json:",omitempty"`
	}
	out.DocumentIdentifiers = []documentIdentifier{}
	if a.races.startsEmpty(filters, in.NextToken) {
		out.NextToken = a.next(c, " ") // before every name
		return out, nil
	}
	err = a.cfg.Store.View(ctx, func(tx store.Tx) error {
		all, err := visibleDocuments(tx, c.Scope)
		if err != nil {
			return err
		}
		last := ""
		for i := range all {
			l := &all[i]
			if l.place() <= page.Token {
				continue
			}
			keep, err := matchesAll(tx, filters, l)
			if err != nil {
				return err
			}
			if !keep {
				continue
			}
			if len(out.DocumentIdentifiers) == page.Limit {
				out.NextToken = a.next(c, last)
				return nil
			}
			identifier, err := l.identifier(tx)
			if err != nil {
				return err
			}
			out.DocumentIdentifiers, last = append(out.DocumentIdentifiers, identifier), l.place()
		}
		return nil
	})
	return out, err
}

// visibleDocuments gives all documents that the caller may see, by place.
func visibleDocuments(tx store.Tx, caller ssmrun.Scope) ([]listed, error) {
	var all []listed
	for _, name := range document.BuiltInNames() {
		if b, ok := document.BuiltIn(name); ok {
			all = append(all, listed{opened: *openBuiltIn(b), version: builtInVersion(b)})
		}
	}
	own, err := tx.ListDocuments(caller)
	if err != nil {
		return nil, err
	}
	for _, e := range own {
		all = append(all, listed{opened: opened{Document: e.Document, owner: caller.Account, shown: e.Document.Name}, version: e.Version})
	}
	seen := map[string]bool{}
	for _, account := range []string{caller.Account, ssmrun.EveryAccount} {
		shared, err := tx.SharedDocuments(caller.Region, account)
		if err != nil {
			return nil, err
		}
		for _, s := range shared {
			arn := documentARN(s.Scope, s.Name)
			if s.Scope == caller || seen[arn] {
				continue
			}
			seen[arn] = true
			l, err := loadVersion(tx, caller, &documentRequest{Name: arn})
			if errors.Is(err, errWrongVersion) {
				continue
			}
			if err != nil {
				return nil, err
			}
			all = append(all, listed{opened: l.opened, version: l.version, private: account == caller.Account})
		}
	}
	slices.SortFunc(all, func(a, b listed) int { return cmp.Compare(a.place(), b.place()) })
	return all, nil
}

func (l *listed) identifier(tx store.Tx) (documentIdentifier, error) {
	v := &l.version
	tags, err := documentTags(tx, &l.opened)
	return documentIdentifier{
		Name: l.shown, CreatedDate: epoch(v.CreatedAt), DisplayName: v.DisplayName, Owner: l.owner, VersionName: v.Name,
		PlatformTypes: v.PlatformTypes, DocumentVersion: ssmrun.DocumentVersionNumber(v.Number), DocumentType: l.Type,
		SchemaVersion: v.SchemaVersion, DocumentFormat: v.Format, TargetType: v.TargetType, Tags: tags,
		Requires: l.Requires, ReviewStatus: v.ReviewStatus,
	}, err
}

// documentFilter keeps the documents that one of its values fits. Those of
// DocumentFilterList become one each.
type documentFilter struct {
	Key    string
	Values []string
}

// owners are the values of the filter Owner.
var owners = []string{"All", ownerAmazon, "Private", "Public", "Self", "ThirdParty"}

func (f *documentFilter) check() error {
	switch f.Key {
	case "Name", "PlatformTypes", "DocumentType", "TargetType", "SchemaVersion", "SearchKeyword":
	case "Owner":
		for _, v := range f.Values {
			if !slices.Contains(owners, v) {
				return ssmrun.Errorf(ssmrun.CodeValidation, "Value %s of the filter Owner is invalid: use one of %s.", v, strings.Join(owners, ", "))
			}
		}
	default:
		if len(f.Key) <= len("tag:") || !strings.HasPrefix(f.Key, "tag:") {
			return &ssmrun.Error{Code: ssmrun.CodeInvalidFilterKey}
		}
		return nil
	}
	if len(f.Values) == 0 {
		return ssmrun.Errorf(ssmrun.CodeValidation, "The filter %s has no values.", f.Key)
	}
	return nil
}

func matchesAll(tx store.Tx, filters []documentFilter, l *listed) (bool, error) {
	for i := range filters {
		if ok, err := filters[i].matches(tx, l); !ok || err != nil {
			return false, err
		}
	}
	return true, nil
}

func (f *documentFilter) matches(tx store.Tx, l *listed) (bool, error) {
	anyOf := func(fits func(string) bool) (bool, error) { return slices.ContainsFunc(f.Values, fits), nil }
	switch f.Key {
	case "Name":
		return anyOf(func(v string) bool { return strings.HasPrefix(l.Name, v) || strings.HasPrefix(l.shown, v) })
	case "Owner":
		return anyOf(l.ownedAs)
	case "PlatformTypes":
		return anyOf(func(v string) bool { return slices.Contains(l.version.PlatformTypes, v) })
	case "DocumentType":
		return anyOf(func(v string) bool { return l.Type == v })
	case "TargetType":
		return anyOf(func(v string) bool { return l.version.TargetType == v })
	case "SchemaVersion":
		return anyOf(func(v string) bool { return l.version.SchemaVersion == v })
	}
	tags, err := documentTags(tx, &l.opened)
	if err != nil {
		return false, err
	}
	if key, ok := strings.CutPrefix(f.Key, "tag:"); ok {
		return slices.ContainsFunc(tags, func(t tagJSON) bool {
			return t.Key == key && (len(f.Values) == 0 || slices.Contains(f.Values, t.Value))
		}), nil
	}
	words := []string{l.shown, l.version.DisplayName, l.version.Name}
	for _, t := range tags {
		words = append(words, t.Key, t.Value)
	}
	text := strings.ToLower(strings.Join(words, "\n"))
	return anyOf(func(v string) bool { return strings.Contains(text, strings.ToLower(v)) })
}

// ownedAs tells whether a value of the filter Owner fits. No document here is
// of a third party: those are vendors whom AWS knows.
func (l *listed) ownedAs(value string) bool {
	switch value {
	case "All":
		return true
	case ownerAmazon:
		return l.builtIn != nil
	case "Self":
		return l.builtIn == nil && l.shares == nil
	case "Private":
		return l.shares != nil && l.private
	case "Public":
		return slices.ContainsFunc(l.shares, func(s ssmrun.DocumentShare) bool { return s.Account == ssmrun.EveryAccount })
	default:
		return false
	}
}
