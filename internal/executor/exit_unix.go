//go:build unix

package executor

import (
	"fmt"
	"os"
	"syscall"
)

func exitOf(ws syscall.WaitStatus) exit {
	if ws.Signaled() {
		return exit{code: 128 + int(ws.Signal()), signal: int(ws.Signal())}
	}
	return exit{code: ws.ExitStatus()}
}

// waitProcess waits for this one child; never for any child (see the package
// documentation).
func waitProcess(proc *os.Process) exit {
	state, err := proc.Wait()
	if err != nil {
		return exit{code: -1, err: fmt.Errorf("wait for process %d: %w", proc.Pid, err)}
	}
	ws, ok := state.Sys().(syscall.WaitStatus)
	if !ok {
		return exit{code: -1, err: fmt.Errorf("wait for process %d: unknown status %v", proc.Pid, state)}
	}
	return exitOf(ws)
}
