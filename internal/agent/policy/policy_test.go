package policy

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const sum = "5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"

func parse(t *testing.T, text string) *Policy {
	t.Helper()
	p, err := Parse("/etc/ssmrun/policy.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestRules(t *testing.T) {
	t.Parallel()
	const full = `
version: 1
documents:
  - name: Deploy-*
    sha256: ` + sum + `
    parameters: [version]
  - name: Ping
    parameters: []
  - name: AWS-RunShellScript
plugins: [aws:runShellScript]
run_as: [deploy, nobody]
outputs:
  - bucket: logs
    prefix: rack/7
  - bucket: all
`
	ok := Step{"s", "aws:runShellScript", "deploy", false}
	for name, tt := range map[string]struct {
		policy string
		r      Request
		rule   string // "" accepted
		text   string
	}{
		"all fits":            {full, Request{"Deploy-web", sum, []string{"version"}, "logs", "rack/7/x", []Step{ok}}, "", ""},
		"nothing set":         {"version: 1", Request{"X", "", []string{"a"}, "b", "c", []Step{{"s", "aws:x", "root", false}}}, "", ""},
		"JSON":                {`{"version": 1, "plugins": []}`, Request{Document: "X", Steps: []Step{ok}}, RulePlugins, "plugin aws:runShellScript of step s is not in plugins"},
		"unknown document":    {full, Request{Document: "Rm", SHA256: sum, Steps: []Step{ok}}, RuleDocuments, "document Rm is not in documents"},
		"another content":     {full, Request{Document: "Deploy-web", SHA256: "00", Steps: []Step{ok}}, RuleDocuments, "its sha256 is 00"},
		"content unknown":     {full, Request{Document: "Deploy-web", Steps: []Step{ok}}, RuleDocuments, "its sha256 is unknown"},
		"a parameter":         {full, Request{Document: "Deploy-web", SHA256: sum, Parameters: []string{"version", "evil"}}, RuleDocuments, "may not be given the parameters evil"},
		"any parameter":       {full, Request{Document: "Ping", Parameters: []string{"x"}}, RuleDocuments, "parameters x"},
		"case":                {full, Request{Document: "ping"}, RuleDocuments, "not in documents"},
		"content alone":       {"version: 1\ndocuments: [{sha256: " + sum + "}]", Request{Document: "X", SHA256: sum}, "", ""},
		"no documents":        {"version: 1\ndocuments: []", Request{Document: "X", SHA256: sum}, RuleDocuments, "not in documents"},
		"user":                {full, Request{Document: "Ping", Steps: []Step{{"s", "aws:runShellScript", "root", false}}}, RuleRunAs, "user root, who is not in run_as"},
		"chosen user":         {full, Request{Document: "Ping", Steps: []Step{{"s", "aws:runShellScript", "nobody", true}}}, "", ""},
		"chosen without rule": {"version: 1", Request{Document: "Ping", Steps: []Step{{"s", "p", "nobody", true}}}, RuleRunAs, "there is no run_as"},
		"second step":         {full, Request{Document: "Ping", Steps: []Step{ok, {"t", "aws:other", "deploy", false}}}, RulePlugins, "aws:other of step t"},
		"another bucket":      {full, Request{Document: "Ping", Bucket: "mine"}, RuleOutputs, "s3://mine/"},
		"prefix itself":       {full, Request{Document: "Ping", Bucket: "logs", Prefix: "/rack/7/"}, "", ""},
		"prefix beside":       {full, Request{Document: "Ping", Bucket: "logs", Prefix: "rack/77"}, RuleOutputs, "rack/77"},
		"prefix above":        {full, Request{Document: "Ping", Bucket: "logs", Prefix: "rack"}, RuleOutputs, ""},
		"prefix climbs":       {full, Request{Document: "Ping", Bucket: "logs", Prefix: "rack/7/../8"}, RuleOutputs, "climbs"},
		"whole bucket":        {full, Request{Document: "Ping", Bucket: "all", Prefix: "x"}, "", ""},
		"no bucket":           {full, Request{Document: "Ping", Prefix: "x"}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := parse(t, tt.policy).Refuse(tt.r)
			switch {
			case got == nil && tt.rule == "":
			case got == nil || got.Rule != tt.rule || !strings.Contains(got.Error(), tt.text):
				t.Errorf("got %v, want rule %q, %q", got, tt.rule, tt.text)
			case !strings.HasPrefix(got.Error(), "refused by this host's policy /etc/ssmrun/policy.yaml: ") || !strings.HasSuffix(got.Error(), "(rule "+tt.rule+")"):
				t.Errorf("it does not name policy and rule: %v", got)
			}
		})
	}
	if r := (*Policy)(nil).Refuse(Request{Steps: []Step{{"s", "p", "nobody", true}}}); r == nil || r.Rule != RuleRunAs {
		t.Errorf("without a policy a step chose its user: %v", r)
	}
}

