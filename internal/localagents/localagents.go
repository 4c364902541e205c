// Package localagents starts, adopts and stops the agents that `ssmrun serve
// --local-agents N` runs on its own machine. daemon calls it; it calls identity
// for their activations and package agent/state for the files by which the two
// know of each other.
//
// A local agent is a process of a session of its own: a terminal's Ctrl-C, and
// the death of the service, do not reach it. So a service that was killed finds
// its agents at work when it starts again on the same data folder, and adopts
// them; without a service they end by themselves.
package localagents

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"ssmrun"
	"ssmrun/internal/agent/state"
	"ssmrun/internal/identity"
)

// Config is what a Manager needs.
type Config struct {
	// Dir holds a folder per agent, named by its instance id.
	Dir string
	// Count is how many agents run.
	Count int
	// Command is the program that runs an agent and its first arguments; the
	// manager adds flags.
	Command []string
	// Path is the PATH of the agents' scripts; "" leaves the agent's default.
	Path string
	// EndpointFile is where the service says where it is.
	EndpointFile string
	Scope        ssmrun.Scope
	Identity     *identity.Service
	// Known tells where the service has an instance of this id; false for nowhere.
	Known  func(ctx context.Context, id string) (ssmrun.Scope, bool, error)
	Logger *slog.Logger
	Now    func() time.Time
}

// Manager looks after the agents.
type Manager struct {
	cfg    Config
	agents []*agent
}

// agent is one of them, ours or adopted.
type agent struct {
	id   string
	dir  string
	log  *slog.Logger
	mu   sync.Mutex
	proc *os.Process   // of the one that runs
	gone chan struct{} // closed when proc has ended
}

// Start adopts the agents that run and starts those that are missing. ctx ends
// the looking-after, not the agents.
func Start(ctx context.Context, cfg Config) (*Manager, error) {
	m := &Manager{cfg: cfg}
	ids, err := m.ids(ctx)
	if err != nil {
		return nil, err
	}
	for n, id := range ids {
		a := &agent{id: id, dir: filepath.Join(cfg.Dir, id), log: cfg.Logger.With("instance", id)}
		if n >= cfg.Count {
			// Fewer are wanted than there were.
			if p, ok := running(a.dir); ok {
				a.log.Info("stop a local agent that is not wanted any more", "pid", p.Pid)
				_ = p.Signal(stopSignal)
			}
			continue
		}
		if err := m.ensure(ctx, a); err != nil {
			stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			return nil, errors.Join(fmt.Errorf("start local agent %s: %w", id, err), m.Stop(stop))
		}
		m.agents = append(m.agents, a)
		go m.watch(ctx, a)
	}
	return m, nil
}

// IDs gives the agents' instance ids, sorted.
func (m *Manager) IDs() []string {
	ids := make([]string, len(m.agents))
	for i, a := range m.agents {
		ids[i] = a.id
	}
	return ids
}

// ids gives the ids of the folders that there are, and new ones up to Count. An
// instance belongs to a region for good: the agents of another one, which was
// served before, rest.
func (m *Manager) ids(ctx context.Context) ([]string, error) {
	if err := os.MkdirAll(m.cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of the local agents: %w", err)
	}
	entries, err := os.ReadDir(m.cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("read the folder of the local agents: %w", err)
	}
	var ids []string
	for _, e := range entries {
		if !e.IsDir() || !ssmrun.ValidInstanceID(e.Name()) {
			continue
		}
		scope, known, err := m.cfg.Known(ctx, e.Name())
		if err != nil {
			return nil, err
		}
		if !known || scope == m.cfg.Scope {
			ids = append(ids, e.Name())
		}
	}
	for len(ids) < m.cfg.Count {
		raw := make([]byte, 9)
		if _, err := rand.Read(raw); err != nil {
			return nil, fmt.Errorf("make an instance id: %w", err)
		}
		id := "i-" + hex.EncodeToString(raw)[:17]
		if err := os.MkdirAll(filepath.Join(m.cfg.Dir, id), 0o700); err != nil {
			return nil, fmt.Errorf("make the folder of a local agent: %w", err)
		}
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids, nil
}

// ensure adopts the agent or starts it.
func (m *Manager) ensure(ctx context.Context, a *agent) error {
	if p, ok := running(a.dir); ok {
		a.log.Info("local agent adopted", "pid", p.Pid)
		a.set(p, m.adopted(a.dir))
		return nil
	}
	return m.start(ctx, a)
}

// running finds the agent that works on a folder. The handle is taken before
// the check, so that it cannot come to mean another process with the same pid.
func running(dir string) (*os.Process, bool) {
	rec, err := state.ReadProcess(dir)
	if err != nil {
		return nil, false
	}
	p, err := os.FindProcess(rec.PID)
	if err != nil || !rec.Alive() {
		return nil, false
	}
	return p, true
}

// adopted gives a channel that closes when the agent on a folder has ended. It
// is no child of ours, so that all there is is to look.
func (m *Manager) adopted(dir string) chan struct{} {
	gone := make(chan struct{})
	rec, _ := state.ReadProcess(dir)
	go func() {
		defer close(gone)
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for rec.Alive() {
			<-tick.C
		}
	}()
	return gone
}

func (a *agent) set(p *os.Process, gone chan struct{}) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.proc, a.gone = p, gone
}

