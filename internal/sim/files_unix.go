//go:build unix

package sim

import (
	"fmt"
	"syscall"
)

// spareFiles are for everything but the agents' connections.
const spareFiles = 200

// raiseFiles raises the limit of open files to what this process may have, and
// says where that is too little for so many agents.
func raiseFiles(agents int) error {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return fmt.Errorf("read the limit of open files: %w", err)
	}
	if l.Cur < l.Max {
		raised := l
		raised.Cur = l.Max
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &raised); err == nil {
			l = raised
		}
	}
	if most := int64(l.Cur) - spareFiles; most < int64(agents) {
		return fmt.Errorf("--agents %d: this process may open %d files, which is enough for %d agents; raise the limit (ulimit -Hn, as root) or run several simulators", agents, l.Cur, max(most, 0))
	}
	return nil
}
