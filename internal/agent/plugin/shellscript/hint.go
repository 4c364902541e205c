package shellscript

import (
	"fmt"
	"os"
	"strings"

	"ssmrun/internal/agent/plugin"
)

// hint says what in a script explains that it failed, where the shell's own words
// do not: "not found" of a script that is there, say. "" for nothing. Scripts are
// run as they come, byte for byte, as the genuine agent does: a carriage return
// may be meant.
func hint(script string, r plugin.Result) string {
	if r.Status != plugin.Failed {
		return ""
	}
	var hints []string
	first, _, _ := strings.Cut(script, "\n")
	if words := strings.Fields(strings.TrimPrefix(first, "#!")); strings.HasPrefix(first, "#!") && len(words) > 0 && (r.Code == 126 || r.Code == 127) {
		if info, err := os.Stat(words[0]); err != nil {
			hints = append(hints, fmt.Sprintf("the script's first line names the interpreter %q, which this instance does not have", words[0]))
		} else if info.IsDir() || info.Mode()&0o111 == 0 {
			hints = append(hints, fmt.Sprintf("the script's first line names the interpreter %q, which is not a program that can be run", words[0]))
		}
	}
	if n := strings.Count(script, "\r\n"); n > 0 {
		hints = append(hints, fmt.Sprintf("%d lines of the script end as on Windows, with a carriage return (CRLF), which a shell takes as a part of the last word: send it with line feeds alone", n))
	}
	if n := strings.Count(script, "\x00"); n > 0 {
		hints = append(hints, fmt.Sprintf("the script has %d NUL bytes, which shells leave out or stop at", n))
	}
	return strings.Join(hints, "\n")
}
