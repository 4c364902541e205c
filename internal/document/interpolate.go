package document

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"

	"ssmrun"
)

// reference matches {{ name }}, the place of a parameter. {{ssm:name}} is not
// matched, nor what other tools write in double braces ({{ .Names }}).
var reference = regexp.MustCompile(`\{\{\s*([A-Za-z0-9_-]+)\s*\}\}`)

// maxResolved bounds what one step may grow to, in bytes: a document of 64 KB
// can name a value of 100,000 bytes 13,000 times.
const maxResolved = 4 << 20

// Resolve puts the parameters into the step's inputs, as the genuine agent
// does. given is as SendCommand takes it; what is not in it has its default.
//
// A text that is nothing but {{ name }} becomes the value itself: string for
// String, []any for StringList and MapList, map[string]any for StringMap, bool
// for Boolean, json.Number for Integer. Inside a longer text, lists and maps
// are written as JSON. Keys are left alone. Unlike the genuine agent's, one
// pass is all there is: {{ }} in a value is never looked at again, so that no
// parameter can pull in another one.
//
// {{ssm:name}} and references to what is neither declared nor given stay (see
// ResolveStored), and so does a parameter whose InterpolationType is
// ENV_VAR: its value must not become part of a script (see Environment).
//
// Errors are *ssmrun.Error with CodeInvalidParameters and a ParameterError
// inside, for a parameter without a value or one that is not of its type, and
// CodeInvalidDocumentContent for inputs that grow beyond 4 MiB.
func (s Step) Resolve(given map[string][]string) (map[string]any, error) {
	return s.ResolveStored(given, nil)
}

// Lines gives the lines of a runCommand: a text is one line, a list is each of
// its items, and a list that {{ name }} put into a list is part of it.
func Lines(v any) []string {
	switch v := v.(type) {
	case nil:
		return nil
	case string:
		return []string{v}
	case []any:
		var out []string
		for _, item := range v {
			out = append(out, Lines(item)...)
		}
		return out
	default:
		s, err := scalarText(v)
		if err != nil {
			return nil
		}
		return []string{s}
	}
}

// resolver replaces references within a budget.
type resolver struct {
	doc    *Document
	given  map[string][]string
	stored map[string]Stored // what has been fetched, by reference
	env    bool              // for environment variables, and not for inputs
	left   int               // bytes
	seen   map[string]bool   // references to stored parameters that were met
}

func (r *resolver) spend(n int) error {
	r.left -= n
	if r.left < 0 {
		return invalid("The step grows beyond %d bytes when its parameters are put in.", maxResolved)
	}
	return nil
}

func (r *resolver) value(v any) (any, error) {
	switch v := v.(type) {
	case string:
		return r.text(v)
	case []any:
		return r.list(v, r.value)
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, item := range v {
			var err error
			if out[key], err = r.value(item); err != nil {
				return nil, err
			}
		}
		return out, nil
	default:
		return v, nil
	}
}

func (r *resolver) text(s string) (any, error) {
	found := reference.FindAllStringSubmatchIndex(s, -1)
	if len(found) == 1 && found[0][0] == 0 && found[0][1] == len(s) {
		p, err := r.lookup(s[found[0][2]:found[0][3]])
		if err != nil {
			return nil, err
		}
		if p.stays {
			return s, nil
		}
		if err := r.spend(p.size()); err != nil {
			return nil, err
		}
		return p.value, nil
	}
	var out strings.Builder
	end := 0
	for _, at := range found {
		p, err := r.lookup(s[at[2]:at[3]])
		if err != nil {
			return nil, err
		}
		if p.stays {
			continue
		}
		t, err := p.text()
		if err != nil {
			return nil, err
		}
		between, err := r.fill(s[end:at[0]])
		if err != nil {
			return nil, err
		}
		out.WriteString(between)
		out.WriteString(t)
		end = at[1]
		if err := r.spend(len(t)); err != nil {
			return nil, err
		}
	}
	rest, err := r.fill(s[end:])
	if err != nil {
		return nil, err
	}
	out.WriteString(rest)
	if err := r.spend(len(s)); err != nil {
		return nil, err
	}
	return out.String(), nil
}

// actual is what a reference stands for.
type actual struct {
	value any
	raw   string // the text as given, where it was one text
	isRaw bool
	stays bool // the reference is left as it is
}

// lookup finds what name stands for.
func (r *resolver) lookup(name string) (actual, error) {
	p, declared := r.doc.Parameter(name)
	values, given := r.given[name]
	if declared && !given && p.Required() {
		return actual{}, invalidParameters(ParameterErrors{p.missing()})
	}
	variable := declared && p.InterpolationType == InterpolationEnvVar
	if !variable || r.env {
		var err error
		if given { // a default that is not used is not fetched either
			values, err = r.fillGiven(values, p.Type == TypeStringList)
		} else {
			p.Default, err = r.fillDefault(p.Default)
		}
		if err != nil {
			return actual{}, err
		}
	}
	switch {
	case declared:
		a, err := p.actual(values, given)
		a.stays = variable
		return a, err
	case given && len(values) == 1:
		return actual{value: values[0], raw: values[0], isRaw: true}, nil
	case given:
		return actual{value: anys(values)}, nil
	default:
		return actual{stays: true}, nil
	}
}

// actual gives the parameter's value by its type.
func (p Parameter) actual(values []string, given bool) (actual, error) {
	if !given {
		if s, ok := p.Default.(string); ok {
			return actual{value: s, raw: s, isRaw: true}, nil
		}
		return actual{value: p.Default}, nil
	}
	if p.Type == TypeStringList {
		return actual{value: anys(values)}, nil
	}
	if p.Type == TypeMapList && !slices.ContainsFunc(values, hasStored) {
		out := []any{}
		for i, v := range values {
			maps, err := mapList(v)
			if err != nil {
				return actual{}, p.mistyped(i)
			}
			for _, m := range maps {
				out = append(out, m)
			}
		}
		return actual{value: out}, nil
	}
	if len(values) != 1 {
		return actual{}, p.mistyped(-1)
	}
	a := actual{value: values[0], raw: values[0], isRaw: true}
	if hasStored(values[0]) {
		return a, nil
	}
	switch p.Type {
	case TypeStringMap:
		var m map[string]any
		if err := unmarshal(values[0], &m); err != nil || m == nil {
			return actual{}, p.mistyped(-1)
		}
		a.value = m
	case TypeBoolean:
		a.value = strings.EqualFold(values[0], "true")
	case TypeInteger:
		if !jsonNumber.MatchString(values[0]) {
			break // +5 and 007 are no JSON: they stay text
		}
		a.value = json.Number(values[0])
	}
	return a, nil
}

func (p Parameter) mistyped(item int) error {
	return invalidParameters(ParameterErrors{{
		Parameter: p.Name, Rule: RuleType, Item: item, Reason: "the value is not a " + string(p.Type),
	}})
}

// text is how the value is written inside a longer text.
func (a actual) text() (string, error) {
	if a.isRaw {
		return a.raw, nil
	}
	t, err := jsonText(a.value)
	if err != nil {
		return "", ssmrun.Errorf(ssmrun.CodeInvalidParameters, "a parameter cannot be written as JSON")
	}
	return t, nil
}

func (a actual) size() int {
	n := len(a.raw)
	if !a.isRaw {
		walkTexts(a.value, func(s string) { n += len(s) + 16 })
	}
	return n
}

func anys(values []string) []any {
	out := make([]any, len(values))
	for i, v := range values {
		out[i] = v
	}
	return out
}
