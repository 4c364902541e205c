//go:build unix && !linux

package policy

import "syscall"

// changed is 0 where the field has another name: the rest of the mark has to do.
func changed(*syscall.Stat_t) int64 { return 0 }
