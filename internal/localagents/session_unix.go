//go:build unix

package localagents

import (
	"os/exec"
	"syscall"
)

const stopSignal = syscall.SIGTERM

// ownSession takes the agent out of the reach of the service's terminal.
func ownSession(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} }
