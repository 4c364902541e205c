package document

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
	"unicode/utf8"

	"ssmrun"
)

// Rule names what a parameter breaks.
type Rule string

// The rules that CheckParameters and Convert know.
const (
	RuleUnknown        Rule = "unknown"        // the document declares no such parameter
	RuleMissing        Rule = "missing"        // it has no default and was not given
	RuleType           Rule = "type"           // it is not of the declared type
	RuleAllowedValues  Rule = "allowedValues"  // it is not one of these
	RuleAllowedPattern Rule = "allowedPattern" // it does not match
	RuleMinItems       Rule = "minItems"
	RuleMaxItems       Rule = "maxItems"
	RuleMinChars       Rule = "minChars"
	RuleMaxChars       Rule = "maxChars"
)

// ParameterError says what is wrong with one parameter, for people. It never
// holds the value, which may be a secret: it tells an item by its position and
// a text by its length.
type ParameterError struct {
	Parameter string
	Rule      Rule
	// Item is the position of the wrong item in a list, from 0; -1 where the
	// parameter as a whole is meant.
	Item int
	// Reason says what is wrong and what is allowed, without the name.
	Reason string
}

// Error spells it: parameter "action": the value is not one of Install, Uninstall.
func (e *ParameterError) Error() string {
	if e.Item >= 0 {
		return fmt.Sprintf("parameter %q, item %d: %s", clip(e.Parameter), e.Item+1, e.Reason)
	}
	return fmt.Sprintf("parameter %q: %s", clip(e.Parameter), e.Reason)
}

// ParameterErrors are all that is wrong with the parameters of a command: the
// unknown ones by name, then the others in the document's order.
type ParameterErrors []*ParameterError

// Error joins them with "; ".
func (e ParameterErrors) Error() string {
	texts := make([]string, len(e))
	for i, p := range e {
		texts[i] = p.Error()
	}
	return strings.Join(texts, "; ")
}

// Unwrap gives them one by one, for errors.As.
func (e ParameterErrors) Unwrap() []error {
	out := make([]error, len(e))
	for i, p := range e {
		out[i] = p
	}
	return out
}

// Problems gives the parameters that err is about; nil where it is about
// something else.
func Problems(err error) ParameterErrors {
	if all, ok := errors.AsType[ParameterErrors](err); ok {
		return all
	}
	if one, ok := errors.AsType[*ParameterError](err); ok {
		return ParameterErrors{one}
	}
	return nil
}

// invalidParameters wraps what is wrong in the error that AWS answers: its
// message is the same for every mistake, the details are the inner cause.
func invalidParameters(wrong ParameterErrors) error {
	if len(wrong) == 0 {
		return nil
	}
	return &ssmrun.Error{
		Code:    ssmrun.CodeInvalidParameters,
		Message: "Parameters provided in document are invalid or not supported.",
		Err:     wrong,
	}
}

// CheckParameters checks what a caller gives against what the document
// declares: a *ssmrun.Error with CodeInvalidParameters, AWS's message, and
// ParameterErrors inside (see Problems); nil where all is well.
//
// A value with a reference to a stored parameter ({{ssm:name}}) is only known
// on the instance: its content is not checked. A pattern with a PatternError is
// not checked either.
func (d *Document) CheckParameters(given map[string][]string) error {
	var wrong ParameterErrors
	names := make([]string, 0, len(given))
	for name := range given {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		if _, ok := d.Parameter(name); !ok {
			wrong = append(wrong, d.unknown(name))
		}
	}
	for _, p := range d.Parameters {
		values, ok := given[p.Name]
		switch {
		case ok:
			c := checker{p: p}
			c.run(values)
			wrong = append(wrong, c.wrong...)
		case p.Required():
			wrong = append(wrong, p.missing())
		}
	}
	return invalidParameters(wrong)
}

func (p Parameter) missing() *ParameterError {
	reason := fmt.Sprintf("it is required: give a %s", p.Type)
	if p.Description != "" {
		reason += " (" + clip(p.Description) + ")"
	}
	return &ParameterError{Parameter: p.Name, Rule: RuleMissing, Item: -1, Reason: reason}
}

// unknown says which parameters there are, and which may have been meant.
func (d *Document) unknown(name string) *ParameterError {
	reason := "the document has no such parameter; it takes none"
	if len(d.Parameters) > 0 {
		names := make([]string, len(d.Parameters))
		for i, p := range d.Parameters {
			names[i] = p.Name
		}
		sort.Strings(names)
		reason = "the document has no such parameter; it takes " + clip(strings.Join(names, ", "))
		if like := closest(name, names); like != "" {
			reason += fmt.Sprintf("; did you mean %q?", like)
		}
	}
	return &ParameterError{Parameter: name, Rule: RuleUnknown, Item: -1, Reason: reason}
}

// checker checks the values of one parameter.
type checker struct {
	p       Parameter
	fetched bool // what is stored has been put in: a value is looked at as it is
	wrong   ParameterErrors
}

