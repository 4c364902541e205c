package state

import (
	"path/filepath"
	"time"
)

const processFile = "agent.json"

// Process says which process works on a folder, such that it cannot be mistaken
// for a later one with the same pid.
type Process struct {
	PID int `json:"pid"`
	// StartTime is when the process started as its system counts it (Linux:
	// clock ticks since boot); 0 where the system does not tell.
	StartTime uint64 `json:"start_time"`
	// BootID names the boot; "" where the system does not tell.
	BootID  string    `json:"boot_id"`
	Started time.Time `json:"started"`
	Version string    `json:"version"`
}

// ReadProcess reads agent.json of a state folder. fs.ErrNotExist is in the
// chain of the error where no agent ever ran there.
func ReadProcess(dir string) (Process, error) {
	var p Process
	err := Read(filepath.Join(dir, processFile), &p)
	return p, err
}

// Alive tells whether this very process still runs: the same boot, the pid, and
// the start time.
func (p Process) Alive() bool {
	if p.PID <= 0 || (p.BootID != "" && p.BootID != bootID()) {
		return false
	}
	st, ok := startTime(p.PID)
	return ok && (p.StartTime == 0 || st == p.StartTime)
}

// BootID names the present boot of the machine; "" where the system does not
// tell.
func BootID() string { return bootID() }
