package agent

import (
	"fmt"
	"path/filepath"

	"golang.org/x/sys/windows"
)

// DefaultPath is the PATH of scripts where no other is set.
const DefaultPath = `C:\Windows\System32;C:\Windows;C:\Windows\System32\Wbem;C:\Windows\System32\WindowsPowerShell\v1.0`

// defaultStateDir is where an agent keeps its state that is told no other place.
func defaultStateDir() string {
	data, err := windows.KnownFolderPath(windows.FOLDERID_ProgramData, 0)
	if err != nil {
		data = `C:\ProgramData`
	}
	return filepath.Join(data, "ssmrun-agent")
}

// systemVersion is the version of Windows, 10.0.20348.
func systemVersion() string {
	v := windows.RtlGetVersion()
	return fmt.Sprintf("%d.%d.%d", v.MajorVersion, v.MinorVersion, v.BuildNumber)
}