func (c *checker) add(rule Rule, item int, format string, args ...any) {
	c.wrong = append(c.wrong, &ParameterError{Parameter: c.p.Name, Rule: rule, Item: item, Reason: fmt.Sprintf(format, args...)})
}

func (c *checker) run(values []string) {
	single := c.p.Type != TypeStringList && c.p.Type != TypeMapList
	if single && len(values) != 1 {
		c.add(RuleType, -1, "a %s takes one value, not %d", c.p.Type, len(values))
		return
	}
	deferred := !c.fetched && slices.ContainsFunc(values, hasStored)
	items := len(values)
	for i, v := range values {
		item := i
		if single {
			item = -1
		}
		if !c.fetched && hasStored(v) {
			continue
		}
		n, ok := c.typed(item, v)
		if c.p.Type == TypeMapList || c.p.Type == TypeStringMap {
			items += n - 1
		}
		if ok {
			c.content(item, v)
		}
	}
	if !deferred {
		c.count(items)
	}
}

var integer = regexp.MustCompile(`^[+-]?[0-9]{1,18}$`)

// typed checks that v is of the parameter's type; n is how many items a map or
// a list of maps in it holds, 1 for anything else.
func (c *checker) typed(item int, v string) (n int, ok bool) {
	switch c.p.Type {
	case TypeBoolean:
		if !strings.EqualFold(v, "true") && !strings.EqualFold(v, "false") {
			c.add(RuleType, item, "a Boolean is true or false; the value has %s", characters(v))
			return 1, false
		}
	case TypeInteger:
		if !integer.MatchString(v) {
			c.add(RuleType, item, "an Integer is digits, maybe with a sign; the value has %s", characters(v))
			return 1, false
		}
	case TypeStringMap:
		var m map[string]json.RawMessage
		if json.Unmarshal([]byte(v), &m) != nil || m == nil {
			c.add(RuleType, item, "a StringMap is the JSON of an object, such as {\"key\":\"value\"}; the value has %s", characters(v))
			return 1, false
		}
		return len(m), true
	case TypeMapList:
		maps, err := mapList(v)
		if err != nil {
			c.add(RuleType, item, "a MapList is the JSON of objects, such as [{\"key\":\"value\"}]; the value has %s", characters(v))
			return 1, false
		}
		return len(maps), true
	}
	return 1, true
}

// content checks a value's characters and what it may be.
func (c *checker) content(item int, v string) {
	p := c.p
	if p.Type != TypeBoolean && p.Type != TypeInteger {
		length := utf8.RuneCountInString(v)
		if p.MinChars != nil && length < *p.MinChars {
			c.add(RuleMinChars, item, "the value has %s; minChars is %d", characters(v), *p.MinChars)
		}
		if p.MaxChars != nil && length > *p.MaxChars {
			c.add(RuleMaxChars, item, "the value has %s; maxChars is %d", characters(v), *p.MaxChars)
		}
	}
	if len(p.AllowedValues) > 0 && !slices.Contains(p.AllowedValues, v) {
		c.add(RuleAllowedValues, item, "the value (%s) is not one of %s", characters(v), clip(strings.Join(p.AllowedValues, ", ")))
	}
	if !p.pattern.matches(v) {
		hint := ""
		if p.Description != "" {
			hint = "; the document says: " + clip(p.Description)
		}
		c.add(RuleAllowedPattern, item, "the value (%s) does not match the allowed pattern %s%s", characters(v), clip(p.AllowedPattern), hint)
	}
}

func (c *checker) count(n int) {
	if c.p.Type != TypeStringList && c.p.Type != TypeMapList && c.p.Type != TypeStringMap {
		return
	}
	if c.p.MinItems != nil && n < *c.p.MinItems {
		c.add(RuleMinItems, -1, "it has %s; minItems is %d", plural(n, "item"), *c.p.MinItems)
	}
	if c.p.MaxItems != nil && n > *c.p.MaxItems {
		c.add(RuleMaxItems, -1, "it has %s; maxItems is %d", plural(n, "item"), *c.p.MaxItems)
	}
}

// mapList reads one value of a MapList: an object, or a list of objects.
func mapList(v string) ([]map[string]any, error) {
	var many []map[string]any
	if strings.HasPrefix(strings.TrimSpace(v), "[") {
		if err := unmarshal(v, &many); err != nil {
			return nil, err
		}
		if slices.ContainsFunc(many, func(m map[string]any) bool { return m == nil }) {
			return nil, errors.New("an item is null")
		}
		return many, nil
	}
	var one map[string]any
	if err := unmarshal(v, &one); err != nil {
		return nil, err
	}
	if one == nil {
		return nil, errors.New("it is null")
	}
	return []map[string]any{one}, nil
}

// unmarshal reads JSON with numbers kept as they are written.
func unmarshal(s string, into any) error {
	d := json.NewDecoder(strings.NewReader(s))
	d.UseNumber()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more than one value")
	}
	return nil
}

func characters(s string) string { return plural(utf8.RuneCountInString(s), "character") }

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}
