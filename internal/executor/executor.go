package executor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// defaultKillWait is how long a killed tree may take to be gone. SIGKILL acts in
// milliseconds; only a process stuck in the kernel (a dead NFS server) takes
// longer, and the step must not be stuck with it.
const defaultKillWait = 10 * time.Second

// strayOutputWait is how long the output may stay open after the tree is gone.
// Then a process outside the tree holds it (it was handed the descriptor), which
// no kill will change.
const strayOutputWait = 2 * time.Second

// ErrTimeout is the [Result].Cause of a step that ran longer than [Spec].Timeout.
var ErrTimeout = errors.New("execution timeout passed")

// ErrDir is wrapped by the error of [Executor.Start] when [Spec].Dir does not
// exist, is no folder or may not be entered; the step has then not begun.
var ErrDir = errors.New("working directory cannot be used")

// Config is what an [Executor] needs from outside. The zero value works.
type Config struct {
	// Logger gets one line when the method of holding trees is chosen or lost,
	// and per step at debug level. Arguments and environments are never logged.
	// Nil discards.
	Logger *slog.Logger

	// Now is the clock behind [Result].Started and Finished, and the age of old
	// cgroups in New. Timeouts run on the monotonic clock, so a clock step ends no
	// script early. Nil is time.Now.
	Now func() time.Time

	// SelfExe is the program that is re-executed as the supervisor; its main must
	// begin with the [IsSupervisor] dispatch. Empty is this very program (on Linux
	// through /proc/self/exe, which still works after the file was replaced by an
	// upgrade).
	SelfExe string

	// CgroupParent is the folder, in a cgroup v2 mount, below which each step gets
	// its cgroup. Empty finds the agent's own. Where it cannot be used the
	// supervisor is. Linux only.
	CgroupParent string

	// NoCgroup makes every step use a supervisor, whatever cgroups there are.
	NoCgroup bool

	// KillWait bounds the wait for a killed tree to be gone; after it the step
	// ends with an error that says what is left. 0 is 10 s.
	KillWait time.Duration
}

// Sink takes one stream of a script, in order and from one goroutine. It shall
// return quickly and hold a bounded amount: while it blocks, the script does too.
// After an error it is called no more, and the stream is read on and dropped.
type Sink interface{ io.Writer }

// Spec is one program to run.
type Spec struct {
	// Path is the program. Without a slash it is looked up in the PATH of Env,
	// never in the agent's own; with one it must be absolute or is taken relative
	// to Dir.
	Path string

	// Args are the arguments after the program's name.
	Args []string

	// Dir is the working directory: absolute, or empty for the agent's own.
	Dir string

	// Env is the whole environment, as "NAME=value". Nothing is inherited and
	// nothing added, so nil is an empty one.
	Env []string

	// User is whom the program runs as; nil is the agent's own user. Linux only,
	// and only for an agent that is root.
	User *User

	// Stdout and Stderr take the output. Nil connects the stream to /dev/null; it
	// then holds no step open. One sink for both is called from two goroutines.
	Stdout, Stderr Sink

	// Timeout kills the tree when the step is still open this long after its
	// start. 0 is no limit; a negative one is refused.
	Timeout time.Duration

	// ID names the step in logs and in its cgroup, so that ps and systemd-cgls
	// show which command a process belongs to. Any string; it need not be unique.
	ID string

	// BeforeStart, if not nil, gets the handle just before the program begins, so
	// that a journal written here knows how to find the tree even if the agent
	// dies in the very next moment. PID may be 0 in it. An error aborts the start
	// and is returned by it. It is called again when the first way of holding the
	// tree was refused by the system: the last handle counts.
	BeforeStart func(Handle) error
}

// Handle says how to find a started tree again; it is written to a journal as
// JSON. It holds no argument, environment or output.
type Handle struct {
	// BootID is the boot in which the tree was started: process ids and cgroups
	// mean nothing in another.
	BootID string `json:"boot_id,omitempty"`
	// PID and StartTicks are the script's first process and its start as the
	// system counts it (Linux: clock ticks since boot; macOS: microseconds since
	// 1970; Windows: 100 ns since 1601), which together name one process for ever:
	// ids are reused.
	PID        int    `json:"pid,omitempty"`
	StartTicks uint64 `json:"start_ticks,omitempty"`
	// Cgroup is the absolute path of the step's own cgroup, empty without one.
	Cgroup string `json:"cgroup,omitempty"`
	// SupervisorPID and SupervisorStartTicks are the supervisor, 0 without one.
	SupervisorPID        int    `json:"supervisor_pid,omitempty"`
	SupervisorStartTicks uint64 `json:"supervisor_start_ticks,omitempty"`
	// Job is the name of the step's job object on Windows.
	Job string `json:"job,omitempty"`
}

