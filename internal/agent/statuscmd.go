package agent

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"time"
	"unicode"

	"ssmrun/internal/agent/state"
	"ssmrun/internal/agentlink"
)

// Exit codes of `ssmrun-agent status`.
const (
	ExitConnected    = 0
	ExitNotRunning   = 1
	ExitNotConnected = 3 // it runs, and has no connection
	ExitNotReadable  = 4 // the state folder cannot be read
)

const statusUsage = `ssmrun-agent status tells how the agent of this host is, or was when it ended.
It reads the agent's state folder, and so needs the agent's rights.

Exit codes: 0 connected, 1 not running, 2 wrong usage, 3 running without a
connection, 4 the state folder cannot be read.

`

// report is what the status command found.
type report struct {
	Alive bool `json:"alive"` // the agent's process is there
	Status
	JournalFiles int     `json:"journal_files"`
	JournalBytes int64   `json:"journal_bytes"`
	DiskFree     *uint64 `json:"disk_free_bytes,omitempty"`
}

// statusMain is `ssmrun-agent status`.
func statusMain(args []string, stdout, stderr io.Writer) int {
	var dir string
	var asJSON bool
	f := flag.NewFlagSet("ssmrun-agent status", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.StringVar(&dir, "state", defaultStateDir(), "the agent's `folder`")
	f.BoolVar(&asJSON, "json", false, "as JSON")
	if code, done := parseSub(f, args, statusUsage, stdout, stderr); done {
		return code
	}
	if f.NArg() > 0 {
		fmt.Fprintf(stderr, "ssmrun-agent status: unexpected argument %q; see --help\n", f.Arg(0))
		return ExitUsage
	}
	r, err := readReport(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		fmt.Fprintf(stderr, "ssmrun-agent status: no agent has run with the state folder %s; name another with --state\n", dir)
		return ExitNotRunning
	case err != nil:
		fmt.Fprintf(stderr, "ssmrun-agent status: %v\n", err)
		return ExitNotReadable
	}
	if asJSON {
		e := json.NewEncoder(stdout)
		e.SetIndent("", "  ")
		e.SetEscapeHTML(false)
		_ = e.Encode(r)
	} else {
		fmt.Fprint(stdout, r.text(time.Now()))
	}
	switch {
	case !r.Alive:
		return ExitNotRunning
	case !r.Connected:
		return ExitNotConnected
	}
	return ExitConnected
}

// parseSub reads a subcommand's flags. done tells that there is nothing else to do.
func parseSub(f *flag.FlagSet, args []string, usage string, stdout, stderr io.Writer) (code int, done bool) {
	err := f.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(stdout, usage)
		printFlags(stdout, f)
		return ExitOK, true
	case err != nil:
		fmt.Fprintf(stderr, "%s: %v; see --help\n", f.Name(), err)
		return ExitUsage, true
	}
	return ExitOK, false
}

// readReport reads a state folder. It changes nothing there.
func readReport(dir string) (report, error) {
	p, err := state.ReadProcess(dir)
	if err != nil {
		return report{}, err
	}
	r := report{Alive: p.Alive()}
	err = state.Read(filepath.Join(dir, statusFile), &r.Status)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return report{}, err
	}
	if r.PID != p.PID || !r.Started.Equal(p.Started) {
		// The agent has said nothing yet. What its predecessor said of errors and
		// work holds no more.
		r.Status = Status{PID: p.PID, Started: p.Started, Version: p.Version, Running: []StatusCommand{}, Waiting: []StatusCommand{}}
		var id agentlink.Identity
		if state.Read(filepath.Join(dir, "registration.json"), &id) == nil {
			r.InstanceID, r.Region = id.InstanceID, id.Region
		}
	}
	r.Connected = r.Connected && r.Alive
	err = filepath.WalkDir(filepath.Join(dir, "journal"), func(_ string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil //nolint:nilerr // what comes and goes meanwhile does not count
		}
		if fi, err := d.Info(); err == nil {
			r.JournalFiles++
			r.JournalBytes += fi.Size()
		}
		return nil
	})
	if free, err := freeDisk(dir); err == nil {
		bytes := uint64(max(free, 0))
		r.DiskFree = &bytes
	}
	return r, err
}

