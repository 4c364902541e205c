package state

import (
	"fmt"

	"golang.org/x/sys/windows"
)

// ownersOnly lets the system, administrators and the owner in, and nobody whom the
// folder above does: below ProgramData that would be every user of the machine.
const ownersOnly = "D:PAI(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;FA;;;OW)"

// protect keeps the folder, and what is made in it, for the user that the agent
// runs as and administrators. Modes as on Unix mean nothing here.
func protect(dir string) error {
	sd, err := windows.SecurityDescriptorFromString(ownersOnly)
	if err != nil {
		return fmt.Errorf("make access list: %w", err)
	}
	acl, _, err := sd.DACL()
	if err != nil {
		return fmt.Errorf("make access list: %w", err)
	}
	return windows.SetNamedSecurityInfo(dir, windows.SE_FILE_OBJECT,
		windows.DACL_SECURITY_INFORMATION|windows.PROTECTED_DACL_SECURITY_INFORMATION, nil, nil, acl, nil)
}
