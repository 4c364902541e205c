package conformance

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"ssmrun/internal/testenv"
)

// envCases names another file of cases, absolute or from the module's folder;
// `make conformance CASES=FILE` sets it.
const envCases = "SSMRUN_CASES"

// standard is where the recorded answers lie, from the module's folder.
const standard = "../shared/aws-observed/cases.json"

// theCase is one recorded answer of AWS, as the file has it.
type theCase struct {
	ID        string         `json:"id"`
	Group     string         `json:"group"`
	Given     string         `json:"given"`
	Operation string         `json:"operation"`
	Input     map[string]any `json:"input"`
	Code      string         `json:"code"`    // "Success", or the code of an error
	Message   *string        `json:"message"` // nil: not recorded
	Output    map[string]any `json:"output"`
}

// success tells whether AWS answered with an output.
func (c *theCase) success() bool { return c.Code == "Success" }

// catalog is a file of cases.
type catalog struct {
	cases    []*theCase
	byID     map[string]*theCase
	standard bool // the file that the table of handbook/fidelity.md is about
}

// readCatalog finds and reads the file. Where the recorded answers are not on
// this machine, the test is named as not run; a file that was asked for has to
// be there.
func readCatalog(t *testing.T) *catalog {
	t.Helper()
	root := testenv.Root(t)
	name := os.Getenv(envCases)
	asked := name != ""
	if !asked {
		name = standard
	}
	path := name
	if !filepath.IsAbs(path) {
		path = filepath.Join(root, filepath.FromSlash(path))
	}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) && !asked {
		testenv.NotRun(t, "the recorded answers of AWS", "no "+standard, "make conformance CASES=FILE")
	}
	if err != nil {
		t.Fatalf("read the cases: %v", err)
	}
	c, err := parseCatalog(b)
	if err != nil {
		t.Fatalf("read the cases of %s: %v", name, err)
	}
	c.standard = filepath.Clean(path) == filepath.Join(root, filepath.FromSlash(standard))
	return c
}

// parseCatalog reads cases. Numbers stay as they are written.
func parseCatalog(b []byte) (*catalog, error) {
	c := &catalog{byID: map[string]*theCase{}}
	d := json.NewDecoder(strings.NewReader(string(b)))
	d.UseNumber()
	if err := d.Decode(&c.cases); err != nil {
		return nil, err
	}
	for n, one := range c.cases {
		switch {
		case one.ID == "" || one.Operation == "" || one.Code == "":
			return nil, fmt.Errorf("case %d has no id, operation or code", n+1)
		case c.byID[one.ID] != nil:
			return nil, fmt.Errorf("case %s is there twice", one.ID)
		}
		c.byID[one.ID] = one
	}
	if len(c.cases) == 0 {
		return nil, errors.New("there are none")
	}
	return c, nil
}

var word = regexp.MustCompile(`[A-Za-z0-9][A-Za-z0-9_-]*`)

// sources are a case and those whose circumstances it takes over: what its
// `given` names by id, and what those name. The nearest comes first.
func (c *catalog) sources(one *theCase) []*theCase {
	list := []*theCase{one}
	seen := map[string]bool{one.ID: true}
	for n := 0; n < len(list); n++ {
		for _, w := range word.FindAllString(list[n].Given, -1) {
			if other := c.byID[w]; other != nil && !seen[w] {
				seen[w] = true
				list = append(list, other)
			}
		}
	}
	return list
}

// placeholder is something like <instance-id> that stands for a value of the
// run. What is no word in angle brackets is text.
var placeholder = regexp.MustCompile(`<([a-z0-9][^<>\n]*)>`)

// walk calls f for every string in a value, names of members left out.
func walk(v any, f func(string)) {
	switch v := v.(type) {
	case string:
		f(v)
	case []any:
		for _, e := range v {
			walk(e, f)
		}
	case map[string]any:
		for _, e := range v {
			walk(e, f)
		}
	}
}

// mentions tells whether a placeholder is somewhere in the values.
func mentions(name string, values ...any) bool {
	found := false
	for _, v := range values {
		walk(v, func(s string) { found = found || strings.Contains(s, "<"+name+">") })
	}
	return found
}

// fill puts values in the place of the placeholders that have one.
func fill(v any, values map[string]string) any {
	switch v := v.(type) {
	case string:
		return fillText(v, values)
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = fill(e, values)
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, e := range v {
			out[k] = fill(e, values)
		}
		return out
	}
	return v
}

func fillText(s string, values map[string]string) string {
	return placeholder.ReplaceAllStringFunc(s, func(p string) string {
		if value, ok := values[p[1:len(p)-1]]; ok {
			return value
		}
		return p
	})
}

// at gives the member at a path of names and of "0" for the first of a list;
// nil where there is none.
func at(v any, path ...string) any {
	for _, p := range path {
		switch x := v.(type) {
		case map[string]any:
			v = x[p]
		case []any:
			if len(x) == 0 {
				return nil
			}
			v = x[0]
		default:
			return nil
		}
	}
	return v
}

// textAt is at for strings; "" where there is none.
func textAt(v any, path ...string) string {
	s, _ := at(v, path...).(string)
	return s
}
