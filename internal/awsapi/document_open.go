package awsapi

import (
	"errors"
	"fmt"
	"strings"

	"ssmrun"
	"ssmrun/internal/document"
	"ssmrun/internal/store"
)

// tagDocument is the resource type of documents' tags.
const tagDocument = "Document"

// ownerAmazon is who owns the built-in documents.
const ownerAmazon = "Amazon"

// opened is a document that the caller may see.
type opened struct {
	ssmrun.Document
	owner   string            // account id, or Amazon
	shown   string            // its name in answers: an ARN for another account's
	builtIn *document.Builtin // nil for one of the store
	// shares are those by which the caller sees another account's document; nil
	// for the caller's own and for built-in ones.
	shares []ssmrun.DocumentShare
}

// openDocument finds a document by its name, which is one of AWS's or one of
// the caller's account, or by its ARN, which may also be another account's
// that is shared with the caller. Anything else does not exist.
func openDocument(tx store.Tx, caller ssmrun.Scope, nameOrARN string) (*opened, error) {
	if b := builtInNamed(caller, nameOrARN); b != nil {
		return openBuiltIn(b), nil
	}
	missing := ssmrun.Errorf(ssmrun.CodeInvalidDocument, "Document with name %s does not exist.", nameOrARN)
	region, account, name, isARN := parseDocumentARN(nameOrARN)
	if !isARN {
		region, account, name = caller.Region, caller.Account, nameOrARN
	}
	if region != caller.Region {
		return nil, missing
	}
	scope := ssmrun.Scope{Account: account, Region: region}
	d, err := tx.Document(scope, name)
	if errors.Is(err, ssmrun.ErrNotFound) {
		return nil, missing
	}
	if err != nil {
		return nil, err
	}
	o := &opened{Document: *d, owner: account, shown: name}
	if account == caller.Account {
		return o, nil
	}
	o.shown = documentARN(scope, name)
	all, err := tx.DocumentShares(scope, name)
	if err != nil {
		return nil, err
	}
	for _, s := range all {
		if s.Account == caller.Account || s.Account == ssmrun.EveryAccount {
			o.shares = append(o.shares, s)
		}
	}
	if o.shares == nil {
		return nil, missing
	}
	return o, nil
}

// builtInNamed gives the document of AWS that the caller means by a name or an
// ARN; nil where it is none.
func builtInNamed(caller ssmrun.Scope, nameOrARN string) *document.Builtin {
	name := nameOrARN
	if region, account, inARN, ok := parseDocumentARN(nameOrARN); ok {
		if region != caller.Region || account != "" {
			return nil
		}
		name = inARN
	}
	b, ok := document.BuiltIn(name)
	if !ok {
		return nil
	}
	return b
}

func openBuiltIn(b *document.Builtin) *opened {
	n := builtInVersion(b).Number
	return &opened{
		Document: ssmrun.Document{Name: b.Name, Type: b.Type, CreatedAt: b.CreatedDate, Default: n, Latest: n},
		owner:    b.Owner, shown: b.Name, builtIn: b,
	}
}

// ownDocument finds a document that the caller may change: one of the account.
// AWS's are not in it, so they are missing as any other.
func ownDocument(tx store.Tx, scope ssmrun.Scope, name string) (*ssmrun.Document, error) {
	d, err := tx.Document(scope, name)
	if errors.Is(err, ssmrun.ErrNotFound) {
		if _, ok := document.BuiltIn(name); ok {
			return nil, ssmrun.Errorf(ssmrun.CodeInvalidDocument, "Document %s does not exist in your account", name)
		}
		return nil, ssmrun.Errorf(ssmrun.CodeInvalidDocument, "Document with name %s does not exist.", name)
	}
	return d, err
}

// parseDocumentARN reads an ARN like
// arn:aws:ssm:us-east-1:123456789012:document/Name; false for what is none. The
// account is "" in those of AWS's documents. The partition is aws, as in all ARNs
// that this service makes, or the one in which AWS has the region.
func parseDocumentARN(arn string) (region, account, name string, ok bool) {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) != 6 || parts[0] != "arn" || parts[2] != "ssm" {
		return "", "", "", false
	}
	if parts[1] != "aws" && parts[1] != partition(parts[3]) {
		return "", "", "", false
	}
	name, ok = strings.CutPrefix(parts[5], "document/")
	return parts[3], parts[4], name, ok
}

func partition(region string) string {
	switch {
	case strings.HasPrefix(region, "cn-"):
		return "aws-cn"
	case strings.HasPrefix(region, "us-gov-"):
		return "aws-us-gov"
	default:
		return "aws"
	}
}

func documentARN(scope ssmrun.Scope, name string) string {
	return fmt.Sprintf("arn:aws:ssm:%s:%s:document/%s", scope.Region, scope.Account, name)
}

// documentName gives the name in an ARN; other names as they are.
func documentName(nameOrARN string) string {
	if _, _, name, ok := parseDocumentARN(nameOrARN); ok {
		return name
	}
	return nameOrARN
}
