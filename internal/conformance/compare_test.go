package conformance

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// modelled are the errors whose text AWS was observed to put into a member
// "Message", and plain those that have it elsewhere, in "message". Of all others
// nobody knows. An empty text is in neither.
var (
	modelled = []string{
		"InvalidDocument", "InvalidDocumentContent", "InvalidDocumentVersion", "InvalidDocumentOperation",
		"DocumentAlreadyExists", "DuplicateDocumentContent", "DuplicateDocumentVersionName",
		"InvalidParameters", "InvalidInstanceId", "AccessDeniedException",
	}
	plain = []string{
		"ValidationException", "InvocationDoesNotExist", "InvalidPluginName",
		"InvalidCommandId", "InvalidNextToken", "ThrottlingException",
	}
)

// comparer compares a recorded answer with one that came over the wire.
type comparer struct {
	operation string
	values    map[string]string // of placeholders
	diffs     []string
}

func (c *comparer) differ(path, format string, args ...any) {
	c.diffs = append(c.diffs, path+": "+fmt.Sprintf(format, args...))
}

// compare gives what differs: a line each.
func compare(one *theCase, values map[string]string, got *answer) []string {
	c := &comparer{operation: one.Operation, values: values}
	switch {
	case !one.success():
		c.failure(one, got)
	case got.status != http.StatusOK:
		c.differ("code", "want Success, got %s", got.problem())
	default:
		c.value("output", any(one.Output), got.body, nil)
	}
	return c.diffs
}

// failure compares an error: status, code, text, and the member of the text.
func (c *comparer) failure(one *theCase, got *answer) {
	if got.status == http.StatusOK {
		c.differ("code", "want %s, got Success: %s", one.Code, short(got.raw))
		return
	}
	if got.status != http.StatusBadRequest {
		c.differ("HTTP status", "want 400, got %d", got.status)
	}
	if code := got.code(); code != one.Code {
		c.differ("code", "want %s, got %s", one.Code, got.problem())
		return
	}
	if one.Message == nil {
		return
	}
	want := fillText(*one.Message, c.values)
	if text := got.message(); text != want {
		c.differ("message", "want %q,\n         got  %q", want, text)
		return
	}
	members := slices.Sorted(maps.Keys(got.body.(map[string]any)))
	upper, lower := []string{"Message", "__type"}, []string{"__type", "message"}
	wanted := upper
	switch {
	case want == "":
		wanted = []string{"__type"}
	case slices.Contains(plain, one.Code), !slices.Contains(modelled, one.Code) && slices.Equal(members, lower):
		wanted = lower
	}
	if !slices.Equal(members, wanted) {
		c.differ("members of the error", "want %v, got %v", wanted, members)
	}
}

// value compares one value; beside are the members beside it.
func (c *comparer) value(path string, want, got any, beside map[string]any) {
	switch want := want.(type) {
	case map[string]any:
		if got, ok := got.(map[string]any); ok {
			c.members(path, want, got)
			return
		}
	case []any:
		if got, ok := got.([]any); ok {
			if len(want) != len(got) {
				c.differ(path, "want %d elements, got %d: %s", len(want), len(got), spell(got))
				return
			}
			for i := range want {
				c.value(fmt.Sprintf("%s[%d]", path, i), want[i], got[i], nil)
			}
			return
		}
	case string:
		c.text(path, want, got, beside)
		return
	default:
		if want == got { // numbers as written, booleans, null
			return
		}
	}
	c.differ(path, "want %s, got %s", spell(want), spell(got))
}

// excerpt tells whether the record shows only some members of an object: AWS
// names every command by its id.
func excerpt(path string, want map[string]any) bool {
	return strings.HasSuffix(path, ".Command") && want["CommandId"] == nil
}

func (c *comparer) members(path string, want, got map[string]any) {
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if g, ok := got[name]; ok {
			p := path + "." + name
			if why := worldly(c.operation, name, want[name], g); why != "" {
				continue
			}
			c.value(p, want[name], g, got)
		} else {
			c.differ(path+"."+name, "is missing, want %s", spell(want[name]))
		}
	}
	if excerpt(path, want) {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(got)) {
		if _, ok := want[name]; !ok {
			c.differ(path+"."+name, "AWS has no such member here; got %s", spell(got[name]))
		}
	}
}

var (
	onlyPlaceholder = regexp.MustCompile(`^<([a-z0-9][^<>\n]*)>$`)
	later           = regexp.MustCompile(`^time\+(\d+)s$`)
	s3URL           = regexp.MustCompile(`^https?://[^/]+(/.*)$`)
)

// text compares a recorded string, in which placeholders may be.
func (c *comparer) text(path, want string, got any, beside map[string]any) {
	name := ""
	if m := onlyPlaceholder.FindStringSubmatch(want); m != nil {
		name = m[1]
	}
	value, bound := c.values[name]
	switch {
	case name == "time":
		if why := timeForm(c.operation, got); why != "" {
			c.differ(path, "%s, got %s", why, spell(got))
		}
		return
	case later.MatchString(name):
		c.later(path, later.FindStringSubmatch(name)[1], got, beside)
		return
	case name != "" && !bound:
		if why := form(name, got); why != "" {
			c.differ(path, "%s, got %s", why, spell(got))
		}
		return
	case name == "":
		value = fillText(want, c.values)
	}
	s, ok := got.(string)
	if !ok {
		c.differ(path, "want %q, got %s", value, spell(got))
		return
	}
	if strings.HasPrefix(want, s3Host) {
		// See worldly: the rest of the address is AWS's behaviour.
		value = s3URL.ReplaceAllString(value, "$1")
		s = s3URL.ReplaceAllString(s, "$1")
	}
	if s != value {
		c.differ(path, "want %s, got %s", short(strconv.Quote(value)), short(strconv.Quote(s)))
	}
}

// later compares a time that is so many seconds after RequestedDateTime beside
// it, to the millisecond.
func (c *comparer) later(path, seconds string, got any, beside map[string]any) {
	from, ok1 := millis(beside["RequestedDateTime"])
	to, ok2 := millis(got)
	n, _ := strconv.ParseInt(seconds, 10, 64)
	if !ok1 || !ok2 || to-from != n*1000 {
		c.differ(path, "want RequestedDateTime (%s) + %d s, got %s", spell(beside["RequestedDateTime"]), n, spell(got))
	}
}

// millis reads a number of seconds with at most milliseconds.
func millis(v any) (int64, bool) {
	n, ok := v.(json.Number)
	if !ok {
		return 0, false
	}
	whole, part, _ := strings.Cut(n.String(), ".")
	ms, err := strconv.ParseInt(whole+(part + "000")[:3], 10, 64)
	return ms, err == nil && len(part) <= 3
}

// spell gives a value as JSON, not too long.
func spell(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return short(string(b))
}

func short(s string) string {
	if len(s) > 300 {
		return s[:300] + "..."
	}
	return s
}
