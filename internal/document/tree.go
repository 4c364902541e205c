package document

import (
	"encoding/json"
	"fmt"

	"ssmrun"
)

// Bounds of what is read, so that a hostile document costs little: a document
// has at most ssmrun.MaxDocumentBytes, is nested at most maxDepth deep, and
// may not grow beyond maxNodes values or maxExpanded bytes by YAML aliases.
const (
	maxDepth    = 64
	maxNodes    = 64 << 10
	maxExpanded = 4 * ssmrun.MaxDocumentBytes
)

type kind uint8

const (
	null kind = iota
	boolean
	number
	text
	list
	object
)

// place is a position in the source, both counted from 1.
type place struct{ line, column int }

// node is a value of a document, from JSON or YAML alike. Unlike a Go map it
// keeps the order of members, which DescribeDocument and the conversion of
// formats show, and the place that AWS names in errors.
type node struct {
	kind    kind
	text    string // of a boolean, number or text
	items   []*node
	members []member
	place   place // of the closing brace or bracket in JSON, of the start in YAML
}

type member struct {
	key   string
	value *node
}

// get gives the member called key, nil where there is none.
func (n *node) get(key string) *node {
	for _, m := range n.members {
		if m.key == key {
			return m.value
		}
	}
	return nil
}

// scalar gives the text of a boolean, number or text. AWS takes numbers and
// booleans where it wants text.
func (n *node) scalar() (string, bool) {
	switch n.kind {
	case boolean, number, text:
		return n.text, true
	default:
		return "", false
	}
}

// value gives the value as encoding/json would with UseNumber: nil, bool,
// json.Number, string, []any or map[string]any.
func (n *node) value() any {
	switch n.kind {
	case boolean:
		return n.text == "true"
	case number:
		return json.Number(n.text)
	case text:
		return n.text
	case list:
		out := make([]any, len(n.items))
		for i, item := range n.items {
			out[i] = item.value()
		}
		return out
	case object:
		out := make(map[string]any, len(n.members))
		for _, m := range n.members {
			out[m.key] = m.value.value()
		}
		return out
	default:
		return nil
	}
}

// strings gives the texts of a list of scalars.
func (n *node) strings() ([]string, bool) {
	if n.kind != list {
		return nil, false
	}
	out := make([]string, len(n.items))
	for i, item := range n.items {
		s, ok := item.scalar()
		if !ok {
			return nil, false
		}
		out[i] = s
	}
	return out, true
}

// invalid makes the error for content that is not a document.
func invalid(format string, args ...any) error {
	return ssmrun.Errorf(ssmrun.CodeInvalidDocumentContent, format, args...)
}

// malformed is AWS's wording for content that cannot be read at all; cause
// goes to logs and people, not to the wire.
func malformed(format string, at place, cause error) error {
	return &ssmrun.Error{
		Code:    ssmrun.CodeInvalidDocumentContent,
		Message: fmt.Sprintf("%s not well-formed. at Line: %d, Column: %d", format, at.line, at.column),
		Err:     cause,
	}
}
