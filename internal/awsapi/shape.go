package awsapi

import (
	"bytes"
	"encoding/json"
	"fmt"
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
	name     string   // as the model has it
	members  []member // of a structure
	element  *shape   // of a list, or of a map's values
	min, max *int     // characters, elements or value
	pattern  *shapePattern
	enum     []string
	quiet    bool // no value is echoed
}

type member struct {
	name     string
	at       string // as paths in errors spell it
	required bool
	shape    *shape
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

// check reads a body and tells what of it the shape does not allow: AWS's
// ValidationException with all failures, or SerializationException for what is
// no JSON or of another type. It gives the body with nothing but members of the
// shape, so that what is decoded is what was checked: decoders know members by
// more spellings than one.
func (s *shape) check(body []byte) ([]byte, error) {
	v, err := readBody(body)
	if err != nil {
		return nil, err
	}
	c := checker{}
	c.value(s, v, "")
	if c.wrongType != "" {
		return nil, ssmrun.Errorf(ssmrun.CodeSerialization, "%s", c.wrongType)
	}
	switch c.failed {
	case 0:
	case 1:
		return nil, ssmrun.Errorf(ssmrun.CodeValidation, "1 validation error detected: %s", c.failures[0])
	default:
		return nil, ssmrun.Errorf(ssmrun.CodeValidation, "%d validation errors detected: %s", c.failed, strings.Join(c.failures, "; "))
	}
	switch {
	case len(bytes.TrimSpace(body)) == 0:
		return []byte("{}"), nil // the same question, for a page token
	case !c.dropped:
		return body, nil
	}
	if body, err = json.Marshal(v); err != nil {
		return nil, fmt.Errorf("write the checked body: %w", err)
	}
	return body, nil
}

// Bounds of an answer that tells what is wrong with an input. What AWS does with
// more was not seen.
const (
	maxToldFailures = 50   // all are counted
	maxToldValue    = 2000 // characters of a value that is echoed
)

type checker struct {
	failures  []string // the first maxToldFailures
	failed    int
	wrongType string
	dropped   bool // members that the shape does not have were left out
}

func (c *checker) fail(s *shape, path string, v any, constraint string) {
	if c.failed++; len(c.failures) == maxToldFailures {
		return
	}
	value := ""
	if !s.quiet {
		value = "'" + ssmrun.Head(show(s, v), maxToldValue) + "' "
	}
	c.failures = append(c.failures, fmt.Sprintf("Value %sat '%s' failed to satisfy constraint: %s", value, path, constraint))
}

func (c *checker) missing(path string) {
	if c.failed++; len(c.failures) < maxToldFailures {
		c.failures = append(c.failures, fmt.Sprintf("Value null at '%s' failed to satisfy constraint: Member must not be null", path))
	}
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

func (c *checker) value(s *shape, v any, path string) {
	switch s.kind {
	case structure:
		m, ok := v.(map[string]any)
		if !ok {
			c.typed(path, "an object")
			return
		}
		known := 0
		for i := range s.members {
			f := &s.members[i]
			x, there := m[f.name]
			if there {
				known++
			}
			if !there || x == nil {
				if f.required {
					c.missing(join(path, f.at))
				}
				continue
			}
			c.value(f.shape, x, join(path, f.at))
		}
		if known < len(m) {
			c.drop(s, m)
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
			c.value(s.element, m[k], path+"."+k+".member")
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

func (c *checker) integer(s *shape, v any, path string) {
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
	if s.min != nil && i < int64(*s.min) {
		c.fail(s, path, v, fmt.Sprintf("Member must have value greater than or equal to %d", *s.min))
	}
	if s.max != nil && i > int64(*s.max) {
		c.fail(s, path, v, fmt.Sprintf("Member must have value less than or equal to %d", *s.max))
	}
}

// drop takes out of m what the shape does not know. AWS ignores it.
func (c *checker) drop(s *shape, m map[string]any) {
	c.dropped = true
	for key := range m {
		if !slices.ContainsFunc(s.members, func(f member) bool { return f.name == key }) {
			delete(m, key)
		}
	}
}

// elements checks a list's elements. Failures of structures are told one by
// one; a list of texts is told as a whole, with all constraints of its members.
func (c *checker) elements(s *shape, l []any, path string) {
	for i, x := range l {
		at := fmt.Sprintf("%s.%d.member", path, i+1)
		if s.element.kind != text {
			c.value(s.element, x, at)
			continue
		}
		t, ok := x.(string)
		if !ok {
			c.typed(at, "a string")
			return
		}
		if len(textConstraints(s.element, t)) > 0 {
			c.fail(s, path, l, "Member must satisfy constraint: ["+strings.Join(allConstraints(s.element), ", ")+"]")
			return
		}
	}
}

func constraints(s *shape, n int) []string {
	var out []string
	if s.max != nil && n > *s.max {
		out = append(out, atMost(*s.max))
	}
	if s.min != nil && n < *s.min {
		out = append(out, atLeast(*s.min))
	}
	return out
}

func textConstraints(s *shape, t string) []string {
	out := constraints(s, utf8.RuneCountInString(t))
	if s.pattern != nil && !s.pattern.matches(t) {
		out = append(out, patternText(s.pattern))
	}
	if len(s.enum) > 0 && !slices.Contains(s.enum, t) {
		out = append(out, enumText(s.enum))
	}
	return out
}

func allConstraints(s *shape) []string {
	var out []string
	if s.max != nil {
		out = append(out, atMost(*s.max))
	}
	if s.min != nil {
		out = append(out, atLeast(*s.min))
	}
	if s.pattern != nil {
		out = append(out, patternText(s.pattern))
	}
	if len(s.enum) > 0 {
		out = append(out, enumText(s.enum))
	}
	return out
}

func atLeast(n int) string {
	return fmt.Sprintf("Member must have length greater than or equal to %d", n)
}

func atMost(n int) string { return fmt.Sprintf("Member must have length less than or equal to %d", n) }

func patternText(p *shapePattern) string {
	return "Member must satisfy regular expression pattern: " + p.text
}

func enumText(values []string) string {
	return "Member must satisfy enum value set: [" + strings.Join(values, ", ") + "]"
}

// show spells a value as AWS echoes it: lists as [a, b], structures as
// Name(member=value).
func show(s *shape, v any) string {
	switch v := v.(type) {
	case []any:
		parts := make([]string, len(v))
		for i, x := range v {
			parts[i] = show(s.element, x)
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case map[string]any:
		if s.kind == mapping {
			parts := make([]string, 0, len(v))
			for _, k := range sorted(v) {
				parts = append(parts, k+"="+show(s.element, v[k]))
			}
			return "{" + strings.Join(parts, ", ") + "}"
		}
		parts := make([]string, 0, len(v))
		for i := range s.members {
			if x, ok := v[s.members[i].name]; ok {
				parts = append(parts, s.members[i].at+"="+show(s.members[i].shape, x))
			}
		}
		return s.name + "(" + strings.Join(parts, ", ") + ")"
	default:
		return fmt.Sprint(v)
	}
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