func TestNotUnderstood(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"empty":          "",
		"blank":          "\n# nothing\n",
		"no version":     "plugins: []",
		"other version":  "version: 2",
		"unknown field":  "version: 1\nplugin: []",
		"unknown inside": "version: 1\noutputs: [{bucket: b, prefx: x}]",
		"null":           "version: 1\ndocuments:\n",
		"null entry":     "version: 1\nplugins: [~]",
		"null inside":    "version: 1\ndocuments: [{name: a, parameters: }]",
		"twice":          "version: 1\nplugins: []\nplugins: [a]",
		"text for list":  "version: 1\nplugins: aws:runShellScript",
		"list":           "[]",
		"two documents":  "version: 1\nplugins: []\n---\nversion: 1\n",
		"alias":          "version: 1\nplugins: &a [x]\nrun_as: *a",
		"merge":          "version: 1\n<<: {plugins: []}",
		"bad hash":       "version: 1\ndocuments: [{name: a, sha256: " + strings.ToUpper(sum) + "}]",
		"empty entry":    "version: 1\ndocuments: [{}]",
		"empty user":     `{"version": 1, "run_as": [""]}`,
		"no bucket":      "version: 1\noutputs: [{prefix: x}]",
		"cut short":      `{"version": 1, "plugins": [`,
		"binary":         "version: 1\x00",
		"too long":       "version: 1\n#" + strings.Repeat("x", maxBytes),
	} {
		if p, err := Parse("p", []byte(text)); err == nil {
			t.Errorf("%s: it was taken for\n%s", name, p.Text())
		} else if strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: more than a line: %v", name, err)
		}
	}
}

