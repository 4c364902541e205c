package executor

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// credential is what a start needs to become the user; nil changes nothing.
func (u *User) credential() *syscall.Credential {
	if u == nil {
		return nil
	}
	return &syscall.Credential{Uid: u.UID, Gid: u.GID, Groups: u.Groups}
}

// startAs starts the tree as its user. The pipes become the user's: a script may
// open /dev/stdout and /dev/stderr anew, which the system allows to their owner.
func (e *Executor) startAs(l launch) (tree, error) {
	if l.user == nil {
		return e.startTree(l)
	}
	if os.Geteuid() != 0 {
		return nil, fmt.Errorf("run as user %d: the agent is not root, so that it can start programs as itself only", l.user.UID)
	}
	for _, f := range l.files[1:] {
		if f == l.files[0] {
			continue // /dev/null
		}
		if err := f.Chown(int(l.user.UID), int(l.user.GID)); err != nil {
			return nil, fmt.Errorf("give the output to user %d: %w", l.user.UID, err)
		}
	}
	t, err := e.startTree(l)
	// The start's own error is that of a program that may not be executed.
	if errors.Is(err, unix.EACCES) {
		if closed := l.user.StoppedAt(l.dir); closed != "" {
			return nil, fmt.Errorf("%w: user %d may not enter %s", ErrDir, l.user.UID, closed)
		}
	}
	return t, err
}

// StoppedAt gives the first folder on the way to dir, dir included, that the user
// may not enter by its mode; "" where there is none. Access lists of the system
// are not looked at.
func (u *User) StoppedAt(dir string) string {
	if u.UID == 0 {
		return ""
	}
	var way []string
	for p := filepath.Clean(dir); ; p = filepath.Dir(p) {
		way = append(way, p)
		if p == filepath.Dir(p) {
			break
		}
	}
	for _, p := range slices.Backward(way) {
		fi, err := os.Stat(p)
		if err != nil {
			return p
		}
		st, ok := fi.Sys().(*syscall.Stat_t)
		if !ok {
			continue
		}
		bit := os.FileMode(0o001)
		switch {
		case st.Uid == u.UID:
			bit = 0o100
		case st.Gid == u.GID || slices.Contains(u.Groups, st.Gid):
			bit = 0o010
		}
		if fi.Mode()&bit == 0 {
			return p
		}
	}
	return ""
}
