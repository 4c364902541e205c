// Package systemd is part of step 7 of a run: what an agent tells the system's
// service manager, where that is systemd. Package agent calls it; it sends to the
// socket that the manager named in the agent's environment, and nowhere else.
package systemd

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

// sendWait bounds a message: a manager that is stuck must not hold the agent.
const sendWait = time.Second

// Notifier speaks sd_notify. A nil one says nothing: nobody listens.
type Notifier struct {
	socket   string
	watchdog time.Duration
}

// New makes a Notifier of the environment that the manager gave (os.Getenv) to
// the process with this pid. nil where no manager listens.
func New(getenv func(string) string, pid int) *Notifier {
	socket := getenv("NOTIFY_SOCKET")
	if !strings.HasPrefix(socket, "/") && !strings.HasPrefix(socket, "@") {
		return nil
	}
	n := &Notifier{socket: socket}
	if owner := getenv("WATCHDOG_PID"); owner == "" || owner == strconv.Itoa(pid) {
		if us, err := strconv.ParseInt(getenv("WATCHDOG_USEC"), 10, 64); err == nil && us > 0 {
			n.watchdog = time.Duration(us) * time.Microsecond
		}
	}
	return n
}

// Watchdog is after how long a silent agent is killed; 0 for never.
func (n *Notifier) Watchdog() time.Duration {
	if n == nil {
		return 0
	}
	return n.watchdog
}

// Ready says that the agent does its work.
func (n *Notifier) Ready() error { return n.send("READY=1") }

// Alive says that the agent is not stuck.
func (n *Notifier) Alive() error { return n.send("WATCHDOG=1") }

// Stopping says that the agent ends.
func (n *Notifier) Stopping() error { return n.send("STOPPING=1") }

// Reloading says that settings are read anew; Ready says that it is done.
// monotonic is the system's monotonic clock.
func (n *Notifier) Reloading(monotonic time.Duration) error {
	return n.send(fmt.Sprintf("RELOADING=1\nMONOTONIC_USEC=%d", monotonic.Microseconds()))
}

// Status says in a line how the agent is.
func (n *Notifier) Status(text string) error {
	return n.send("STATUS=" + strings.Join(strings.Fields(text), " "))
}

func (n *Notifier) send(message string) error {
	if n == nil {
		return nil
	}
	// A leading @ is the abstract namespace, to package net as to systemd.
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: n.socket, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("tell the service manager: %w", err)
	}
	defer conn.Close()
	_ = conn.SetWriteDeadline(time.Now().Add(sendWait))
	if _, err := conn.Write([]byte(message)); err != nil {
		return fmt.Errorf("tell the service manager: %w", err)
	}
	return nil
}
