package document

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	"ssmrun"
)

// JSON gives the document as compact JSON with the order of its members kept:
// what an agent is sent, whatever format the document was written in.
func (d *Document) JSON() []byte {
	var w bytes.Buffer
	d.root.writeJSON(&w)
	return w.Bytes()
}

// ConvertFormat gives content, which is in the format from, in the format to, as
// GetDocument does when it is asked for another format than the document's.
// Content whose format matches comes back byte for byte. Any type of document
// may be given.
func ConvertFormat(content []byte, from, to string) ([]byte, error) {
	if from == to {
		return content, nil
	}
	d, err := read(content, from, ssmrun.MaxDocumentBytes)
	if err != nil {
		return nil, err
	}
	var w bytes.Buffer
	switch to {
	case FormatJSON:
		var compact bytes.Buffer
		d.root.writeJSON(&compact)
		if err := json.Indent(&w, compact.Bytes(), "", "  "); err != nil {
			return nil, invalid("The document cannot be shown as JSON.")
		}
	case FormatYAML:
		w.WriteString("---\n")
		d.root.writeYAML(&w, "")
	default:
		return nil, invalid("A document in format %s cannot be shown as %q.", from, to)
	}
	return w.Bytes(), nil
}

func (n *node) writeJSON(w *bytes.Buffer) {
	switch n.kind {
	case boolean, number:
		w.WriteString(n.text)
	case text:
		writeText(w, n.text)
	case list:
		w.WriteByte('[')
		for i, item := range n.items {
			if i > 0 {
				w.WriteByte(',')
			}
			item.writeJSON(w)
		}
		w.WriteByte(']')
	case object:
		w.WriteByte('{')
		for i, m := range n.members {
			if i > 0 {
				w.WriteByte(',')
			}
			writeText(w, m.key)
			w.WriteByte(':')
			m.value.writeJSON(w)
		}
		w.WriteByte('}')
	default:
		w.WriteString("null")
	}
}

// writeText quotes for JSON. <, > and & stay
// as they are: the text may become part of a script.
func writeText(w *bytes.Buffer, s string) {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // a string always encodes, a Buffer always takes it
	w.Truncate(w.Len() - 1)
}

// jsonText gives v as compact JSON, keys of maps sorted.
func jsonText(v any) (string, error) {
	var w bytes.Buffer
	e := json.NewEncoder(&w)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return "", err
	}
	return strings.TrimSuffix(w.String(), "\n"), nil
}

var (
	plainKey    = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.:/-]*$`)
	specialWord = regexp.MustCompile(`^(?i:true|false|yes|no|on|off|null|y|n)$|:$`)
)

// writeYAML writes in the style seen on AWS: every text in double quotes, the
// items of a list not indented below their key.
func (n *node) writeYAML(w *bytes.Buffer, indent string) {
	switch {
	case n.kind == list && len(n.items) > 0:
		for _, item := range n.items {
			w.WriteString(indent + "-")
			item.writeYAMLItem(w, indent)
		}
	case n.kind == object && len(n.members) > 0:
		n.writeYAMLMembers(w, indent, indent)
	case n.kind == text:
		w.WriteString(indent)
		writeYAMLText(w, n.text)
		w.WriteByte('\n')
	default:
		w.WriteString(indent)
		n.writeJSON(w)
		w.WriteByte('\n')
	}
}

// writeYAMLText quotes as writeText does, and escapes what JSON leaves as it is
// but YAML takes for a line break, a byte order mark or nothing at all.
func writeYAMLText(w *bytes.Buffer, s string) {
	var quoted bytes.Buffer
	writeText(&quoted, s)
	for _, r := range quoted.String() {
		if r >= 0x7f && r <= 0x9f || r == 0xfeff || r == 0xfffe || r == 0xffff {
			fmt.Fprintf(w, `\u%04x`, r)
		} else {
			w.WriteRune(r)
		}
	}
}

// writeYAMLItem writes what follows the dash of an item.
func (n *node) writeYAMLItem(w *bytes.Buffer, indent string) {
	switch {
	case n.kind == object && len(n.members) > 0:
		n.writeYAMLMembers(w, " ", indent+"  ")
	case n.kind == list && len(n.items) > 0:
		w.WriteByte('\n')
		n.writeYAML(w, indent+"  ")
	default:
		n.writeYAML(w, " ")
	}
}

// writeYAMLMembers writes an object; first is written before its first key.
func (n *node) writeYAMLMembers(w *bytes.Buffer, first, indent string) {
	for i, m := range n.members {
		if i == 0 {
			w.WriteString(first)
		} else {
			w.WriteString(indent)
		}
		if plainKey.MatchString(m.key) && !specialWord.MatchString(m.key) {
			w.WriteString(m.key)
		} else {
			writeYAMLText(w, m.key)
		}
		w.WriteByte(':')
		switch {
		case m.value.kind == object && len(m.value.members) > 0:
			w.WriteByte('\n')
			m.value.writeYAML(w, indent+"  ")
		case m.value.kind == list && len(m.value.items) > 0:
			w.WriteByte('\n')
			m.value.writeYAML(w, indent)
		default:
			m.value.writeYAML(w, " ")
		}
	}
}
