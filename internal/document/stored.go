package document

import (
	"bytes"
	"encoding/json"
	"regexp"
	"slices"
	"sort"
	"strings"
)

// stored matches {{ssm:name}} and {{ssm-secure:name}}: parameters that are
// stored with the service and fetched by the agent.
var stored = regexp.MustCompile(`\{\{\s*(ssm(?:-secure)?:[A-Za-z0-9_./:@-]+)\s*\}\}`)

// Prefixes of references to stored parameters: what follows is a name, and
// maybe ":" and a version.
const (
	StoredPrefix = "ssm:"
	// SecurePrefix is of those whose value is a secret.
	SecurePrefix = "ssm-secure:"
)

// Stored is a stored parameter that was fetched.
type Stored struct {
	Value string
	// List: it is a StringList, items with commas between them. A reference that
	// is an item of a list becomes as many items.
	List bool
}

func hasStored(s string) bool { return stored.MatchString(s) }

// ResolveStored is Resolve with the stored parameters that were fetched, by
// reference ("ssm:name"). References to others stay. Like all else that is put
// in, a fetched value is never looked at again for {{ }}.
func (s Step) ResolveStored(given map[string][]string, fetched map[string]Stored) (map[string]any, error) {
	r := resolver{doc: s.doc, given: given, stored: fetched, left: maxResolved}
	v, err := r.value(s.Inputs)
	if err != nil {
		return nil, err
	}
	out, _ := v.(map[string]any) // it was one
	return out, nil
}

// References gives the references to stored parameters that the step's inputs
// have once parameters are put in: "ssm:name", "ssm:name:version",
// "ssm-secure:name", sorted, each once. They may come from the document or from
// a given value, but whole: one that is put together from both is an error,
// since nobody can see by looking at the command what it would read. Errors
// otherwise are as of Resolve.
func (s Step) References(given map[string][]string) ([]string, error) {
	r := resolver{doc: s.doc, given: given, left: maxResolved, seen: map[string]bool{}}
	v, err := r.value(s.Inputs)
	if err != nil {
		return nil, err
	}
	for _, name := range StoredParameters(v) {
		if !r.seen[name] {
			return nil, invalid("Step %q has the reference {{%s}} only once a parameter is put into it: write the reference whole, in the document or in a value.", clip(s.Name), clip(name))
		}
	}
	return keys(r.seen), nil
}

// Environment gives the variables that scripts get for the parameters whose
// InterpolationType is ENV_VAR: SSM_ and the name → the value as text, with the
// stored parameters that were fetched. Errors are as of Resolve.
func (d *Document) Environment(given map[string][]string, fetched map[string]Stored) (map[string]string, error) {
	r := resolver{doc: d, given: given, stored: fetched, env: true, left: maxResolved}
	return r.environment()
}

// EnvironmentReferences gives the references to stored parameters in the values
// of Environment, as Step.References does.
func (d *Document) EnvironmentReferences(given map[string][]string) ([]string, error) {
	r := resolver{doc: d, given: given, env: true, left: maxResolved, seen: map[string]bool{}}
	_, err := r.environment()
	return keys(r.seen), err
}

func (r *resolver) environment() (map[string]string, error) {
	env := map[string]string{}
	for _, p := range r.doc.Parameters {
		if p.InterpolationType != InterpolationEnvVar {
			continue
		}
		v, err := r.lookup(p.Name)
		if err != nil {
			return nil, err
		}
		text, err := v.text()
		if err == nil {
			err = r.spend(len(text))
		}
		if err != nil {
			return nil, err
		}
		env["SSM_"+p.Name] = text
	}
	return env, nil
}

// CheckStored checks the values of parameters that hold references, now that
// these were fetched, against what the document declares. CheckParameters could
// not. A parameter of whose references one was not fetched is passed over.
// Errors are as of CheckParameters.
func (d *Document) CheckStored(given map[string][]string, fetched map[string]Stored) error {
	var wrong ParameterErrors
	for _, p := range d.Parameters {
		values, ok := given[p.Name]
		if !ok {
			values = defaultTexts(p.Default)
		}
		refs := StoredParameters(anys(values))
		if len(refs) == 0 || slices.ContainsFunc(refs, func(ref string) bool { _, ok := fetched[ref]; return !ok }) {
			continue
		}
		r := resolver{doc: d, stored: fetched, left: maxResolved}
		values, err := r.fillGiven(values, p.Type == TypeStringList)
		if err != nil {
			return err
		}
		c := checker{p: p, fetched: true}
		c.run(values)
		wrong = append(wrong, c.wrong...)
	}
	return invalidParameters(wrong)
}

