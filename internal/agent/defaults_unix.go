//go:build unix

package agent

// DefaultPath is the PATH of scripts where no other is set: what a login shell
// of root has.
const DefaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// defaultStateDir is where an agent keeps its state that is told no other place.
func defaultStateDir() string { return "/var/lib/ssmrun-agent" }
