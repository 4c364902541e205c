//go:build unix

package policy

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// mark tells one state of a file from another.
type mark struct {
	dev, ino     uint64
	size         int64
	mode         fs.FileMode
	uid          uint32
	mtime, ctime int64
}

func markOf(fi fs.FileInfo) mark {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return mark{}
	}
	return mark{
		dev: uint64(st.Dev), ino: st.Ino, size: st.Size, mode: fi.Mode(), uid: st.Uid, //nolint:unconvert // int32 on some systems
		mtime: fi.ModTime().UnixNano(), ctime: changed(st),
	}
}

// openFile opens the file itself, not what a link leads to, and does not wait
// for a pipe's other end.
func openFile(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
}

// trustOne checks owner and mode of a file or folder.
func trustOne(path string, fi fs.FileInfo, sticky bool) error {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return fmt.Errorf("the owner of %s is not known", path)
	}
	own := uint32(os.Geteuid())
	switch {
	case st.Uid != 0 && st.Uid != own && own == 0:
		return fmt.Errorf("%s belongs to user %d: make it root's (chown root %s)", path, st.Uid, path)
	case st.Uid != 0 && st.Uid != own:
		return fmt.Errorf("%s belongs to user %d: make it root's, or that of the agent's user %d", path, st.Uid, own)
	case fi.Mode().Perm()&0o022 != 0 && (!sticky || fi.Mode()&fs.ModeSticky == 0):
		return fmt.Errorf("%s can be written by others than its owner (mode %04o): chmod go-w %s", path, fi.Mode().Perm(), path)
	}
	return nil
}

// Own tells whether the file belongs to the agent's user, who is not root:
// scripts that run as that user can change it.
func Own(path string) bool {
	fi, err := os.Lstat(path)
	if err != nil {
		return false
	}
	st, ok := fi.Sys().(*syscall.Stat_t)
	return ok && st.Uid != 0
}
