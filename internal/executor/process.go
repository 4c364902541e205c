package executor

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// killedExitCode is the exit code of every step that was ended from outside, the
// shell's for a death by SIGKILL.
const killedExitCode = 128 + 9

// errKilled stands for a nil cause.
var errKilled = errors.New("killed")

// Result is how a step ended.
type Result struct {
	// ExitCode is the program's exit code, 128 plus the signal's number if a
	// signal ended it, always 137 with TimedOut or Cancelled, and -1 if it could
	// not be learned (Err says why).
	ExitCode int
	// Signal is the number of the signal that ended the program's own process,
	// 0 if it exited. With it a script that was killed by someone else differs
	// from one that exited 137.
	Signal int
	// TimedOut says that Spec.Timeout passed and the tree was killed.
	TimedOut bool
	// Cancelled says that Kill or the context's end killed the tree; Cause tells
	// a cancel from a shutdown. At most one of TimedOut and Cancelled is true.
	Cancelled bool
	// Cause is ErrTimeout, what Kill was given or context.Cause of the context;
	// nil if the step ended by itself.
	Cause error
	// Err is a failure of the machinery, not of the script: a supervisor that was
	// killed, a process that SIGKILL did not end. It may come with each of the
	// above.
	Err error
	// Started and Finished are Config.Now's, just after the program began and
	// when the step was over.
	Started, Finished time.Time
}

// Process is one started step.
type Process struct {
	exec    *Executor
	id      string
	tree    tree
	started time.Time

	mu     sync.Mutex
	cause  error
	killed chan struct{} // closed by the first Kill

	done   chan struct{} // closed when result is set
	result Result
}

// tree is one process tree as the operating system's files implement it. Its
// methods are called from one goroutine, handle and exited excepted.
type tree interface {
	handle() Handle
	// exited receives one value: how the program's own process ended.
	exited() <-chan exit
	// kill ends every process of the tree and returns when they are gone, or
	// after wait with an error.
	kill(wait time.Duration) error
	// release is called once, last: nothing is killed, what lives on is left.
	release()
}

// exit is how the program's own process ended.
type exit struct {
	code   int
	signal int
	err    error
}

// Handle says how to find the tree again after a restart of the agent.
func (p *Process) Handle() Handle { return p.tree.handle() }

// Done is closed when the step is over, and Wait will not block.
func (p *Process) Done() <-chan struct{} { return p.done }

// Wait blocks until the step is over and returns how it ended. It may be called
// any number of times, also never: nothing leaks.
func (p *Process) Wait() Result {
	<-p.done
	return p.result
}

// Kill ends the whole tree; it returns at once, Wait tells when it is gone. The
// first cause stays; after the step's end Kill does nothing. A nil cause is
// allowed.
func (p *Process) Kill(cause error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cause != nil {
		return
	}
	if p.cause = cause; cause == nil {
		p.cause = errKilled
	}
	close(p.killed)
}

// run carries the step from its start to its end; drained is closed when both
// streams have ended.
func (p *Process) run(ctx context.Context, timeout time.Duration, out *draining) {
	var timer <-chan time.Time
	if timeout > 0 {
		t := time.NewTimer(timeout)
		defer t.Stop()
		timer = t.C
	}
	res := Result{Started: p.started}
	var end exit
	exited, drained := p.tree.exited(), out.done
	for res.Cause == nil && (exited != nil || drained != nil) {
		select {
		case end = <-exited:
			exited = nil
			if end.err != nil {
				// Nobody will report the script's end any more: what is left of
				// the tree must not outlive the step unseen.
				p.Kill(end.err)
			}
		case <-drained:
			drained = nil
		case <-timer:
			res.Cause = ErrTimeout
		case <-p.killed:
			res.Cause = p.cause
		case <-ctx.Done():
			res.Cause = context.Cause(ctx)
		}
	}
	var errs []error
	if res.Cause != nil {
		end, errs = p.end(end, exited, out)
	}
	p.tree.release()

	res.ExitCode, res.Signal = end.code, end.signal
	switch {
	case end.err != nil:
		errs = append(errs, end.err)
		if errors.Is(res.Cause, end.err) {
			res.Cause = nil
		} else {
			res.ExitCode = killedExitCode
		}
	case res.Cause != nil:
		res.ExitCode = killedExitCode
	}
	if res.Cause != nil {
		res.TimedOut = errors.Is(res.Cause, ErrTimeout)
		res.Cancelled = !res.TimedOut
	}
	res.Err = errors.Join(errs...)
	res.Finished = p.exec.now()
	if res.Err != nil {
		p.exec.log.Warn("step ended with a failure of its machinery", "id", p.id, "err", res.Err)
	}
	p.result = res
	close(p.done)
}

// end kills the tree and collects what is still to come of it, within bounds.
func (p *Process) end(end exit, exited <-chan exit, out *draining) (exit, []error) {
	var errs []error
	if err := p.tree.kill(p.exec.killWait); err != nil {
		errs = append(errs, fmt.Errorf("kill process tree of %s: %w", p.id, err))
	}
	wait := time.NewTimer(p.exec.strayWait)
	defer wait.Stop()
	drained := out.done
	for exited != nil || drained != nil {
		select {
		case end = <-exited:
			exited = nil
		case <-drained:
			drained = nil
		case <-wait.C:
			if drained != nil {
				errs = append(errs, fmt.Errorf("read output of %s: a process outside the killed tree holds it open; closed after %v", p.id, p.exec.strayWait))
				out.abort()
				<-drained
			}
			if exited != nil {
				end = exit{code: killedExitCode, signal: 9}
			}
			return end, errs
		}
	}
	return end, errs
}
