package ssmrun

import (
	"strings"
	"unicode/utf8"
)

// Marks that agents and Run Command put into outputs; all as observed.
const (
	// MarkStream ends a stream that an agent cut.
	MarkStream = "--output truncated--"
	// MarkJoined ends a joined output that was cut.
	MarkJoined = "\n---Output truncated---"
	// MarkError ends the stderr part of an agent's joined output that was cut.
	MarkError = "\n---Error truncated----"
	// Separator stands between stdout and stderr in a joined output.
	Separator = "\n----------ERROR-------\n"
)

// CutStream keeps the head of a stream: at most limit characters, the mark
// included where something was cut. Bytes that are no UTF-8 become U+FFFD, as
// on the wire.
func CutStream(s string, limit int) string { return cut(s, limit, MarkStream) }

// Join is how lists show both streams of a plugin: stdout, then, if stderr is
// not empty, the separator and stderr, the whole cut to MaxJoinedChars with the
// mark included (2,477 characters and a mark of 23).
func Join(stdout, stderr string) string {
	if stderr != "" {
		stdout += Separator + stderr
	}
	return cut(stdout, MaxJoinedChars, MarkJoined)
}

// Head keeps at most limit characters, without a mark.
func Head(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	n := 0
	for i := range s {
		if n == limit {
			return s[:i]
		}
		n++
	}
	return s
}

func cut(s string, limit int, mark string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= limit || utf8.RuneCountInString(s) <= limit {
		return s
	}
	keep := max(limit-utf8.RuneCountInString(mark), 0)
	return Head(s, keep) + mark
}