// TestPlainWords: what is wrong is told in the words of a policy.
func TestPlainWords(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"version: 1\nplugin: []":                       `policy p: line 2: there is no rule "plugin"; rules are documents, plugins, run_as and outputs, beside version`,
		"version: 1\ndocuments: [{nam: x}]":            `policy p: line 2: an entry of documents has no field "nam"; it has name, sha256 and parameters`,
		"version: 1\noutputs: [{bucket: b, prefx: x}]": `policy p: line 2: an entry of outputs has no field "prefx"; it has bucket and prefix`,
		"version: 1\ndocuments: [\n":                   "policy p: line 3, column 1: it is no YAML: did not find expected node content",
	} {
		if _, err := Parse("p", []byte(text)); err == nil || err.Error() != want {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestMatch(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		pattern, name string
		want          bool
	}{
		{"a", "a", true},
		{"a", "ab", false},
		{"a*", "ab", true},
		{"*", "", true},
		{"*b", "ab", true},
		{"a*b", "ab", true},
		{"ab*b", "ab", false},
		{"a*b*c", "aXbYc", true},
		{"a*b*c", "acb", false},
		{"arn:*:document/X", "arn:aws:ssm:r:1:document/X", true},
		{"a?c", "abc", false},
		{"[a]", "a", false},
		{"", "", true},
	} {
		if got := match(tt.pattern, tt.name); got != tt.want {
			t.Errorf("%q on %q: %v", tt.pattern, tt.name, got)
		}
	}
}

// write puts a policy into a folder of its own.
func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "policy.yaml")
	must(t, os.Chmod(filepath.Dir(path), 0o755)) //nolint:gosec // as /etc is
	must(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestOnlyWhatOthersCannotWrite(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		spoil func(path string) (string, error)
		want  string // "" accepted
	}{
		"as it should be": {func(p string) (string, error) { return p, os.Chmod(p, 0o644) }, ""},
		"group writes":    {func(p string) (string, error) { return p, os.Chmod(p, 0o620) }, "chmod go-w " + "/"},
		"others write":    {func(p string) (string, error) { return p, os.Chmod(p, 0o602) }, "can be written by others"},
		"folder":          {func(p string) (string, error) { return p, os.Chmod(filepath.Dir(p), 0o777) }, "can be written by others"},
		"sticky folder":   {func(p string) (string, error) { return p, os.Chmod(filepath.Dir(p), 0o777|os.ModeSticky) }, "can be written by others"},
		"folder above": {func(p string) (string, error) {
			dir := filepath.Join(filepath.Dir(p), "sub")
			if err := os.Mkdir(dir, 0o755); err != nil { //nolint:gosec // as /etc is
				return "", err
			}
			to := filepath.Join(dir, "policy.yaml")
			if err := os.Rename(p, to); err != nil {
				return "", err
			}
			return to, os.Chmod(filepath.Dir(p), 0o777)
		}, "can be written by others"},
		"a folder": {func(p string) (string, error) { return p, os.Remove(p) }, "no such file"},
		"link": {func(p string) (string, error) {
			return p + ".link", os.Symlink(p, p+".link")
		}, "symbolic link"},
		"linked folder": {func(p string) (string, error) {
			link := filepath.Dir(p) + ".link"
			return filepath.Join(link, "policy.yaml"), os.Symlink(filepath.Dir(p), link)
		}, "symbolic link"},
		"pipe": {func(p string) (string, error) {
			if err := os.Remove(p); err != nil {
				return "", err
			}
			return p, exec.Command("mkfifo", "-m", "600", p).Run()
		}, "not a regular file"},
		"another's": {func(p string) (string, error) {
			if os.Geteuid() != 0 {
				return p, os.Chmod(p, 0o606)
			}
			return p, os.Chown(p, 1, 0)
		}, " "},
		"not absolute": {func(string) (string, error) { return "policy.yaml", nil }, "not absolute"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path, err := tt.spoil(write(t, "version: 1\n"))
			must(t, err)
			_, err = Read(path)
			if tt.want == "" {
				must(t, err)
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestChangesCount(t *testing.T) {
	t.Parallel()
	path := write(t, "version: 1\nplugins: [a]\n")
	k, err := Open(path, false)
	must(t, err)
	steps := func() *Refusal {
		t.Helper()
		p, err := k.Current()
		must(t, err)
		return p.Refuse(Request{Steps: []Step{{Plugin: "b"}}})
	}
	if steps() == nil {
		t.Error("b was let through")
	}
	put := func(text string) {
		t.Helper()
		must(t, os.WriteFile(path+".new", []byte(text), 0o600))
		must(t, os.Rename(path+".new", path))
	}
	put("version: 1\nplugins: [b]\n") // of the same size
	if r := steps(); r != nil {
		t.Errorf("the new policy does not count: %v", r)
	}
	put("version: 1\nplugins: [b\n")
	if p, err := k.Current(); err == nil || p != nil {
		t.Errorf("a broken policy lets through: %v", err)
	}
	put("version: 1\nplugins: [b]\n")
	if r := steps(); r != nil {
		t.Errorf("the mended policy does not count: %v", r)
	}
	must(t, os.Chmod(path, 0o666)) //nolint:gosec // that is what is refused
	if _, err := k.Current(); err == nil {
		t.Error("a policy that anybody can write lets through")
	}
	must(t, os.Remove(path))
	for range 2 {
		if _, err := k.Current(); err == nil || !strings.Contains(err.Error(), "no such file") {
			t.Errorf("a policy that is gone lets through: %v", err)
		}
	}
	put("version: 1\nplugins: [b]\n")
	if r := steps(); r != nil {
		t.Errorf("the policy that is back does not count: %v", r)
	}
}

func TestNone(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "policy.yaml")
	must(t, os.Chmod(filepath.Dir(path), 0o755)) //nolint:gosec // as /etc is
	if _, err := Open(path, true); err == nil {
		t.Error("a policy that must be there is not, and all is well")
	}
	k, err := Open(path, false)
	must(t, err)
	if p, err := k.Current(); p != nil || err != nil {
		t.Errorf("got %v, %v", p, err)
	}
	must(t, os.WriteFile(path, []byte("version: 1\n"), 0o600))
	if p, err := k.Current(); p == nil || err != nil {
		t.Errorf("a policy that came later: %v, %v", p, err)
	}
	must(t, os.WriteFile(path, []byte("version: x\n"), 0o600))
	if _, err := Open(path, false); err == nil {
		t.Error("a broken policy counts as none")
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("version: 1\ndocuments: [{name: a*, sha256: " + sum + ", parameters: []}]\noutputs: [{bucket: b}]"))
	f.Add([]byte(`{"version": 1, "run_as": ["a"]}`))
	f.Fuzz(func(t *testing.T, content []byte) {
		p, err := Parse("p", content)
		if err != nil {
			return
		}
		_ = p.Text()
		_ = p.Refuse(Request{Document: "a", Bucket: "b", Steps: []Step{{}}})
	})
}
