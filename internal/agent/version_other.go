//go:build !windows && !darwin

package agent

// systemVersion is not asked here: os-release has it.
func systemVersion() string { return "" }
