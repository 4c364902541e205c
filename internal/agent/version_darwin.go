package agent

import "golang.org/x/sys/unix"

// systemVersion is the version of macOS, 15.1.
func systemVersion() string {
	v, err := unix.Sysctl("kern.osproductversion")
	if err != nil {
		return ""
	}
	return v
}
