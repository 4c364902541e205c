package agent

import "golang.org/x/sys/windows"

// diskFree is what the agent's user may still write where dir is.
func diskFree(dir string) (free uint64, ok bool) {
	name, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return 0, false
	}
	return free, windows.GetDiskFreeSpaceEx(name, &free, nil, nil) == nil
}
