package ssmrun_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// may says what each package of the module may import of the module; tests are
// free. "" is the root package. A package that is not named here fails: whoever
// adds one says where it stands. Besides the module, onlyStandard packages may
// import the standard library alone, and noSDK ones nothing of the AWS SDK but
// what is named.
var may = map[string][]string{
	"":                                  {},
	"internal/wire":                     {""},
	"internal/tlsca":                    {},
	"internal/sigv4":                    {""},
	"internal/document":                 {""},
	"internal/store":                    {""},
	"internal/store/sqlite":             {"", "internal/store"},
	"internal/store/storetest":          {"", "internal/store"},
	"internal/identity":                 {"", "internal/store"},
	"internal/control":                  {"", "internal/store"},
	"internal/parameters":               {"", "internal/store"},
	"internal/awsapi":                   {"", "internal/store", "internal/identity", "internal/control", "internal/document", "internal/parameters"},
	"internal/gateway":                  {"", "internal/store", "internal/identity", "internal/control", "internal/document", "internal/wire"},
	"internal/objects":                  {"", "internal/sigv4"},
	"internal/executor":                 {""},
	"internal/agentlink":                {"", "internal/wire", "internal/sigv4"},
	"internal/agentlink/linktest":       {"", "internal/wire", "internal/sigv4"},
	"internal/agent/state":              {},
	"internal/agent/policy":             {},
	"internal/agent/systemd":            {},
	"internal/agent/journal":            {},
	"internal/agent/plugin":             {"", "internal/executor"},
	"internal/agent/plugin/shellscript": {"", "internal/executor", "internal/document", "internal/agent/plugin"},
	"internal/agent":                    {"", "internal/wire", "internal/document", "internal/executor", "internal/agentlink", "internal/agent/state", "internal/agent/journal", "internal/agent/output", "internal/agent/plugin", "internal/agent/plugin/shellscript", "internal/agent/policy", "internal/agent/systemd"},
	"internal/agent/output":             {"", "internal/agentlink"},
	"internal/sim":                      {"", "internal/wire", "internal/sigv4", "internal/agentlink"},
	"internal/metadata":                 {"", "internal/identity"},
	"internal/localagents":              {"", "internal/identity", "internal/agent/state"},
	"internal/daemon":                   {"", "internal/sigv4", "internal/tlsca", "internal/document", "internal/store", "internal/store/sqlite", "internal/identity", "internal/control", "internal/parameters", "internal/awsapi", "internal/gateway", "internal/wire", "internal/objects", "internal/metadata", "internal/localagents", "internal/agent/state"},
	"internal/runner":                   {"", "internal/document"},
	"internal/provider":                 {"", "internal/document", "internal/runner"},
	"internal/cli":                      {"", "internal/document", "internal/runner", "internal/daemon", "internal/identity", "internal/agent", "internal/agent/state", "internal/objects"},
	"internal/testenv":                  {"", "internal/daemon", "internal/testlog"},
	"internal/testlog":                  {},
	"cmd/ssmrun":                        {"internal/cli", "internal/executor"},
	"cmd/ssmrun-agent":                  {"internal/agent", "internal/executor"},
	"cmd/ssmrun-sim":                    {"internal/sim"},
	"cmd/terraform-provider-ssmrun":     {"internal/provider"},
}

// onlyStandard are the packages that import nothing but the standard library
// and this module.
var onlyStandard = []string{"", "internal/sigv4", "internal/tlsca", "internal/store", "internal/awsapi", "internal/parameters"}

// sdk is what the packages of the agent may import of the AWS SDK.
const sdk = "github.com/aws/aws-sdk-go-v2"

// TestLayers reads the sources rather than asking `go list`: the go command
// would cache a result that depends on files outside of this package.
func TestLayers(t *testing.T) {
	t.Parallel()
	found := imports(t)
	for pkg, list := range found {
		allowed, ok := may[pkg]
		if !ok {
			t.Errorf("package %s is not in the table of layers: add it where it belongs", name(pkg))
			continue
		}
		for imported, file := range list {
			switch inside, ok := strings.CutPrefix(imported, "ssmrun"); {
			case ok:
				inside = strings.TrimPrefix(inside, "/")
				if !slices.Contains(allowed, inside) {
					t.Errorf("%s: %s may not import %s", file, name(pkg), name(inside))
				}
			case strings.Contains(strings.SplitN(imported, "/", 2)[0], "."):
				if slices.Contains(onlyStandard, pkg) {
					t.Errorf("%s: %s may import the standard library only, not %s", file, name(pkg), imported)
				}
				if isAgent(pkg) && strings.HasPrefix(imported, sdk+"/service/") && imported != sdk+"/service/s3" && !strings.HasPrefix(imported, sdk+"/service/s3/") {
					t.Errorf("%s: the agent may import of the AWS SDK's services S3 only, not %s", file, imported)
				}
				if isAgent(pkg) && strings.Contains(imported, "sqlite") {
					t.Errorf("%s: the agent has no SQL", file)
				}
			}
		}
	}
	for pkg := range may {
		if _, ok := found[pkg]; !ok && pkg != "" {
			if _, err := os.Stat(filepath.FromSlash(pkg)); err == nil {
				continue // only tests
			}
			t.Errorf("package %s of the table of layers does not exist", pkg)
		}
	}
}

func isAgent(pkg string) bool {
	return pkg == "cmd/ssmrun-agent" || pkg == "internal/agentlink" || strings.HasPrefix(pkg, "internal/agent")
}

func name(pkg string) string {
	if pkg == "" {
		return "ssmrun"
	}
	return pkg
}

// imports gives, for every package of the module, what its files other than
// tests import, and a file that does.
func imports(t *testing.T) map[string]map[string]string {
	t.Helper()
	found := map[string]map[string]string{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			// Other modules, and folders that the go command passes over.
			if path != "." && (strings.HasPrefix(d.Name(), ".") || strings.HasPrefix(d.Name(), "_") || d.Name() == "testdata") {
				return filepath.SkipDir
			}
			if _, err := os.Stat(filepath.Join(path, "go.mod")); err == nil && path != "." {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		pkg := filepath.ToSlash(filepath.Dir(path))
		if pkg == "." {
			pkg = ""
		}
		if found[pkg] == nil {
			found[pkg] = map[string]string{}
		}
		for _, i := range file.Imports {
			p, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				return err
			}
			found[pkg][p] = path
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
