package awsapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"slices"
	"sort"
	"strings"
	"unicode/utf8"

	"ssmrun"
)

// A shape says what a value may be: the constraints of AWS's model in the order
// in which AWS reports them. Texts are those that AWS was observed to answer.
type shape struct {
	kind     kind
	members  []member // of a structure
	element  *shape   // of a list, or of a map's values
	min, max int      // characters, elements or value; max 0: none
	hasMin   bool
	pattern  *regexp.Regexp
	match    func(string) bool // where pattern is one that Go cannot spell
	text     string            // how AWS spells the pattern
	enum     []string
	quiet    bool   // no value is echoed
	typeName string // of a structure, as AWS echoes it
}

type member struct {
	name     string
	required bool
	shape    shape
}

type kind int

const (
	structure kind = iota
	list
	mapping
	text
	integer
	boolean
	timestamp
)

func str() shape           { return shape{kind: text} }
func num(lo, hi int) shape { return shape{kind: integer, min: lo, hasMin: true, max: hi} }
func flag() shape          { return shape{kind: boolean} }
func listOf(lo, hi int, e shape) shape {
	return shape{kind: list, min: lo, hasMin: lo > 0, max: hi, element: &e}
}
func mapOf(e shape) shape               { return shape{kind: mapping, element: &e, quiet: true} }
func object(members ...member) shape    { return shape{kind: structure, members: members} }
func opt(name string, s shape) member   { return member{name: name, shape: s} }
func need(name string, s shape) member  { return member{name: name, shape: s, required: true} }
func enum(values ...string) shape       { return shape{kind: text, enum: values} }
func (s shape) length(lo, hi int) shape { s.min, s.hasMin, s.max = lo, lo > 0, hi; return s }
func (s shape) silent() shape           { s.quiet = true; return s }
func (s shape) named(t string) shape    { s.typeName = t; return s }
func (s shape) like(pattern string) shape {
	// AWS matches the whole value, whatever anchors the pattern has.
	s.pattern, s.text = regexp.MustCompile(`^(?:`+pattern+`)$`), pattern
	return s
}

// check decodes a body and tells what of it the shape does not allow: AWS's
// ValidationException with all failures, or SerializationException for what is
// no JSON or of another type.
func (s shape) check(body []byte) error {
	if len(bytes.TrimSpace(body)) == 0 {
		body = []byte("{}")
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return &ssmrun.Error{Code: ssmrun.CodeSerialization, Message: "The body is not well-formed JSON.", Err: err}
	}
	if _, err := d.Token(); err != io.EOF {
		return ssmrun.Errorf(ssmrun.CodeSerialization, "The body has more after its JSON object.")
	}
	c := checker{}
	c.value(s, v, "")
	if c.wrongType != "" {
		return ssmrun.Errorf(ssmrun.CodeSerialization, "%s", c.wrongType)
	}
	switch n := len(c.failures); n {
	case 0:
		return nil
	case 1:
		return ssmrun.Errorf(ssmrun.CodeValidation, "1 validation error detected: %s", c.failures[0])
	default:
		return ssmrun.Errorf(ssmrun.CodeValidation, "%d validation errors detected: %s", n, strings.Join(c.failures, "; "))
	}
}

type checker struct {
	failures  []string
	wrongType string
}

func (c *checker) fail(s shape, path string, v any, constraint string) {
	value := ""
	if !s.quiet {
		value = "'" + s.show(v) + "' "
	}
	c.failures = append(c.failures, fmt.Sprintf("Value %sat '%s' failed to satisfy constraint: %s", value, path, constraint))
}

func (c *checker) typed(path, want string) {
	if c.wrongType == "" {
		where := "the input"
		if path != "" {
			where = path
		}
		c.wrongType = fmt.Sprintf("%s must be %s.", where, want)
	}
}

func (c *checker) value(s shape, v any, path string) {
	switch s.kind {
	case structure:
		m, ok := v.(map[string]any)
		if !ok {
			c.typed(path, "an object")
			return
		}
		for _, f := range s.members {
			at := join(path, lowerFirst(f.name))
			x, there := m[f.name]
			if !there || x == nil {
				if f.required {
					c.failures = append(c.failures, fmt.Sprintf("Value null at '%s' failed to satisfy constraint: Member must not be null", at))
				}
				continue
			}
			c.value(f.shape, x, at)
		}
	case list:
		l, ok := v.([]any)
		if !ok {
			c.typed(path, "a list")
			return
		}
		for _, x := range constraints(s, len(l)) {
			c.fail(s, path, v, x)
		}
		c.elements(s, l, path)
	case mapping:
		m, ok := v.(map[string]any)
		if !ok {
			c.typed(path, "a map")
			return
		}
		for _, k := range sorted(m) {
			c.value(*s.element, m[k], path+"."+k+".member")
		}
	case text:
		t, ok := v.(string)
		if !ok {
			c.typed(path, "a string")
			return
		}
		for _, x := range textConstraints(s, t) {
			c.fail(s, path, v, x)
		}
	case integer:
		c.integer(s, v, path)
	case boolean:
		if _, ok := v.(bool); !ok {
			c.typed(path, "true or false")
		}
	case timestamp:
		if _, ok := v.(json.Number); !ok {
			c.typed(path, "a number of seconds since 1970")
		}
	}
}