// defaultTexts are the texts of a default, as they would be given.
func defaultTexts(v any) []string {
	switch v := v.(type) {
	case string:
		return []string{v}
	case []any:
		var out []string
		for _, item := range v {
			if text, ok := item.(string); ok {
				out = append(out, text)
			}
		}
		return out
	}
	return nil
}

// StoredParameters gives the references to stored parameters in v, a value as
// encoding/json reads it, as Step.References does.
func StoredParameters(v any) []string {
	seen := map[string]bool{}
	walkTexts(v, func(s string) {
		for _, m := range stored.FindAllStringSubmatch(s, -1) {
			seen[m[1]] = true
		}
	})
	return keys(seen)
}

// CommandReferences gives the references to stored parameters in a command: in
// its document's content, which is JSON, and in what was given. Nothing is put
// together: it is what a reader of the command sees.
func CommandReferences(content string, given map[string][]string) []string {
	seen := map[string]bool{}
	var tree any
	d := json.NewDecoder(bytes.NewReader([]byte(content)))
	d.UseNumber()
	if d.Decode(&tree) == nil {
		for _, ref := range StoredParameters(tree) {
			seen[ref] = true
		}
	}
	for _, values := range given {
		for _, ref := range StoredParameters(anys(values)) {
			seen[ref] = true
		}
	}
	return keys(seen)
}

func keys(set map[string]bool) []string {
	out := make([]string, 0, len(set))
	for name := range set {
		out = append(out, name)
	}
	sort.Strings(out)
	return out
}

func walkTexts(v any, visit func(string)) {
	switch v := v.(type) {
	case string:
		visit(v)
	case []any:
		for _, item := range v {
			walkTexts(item, visit)
		}
	case map[string]any:
		for _, item := range v {
			walkTexts(item, visit)
		}
	}
}

// fill puts fetched values into a text. What was not fetched stays.
func (r *resolver) fill(s string) (string, error) {
	found := stored.FindAllStringSubmatchIndex(s, -1)
	if len(found) == 0 {
		return s, nil
	}
	var out strings.Builder
	end := 0
	for _, at := range found {
		name := s[at[2]:at[3]]
		r.met(name)
		p, ok := r.stored[name]
		if !ok {
			continue
		}
		if err := r.spend(len(p.Value)); err != nil {
			return "", err
		}
		out.WriteString(s[end:at[0]])
		out.WriteString(p.Value)
		end = at[1]
	}
	out.WriteString(s[end:])
	return out.String(), nil
}

func (r *resolver) met(name string) {
	if r.seen != nil {
		r.seen[name] = true
	}
}

// items gives the items of a stored list that a text is nothing but a reference
// to; false for any other text.
func (r *resolver) items(s string) ([]string, bool) {
	m := stored.FindStringSubmatchIndex(s)
	if m == nil || m[0] != 0 || m[1] != len(s) {
		return nil, false
	}
	p, ok := r.stored[s[m[2]:m[3]]]
	if !ok || !p.List {
		return nil, false
	}
	return strings.Split(p.Value, ","), true
}

// list puts fetched values into the items of a list; each does the same for an
// item.
func (r *resolver) list(in []any, each func(any) (any, error)) ([]any, error) {
	out := make([]any, 0, len(in))
	for _, item := range in {
		if s, ok := item.(string); ok {
			if list, ok := r.items(s); ok {
				if err := r.spend(16*len(list) + len(s)); err != nil {
					return nil, err
				}
				out = append(out, anys(list)...)
				continue
			}
		}
		v, err := each(item)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

// fillGiven is fill for what was given; a list grows by the items of a stored
// one.
func (r *resolver) fillGiven(values []string, isList bool) ([]string, error) {
	if !slices.ContainsFunc(values, hasStored) {
		return values, nil
	}
	var out []string
	for _, v := range values {
		if list, ok := r.items(v); ok && isList {
			out = append(out, list...)
			continue
		}
		s, err := r.fill(v)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

// fillDefault is fill for a parameter's default.
func (r *resolver) fillDefault(v any) (any, error) {
	switch v := v.(type) {
	case string:
		return r.fill(v)
	case []any:
		return r.list(v, r.fillDefault)
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, item := range v {
			var err error
			if out[key], err = r.fillDefault(item); err != nil {
				return nil, err
			}
		}
		return out, nil
	default:
		return v, nil
	}
}
