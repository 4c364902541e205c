// Package fidelity holds the documents to the sources: handbook/fidelity.md
// accounts for every sentence of the action's reference page, and what the
// documents link to and the tests that they name are there. It stands beside the
// way of a run: nothing calls it, and of the module it calls the provider alone,
// for the action's arguments.
package fidelity

import (
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/terraform-plugin-framework/action"
	"github.com/hashicorp/terraform-plugin-framework/provider"

	ssmrunprovider "ssmrun/internal/provider"
)

// root is the module's folder, seen from this package.
const root = "../.."

// sections are the parts of the reference page, in its order: what the ids of
// its rows begin with, and how many sentences it has. A row that goes missing is
// a sentence nobody answers for.
var sections = []section{
	{"Name, notes and introduction", "I", 11},
	{"Examples", "E", 8},
	{"Arguments", "A", 15},
	{"Behavior", "B", 6},
	{"Prerequisites", "P", 4},
	{"Common documents", "C", 6},
	{"Beyond the page", "X", 7},
	{"Agents, where AWS says little", "G", 4},
}

type section struct {
	title  string
	prefix string
	rows   int
}

// row is one sentence.
type row struct {
	section, id, says string
	tests             []string
	deviation         string
}

func TestEverySentenceIsAccountedFor(t *testing.T) {
	t.Parallel()
	rows, problems := read(page(t))
	problems = append(problems, check(rows, sections, os.DirFS(root))...)
	for _, p := range problems {
		t.Error(p)
	}
}

// TestEveryArgumentHasARow: an argument that the schema has and the table does
// not would be one that nobody compared with the page.
func TestEveryArgumentHasARow(t *testing.T) {
	t.Parallel()
	rows, _ := read(page(t))
	got := map[string]string{}
	for _, r := range rows {
		if m := argumentOf.FindStringSubmatch(r.says); m != nil {
			got[m[1]] = m[2]
		}
	}
	if diff := cmp.Diff(arguments(t), got); diff != "" {
		t.Errorf("the arguments differ (-schema +table):\n%s", diff)
	}
}

// argumentOf matches how a row introduces an argument.
var argumentOf = regexp.MustCompile("`([a-z0-9_]+)` \\((required|optional)\\)")

