package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"ssmrun/internal/agent/journal"
	"ssmrun/internal/agent/output"
	"ssmrun/internal/agent/plugin"
	"ssmrun/internal/agent/plugin/shellscript"
	"ssmrun/internal/agent/policy"
	"ssmrun/internal/agent/state"
	"ssmrun/internal/agentlink"
	"ssmrun/internal/executor"
)

// tidyEvery is how often the journal is tidied at least; a finished command asks
// for it too.
const tidyEvery = 10 * time.Minute

// Agent is one agent. Make it with New, run it with Run, once.
type Agent struct {
	cfg      Config
	log      *slog.Logger
	folder   *state.Folder
	journal  *journal.Journal
	exec     *executor.Executor
	plugins  map[string]plugin.Plugin
	identity agentlink.Identity // set before link is
	link     *agentlink.Link
	uploader *output.Uploader
	policy   *policy.Keeper // nil: none is looked for
	status   *statusKeeper

	readyOnce  sync.Once
	tidy       chan struct{}   // asks for a tidying
	stopped    context.Context // ends when the agent stops
	setStopped context.CancelFunc

	mu        sync.Mutex
	commands  map[string]*command // queued and running, by journal key
	queue     []*command
	running   int
	held      bool // nothing is begun yet: see resumeDelay
	stopping  bool
	cancelled cancels              // of commands that did not come yet
	owed      map[string]owedReply // by message id
	ownName   string               // of the agent's user
	troubles  *troubles            // what went wrong last
	// policySaid is what was last logged of the policy; nil for nothing.
	policySaid *string
	workers    sync.WaitGroup

	parked      map[string]*command // wait for the host to be restarted, by journal key
	rebootAsked bool                // the host was asked to
	changed     chan struct{}       // wakes rebooter: a command was parked, or is over
}

// New opens the state folder and locks it. state.ErrLocked is in the chain of
// the error where another agent works on it. Close the agent unless Run is
// called.
func New(cfg Config) (*Agent, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	last := &troubles{}
	cfg.Logger = slog.New(remembering{cfg.Logger.Handler(), last})
	cfg.Executor.Logger = cfg.Logger
	if err := cfg.checkRunAs(); err != nil {
		return nil, err
	}
	folder, err := state.Open(cfg.StateDir, cfg.Now(), cfg.Version)
	if err != nil {
		return nil, err
	}
	j, err := journal.Open(folder.Journal(), journal.Options{Now: cfg.Now, Logger: cfg.Logger, MaxBytes: cfg.JournalLimit})
	if err != nil {
		return nil, errors.Join(err, folder.Close())
	}
	a := &Agent{
		cfg: cfg, log: cfg.Logger, folder: folder, journal: j,
		exec: executor.New(cfg.Executor), plugins: cfg.Plugins,
		tidy: make(chan struct{}, 1), commands: map[string]*command{}, held: true,
		owed: map[string]owedReply{}, ownName: ownName(), troubles: last,
		parked: map[string]*command{}, changed: make(chan struct{}, 1),
	}
	a.status = newStatusKeeper(a)
	if err := a.openPolicy(); err != nil {
		return nil, errors.Join(err, a.Close())
	}
	a.stopped, a.setStopped = context.WithCancel(context.Background())
	if a.plugins == nil {
		a.plugins = map[string]plugin.Plugin{shellscript.Action: shellscript.New(a.exec)}
	}
	return a, nil
}

// Close gives the state folder free. Run does it by itself.
func (a *Agent) Close() error { return errors.Join(a.journal.Close(), a.folder.Close()) }

// InstanceID is the instance's id; "" before Run has registered it.
func (a *Agent) InstanceID() string { return a.identity.InstanceID }

