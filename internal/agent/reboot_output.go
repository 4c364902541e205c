package agent

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"ssmrun"
	"ssmrun/internal/agent/plugin"
	"ssmrun/internal/agent/plugin/shellscript"
	"ssmrun/internal/executor"
	"ssmrun/internal/wire"
)

// What a step has written before a reboot comes before what it writes after it,
// in the result as well as in S3. The journal keeps the head of it, and where the
// command names a bucket, files keep the whole.

// rebootFolder is where the outputs of a step lie while the host is restarted.
func (a *Agent) rebootFolder(key string) string {
	return filepath.Join(a.folder.Dir(), "reboot", key)
}

// forgetReboot removes what was kept for after a reboot.
func (a *Agent) forgetReboot(c *command) {
	if _, asked := c.entry.Reboot(); asked > 0 {
		a.removeFolder(a.rebootFolder(c.entry.Key()))
	}
}

// keep moves the files into a folder that outlives a restart.
func (s *streams) keep(dir string) error {
	if s.folder == "" {
		return nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("keep output over the reboot: %w", err)
	}
	for i, capture := range []*executor.Capture{s.stdout, s.stderr} {
		if s.files[i] == "" {
			continue
		}
		err := capture.Close()
		if err == nil {
			err = os.Rename(s.files[i], filepath.Join(dir, streamNames[i]))
		}
		if err != nil {
			return fmt.Errorf("keep output over the reboot: %w", err)
		}
	}
	s.a.removeFolder(s.folder)
	return nil
}

// restore writes into fresh streams what the step wrote before the reboot.
func (s *streams) restore(dir string, r *resume) {
	for i, capture := range []*executor.Capture{s.stdout, s.stderr} {
		f, err := os.Open(filepath.Join(dir, streamNames[i]))
		if errors.Is(err, fs.ErrNotExist) {
			_, _ = capture.Write([][]byte{r.stdout, r.stderr}[i]) // a Capture never fails
			continue
		}
		if err == nil {
			_, err = io.Copy(capture, f)
			_ = f.Close()
		}
		if err != nil {
			s.notes = append(s.notes, fmt.Sprintf("what the step wrote to %s before the reboot is lost: %v", streamNames[i], innermost(err)))
		}
	}
}

// soFar is the result of a step that waits for a reboot.
func (s *streams) soFar(g group, started time.Time) wire.PluginStatus {
	p := wire.PluginStatus{
		Status: wire.StatusSuccessAndReboot, Code: shellscript.RebootCode, Name: g.action(), StartDateTime: wire.FormatTime(started),
		StandardOutput: ssmrun.CutStream(string(s.stdout.Head()), ssmrun.MaxStreamChars),
		StandardError:  ssmrun.CutStream(string(s.stderr.Head()), ssmrun.MaxStreamChars),
	}
	p.Output = ssmrun.Join(p.StandardOutput, p.StandardError)
	return p
}

// tidyReboots removes outputs of steps that wait for no reboot any more.
func (a *Agent) tidyReboots() {
	dir := a.rebootFolder("")
	list, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		a.log.Error("list outputs kept over a reboot", "error", err)
	}
	for _, f := range list {
		if _, waits := a.commands[f.Name()]; !waits {
			a.removeFolder(filepath.Join(dir, f.Name()))
		}
	}
}

// withoutReboot is the result of a step whose host is not restarted for it.
func withoutReboot(code int, why string) plugin.Result {
	return plugin.Result{
		Status: plugin.Failed, Code: code, Next: plugin.SkipRest,
		Note: strings.TrimSpace(fmt.Sprintf("the script asked for a reboot (exit %d), and is not run again: %s", code, why)),
	}
}
