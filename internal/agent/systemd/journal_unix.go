//go:build unix

package systemd

import (
	"fmt"
	"os"
	"syscall"
)

// IsJournal tells whether f is the journal's stream: what is written there is
// dated by the journal, and its level may stand before it as <N>.
func IsJournal(getenv func(string) string, f *os.File) bool {
	stream := getenv("JOURNAL_STREAM")
	if stream == "" {
		return false
	}
	fi, err := f.Stat()
	if err != nil {
		return false
	}
	st, ok := fi.Sys().(*syscall.Stat_t)
	return ok && stream == fmt.Sprintf("%d:%d", st.Dev, st.Ino)
}
