package fidelity

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	// link matches a link of Markdown to a file.
	link = regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`)
	// named matches a test of ours as the documents name it.
	named = regexp.MustCompile("`((?:internal|e2e|examples|tools)[a-z0-9_/]*)\\.((?:Test|Fuzz)[A-Za-z0-9_]*)(?:/([^`]+))?`")
)

// TestDocuments: a link leads somewhere, and a test that a document names is
// there.
func TestDocuments(t *testing.T) {
	t.Parallel()
	packages := map[string]*testPackage{}
	for _, file := range documents(t) {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(string(b), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(file), filepath.FromSlash(m[1]))); err != nil {
				t.Errorf("%s links to %s, which is not there", file, m[1])
			}
		}
		for _, m := range named.FindAllStringSubmatch(string(b), -1) {
			if packages[m[1]] == nil {
				packages[m[1]] = parse(os.DirFS(root), m[1])
			}
			if p := packages[m[1]].lacks(m[2], m[3]); p != "" {
				t.Errorf("%s: %s", file, p)
			}
		}
	}
}

// documents gives the documents written by hand: those at the root and the
// handbook.
func documents(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, pattern := range []string{"*.md", "handbook/*.md", "examples/*.md", "tools/*.md", "tools/terraform/*.md"} {
		files, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(pattern)))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, files...)
	}
	for _, must := range []string{"README.md", "ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "LICENSE"} {
		if _, err := os.Stat(filepath.Join(root, must)); err != nil {
			t.Errorf("%s is missing", must)
		}
	}
	if !strings.Contains(strings.Join(all, "\n"), "operating.md") {
		t.Error("the handbook has lost its chapter on operating")
	}
	return all
}