// TestCheck feeds tables that are wrong.
func TestCheck(t *testing.T) {
	t.Parallel()
	files := os.DirFS("testdata")
	heads := "## One\n| id | the page says | shown by | deviation |\n|---|---|---|---|\n"
	one := []section{{"One", "A", 1}}
	for _, c := range []struct {
		name, table string
		want        []string
	}{
		{"a test", heads + "| A1 | it works | `pkg.TestThere` | |", nil},
		{"a subtest", heads + "| A1 | it works | `pkg.TestThere/a_case` | |", nil},
		{"a script", heads + "| A1 | it works | `pkg.TestThere/script` | |", nil},
		{"a deviation", heads + "| A1 | it works | | It does not work, because of the reason. |", nil},
		{"neither", heads + "| A1 | it works | | |", []string{"A1: neither a test nor a deviation"}},
		{"a deviation without a reason", heads + "| A1 | it works | | no |", []string{`A1: the deviation "no" gives no reason`}},
		{"no such test", heads + "| A1 | it works | `pkg.TestGone` | |", []string{"A1: pkg has no test TestGone"}},
		{"a helper of tests", heads + "| A1 | it works | `pkg.TestHelper` | |", []string{"A1: pkg has no test TestHelper"}},
		{"no such subtest", heads + "| A1 | it works | `pkg.TestThere/another` | |", []string{`A1: pkg has no subtest or script "another" of TestThere`}},
		{"no such package", heads + "| A1 | it works | `gone.TestThere` | |", []string{"A1: there is no package gone with tests"}},
		{"no test's name", heads + "| A1 | it works | see TestThere | |", []string{`A1: "see TestThere" is no list of tests`}},
		{"a row too few", heads, []string{"One: 0 rows for 1 sentences of the page"}},
		{"an id of another section", heads + "| B1 | it works | `pkg.TestThere` | |", []string{`One: row 1 has the id "B1", not A1`}},
		{"cells missing", heads + "| A1 | it works | `pkg.TestThere` |", []string{"line 4: a row has 4 cells: id, what the page says, shown by, deviation", "One: 0 rows for 1 sentences of the page"}},
		{"another section", heads + "| A1 | it works | `pkg.TestThere` | |\n## Two\n| B1 | too | `pkg.TestThere` | |", []string{`there is a section "Two", which is not the page's`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			rows, got := read(c.table)
			got = append(got, check(rows, one, files)...)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// page is handbook/fidelity.md as far as it is about the page; what follows is
// held to the sources by package conformance.
func page(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, "handbook", "fidelity.md"))
	if err != nil {
		t.Fatal(err)
	}
	text, _, found := strings.Cut(string(b), "\n## Recorded answers of AWS\n")
	if !found {
		t.Error("the part on recorded answers of AWS has gone, or has another heading")
	}
	return text
}

// arguments gives the names of the action's arguments, and whether each is
// required or optional.
func arguments(t *testing.T) map[string]string {
	t.Helper()
	p, ok := ssmrunprovider.New().(provider.ProviderWithActions)
	if !ok {
		t.Fatal("the provider has no actions")
	}
	names := map[string]string{}
	for _, a := range p.Actions(context.Background()) {
		var resp action.SchemaResponse
		a().Schema(context.Background(), action.SchemaRequest{}, &resp)
		for name, attribute := range resp.Schema.GetAttributes() {
			names[name] = "optional"
			if attribute.IsRequired() {
				names[name] = "required"
			}
		}
	}
	if len(names) == 0 {
		t.Fatal("the action has no arguments")
	}
	return names
}

var testName = regexp.MustCompile("^`[a-z0-9_/.-]*[a-z0-9_-]\\.Test[A-Za-z0-9_]*(/[^`]+)?`$")

// read takes the rows out of the tables below the headings.
func read(text string) (rows []row, problems []string) {
	heading := ""
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimSpace(line)
		if title, ok := strings.CutPrefix(line, "## "); ok {
			heading = title
		}
		if !strings.HasPrefix(line, "|") || strings.HasPrefix(line, "| id |") || strings.HasPrefix(line, "|---") {
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		if strings.HasSuffix(line, "||") { // Trim took an empty cell along
			cells = append(cells, "")
		}
		if len(cells) != 4 {
			problems = append(problems, fmt.Sprintf("line %d: a row has 4 cells: id, what the page says, shown by, deviation", n))
			continue
		}
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		r := row{section: heading, id: cells[0], says: cells[1], deviation: cells[3]}
		if cells[2] != "" {
			r.tests = strings.Split(cells[2], ", ")
		}
		rows = append(rows, r)
	}
	return rows, problems
}

// check compares the rows with the sections of the page, and looks for the
// tests in the sources, which are in files.
func check(rows []row, sections []section, files fs.FS) []string {
	var problems []string
	wrong := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	for _, s := range sections {
		n := 0
		for _, r := range rows {
			if r.section != s.title {
				continue
			}
			n++
			if want := s.prefix + strconv.Itoa(n); r.id != want {
				wrong("%s: row %d has the id %q, not %s", s.title, n, r.id, want)
			}
		}
		if n != s.rows {
			wrong("%s: %d rows for %d sentences of the page", s.title, n, s.rows)
		}
	}
	packages := map[string]*testPackage{}
	for _, r := range rows {
		if !slices.ContainsFunc(sections, func(s section) bool { return s.title == r.section }) {
			wrong("there is a section %q, which is not the page's", r.section)
		}
		if len(r.tests) == 0 {
			switch {
			case r.deviation == "":
				wrong("%s: neither a test nor a deviation", r.id)
			case len(strings.Fields(r.deviation)) < 5:
				wrong("%s: the deviation %q gives no reason", r.id, r.deviation)
			}
		}
		for _, name := range r.tests {
			if !testName.MatchString(name) {
				wrong("%s: %q is no list of tests", r.id, name)
				continue
			}
			whole, sub, _ := strings.Cut(strings.Trim(name, "`"), ".Test")
			test, sub, _ := strings.Cut("Test"+sub, "/")
			if packages[whole] == nil {
				packages[whole] = parse(files, whole)
			}
			if p := packages[whole].lacks(test, sub); p != "" {
				wrong("%s: %s", r.id, p)
			}
		}
	}
	return problems
}

// testPackage is what the test files of a package have.
type testPackage struct {
	name    string
	tests   map[string]bool
	strings map[string]bool // literals: names of subtests are among them
	scripts fs.FS
	found   bool
}

// parse reads the test files of the package in folder name.
func parse(files fs.FS, name string) *testPackage {
	p := &testPackage{name: name, tests: map[string]bool{}, strings: map[string]bool{}}
	p.scripts, _ = fs.Sub(files, path.Join(name, "testdata"))
	list, _ := fs.Glob(files, path.Join(name, "*_test.go"))
	for _, file := range list {
		source, err := fs.ReadFile(files, file)
		if err != nil {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, source, parser.SkipObjectResolution)
		if err != nil {
			continue // the compiler says it better
		}
		p.found = true
		ast.Inspect(parsed, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				if isTest(n) {
					p.tests[n.Name.Name] = true
				}
			case *ast.BasicLit:
				if s, err := strconv.Unquote(n.Value); n.Kind == token.STRING && err == nil {
					p.strings[s] = true
				}
			}
			return true
		})
	}
	return p
}

// isTest tells whether a function is one that go test runs.
func isTest(f *ast.FuncDecl) bool {
	kinds := map[string]string{"T": "Test", "F": "Fuzz"}
	if f.Recv != nil || f.Type.Params.NumFields() != 1 {
		return false
	}
	star, ok := f.Type.Params.List[0].Type.(*ast.StarExpr)
	if !ok {
		return false
	}
	sel, ok := star.X.(*ast.SelectorExpr)
	return ok && kinds[sel.Sel.Name] != "" && strings.HasPrefix(f.Name.Name, kinds[sel.Sel.Name])
}

// lacks says what the package does not have of a test and its subtest ("" for
// none): a string literal of that name, or a script of testscript.
func (p *testPackage) lacks(test, sub string) string {
	switch {
	case !p.found:
		return fmt.Sprintf("there is no package %s with tests", p.name)
	case !p.tests[test]:
		return fmt.Sprintf("%s has no test %s", p.name, test)
	case sub == "", p.strings[sub], p.strings[strings.ReplaceAll(sub, "_", " ")]:
		return ""
	}
	if _, err := fs.Stat(p.scripts, sub+".txtar"); err == nil {
		return ""
	}
	return fmt.Sprintf("%s has no subtest or script %q of %s", p.name, sub, test)
}