// Run runs the agent until ctx ends, or, for a local agent, until its service is
// gone; both are no error. What runs then is killed and reported as failed, and
// the service is told that the agent goes. An error means that the agent could
// not begin its work.
func (a *Agent) Run(ctx context.Context) (err error) {
	defer func() {
		if err := a.Close(); err != nil {
			a.log.Error("close state folder", "error", err)
		}
	}()
	defer func() {
		if err != nil {
			a.troubles.note(a.cfg.Now(), err.Error()) // the program prints it
		}
		a.status.write(a.cfg.Now())
	}()
	if err := os.MkdirAll(a.cfg.WorkDir, 0o700); err != nil {
		return fmt.Errorf("make working folder: %w", err)
	}
	if err := a.loadIdentity(); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	// Whatever an earlier agent left running is ended before anything else.
	if err := a.recover(); err != nil {
		return err
	}
	ctx, orphaned := context.WithCancelCause(ctx)
	defer orphaned(nil)
	var background sync.WaitGroup
	defer background.Wait()
	defer orphaned(nil)
	background.Go(func() { a.status.keep(ctx) })
	// A stopping agent is alive too.
	pctx, proven := context.WithCancel(context.WithoutCancel(ctx))
	defer proven()
	background.Go(func() { a.status.prove(pctx) })
	if a.cfg.Local {
		background.Go(func() { a.watchService(ctx, orphaned) })
	}
	if err := a.register(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	link := agentlink.New(agentlink.Config{
		Identity: a.identity, Endpoints: a.cfg.endpoints(a.identity.Region), Handler: a, Acked: a.acked, Opened: a.opened, Room: a.room,
		Info: a.info, SaveIdentity: a.saveIdentity, HTTP: a.cfg.HTTP, Now: a.cfg.Now, Seed: a.cfg.Seed,
		Logger: a.log, Timing: a.cfg.Timing,
	})
	a.uploader = output.New(output.Config{
		Credentials: link.Credentials, Endpoint: a.cfg.endpoint(serviceS3, a.identity.Region), Region: a.identity.Region, Notes: a.folder.Uploads(),
		HTTP: a.cfg.HTTP, Logger: a.log,
	})
	leftUploads := a.uploader.Left()
	a.mu.Lock()
	a.link = link
	a.mu.Unlock()
	if err := a.resendOwed(); err != nil {
		return err
	}
	a.ready()
	a.log.Info("agent runs", "instance", a.identity.InstanceID, "region", a.identity.Region,
		"version", a.cfg.Version, "state", a.folder.Dir(), "process_trees", a.exec.Method())

	// The channel outlives ctx: what stopping has to say goes through it.
	lctx, disconnect := context.WithCancel(context.WithoutCancel(ctx))
	defer disconnect()
	background.Go(func() { a.link.Run(lctx) })
	background.Go(func() { a.janitor(ctx) })
	background.Go(func() { a.uploader.Tidy(ctx, leftUploads) })
	background.Go(func() { a.rebooter(ctx) })
	<-ctx.Done()
	a.stop(context.Cause(ctx))
	return nil
}

// stop ends what runs, says so, and lets the replies go out.
func (a *Agent) stop(cause error) {
	if errors.Is(cause, context.Canceled) {
		cause = errors.New("it was told to")
	}
	a.log.Info("agent stops", "cause", cause)
	a.stops()
	a.mu.Lock()
	a.stopping = true
	for _, c := range a.commands {
		c.cancel(plugin.ErrStopping)
	}
	a.mu.Unlock()
	a.setStopped()
	a.workers.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), a.cfg.stopGrace)
	defer cancel()
	if left := a.link.Flush(ctx); left > 0 {
		a.log.Info("replies are kept for the next start", "replies", left)
	}
}

// restAfter is how long after the last command the agent gives memory back.
const restAfter = 5 * time.Second

// janitor tidies the journal now and then, and gives the memory that commands took
// back to the system: an agent rests nearly always.
func (a *Agent) janitor(ctx context.Context) {
	tick := time.NewTicker(tidyEvery)
	defer tick.Stop()
	rest := time.NewTimer(restAfter) // the start took some, too
	defer rest.Stop()
	a.tidyJournal()
	for {
		select {
		case <-ctx.Done():
			return
		case <-rest.C:
			if !a.busy() {
				debug.FreeOSMemory()
			}
			continue
		case <-tick.C:
		case <-a.tidy:
			rest.Reset(restAfter)
		}
		a.tidyJournal()
	}
}

func (a *Agent) tidyJournal() {
	if err := a.journal.Tidy(); err != nil {
		a.log.Error("tidy journal", "error", err)
	}
}

// info is what heartbeats tell.
func (a *Agent) info() agentlink.Info {
	p := a.cfg.Platform
	return agentlink.Info{
		AgentName: Name, AgentVersion: a.cfg.Version, ComputerName: p.ComputerName, IPAddress: p.IPAddress,
		PlatformType: p.Type, PlatformName: p.Name, PlatformVersion: p.Version,
	}
}
