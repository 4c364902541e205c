package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"ssmrun"
	"ssmrun/internal/agent/journal"
	"ssmrun/internal/agent/plugin"
	"ssmrun/internal/document"
	"ssmrun/internal/wire"
)

// A script that exits with 194 asks for a restart of the host, and to be run
// again after it:
//
//	exit 194 ─ journal: asks ─ reply SuccessAndReboot ─ parked
//	parked ─ others are over, or rebootPatience ─► the host is asked ─┬─ it restarts: the next agent runs the step again
//	   │                                                              └─ it does not: the step fails
//	   └─ cancel ─► Cancelled
//
// The system's boot id tells the next agent whether the host was restarted. From
// the request to the restart nothing is begun here: commands wait at the service.

// rebootNote is what the journal keeps of a document whose step asks for a
// reboot.
type rebootNote struct {
	// Exited: an earlier step ended the document; this one is its finallyStep.
	Exited bool `json:"exited,omitempty"`
	// Before is the result of the properties of the same plugin that are over.
	Before *plugin.Result `json:"before,omitempty"`
	// Started is when the step began, the first time.
	Started time.Time `json:"started"`
}

// resume is where a command goes on.
type resume struct {
	rebootNote
	step           int // index of the step that asked for the reboot
	stdout, stderr []byte
	told           map[string]wire.PluginStatus // results of the steps before, by name
	failure        string                       // why the step is not run again; "" where it is
}

// of tells whether the command goes on with this group.
func (r *resume) of(g group) bool {
	return r != nil && g[0].Index <= r.step && r.step <= g[len(g)-1].Index
}

// before tells whether the group comes before the one with which the command
// goes on.
func (r *resume) before(g group) bool { return r != nil && g[len(g)-1].Index < r.step }

// askReboot makes a step's request durable and tells the service. The answer is
// why there will be no reboot, "" where there will.
func (a *Agent) askReboot(c *command, g group, s document.Step, out *streams, note rebootNote) string {
	_, asked := c.entry.Reboot()
	switch {
	case a.cfg.Reboot == nil:
		return "this agent does not restart its host (a local agent of a service, or --reboot-command is empty): restart it and send the rest as another command"
	case asked >= ssmrun.MaxReboots:
		return fmt.Sprintf("it has asked for %d reboots, which is the most that one command may have: the script must not exit with this code once it has what it restarted for", asked)
	}
	b, err := json.Marshal(note)
	r := journal.Reboot{Step: s.Index, BootID: a.cfg.bootID(), Note: b, Stdout: out.stdout.head.Head(), Stderr: out.stderr.head.Head()}
	if err == nil {
		err = out.keep(a.rebootFolder(c.entry.Key()))
	}
	if err == nil {
		err = c.entry.AskReboot(r)
	}
	if err != nil {
		// The step ends here, with the output that it had.
		*out = *a.newStreams(c, g, a.rebootFolder(c.entry.Key()))
		out.restore(&resume{stdout: r.Stdout, stderr: r.Stderr})
		return fmt.Sprintf("the agent could not keep for afterwards what ran before: %v", innermost(err))
	}
	c.resume = &resume{rebootNote: note, step: s.Index, stdout: r.Stdout, stderr: r.Stderr, told: c.results}
	so := map[string]wire.PluginStatus{g.name(): out.soFar(g, note.Started)}
	m, err := message(c.jobID, wire.TopicSendCommand, a.newReply(wire.StatusSuccessAndReboot, "", so), -1, false)
	if err != nil {
		a.log.Error("report reboot", "command", c.id, "error", err)
		return ""
	}
	a.deliver(c.entry, m)
	return ""
}

// park keeps a command until the host was restarted. a.mu is held.
func (a *Agent) park(c *command) {
	a.commands[c.entry.Key()] = c
	a.parked[c.entry.Key()] = c
	a.poke()
}

// rebootPending tells whether nothing may be begun any more. a.mu is held.
func (a *Agent) rebootPending() bool { return len(a.parked) > 0 || a.rebootAsked }

// poke wakes rebooter.
func (a *Agent) poke() {
	select {
	case a.changed <- struct{}{}:
	default:
	}
}

