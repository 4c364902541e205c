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

// sectionsOfPage are what the reference page has and the generated one has to have,
// in this order.
var sectionsOfPage = []string{
	"\n# Action: aws_ssm_send_command\n",
	"\n~> **Note:** This action is in alpha", "\n!> **Warning:** ",
	"/systems-manager/latest/userguide/execute-remote-commands.html", "/systems-manager/latest/APIReference/API_SendCommand.html",
	"\n~> **Note:** The instances must be managed",
	"\n## Example Usage\n", "\n### Basic Usage\n", "\n### With Parameters\n", "\n### Multiple Instances with S3 Output\n", "\n### Deployment Trigger\n",
	"\n## Argument Reference\n", "\n## Behavior\n",
	"\n## Prerequisites\n", "AmazonSSMManagedInstanceCore", "`output_s3_bucket`", "\n## Permissions\n",
	"\n## Common Documents\n", "`AWS-RunShellScript`", "`AWS-RunPowerShellScript`", "`AWS-ConfigureAWSPackage`", "`AWS-UpdateSSMAgent`", "`AWS-RunPatchBaseline`",
	"/systems-manager/latest/userguide/sysman-ssm-docs.html",
}

// TestPageHasEverySection: advice and links of the reference page, which no run
// could show, are at least on ours.
func TestPageHasEverySection(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile(filepath.Join(root, "docs", "actions", "ssm_send_command.md"))
	if err != nil {
		t.Fatal(err)
	}
	page := string(b)
	for name := range arguments(t) {
		if !strings.Contains(page, "\n- `"+name+"` (") {
			t.Errorf("the page does not describe %s", name)
		}
	}
	for _, want := range sectionsOfPage {
		_, rest, found := strings.Cut(page, want)
		if !found {
			t.Errorf("the page does not have %q, or has it too early", want)
			continue
		}
		page = "\n" + rest
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
