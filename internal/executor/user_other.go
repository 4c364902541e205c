//go:build !linux

package executor

import (
	"errors"
	"fmt"
)

// startAs starts the tree; other users are for Linux.
func (e *Executor) startAs(l launch) (tree, error) {
	if l.user != nil {
		return nil, fmt.Errorf("run as another user: %w on this system", errors.ErrUnsupported)
	}
	return e.startTree(l)
}

// StoppedAt is for Linux; here it knows of nothing that is closed.
func (u *User) StoppedAt(string) string { return "" }
