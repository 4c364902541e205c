package agent

import (
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// printFlags prints what a program's flags are, for a terminal of 80 columns.
func printFlags(w io.Writer, f *flag.FlagSet) {
	f.VisitAll(func(g *flag.Flag) {
		value, text := flag.UnquoteUsage(g)
		if !slices.Contains([]string{"", "0", "0s", "false"}, g.DefValue) {
			text += " (default " + g.DefValue + ")"
		}
		fmt.Fprintln(w, strings.TrimRight("  --"+g.Name+" "+value, " "))
		for _, line := range wrap(text, 72) {
			fmt.Fprintln(w, "        "+line)
		}
	})
}

// wrap breaks a text between words, so that lines have at most n characters where
// no word is longer. What a line begins with is kept.
func wrap(s string, n int) []string {
	var lines []string
	for utf8.RuneCountInString(s) > n {
		at := strings.LastIndexByte(string([]rune(s)[:n+1]), ' ')
		if at <= 0 || strings.TrimSpace(s[:at]) == "" {
			begin := len(s) - len(strings.TrimLeft(s, " "))
			if at = strings.IndexByte(s[begin:], ' '); at < 0 {
				break
			}
			at += begin
		}
		lines = append(lines, s[:at])
		s = strings.TrimLeft(s[at:], " ")
	}
	return append(lines, s)
}
