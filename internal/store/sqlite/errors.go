package sqlite

import (
	"errors"
	"fmt"

	"modernc.org/sqlite"

	"ssmrun"
)

// Primary result codes of SQLite that this package tells apart.
const (
	codeBusy     = 5
	codeReadonly = 8
	codeIOErr    = 10
	codeCorrupt  = 11
	codeFull     = 13
	codeCantOpen = 14
	codeNotADB   = 26
)

// hints say what to do, per primary result code.
var hints = map[int]string{
	codeBusy:     "another program holds the file: close it",
	codeReadonly: "check that this user may write the file and its folder",
	codeIOErr:    "check the disk and the system's log",
	codeCorrupt:  "the file is damaged: restore it from a backup",
	codeFull:     "free some space on its disk",
	codeCantOpen: "check that this user may read and write the file and its folder",
	codeNotADB:   "the file is not a database: restore it from a backup, or use another path",
}

// code gives the primary result code of SQLite in err, 0 where there is none.
func code(err error) int {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return e.Code() & 0xff
	}
	return 0
}

// hinted adds the next step to an error of SQLite.
func hinted(err error) error {
	if hint, ok := hints[code(err)]; ok {
		return fmt.Errorf("%w; %s", err, hint)
	}
	return err
}

// explain is hinted for what a call wanted to do. That the disk is full is for
// callers to know too: it is no fault of the service's code, and what failed for
// it was undone, so that it can be called again.
func explain(err error) error {
	if code(err) == codeFull {
		return &ssmrun.Error{
			Code: ssmrun.CodeUnavailable, Err: hinted(err),
			Message: "The disk of the service's data folder is full. Nothing of this call was kept: free some space there and call again.",
		}
	}
	return hinted(err)
}