func (a *agent) get() (*os.Process, chan struct{}) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.proc, a.gone
}

// start starts an agent's process, with an activation where it has none yet.
func (m *Manager) start(ctx context.Context, a *agent) error {
	activation := filepath.Join(a.dir, "activation.json")
	registered, err := m.registered(ctx, a)
	if err != nil {
		return err
	}
	if !registered {
		id, code, err := m.cfg.Identity.CreateActivation(ctx, identity.NewActivation{
			Scope: m.cfg.Scope, IamRole: identity.DefaultRole, Description: "local agent " + a.id, InstanceID: a.id, Forget: true,
		})
		if err != nil {
			return err
		}
		if err := state.WriteActivation(activation, state.Activation{ID: id, Code: code, Region: m.cfg.Scope.Region}); err != nil {
			return err
		}
	}
	work := filepath.Join(a.dir, "work")
	if err := os.MkdirAll(work, 0o700); err != nil {
		return fmt.Errorf("make the working folder: %w", err)
	}
	log, err := os.OpenFile(filepath.Join(a.dir, "agent.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open the agent's log: %w", err)
	}
	defer log.Close()
	args := append(slices.Clone(m.cfg.Command[1:]),
		"--local", "--state", a.dir, "--endpoint-file", m.cfg.EndpointFile,
		"--activation-file", activation, "--work-dir", work)
	if m.cfg.Path != "" {
		args = append(args, "--path", m.cfg.Path)
	}
	// Not bound to ctx: the agent outlives us on purpose. Its environment is
	// made here: nothing of the service's, AWS_* above all, reaches it.
	cmd := exec.Command(m.cfg.Command[0], args...)
	cmd.Dir = a.dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + work}
	cmd.Stdout, cmd.Stderr = log, log
	ownSession(cmd)
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", m.cfg.Command[0], err)
	}
	gone := make(chan struct{})
	a.set(cmd.Process, gone)
	go func() {
		_ = cmd.Wait() // reaps it; how it ended is in its log
		close(gone)
	}()
	a.log.Info("local agent started", "pid", cmd.Process.Pid)
	return nil
}

// registered tells whether the agent has a registration that the service knows
// of. One that it does not know, because its store was lost, is put away.
func (m *Manager) registered(ctx context.Context, a *agent) (bool, error) {
	file := filepath.Join(a.dir, "registration.json")
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	_, known, err := m.cfg.Known(ctx, a.id)
	if err != nil || known {
		return known, err
	}
	a.log.Warn("the service does not know this agent any more; it registers anew")
	return false, os.Remove(file)
}

// watch starts an agent again that ended by itself.
func (m *Manager) watch(ctx context.Context, a *agent) {
	pause := time.Second
	for {
		_, gone := a.get()
		started := m.cfg.Now()
		select {
		case <-ctx.Done():
			return
		case <-gone:
		}
		if m.cfg.Now().Sub(started) > time.Minute {
			pause = time.Second
		}
		a.log.Warn("local agent ended by itself; it is started again", "in", pause, "log", filepath.Join(a.dir, "agent.log"))
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		pause = min(2*pause, 30*time.Second)
		if err := m.ensure(ctx, a); err != nil {
			a.log.Error("start local agent", "error", err)
		}
	}
}

// Stop asks all agents to end and waits until they have; those that have not
// when ctx is done are killed. The context that was given to Start must be done
// before, or they are started again.
func (m *Manager) Stop(ctx context.Context) error {
	for _, a := range m.agents {
		if p, gone := a.get(); p != nil && !closed(gone) {
			_ = p.Signal(stopSignal)
		}
	}
	var errs []error
	for _, a := range m.agents {
		p, gone := a.get()
		if p == nil {
			continue
		}
		select {
		case <-gone:
		case <-ctx.Done():
			errs = append(errs, fmt.Errorf("local agent %s (pid %d) did not stop in time and was killed", a.id, p.Pid))
			_ = p.Kill()
		}
	}
	return errors.Join(errs...)
}

func closed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
