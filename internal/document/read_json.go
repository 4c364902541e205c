package document

import (
	"bytes"
	"encoding/json"
	"errors"
	"unicode/utf8"
)

// readJSON reads JSON. A key that comes twice in one object is refused: which
// of the two would count is left open by the format.
func readJSON(content []byte) (*node, error) {
	cursor := cursor{content: content, place: place{line: 1, column: 1}}
	if i := invalidUTF8(content); i >= 0 {
		return nil, malformed(FormatJSON, cursor.to(i), errors.New("the text is not UTF-8"))
	}
	var raw json.RawMessage
	if err := json.Unmarshal(content, &raw); err != nil {
		offset := len(content)
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) && !endsEarly(content) {
			offset = int(syntax.Offset) - 1
		}
		return nil, malformed(FormatJSON, cursor.to(offset), err)
	}
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.UseNumber()
	r := jsonReader{decoder: decoder, cursor: &cursor}
	return r.value(0)
}

// endsEarly tells whether the text is a good beginning that lacks its end: the
// error is then after the last character.
func endsEarly(content []byte) bool {
	decoder := json.NewDecoder(bytes.NewReader(content))
	var raw json.RawMessage
	err := decoder.Decode(&raw)
	var syntax *json.SyntaxError
	return err != nil && !errors.As(err, &syntax)
}

type jsonReader struct {
	decoder *json.Decoder
	cursor  *cursor
}

// value reads the next value. The text was found well-formed before, so an
// error here is a bound that was passed, or a key that came twice.
func (r *jsonReader) value(depth int) (*node, error) {
	token, err := r.decoder.Token()
	if err != nil {
		return nil, malformed(FormatJSON, r.here(), err)
	}
	if depth > maxDepth {
		return nil, invalid("The document is nested more than %d levels deep.", maxDepth)
	}
	switch t := token.(type) {
	case bool:
		if t {
			return &node{kind: boolean, text: "true"}, nil
		}
		return &node{kind: boolean, text: "false"}, nil
	case json.Number:
		return &node{kind: number, text: t.String()}, nil
	case string:
		return &node{kind: text, text: t}, nil
	case json.Delim:
		if t == '[' {
			return r.list(depth)
		}
		return r.object(depth)
	default:
		return &node{kind: null}, nil
	}
}

func (r *jsonReader) list(depth int) (*node, error) {
	n := &node{kind: list, items: []*node{}}
	for r.decoder.More() {
		item, err := r.value(depth + 1)
		if err != nil {
			return nil, err
		}
		n.items = append(n.items, item)
	}
	return r.close(n)
}

func (r *jsonReader) object(depth int) (*node, error) {
	n := &node{kind: object, members: []member{}}
	seen := map[string]bool{}
	for r.decoder.More() {
		token, err := r.decoder.Token()
		if err != nil {
			return nil, malformed(FormatJSON, r.here(), err)
		}
		key, _ := token.(string) // a key is a string: the text is well-formed
		if seen[key] {
			at := r.here()
			return nil, invalid("Property %q comes twice. at Line: %d, Column: %d", key, at.line, at.column)
		}
		seen[key] = true
		value, err := r.value(depth + 1)
		if err != nil {
			return nil, err
		}
		n.members = append(n.members, member{key: key, value: value})
	}
	return r.close(n)
}

// close reads the closing brace or bracket and notes where it is.
func (r *jsonReader) close(n *node) (*node, error) {
	if _, err := r.decoder.Token(); err != nil {
		return nil, malformed(FormatJSON, r.here(), err)
	}
	n.place = r.here()
	return n, nil
}

// here is the place of the last byte that was read.
func (r *jsonReader) here() place {
	return r.cursor.to(int(r.decoder.InputOffset()) - 1)
}

// cursor turns rising byte offsets into places, reading the text once.
type cursor struct {
	content []byte
	offset  int
	place   place
}

func (c *cursor) to(offset int) place {
	for c.offset < offset && c.offset < len(c.content) {
		r, size := utf8.DecodeRune(c.content[c.offset:])
		c.offset += size
		if r == '\n' {
			c.place.line++
			c.place.column = 1
		} else {
			c.place.column++
		}
	}
	return c.place
}

// invalidUTF8 gives the offset of the first byte that is not UTF-8, or -1.
func invalidUTF8(content []byte) int {
	if utf8.Valid(content) {
		return -1
	}
	for i := 0; i < len(content); {
		r, size := utf8.DecodeRune(content[i:])
		if r == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return -1
}
