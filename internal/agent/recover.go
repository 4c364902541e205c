package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"

	"ssmrun"
	"ssmrun/internal/agent/journal"
	"ssmrun/internal/executor"
	"ssmrun/internal/wire"
)

// recover deals with what an earlier run of the agent left unfinished. What
// began is killed and reported; what did not begin is queued again.
func (a *Agent) recover() error {
	for _, e := range a.journal.Entries() {
		if e.Finished() {
			continue
		}
		a.recoverCommand(e)
	}
	a.tidyReboots()
	if err := os.RemoveAll(a.folder.Orchestration()); err != nil {
		return fmt.Errorf("remove folders of earlier commands: %w", err)
	}
	if err := os.Mkdir(a.folder.Orchestration(), 0o700); err != nil {
		return fmt.Errorf("make folder of commands: %w", err)
	}
	return nil
}

func (a *Agent) recoverCommand(e *journal.Entry) {
	steps := e.Steps()
	reboot, _ := e.Reboot()
	var left error
	if reboot == nil { // a step that asks for a reboot has ended by itself
		left = a.killLeftovers(e.Key(), steps)
	}
	jobID := e.JobID()
	if jobID == "" {
		jobID = wire.JobID(e.Key(), a.identity.InstanceID)
	}
	id := e.Key()
	if commandID, _, err := wire.ParseJobID(jobID); err == nil {
		id = commandID
	}
	c, err := a.read(id, jobID, e.Payload())
	if err != nil {
		// The payload could be read once, so the journal is damaged.
		c = &command{id: id, jobID: jobID, cancel: func(error) {}}
		c.entry = e
		a.log.Error("a command of an earlier run is reported as failed", "command", id, "error", e.Damaged())
		a.finishUnknown(c, withLeftover("the agent's journal of this command is damaged; the command may have run, and is not run again", left))
		return
	}
	c.entry = e
	switch {
	case reboot != nil && e.Damaged() == nil:
		a.recoverParked(c, reboot)
	case len(steps) > 0 || e.Damaged() != nil:
		a.log.Warn("a command of an earlier run is reported as ended", "command", id, "cancelled", e.Cancelled())
		a.finishInterrupted(c, steps, left)
	case e.Cancelled():
		a.finishCancelled(c)
	case a.cfg.Now().Sub(e.Accepted()) > resumeWithin:
		a.log.Warn("a command of an earlier run is too old to begin", "command", id, "accepted", e.Accepted())
		a.finishAll(c, wire.StatusFailed, ssmrun.ExitNotStarted, fmt.Sprintf("not run: the agent was away for so long that the command, taken %s, should not begin any more", wire.FormatTime(e.Accepted())))
	default:
		a.log.Info("a command of an earlier run waits its turn", "command", id)
		a.submit(c)
	}
}

// killLeftovers ends the process trees of steps that began. It gives what could
// not be ended.
func (a *Agent) killLeftovers(command string, steps []journal.Step) error {
	var errs []error
	for _, s := range steps {
		var h executor.Handle
		if err := json.Unmarshal(s.Process, &h); err != nil {
			continue // a plugin without processes
		}
		if err := a.exec.KillLeftover(h); err != nil {
			a.log.Error("end what an earlier run left running", "command", command, "step", s.Name, "error", err)
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func withLeftover(note string, left error) string {
	if left != nil {
		note += fmt.Sprintf("\nsomething of it may still run: %v", left)
	}
	return note
}

// finishUnknown ends a command whose steps are not known any more.
func (a *Agent) finishUnknown(c *command, trace string) {
	m, err := message(c.jobID, wire.TopicSendCommand, a.newReply(wire.StatusFailed, trace, nil), -1, true)
	if err != nil {
		a.log.Error("report end", "command", c.id, "error", err)
		return
	}
	a.deliver(c.entry, m)
}

// finishInterrupted ends a command of which something had begun.
func (a *Agent) finishInterrupted(c *command, begun []journal.Step, left error) {
	told := a.toldResults(c.entry)
	began := map[int]journal.Step{}
	for _, s := range begun {
		began[s.Index] = s
	}
	list := groups(c.doc)
	results := make(map[string]wire.PluginStatus, len(list))
	for i, g := range list {
		r, ok := told[g.name()]
		if !ok {
			r = a.interrupted(c, g, began, left)
			if i < len(list)-1 {
				a.report(c, g, r)
			}
		}
		results[g.name()] = r
	}
	var last group
	if n := len(list); n > 0 {
		last = list[n-1]
	}
	a.finish(c, results, "", last, len(list))
}

// interrupted is the result of a step whose end nobody saw.
func (a *Agent) interrupted(c *command, g group, began map[int]journal.Step, left error) wire.PluginStatus {
	for _, s := range g {
		step, ok := began[s.Index]
		if !ok {
			continue
		}
		why := "the agent ended while the step ran; what was left of it was killed"
		var h executor.Handle
		if json.Unmarshal(step.Process, &h) == nil && h.BootID != "" && h.BootID != a.cfg.bootID() {
			why = "the instance was restarted while the step ran"
		}
		status, note := wire.StatusFailed, withLeftover(why+", and it is not run again", left)
		if c.entry.Cancelled() {
			status, note = wire.StatusCancelled, withLeftover("", left)
		}
		r := notRun(g, status, ssmrun.ExitKilled, note)
		r.StartDateTime, r.EndDateTime = wire.FormatTime(step.Began), wire.FormatTime(a.cfg.Now())
		return r
	}
	switch {
	case c.entry.Cancelled():
		return notRun(g, wire.StatusCancelled, codeCancelledRest, noteCancelled)
	case c.entry.Damaged() != nil:
		return notRun(g, wire.StatusFailed, ssmrun.ExitKilled, withLeftover("the agent's journal of this command is damaged; the step may have run, and is not run again", left))
	}
	return notRun(g, wire.StatusFailed, ssmrun.ExitNotStarted, "not run: the agent ended during an earlier step")
}

// toldResults gives the results that were reported before the interruption.
func (a *Agent) toldResults(e *journal.Entry) map[string]wire.PluginStatus {
	told := map[string]wire.PluginStatus{}
	replies, err := e.Replies()
	if err != nil {
		a.log.Error("read kept replies", "command", e.Key(), "error", err)
	}
	for _, r := range replies {
		var packed wire.AgentJobReply
		var reply wire.Reply
		if wire.Unmarshal([]byte(r.Content), &packed) != nil || wire.Unmarshal([]byte(packed.Content), &reply) != nil {
			continue
		}
		maps.Copy(told, reply.RuntimeStatus)
		if reply.DocumentStatus == wire.StatusSuccessAndReboot {
			for name := range reply.RuntimeStatus {
				delete(told, name) // it has no result yet
			}
		}
	}
	return told
}