// Executor starts and ends process trees. It is safe for concurrent use and
// holds no process itself, so it needs no Close.
type Executor struct {
	log       *slog.Logger
	now       func() time.Time
	selfExe   string
	killWait  time.Duration
	strayWait time.Duration
	platform  platform
}

// New returns an executor. On Linux it looks for a cgroup that it may use and
// removes empty ones that earlier steps left. It cannot fail: without cgroups
// there is the supervisor.
func New(cfg Config) *Executor {
	e := &Executor{
		log: cfg.Logger, now: cfg.Now, selfExe: cfg.SelfExe,
		killWait: cfg.KillWait, strayWait: strayOutputWait,
	}
	if e.log == nil {
		e.log = slog.New(slog.DiscardHandler)
	}
	if e.now == nil {
		e.now = time.Now
	}
	if e.killWait <= 0 {
		e.killWait = defaultKillWait
	}
	e.platform.init(e, cfg)
	return e
}

// Method names how the next step's tree will be held together: "cgroup",
// "supervisor", "descendants", "group" or "job" (see the package documentation).
func (e *Executor) Method() string { return e.platform.method() }

// Start starts the program and returns when it runs (its exec succeeded). The
// end of ctx kills the tree, with context.Cause(ctx) as the cause; it does not
// matter to the step's daemons once the step has ended by itself.
//
// An error means that nothing runs: [ErrDir], exec.ErrNotFound or the system's
// own are in its chain. (One exception, and its error says so: a script that kills
// its supervisor within its first millisecond.)
func (e *Executor) Start(ctx context.Context, spec Spec) (*Process, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("start %s: %w", spec.ID, context.Cause(ctx))
	}
	if spec.Timeout < 0 {
		return nil, fmt.Errorf("start %s: timeout %v is negative", spec.ID, spec.Timeout)
	}
	l, err := spec.launch()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", spec.ID, err)
	}
	out, err := openStreams(spec.Stdout, spec.Stderr)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", spec.ID, err)
	}
	l.files = out.child
	t, err := e.startAs(l)
	out.closeChild()
	if err != nil {
		out.closeParent()
		return nil, fmt.Errorf("start %s: %w", spec.ID, err)
	}
	p := &Process{
		exec: e, id: spec.ID, tree: t, started: e.now(),
		killed: make(chan struct{}), done: make(chan struct{}),
	}
	e.log.Debug("step started", "id", spec.ID, "pid", t.handle().PID, "method", e.Method())
	go p.run(ctx, spec.Timeout, out.drain())
	return p, nil
}

// launch is a Spec made ready for the system: every path resolved.
type launch struct {
	id          string
	path        string
	argv        []string // argv[0] included
	dir         string   // absolute
	env         []string // never nil: nil would mean "inherit" to package os
	files       [3]*os.File
	user        *User
	beforeStart func(Handle) error
}

func (s Spec) launch() (launch, error) {
	l := launch{
		id:          s.ID,
		argv:        append([]string{s.Path}, s.Args...),
		env:         append(make([]string, 0, len(s.Env)), s.Env...),
		user:        s.User,
		beforeStart: s.BeforeStart,
	}
	if l.beforeStart == nil {
		l.beforeStart = func(Handle) error { return nil }
	}
	for _, list := range [][]string{l.argv, l.env, {s.Dir}} {
		for _, v := range list {
			if strings.IndexByte(v, 0) >= 0 {
				return launch{}, errors.New("program, argument, environment or directory holds a NUL byte")
			}
		}
	}
	var err error
	if l.dir, err = resolveDir(s.Dir); err != nil {
		return launch{}, err
	}
	l.path, err = resolveProgram(s.Path, l.dir, s.Env)
	return l, err
}

func resolveDir(dir string) (string, error) {
	if dir == "" {
		wd, err := os.Getwd()
		if err != nil {
			return "", fmt.Errorf("%w: find the agent's own: %w", ErrDir, err)
		}
		return wd, nil
	}
	if !filepath.IsAbs(dir) {
		return "", fmt.Errorf("%w: %q is not absolute", ErrDir, dir)
	}
	if err := checkDir(dir); err != nil {
		return "", fmt.Errorf("%w: %w", ErrDir, err)
	}
	return dir, nil
}
