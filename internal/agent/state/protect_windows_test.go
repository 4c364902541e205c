package state

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/windows"
)

// The folder takes no permission from the one above, and everyone is not among
// those that it lets in.
func TestFolderIsPrivate(t *testing.T) {
	t.Parallel()
	if windows.NewLazySystemDLL("ntdll.dll").NewProc("wine_get_version").Find() == nil {
		t.Skip("Wine makes access lists of Unix modes and back")
	}
	dir := filepath.Join(t.TempDir(), "state")
	f, err := Open(dir, time.Now(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	sd, err := windows.GetNamedSecurityInfo(dir, windows.SE_FILE_OBJECT, windows.DACL_SECURITY_INFORMATION)
	if err != nil {
		t.Fatal(err)
	}
	text := sd.String()
	if !strings.Contains(text, ";;;SY)") || !strings.Contains(text, ";;;BA)") {
		t.Errorf("access list %q lets the system or administrators not in", text)
	}
	for _, other := range []string{";;;WD)", ";;;BU)", ";;;AU)"} {
		if strings.Contains(text, other) {
			t.Errorf("access list %q lets %s in", text, other)
		}
	}
}