// ways say of the channels what they are.
var ways = map[string]string{
	agentlink.ServiceMessages: ", a websocket",
	agentlink.ServiceLongPoll: ", polling as the websocket cannot be opened",
}

// width is what lines are wrapped for, where their words allow it.
const width = 60

// text is the report for people, for terminals of 60 columns and more.
func (r *report) text(now time.Time) string {
	var b strings.Builder
	line := func(key, format string, args ...any) {
		for _, text := range wrap(printable(fmt.Sprintf(format, args...)), width-11) {
			fmt.Fprintf(&b, "%-10s %s\n", key, text)
			key = ""
		}
	}
	line("agent", "%s", r.headline(now))
	line("instance", "%s %s", orDash(r.InstanceID), r.Region)
	line("service", "%s", orDash(r.Endpoint))
	if r.Channel != "" {
		line("channel", "%s%s", r.Channel, ways[r.Channel])
	}
	line("heartbeat", "%s", ago(now, r.LastHeartbeat))
	line("version", "%s", r.Version)
	line("scripts", "run as %s", orDash(r.RunAs))
	switch p := r.Policy; {
	case p == nil:
		line("policy", "none")
	case p.Error != "":
		line("policy", "%s", p.Path)
		line("", "refuses every command: %s", p.Error)
	case p.SHA256 == "":
		line("policy", "none at %s", p.Path)
	default:
		line("policy", "%s", p.Path)
		line("", "sha256 %s...", p.SHA256[:min(16, len(p.SHA256))])
	}
	for _, part := range []struct {
		key  string
		list []StatusCommand
	}{{"running", r.Running}, {"waiting", r.Waiting}} {
		line(part.key, "%d", len(part.list))
		for _, c := range part.list {
			line("", "%s", c.ID)
			text := orDash(c.Document)
			if c.Step != "" {
				text += ", step " + c.Step
			}
			line("", "  %s, for %s", text, span(now.Sub(c.Since)))
		}
	}
	line("replies", "%d owed to the service", r.RepliesOwed)
	line("journal", "%s", size(uint64(max(0, r.JournalBytes))))
	if r.DiskFree != nil {
		line("disk", "%s free", size(*r.DiskFree))
	}
	if r.LastError != nil {
		line("last error", "%s:", ago(now, r.LastError.At))
		line("", "%s", r.LastError.Text)
	}
	return b.String()
}

func (r *report) headline(now time.Time) string {
	switch {
	case !r.Alive && r.Stopped.IsZero():
		return "not running: it was killed, or the host was; last known:"
	case !r.Alive:
		return "not running, stopped " + ago(now, r.Stopped) + "; last known:"
	case r.Connected:
		return fmt.Sprintf("connected for %s, up %s, pid %d", span(now.Sub(r.ConnectedSince)), span(now.Sub(r.Started)), r.PID)
	case r.ConnectedSince.IsZero():
		return fmt.Sprintf("starting for %s, pid %d", span(now.Sub(r.Started)), r.PID)
	}
	return fmt.Sprintf("no connection for %s, up %s, pid %d", span(now.Sub(r.ConnectedSince)), span(now.Sub(r.Started)), r.PID)
}

// ago tells how long ago a time was.
func ago(now, t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return span(now.Sub(t)) + " ago"
}

// span is a duration, coarsely.
func span(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", max(0, int(d.Seconds())))
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}

// size is a number of bytes, coarsely.
func size(n uint64) string {
	value, unit := float64(n), "bytes"
	for _, next := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if value < 1024 {
			break
		}
		value, unit = value/1024, next
	}
	if unit == "bytes" {
		return fmt.Sprintf("%d bytes", n)
	}
	return fmt.Sprintf("%.1f %s", value, unit)
}

// printable takes out what a terminal would obey: names come from the service.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, strings.TrimRight(s, " "))
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