func (c *checker) integer(s shape, v any, path string) {
	n, ok := v.(json.Number)
	if !ok {
		c.typed(path, "a number")
		return
	}
	i, err := n.Int64()
	if err != nil {
		c.typed(path, "a whole number")
		return
	}
	if s.hasMin && i < int64(s.min) {
		c.fail(s, path, v, fmt.Sprintf("Member must have value greater than or equal to %d", s.min))
	}
	if s.max > 0 && i > int64(s.max) {
		c.fail(s, path, v, fmt.Sprintf("Member must have value less than or equal to %d", s.max))
	}
}

// elements checks a list's elements. Failures of structures are told one by
// one; a list of texts is told as a whole, with all constraints of its members.
func (c *checker) elements(s shape, l []any, path string) {
	for i, x := range l {
		at := fmt.Sprintf("%s.%d.member", path, i+1)
		if s.element.kind != text {
			c.value(*s.element, x, at)
			continue
		}
		t, ok := x.(string)
		if !ok {
			c.typed(at, "a string")
			return
		}
		if len(textConstraints(*s.element, t)) > 0 {
			c.fail(s, path, l, "Member must satisfy constraint: ["+strings.Join(allConstraints(*s.element), ", ")+"]")
			return
		}
	}
}

func constraints(s shape, n int) []string {
	var out []string
	if s.max > 0 && n > s.max {
		out = append(out, atMost(s.max))
	}
	if s.hasMin && n < s.min {
		out = append(out, atLeast(s.min))
	}
	return out
}

func textConstraints(s shape, t string) []string {
	out := constraints(s, utf8.RuneCountInString(t))
	if s.text != "" && !s.matches(t) {
		out = append(out, "Member must satisfy regular expression pattern: "+s.text)
	}
	if len(s.enum) > 0 && !slices.Contains(s.enum, t) {
		out = append(out, enumText(s.enum))
	}
	return out
}

func allConstraints(s shape) []string {
	var out []string
	if s.max > 0 {
		out = append(out, atMost(s.max))
	}
	if s.hasMin {
		out = append(out, atLeast(s.min))
	}
	if s.text != "" {
		out = append(out, "Member must satisfy regular expression pattern: "+s.text)
	}
	if len(s.enum) > 0 {
		out = append(out, enumText(s.enum))
	}
	return out
}

func (s shape) matches(t string) bool {
	if s.match != nil {
		return s.match(t)
	}
	return s.pattern.MatchString(t)
}

func atLeast(n int) string {
	return fmt.Sprintf("Member must have length greater than or equal to %d", n)
}

func atMost(n int) string { return fmt.Sprintf("Member must have length less than or equal to %d", n) }

func enumText(values []string) string {
	return "Member must satisfy enum value set: [" + strings.Join(values, ", ") + "]"
}

// show spells a value as AWS echoes it: lists as [a, b], structures as
// Type(member=value).
func (s shape) show(v any) string {
	switch v := v.(type) {
	case []any:
		parts := make([]string, len(v))
		for i, x := range v {
			parts[i] = s.part("").show(x)
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case map[string]any:
		parts := make([]string, 0, len(v))
		for _, k := range sorted(v) {
			parts = append(parts, lowerFirst(k)+"="+s.part(k).show(v[k]))
		}
		if s.typeName != "" {
			return s.typeName + "(" + strings.Join(parts, ", ") + ")"
		}
		return "{" + strings.Join(parts, ", ") + "}"
	default:
		return fmt.Sprint(v)
	}
}

// part is the shape of a list's elements, of a map's values or of a member; the
// zero shape where there is none.
func (s shape) part(name string) shape {
	if s.element != nil {
		return *s.element
	}
	for _, m := range s.members {
		if m.name == name {
			return m.shape
		}
	}
	return shape{}
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func lowerFirst(s string) string {
	if s == "" {
		return s
	}
	return strings.ToLower(s[:1]) + s[1:]
}

func sorted(m map[string]any) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
