// Package examples holds configurations to start from, and the demo that applies
// them (demo.sh). There is no code but tests: that the first four are the reference
// page's, and in package e2e that the demo works.
package examples

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// blocks matches the blocks that an example shares with the page.
var blocks = regexp.MustCompile(`(?ms)^(action|resource "terraform_data" "deployment_trigger").*?^}\n`)

// references are all that may differ: what stands in an example, and on the page.
var references = []struct {
	example *regexp.Regexp
	page    string
}{
	{regexp.MustCompile(`\bvar\.(\w+)_instance_id\b`), "aws_instance.$1.id"},
	{regexp.MustCompile(`\bvar\.(\w+)_bucket\b`), "aws_s3_bucket.$1.id"},
}

// dependsOn is left out with the resource that it names.
const dependsOn = "\n  depends_on = [aws_instance.app_server]\n"

// TestExamplesAreThePages compares the examples' blocks, joined in the order of
// their folders, with the page's, character by character.
func TestExamplesAreThePages(t *testing.T) {
	t.Parallel()
	page := read(t, filepath.Join("testdata", "page.tf"))
	if !strings.Contains(page, dependsOn) {
		t.Fatalf("the page's trigger has lost its depends_on")
	}
	page = strings.ReplaceAll(page, dependsOn, "")
	var got []string
	for _, file := range examples(t, "[1-4]-*") {
		text := read(t, file)
		for _, b := range blocks.FindAllString(text, -1) {
			for _, name := range regexp.MustCompile(`\bvar\.(\w+)`).FindAllStringSubmatch(b, -1) {
				if !strings.Contains(text, "variable \""+name[1]+"\" {") {
					t.Errorf("%s: variable %s is not declared", file, name[1])
				}
			}
			for _, r := range references {
				b = r.example.ReplaceAllString(b, r.page)
			}
			got = append(got, b)
		}
	}
	if diff := cmp.Diff(page, strings.Join(got, "\n")); diff != "" {
		t.Errorf("the examples differ from the page (-page +examples):\n%s", diff)
	}
}

// TestExamplesUseTheLocalNameOfThePage: with it alone do the page's blocks work
// without `provider = ssmrun`.
func TestExamplesUseTheLocalNameOfThePage(t *testing.T) {
	t.Parallel()
	local := regexp.MustCompile(`aws = \{\s+source = "ssmrun/ssmrun"\s+\}`)
	for _, file := range examples(t, "[1-9]-*") {
		if !local.MatchString(read(t, file)) {
			t.Errorf("%s does not require ssmrun/ssmrun under the local name aws", file)
		}
	}
}

// examples gives the main.tf of the examples whose folder matches, in order.
func examples(t *testing.T, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(pattern, "main.tf"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 4 {
		t.Fatalf("only %d examples match %s", len(files), pattern)
	}
	return files
}

func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
