package document

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"sync"
)

// Type is the type of a parameter.
type Type string

// The types of parameters. The API gives every value as a list of texts: one
// text for all but StringList and MapList; JSON in it for StringMap and
// MapList.
const (
	TypeString     Type = "String"
	TypeStringList Type = "StringList"
	TypeStringMap  Type = "StringMap"
	TypeBoolean    Type = "Boolean"
	TypeInteger    Type = "Integer"
	TypeMapList    Type = "MapList"
)

func (t Type) known() bool {
	switch t {
	case TypeString, TypeStringList, TypeStringMap, TypeBoolean, TypeInteger, TypeMapList:
		return true
	default:
		return false
	}
}

// InterpolationEnvVar is the InterpolationType of a parameter that reaches
// scripts as an environment variable and not as text.
const InterpolationEnvVar = "ENV_VAR"

// Parameter is one that a document declares.
type Parameter struct {
	Name        string
	Type        Type
	Description string
	// Default is the value where none is given, as Step.Inputs holds values.
	// Nil (also a default of null): the parameter must be given.
	Default any
	// AllowedValues and AllowedPattern bound the value, or each item of a list.
	// Empty for any.
	AllowedValues  []string
	AllowedPattern string
	// MinItems and MaxItems bound the items of a list or map, MinChars and
	// MaxChars the characters of a value or of each item. Nil for no bound.
	MinItems, MaxItems, MinChars, MaxChars *int
	DisplayType                            string
	// InterpolationType is "" or InterpolationEnvVar.
	InterpolationType string

	pattern  *pattern // nil for none
	fallback *node    // Default with its order
}

// Required tells whether the parameter must be given.
func (p Parameter) Required() bool { return p.Default == nil }

// PatternError says why AllowedPattern is not checked here; nil where it is.
// AWS's patterns are Java's: look-arounds, back-references, possessive
// quantifiers and counts above 1000 are not understood. Who accepts a document
// logs it; a value that AWS would refuse then passes.
func (p Parameter) PatternError() error {
	if p.pattern == nil {
		return nil
	}
	_, err := p.pattern.compiled()
	return err
}

// UncheckedPatterns gives the parameters with a PatternError.
func (d *Document) UncheckedPatterns() []Parameter {
	var out []Parameter
	for _, p := range d.Parameters {
		if p.PatternError() != nil {
			out = append(out, p)
		}
	}
	return out
}

// pattern is an allowedPattern, compiled when it is first needed: agents, who
// parse a document for every command, do not need it.
type pattern struct {
	compiled func() (*regexp.Regexp, error)
}

func newPattern(source string) *pattern {
	return &pattern{compiled: sync.OnceValues(func() (*regexp.Regexp, error) { return compilePattern(source) })}
}

// matches tells whether all of s matches; true where that cannot be checked.
func (p *pattern) matches(s string) bool {
	if p == nil {
		return true
	}
	re, err := p.compiled()
	return err != nil || re.MatchString(s)
}

// maxPattern bounds a compiled pattern, in instructions: matching takes time
// in proportion to it, for each character of a value of up to 100,000.
const maxPattern = 4000

// compilePattern makes the whole value match, as Java's matches() does: the
// pattern of AWS-RunShellScript's executionTimeout means nothing otherwise. It
// is not known whether AWS is as strict with every document.
func compilePattern(pattern string) (*regexp.Regexp, error) {
	if len(pattern) > maxPattern { // parsing alone takes kilobytes for each \pL
		return nil, fmt.Errorf("pattern %s is too costly and is not checked", clip(pattern))
	}
	whole := `\A(?:` + pattern + `)\z`
	tree, err := syntax.Parse(whole, syntax.Perl)
	if err != nil {
		return nil, fmt.Errorf("pattern %s is beyond this service's regular expressions and is not checked: %w", clip(pattern), err)
	}
	prog, err := syntax.Compile(tree.Simplify())
	if err != nil {
		return nil, fmt.Errorf("compile pattern %s: %w", clip(pattern), err)
	}
	if len(prog.Inst) > maxPattern {
		return nil, fmt.Errorf("pattern %s is too costly and is not checked", clip(pattern))
	}
	re, err := regexp.Compile(whole)
	if err != nil {
		return nil, fmt.Errorf("compile pattern %s: %w", clip(pattern), err)
	}
	return re, nil
}

// clip shortens what a document's author wrote for an error message.
func clip(s string) string {
	const most = 160
	r := []rune(s)
	if len(r) <= most {
		return s
	}
	return string(r[:most]) + "…"
}
