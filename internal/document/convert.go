package document

import (
	"encoding/json"
	"fmt"
	"math/big"
	"sort"
	"strconv"
)

// Convert turns values as people and tools write them into SendCommand's
// Parameters, by the types that the document declares: a scalar is a list of
// one, booleans and numbers become text, a map becomes JSON for a StringMap,
// maps become JSON each for a MapList. Nil values and nil items are left out.
// Without a document (d is nil), and for a parameter that it does not declare,
// the value's own shape decides.
//
// Values are string, bool, Go's integers and floats, json.Number, *big.Float,
// []any, []string and map[string]any.
//
// Convert does not check what CheckParameters checks; it only refuses what
// cannot be said in Parameters, with CodeInvalidParameters and ParameterErrors.
func Convert(d *Document, given map[string]any) (map[string][]string, error) {
	names := make([]string, 0, len(given))
	for name := range given {
		names = append(names, name)
	}
	sort.Strings(names)
	out := make(map[string][]string, len(given))
	var wrong ParameterErrors
	for _, name := range names {
		if given[name] == nil {
			continue
		}
		c := converter{name: name}
		if d != nil {
			if p, ok := d.Parameter(name); ok {
				c.declared = p.Type
			}
		}
		values := c.value(given[name])
		if c.wrong != nil {
			wrong = append(wrong, c.wrong)
			continue
		}
		out[name] = values
	}
	if len(wrong) > 0 {
		return nil, invalidParameters(wrong)
	}
	return out, nil
}

// Payload turns Parameters into those of an agent's payload: a list for a
// StringList or MapList, one text for anything else. Parameters that the
// document does not declare are left out. FromPayload is the way back.
func (d *Document) Payload(given map[string][]string) map[string]any {
	out := make(map[string]any, len(given))
	for _, p := range d.Parameters {
		values, ok := given[p.Name]
		if !ok {
			continue
		}
		a, err := p.actual(values, true)
		switch {
		case err != nil || a.isRaw: // what is wrong, the agent says on its own
			if len(values) == 1 {
				out[p.Name] = values[0]
			} else {
				out[p.Name] = anys(values)
			}
		default:
			out[p.Name] = a.value
		}
	}
	return out
}

// FromPayload turns the parameters of an agent's payload, as encoding/json
// reads them, into Parameters, for Resolve.
func FromPayload(given map[string]any) (map[string][]string, error) {
	return Convert(nil, given)
}

// converter converts the value of one parameter.
type converter struct {
	name     string
	declared Type // "" where it is not known
	wrong    *ParameterError
}

func (c *converter) fail(item int, format string, args ...any) {
	if c.wrong == nil {
		c.wrong = &ParameterError{Parameter: c.name, Rule: RuleType, Item: item, Reason: fmt.Sprintf(format, args...)}
	}
}

func (c *converter) value(v any) []string {
	var items []any
	switch v := v.(type) {
	case []string:
		return append([]string{}, v...)
	case []any:
		items = v
	default:
		return []string{c.one(-1, v)}
	}
	out := make([]string, 0, len(items))
	for i, item := range items {
		if item != nil {
			out = append(out, c.one(i, item))
		}
	}
	return out
}

// one converts a scalar or a map; item is its position in a list, or -1.
func (c *converter) one(item int, v any) string {
	switch v := v.(type) {
	case map[string]any:
		switch c.declared {
		case "", TypeStringMap, TypeMapList:
		default:
			c.fail(item, "a map does not fit a %s: give text", c.declared)
			return ""
		}
		s, err := jsonText(plain(v))
		if err != nil {
			c.fail(item, "the map holds what JSON cannot say")
		}
		return s
	case []any, []string:
		c.fail(item, "a list inside a list does not fit: give text, or a map for a MapList")
		return ""
	default:
		s, err := scalarText(v)
		if err != nil {
			c.fail(item, "%v", err)
		}
		return s
	}
}

// scalarText writes a scalar as people do: 3600 and not 3.6e+03.
func scalarText(v any) (string, error) {
	switch v := v.(type) {
	case string:
		return v, nil
	case bool:
		return strconv.FormatBool(v), nil
	case json.Number:
		return v.String(), nil
	case int:
		return strconv.Itoa(v), nil
	case int32:
		return strconv.FormatInt(int64(v), 10), nil
	case int64:
		return strconv.FormatInt(v, 10), nil
	case uint64:
		return strconv.FormatUint(v, 10), nil
	case float32:
		return strconv.FormatFloat(float64(v), 'f', -1, 32), nil
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), nil
	case *big.Float:
		if v.IsInt() {
			return v.Text('f', 0), nil
		}
		return v.Text('f', -1), nil
	case *big.Int:
		return v.String(), nil
	default:
		return "", fmt.Errorf("a value of type %T does not fit: give text, a number, a boolean, a list or a map", v)
	}
}

// plain makes a value that encoding/json writes as it should: big numbers
// become numbers instead of quoted text.
func plain(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, item := range v {
			out[key] = plain(item)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			out[i] = plain(item)
		}
		return out
	case *big.Float, *big.Int, float32, float64:
		s, err := scalarText(v)
		if err != nil {
			return v
		}
		return json.Number(s)
	default:
		return v
	}
}
