package parameters

import (
	"regexp"
	"strconv"
	"strings"

	"ssmrun"
)

const (
	maxLevels = 15
	// maxNameChars is AWS's limit of the ARN, less what an ARN adds.
	maxNameChars = 1011
)

var (
	nameChars = regexp.MustCompile(`^[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*$`)
	number    = regexp.MustCompile(`^[0-9]{1,18}$`)
)

// checkName tells whether a parameter may be called so.
func checkName(name string) error {
	path := strings.TrimPrefix(name, "/")
	first, _, deep := strings.Cut(path, "/")
	lower := strings.ToLower(first)
	switch {
	case len(name) > maxNameChars:
		return ssmrun.Errorf(ssmrun.CodeValidation, "Parameter name: it has %d characters; at most %d are allowed.", len(name), maxNameChars)
	case !nameChars.MatchString(path):
		return ssmrun.Errorf(ssmrun.CodeValidation, "Parameter name: use letters, digits and _.- with a slash between levels.")
	case deep && path == name:
		return ssmrun.Errorf(ssmrun.CodeValidation, "Parameter name must be a fully qualified name: begin it with a slash.")
	case strings.HasPrefix(lower, "ssm"):
		return ssmrun.Errorf(ssmrun.CodeValidation, "Parameter name: can't be prefixed with \"ssm\" (case-insensitive).")
	case strings.HasPrefix(lower, "aws"):
		return ssmrun.Errorf(ssmrun.CodeAccessDenied, "No access to reserved parameter name: %s.", name)
	case strings.Count(path, "/")+1 > maxLevels:
		return ssmrun.Errorf(CodeHierarchyLevel, "The parameter name has %d levels; at most %d are allowed.", strings.Count(path, "/")+1, maxLevels)
	}
	return nil
}

func arn(scope ssmrun.Scope, name string) string {
	return "arn:aws:ssm:" + scope.Region + ":" + scope.Account + ":parameter/" + strings.TrimPrefix(name, "/")
}

// asked is a name as callers give it: a name or ARN, and maybe what selects a
// version of it.
type asked struct {
	names    []string // an ARN does not tell "x" from "/x"
	selector string   // ":3"; "" for the latest
	version  int64    // 0 for the latest
	label    bool     // the selector is a label, which no version here has
}

// parseName takes a name apart. false: no parameter of the scope can be called
// so.
func parseName(scope ssmrun.Scope, name string) (asked, bool) {
	var a asked
	rest, isARN := strings.CutPrefix(name, arn(scope, ""))
	rest, selector, selected := strings.Cut(rest, ":")
	if selected {
		a.selector = ":" + selector
		a.label = !number.MatchString(selector)
		a.version, _ = strconv.ParseInt(selector, 10, 64) // 0 for a label
		a.label = a.label || a.version == 0
	}
	switch {
	case !isARN:
		a.names = []string{rest}
	case strings.Contains(rest, "/"):
		a.names = []string{"/" + rest}
	default:
		a.names = []string{rest, "/" + rest}
	}
	return a, rest != "" && !strings.HasPrefix(rest, "arn")
}
