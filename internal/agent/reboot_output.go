package agent

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"ssmrun"
	"ssmrun/internal/agent/output"
	"ssmrun/internal/agent/plugin"
	"ssmrun/internal/agent/plugin/shellscript"
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

// keep leaves what is on its way to S3 as it is, in a folder that outlives a
// restart.
func (s *streams) keep(dir string) error {
	if s.folder == "" {
		return nil
	}
	defer s.release()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("keep output over the reboot: %w", err)
	}
	err := errors.Join(s.stdout.whole.Park(dir), s.stderr.whole.Park(dir))
	s.a.removeFolder(s.folder)
	return err
}

// restore writes into the heads of fresh streams what the step wrote before the
// reboot. On the way to S3 newStreams has it.
func (s *streams) restore(r *resume) {
	_, _ = s.stdout.head.Write(r.stdout) // a Capture never fails
	_, _ = s.stderr.head.Write(r.stderr)
}

// soFar is the result of a step that waits for a reboot.
func (s *streams) soFar(g group, started time.Time) wire.PluginStatus {
	p := wire.PluginStatus{
		Status: wire.StatusSuccessAndReboot, Code: shellscript.RebootCode, Name: g.action(), StartDateTime: wire.FormatTime(started),
		StandardOutput: ssmrun.CutStream(string(s.stdout.head.Head()), ssmrun.MaxStreamChars),
		StandardError:  ssmrun.CutStream(string(s.stderr.head.Head()), ssmrun.MaxStreamChars),
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
			if err := output.Forsake(filepath.Join(dir, f.Name()), a.folder.Uploads()); err != nil {
				a.log.Error("give up an output kept over a reboot", "error", err)
			}
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
