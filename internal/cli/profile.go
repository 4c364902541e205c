package cli

import (
	"errors"
	"fmt"
	"os"
	"runtime/pprof"
)

// profileCPU profiles this process until stop, which writes the file's end.
// Nothing happens for "". There is no way to ask for profiles over the network.
func profileCPU(file string) (stop func() error, err error) {
	if file == "" {
		return func() error { return nil }, nil
	}
	f, err := os.OpenFile(file, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err == nil {
		if err = pprof.StartCPUProfile(f); err != nil {
			err = errors.Join(err, f.Close())
		}
	}
	if err != nil {
		return nil, &exitError{ExitUsage, fmt.Errorf("--cpu-profile: %w", err)}
	}
	return func() error {
		pprof.StopCPUProfile()
		return f.Close()
	}, nil
}
