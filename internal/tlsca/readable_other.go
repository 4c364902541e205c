//go:build !unix

package tlsca

// othersMayRead: modes do not tell on this system.
func othersMayRead(string) bool { return false }
