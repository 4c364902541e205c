package runner

import (
	"slices"
	"strings"
)

// parametersSize is what parameters weigh in a request, in bytes: names and
// values.
func parametersSize(values map[string][]string) int {
	n := 0
	for name, list := range values {
		n += len(name)
		for _, v := range list {
			n += len(v)
		}
	}
	return n
}

// redact takes parameter values out of a message that the service wrote: AWS's
// validation errors repeat the value they refuse. Values shorter than four
// characters are no secrets, and would tear words apart.
func redact(message string, values map[string][]string) string {
	var secrets []string
	for _, list := range values {
		for _, v := range list {
			if len(v) >= 4 {
				secrets = append(secrets, v)
			}
		}
	}
	// Longest first, lest a value that begins like another leaves its rest.
	slices.SortFunc(secrets, func(a, b string) int { return len(b) - len(a) })
	for _, s := range secrets {
		message = strings.ReplaceAll(message, s, "(value not shown)")
	}
	return message
}
