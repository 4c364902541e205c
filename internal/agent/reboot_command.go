package agent

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// defaultReboot restarts the host in a minute, as the genuine agent does: time for
// the agent's last words, and for whoever wants to call it off.
var defaultReboot = map[bool]string{true: "shutdown -r -t 60", false: "/sbin/shutdown -r +1"}[runtime.GOOS == "windows"]

// rebootTime bounds the program that asks for a restart.
const rebootTime = 30 * time.Second

// rebootBy gives what runs a program and its arguments, separated by blanks; nil
// for no program.
func rebootBy(command string) func(context.Context) error {
	words := strings.Fields(command)
	if len(words) == 0 {
		return nil
	}
	return func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, rebootTime)
		defer cancel()
		cmd := exec.CommandContext(ctx, words[0], words[1:]...)
		var said bytes.Buffer
		cmd.Stdout, cmd.Stderr = &said, &said
		cmd.WaitDelay = time.Second
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("%s: %w: %s", command, err, strings.TrimSpace(said.String()))
		}
		return nil
	}
}