// rebooter restarts the host when commands ask for it, until ctx ends.
func (a *Agent) rebooter(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.changed:
		}
		a.mu.Lock()
		wanted := len(a.parked) > 0
		a.mu.Unlock()
		if wanted && a.alone(ctx) {
			a.restartHost(ctx)
		}
	}
}

// alone waits until nothing else runs, though not for ever, and tells whether a
// reboot is wanted then.
func (a *Agent) alone(ctx context.Context) bool {
	patience := time.NewTimer(a.cfg.rebootPatience)
	defer patience.Stop()
	for over := false; ; {
		a.mu.Lock()
		wanted, running := len(a.parked) > 0, a.running
		a.mu.Unlock()
		if !wanted || running == 0 || over {
			return wanted && ctx.Err() == nil
		}
		select {
		case <-ctx.Done():
			return false
		case <-patience.C:
			a.log.Warn("the host is restarted although commands run", "running", running)
			over = true
		case <-a.changed:
		}
	}
}

// restartHost asks the system for the restart and waits for it.
func (a *Agent) restartHost(ctx context.Context) {
	// The service had better know before the connection goes.
	fctx, cancel := context.WithTimeout(ctx, a.cfg.stopGrace)
	a.link.Flush(fctx)
	cancel()
	a.mu.Lock()
	if len(a.parked) == 0 || a.stopping {
		a.mu.Unlock()
		return
	}
	a.rebootAsked = true
	a.mu.Unlock()
	a.log.Warn("a command asked for it: the host is restarted")
	failure := ""
	if err := a.cfg.Reboot(ctx); err != nil {
		failure = fmt.Sprintf("the host could not be restarted: %v", err)
	} else if sleep(ctx, a.cfg.rebootWait) == nil {
		failure = fmt.Sprintf("the host was asked to restart and has not done so in %v; was the shutdown called off?", a.cfg.rebootWait)
	}
	if ctx.Err() != nil {
		return // the restart has come, or the agent is stopped: the next one decides
	}
	a.log.Error("no reboot", "reason", failure)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.rebootAsked = false
	for key, c := range a.parked {
		delete(a.parked, key)
		c.resume.failure = failure
		a.queue = append(a.queue, c)
	}
	a.dispatch()
}

// cancelParked ends a command that waits for a reboot, or for its turn after one.
// Should the host have been asked already, it restarts all the same. a.mu is held.
func (a *Agent) cancelParked(c *command) {
	delete(a.parked, c.entry.Key())
	a.queue = slices.DeleteFunc(a.queue, func(other *command) bool { return other == c })
	if a.stopping {
		return // the journal knows of the cancel
	}
	c.running = true
	a.workers.Go(func() {
		a.execute(c) // nothing runs any more: it only reports
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.commands, c.entry.Key())
		a.dispatch()
	})
}

// recoverParked goes on with a command of an earlier run that had asked for a
// reboot.
func (a *Agent) recoverParked(c *command, r *journal.Reboot) {
	c.resume = &resume{step: r.Step, stdout: r.Stdout, stderr: r.Stderr, told: a.toldResults(c.entry)}
	if err := json.Unmarshal(r.Note, &c.resume.rebootNote); err != nil {
		c.resume.failure = "the agent's journal of this command is damaged"
	}
	boot, age := a.cfg.bootID(), a.cfg.Now().Sub(r.At)
	restarted := r.BootID == "" || boot != r.BootID // where it is not known, an agent that starts anew has to do
	switch {
	case c.entry.Cancelled():
		c.cancel(plugin.ErrCancelled)
	case restarted && age > ssmrun.RebootGrace:
		c.resume.failure = fmt.Sprintf("the host was away for so long after the reboot (asked for %s) that the script should not be run again any more", wire.FormatTime(r.At))
	case restarted:
		a.log.Info("the host was restarted: a command goes on", "command", c.id, "step", r.Step)
	case age > a.cfg.rebootPatience+a.cfg.rebootWait:
		c.resume.failure = fmt.Sprintf("the host was asked to restart %s and has not done so", wire.FormatTime(r.At))
	default:
		a.log.Info("a command waits for the host to be restarted", "command", c.id)
		a.mu.Lock()
		defer a.mu.Unlock()
		a.park(c)
		return
	}
	a.submit(c)
}
