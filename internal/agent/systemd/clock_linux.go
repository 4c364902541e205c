package systemd

import (
	"time"

	"golang.org/x/sys/unix"
)

// Monotonic is the system's monotonic clock, as Reloading wants it.
func Monotonic() time.Duration {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &t) != nil {
		return 0
	}
	return time.Duration(t.Nano())
}
