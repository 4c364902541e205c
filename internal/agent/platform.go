package agent

import (
	"bufio"
	"net"
	"os"
	"runtime"
	"strings"
)

// Platform is the host as heartbeats and preconditions name it.
type Platform struct {
	Type         string // Linux, MacOS, Windows
	Name         string // Debian GNU/Linux
	Version      string // 12
	ComputerName string
	IPAddress    string // first one that is not the loopback's, IPv4 before IPv6
}

// HostPlatform looks at the host that this process runs on.
func HostPlatform() Platform {
	p := Platform{Type: "Linux", IPAddress: hostAddress()}
	switch runtime.GOOS {
	case "darwin":
		p.Type, p.Name, p.Version = "MacOS", "macOS", systemVersion()
	case "windows":
		p.Type, p.Name, p.Version = "Windows", "Microsoft Windows", systemVersion()
	default:
		p.Name, p.Version = osRelease("/etc/os-release", "/usr/lib/os-release")
	}
	p.ComputerName, _ = os.Hostname()
	return p
}

// osRelease reads NAME and VERSION_ID from the first file that there is.
func osRelease(paths ...string) (name, version string) {
	for _, path := range paths {
		f, err := os.Open(path)
		if err != nil {
			continue
		}
		defer f.Close()
		lines := bufio.NewScanner(f)
		for lines.Scan() {
			key, value, _ := strings.Cut(lines.Text(), "=")
			value = strings.Trim(strings.TrimSpace(value), `"'`)
			switch key {
			case "NAME":
				name = value
			case "VERSION_ID":
				version = value
			}
		}
		return name, version
	}
	return runtime.GOOS, ""
}

func hostAddress() string {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return ""
	}
	other := ""
	for _, a := range addrs {
		n, ok := a.(*net.IPNet)
		if !ok || n.IP.IsLoopback() || n.IP.IsLinkLocalUnicast() {
			continue
		}
		if n.IP.To4() != nil {
			return n.IP.String()
		}
		if other == "" {
			other = n.IP.String()
		}
	}
	return other
}
