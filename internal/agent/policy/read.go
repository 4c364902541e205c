package policy

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// version is the one that this package reads.
const version = 1

// maxBytes bounds a policy.
const maxBytes = 256 << 10

// Read reads a file that nobody but root (or, for an agent that is not root, the
// agent's user too) can change: else, or where anything in it is not understood,
// it is an error that says what to do. fs.ErrNotExist is in its chain where there
// is no file.
func Read(path string) (*Policy, error) {
	content, err := readTrusted(path)
	if err != nil {
		return nil, err
	}
	return Parse(path, content)
}

// Parse reads a policy's content; path is for texts.
func Parse(path string, content []byte) (*Policy, error) {
	fail := func(format string, args ...any) (*Policy, error) {
		return nil, fmt.Errorf("policy %s: "+format, append([]any{path}, args...)...)
	}
	if len(content) > maxBytes {
		return fail("%d bytes, more than %d", len(content), maxBytes)
	}
	var root yaml.Node
	if err := yaml.Load(content, &root); err != nil {
		return fail("%w", oneLine(err))
	}
	if err := noNulls(&root, ""); err != nil {
		return fail("%w", err)
	}
	p := &Policy{Path: path, SHA256: Hash(content)}
	if err := yaml.Load(content, &p.rules, yaml.WithKnownFields(), yaml.WithUniqueKeys()); err != nil {
		return fail("%w", oneLine(err))
	}
	if p.rules.Version != version {
		return fail("version is %d: want version: %d", p.rules.Version, version)
	}
	if err := p.rules.check(); err != nil {
		return fail("%w", err)
	}
	return p, nil
}

// wordings are of the parser's errors, for people who write policies and no Go.
var wordings = []struct {
	parser *regexp.Regexp
	plain  string
}{
	{regexp.MustCompile(`field (\S+) not found in type policy\.rules`), `there is no rule "$1"; rules are documents, plugins, run_as and outputs, beside version`},
	{regexp.MustCompile(`field (\S+) not found in type policy\.document`), `an entry of documents has no field "$1"; it has name, sha256 and parameters`},
	{regexp.MustCompile(`field (\S+) not found in type policy\.output`), `an entry of outputs has no field "$1"; it has bucket and prefix`},
	{regexp.MustCompile(`^(go-)?yaml: construct errors: `), ""},
	{regexp.MustCompile(`^go-yaml load error in (?:\w+)(?: \([^)]*\))? at L(\d+)\.C(\d+): `), "line $1, column $2: it is no YAML: "},
}

// oneLine makes one line of a parser's error.
func oneLine(err error) error {
	s := strings.Join(strings.Fields(err.Error()), " ")
	for _, w := range wordings {
		s = w.parser.ReplaceAllString(s, w.plain)
	}
	return errors.New(s)
}

// noNulls refuses keys without a value: whether "documents:" means none or any
// is not to be guessed.
func noNulls(n *yaml.Node, key string) error {
	switch n.Kind {
	case yaml.ScalarNode:
		if n.Tag == "!!null" {
			return fmt.Errorf("line %d: %s has no value: write [] for a list of nothing, or take the line out", n.Line, orElse(key, "the file"))
		}
	case yaml.AliasNode:
		return fmt.Errorf("line %d: aliases are not used in a policy", n.Line)
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Kind != yaml.ScalarNode || n.Content[i].Value == "<<" {
				return fmt.Errorf("line %d: the key is no plain text", n.Content[i].Line)
			}
			if err := noNulls(n.Content[i+1], n.Content[i].Value); err != nil {
				return err
			}
		}
		return nil
	}
	for _, c := range n.Content {
		if err := noNulls(c, key); err != nil {
			return err
		}
	}
	return nil
}

var hexDigits = regexp.MustCompile(`^[0-9a-f]{64}$`)

func (r rules) check() error {
	for i, d := range r.Documents {
		switch {
		case d.Name == "" && d.SHA256 == "":
			return fmt.Errorf("entry %d of documents has neither name nor sha256", i+1)
		case d.SHA256 != "" && !hexDigits.MatchString(d.SHA256):
			return fmt.Errorf("entry %d of documents: sha256 is not 64 hexadecimal digits in small letters", i+1)
		}
	}
	for i, o := range r.Outputs {
		if o.Bucket == "" {
			return fmt.Errorf("entry %d of outputs has no bucket", i+1)
		}
	}
	for rule, list := range map[string][]string{RulePlugins: r.Plugins, RuleRunAs: r.RunAs} {
		if slices.Contains(list, "") {
			return fmt.Errorf("an entry of %s is empty", rule)
		}
	}
	return nil
}

// readTrusted reads a file that only those can change who may.
func readTrusted(path string) ([]byte, error) {
	if !filepath.IsAbs(path) {
		return nil, fmt.Errorf("policy %s: the path is not absolute", path)
	}
	if err := trustFolders(filepath.Dir(path)); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("policy %s: %w", path, fs.ErrNotExist)
		}
		return nil, fmt.Errorf("policy %s: %w", path, err)
	}
	f, err := openFile(path)
	if err != nil {
		if fi, lerr := os.Lstat(path); lerr == nil && fi.Mode()&fs.ModeSymlink != 0 {
			return nil, fmt.Errorf("policy %s: it is a symbolic link: name the file itself", path)
		}
		return nil, fmt.Errorf("policy: %w", err)
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("policy: %w", err)
	}
	if !fi.Mode().IsRegular() {
		return nil, fmt.Errorf("policy %s: it is not a regular file", path)
	}
	if err := trustOne(path, fi, false); err != nil {
		return nil, fmt.Errorf("policy %s: %w", path, err)
	}
	content, err := io.ReadAll(io.LimitReader(f, maxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("policy: %w", err)
	}
	return content, nil
}

// trustFolders checks the folder and all above it: whoever can write one can put
// another file in place.
func trustFolders(dir string) error {
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return err
	}
	if real != filepath.Clean(dir) {
		return fmt.Errorf("its folder goes through a symbolic link: name it as %s", real)
	}
	for first := true; ; first = false {
		fi, err := os.Lstat(dir)
		if err != nil {
			return err
		}
		// Nobody can take another's file out of a sticky folder like /tmp; the
		// policy's own folder shall not be one all the same.
		if err := trustOne(dir, fi, !first); err != nil {
			return err
		}
		up := filepath.Dir(dir)
		if up == dir {
			return nil
		}
		dir = up
	}
}
