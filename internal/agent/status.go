package agent

import (
	"cmp"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"ssmrun/internal/agent/journal"
	"ssmrun/internal/agent/policy"
	"ssmrun/internal/agent/state"
	"ssmrun/internal/agentlink"
	"ssmrun/internal/document"
)

// statusFile is what a running agent says of itself, in its state folder, mode
// 0600. It is written when something changes, so that it also tells how an agent
// was that is no more. It is a file and no socket: it can be read when the agent
// is stuck or gone, and nothing can be asked of the agent through it.
const statusFile = "status.json"

// StatusCommand is a command that runs or waits.
type StatusCommand struct {
	ID       string `json:"id"`
	Document string `json:"document"`
	// Step is the one that runs; "" between steps and while the command waits.
	Step string `json:"step,omitempty"`
	// Since is when the step began, for a waiting command when it was taken.
	Since time.Time `json:"since"`
}

// StatusPolicy is the host's policy.
type StatusPolicy struct {
	Path string `json:"path"`
	// SHA256 is "" where there is none; Error why it cannot be used.
	SHA256 string `json:"sha256,omitempty"`
	Error  string `json:"error,omitempty"`
}

// Status is what an agent says of itself.
type Status struct {
	PID        int       `json:"pid"`
	Started    time.Time `json:"started"`
	Version    string    `json:"version"`
	InstanceID string    `json:"instance_id,omitempty"`
	Region     string    `json:"region,omitempty"`
	Endpoint   string    `json:"endpoint,omitempty"`
	// Connected tells whether the channel is open, ConnectedSince since when that
	// is so or not so.
	Connected      bool            `json:"connected"`
	ConnectedSince time.Time       `json:"connected_since,omitzero"`
	Channel        string          `json:"channel,omitempty"`
	LastHeartbeat  time.Time       `json:"last_heartbeat,omitzero"`
	Running        []StatusCommand `json:"running"`
	Waiting        []StatusCommand `json:"waiting"`
	RepliesOwed    int             `json:"replies_owed"`
	RunAs          string          `json:"run_as"`
	Policy         *StatusPolicy   `json:"policy,omitempty"`
	LastError      *StatusError    `json:"last_error,omitempty"`
	// Stopped is when the agent ended; zero where it runs, or was killed.
	Stopped time.Time `json:"stopped,omitzero"`
}

const (
	// statusLook is how often an agent looks for a change that nobody told of: of
	// the channel, say.
	statusLook = 5 * time.Second
	// statusPause is between two writings of the file.
	statusPause = 500 * time.Millisecond
)

// statusKeeper writes the status file and tells the service manager.
type statusKeeper struct {
	a       *Agent
	process state.Process
	changed chan struct{}
	written Status // by keep's goroutine
	said    string
}

func newStatusKeeper(a *Agent) *statusKeeper {
	k := &statusKeeper{a: a, changed: make(chan struct{}, 1)}
	k.process, _ = state.ReadProcess(a.folder.Dir()) // New has just written it
	a.troubles.mu.Lock()
	defer a.troubles.mu.Unlock()
	a.troubles.poke = k.poke // a lost connection is a warning
	return k
}

// poke says that something has changed. It never blocks.
func (k *statusKeeper) poke() {
	select {
	case k.changed <- struct{}{}:
	default:
	}
}

// noteStep remembers which step of a command runs.
func (a *Agent) noteStep(c *command, s document.Step) {
	a.mu.Lock()
	c.step, c.stepBegan = s.Name, a.cfg.Now()
	a.mu.Unlock()
	a.status.poke()
}

