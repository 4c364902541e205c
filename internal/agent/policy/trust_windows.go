package policy

import (
	"errors"
	"io/fs"
	"os"
)

// mark tells one state of a file from another.
type mark struct{ size, mtime int64 }

func markOf(fi fs.FileInfo) mark { return mark{fi.Size(), fi.ModTime().UnixNano()} }

func openFile(path string) (*os.File, error) { return os.Open(path) }

// trustOne trusts nothing: who may write a file is not looked at on this system,
// and a policy that anybody can change is none.
func trustOne(string, fs.FileInfo, bool) error {
	return errors.New("policies cannot be used on this system yet: who may change the file is not known")
}

// Own is false: no file is trusted.
func Own(string) bool { return false }