// prove proves to a watchdog that the agent is alive, until ctx ends: it has to
// get the lock that every command needs.
func (k *statusKeeper) prove(ctx context.Context) {
	period := k.a.cfg.Notify.Watchdog()
	if period == 0 {
		return
	}
	t := time.NewTicker(period / 3)
	defer t.Stop()
	for {
		k.a.mu.Lock()
		k.a.mu.Unlock() //nolint:staticcheck // that it can be had is the proof
		k.tell(k.a.cfg.Notify.Alive())
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

// keep keeps the status file until ctx ends.
func (k *statusKeeper) keep(ctx context.Context) {
	look := time.NewTicker(statusLook)
	defer look.Stop()
	var pause <-chan time.Time // set while nothing is written
	k.write(time.Time{})
	for {
		changed := k.changed
		if pause != nil {
			changed = nil
		}
		select {
		case <-ctx.Done():
			return
		case <-pause:
			pause = nil
			continue
		case <-changed:
			pause = time.After(statusPause)
		case <-look.C:
		}
		k.write(time.Time{})
	}
}

// write writes what has changed since.
func (k *statusKeeper) write(stopped time.Time) {
	s := k.a.snapshot(k.process)
	s.Stopped = stopped
	if !stopped.IsZero() {
		s.Connected, s.ConnectedSince = false, stopped
	}
	if reflect.DeepEqual(s, k.written) {
		return
	}
	k.written = s
	if text := s.sentence(); text != k.said {
		k.said = text
		k.tell(k.a.cfg.Notify.Status(text))
	}
	if err := writeStatus(filepath.Join(k.a.folder.Dir(), statusFile), s); err != nil {
		k.a.log.Debug("write status file", "error", err)
	}
}

// tell takes note of what the service manager could not be told.
func (k *statusKeeper) tell(err error) {
	if err != nil {
		k.a.log.Debug("service manager", "error", err)
	}
}

// sentence is the status in a line.
func (s *Status) sentence() string {
	switch {
	case !s.Stopped.IsZero():
		return "stopped"
	case s.InstanceID == "":
		return "registering this host at " + s.Endpoint
	case !s.Connected:
		return s.InstanceID + " has no connection to " + s.Endpoint
	case len(s.Running) > 0:
		return s.InstanceID + " connected, commands running: " + strconv.Itoa(len(s.Running))
	}
	return s.InstanceID + " connected, idle"
}

// snapshot says how the agent is now.
func (a *Agent) snapshot(p state.Process) Status {
	s := Status{
		PID: p.PID, Started: p.Started, Version: a.cfg.Version, Running: []StatusCommand{}, Waiting: []StatusCommand{},
		LastError: a.troubles.get(), RunAs: a.cfg.RunAs,
	}
	setDefault(&s.RunAs, a.ownName)
	if a.policy != nil {
		p, err := a.currentPolicy()
		s.Policy = &StatusPolicy{Path: a.policy.Path()}
		switch {
		case err != nil:
			s.Policy.Error = strings.TrimPrefix(err.Error(), (&policy.Refusal{Path: a.policy.Path(), Reason: unusable}).Error())
		case p != nil:
			s.Policy.SHA256 = p.SHA256
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	region := ""
	if a.link != nil {
		region = a.identity.Region
	}
	s.Endpoint = a.cfg.ServiceDomain // of which the hosts are known with the region
	if region != "" || s.Endpoint == "" {
		if e, err := a.cfg.endpoints(region)(agentlink.ServiceSSM); err == nil {
			s.Endpoint = e
		}
	}
	if a.link != nil {
		l := a.link.Status()
		s.InstanceID, s.Region = a.identity.InstanceID, a.identity.Region
		s.Connected, s.ConnectedSince, s.Channel, s.LastHeartbeat = l.Connected, utc(l.Since), l.Channel, utc(l.Heartbeat)
	}
	s.RepliesOwed = len(a.owed)
	for _, c := range a.commands {
		sc := StatusCommand{ID: c.id, Document: c.payload.DocumentName, Step: c.step, Since: utc(c.stepBegan)}
		if !c.running {
			sc.Since = utc(c.entry.Accepted())
			s.Waiting = append(s.Waiting, sc)
			continue
		}
		if sc.Since.IsZero() {
			sc.Since = utc(c.entry.Accepted())
		}
		s.Running = append(s.Running, sc)
	}
	for _, list := range [][]StatusCommand{s.Running, s.Waiting} {
		slices.SortFunc(list, func(x, y StatusCommand) int {
			return cmp.Or(x.Since.Compare(y.Since), cmp.Compare(journal.Key(x.ID), journal.Key(y.ID)))
		})
	}
	return s
}

// utc makes times equal that are written alike.
func utc(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.UTC().Truncate(time.Millisecond)
}

// writeStatus replaces the file. It need not survive a power cut, so it is not
// synced.
func writeStatus(path string, s Status) error {
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	tmp := path + ".new"
	if err := os.WriteFile(tmp, append(b, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}
