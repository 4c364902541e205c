package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"ssmrun"
	"ssmrun/internal/agent/journal"
	"ssmrun/internal/agent/plugin"
	"ssmrun/internal/document"
	"ssmrun/internal/wire"
)

// command is a command that was taken and is not over.
type command struct {
	entry   *journal.Entry
	id      string
	jobID   string
	payload wire.SendCommandPayload
	doc     *document.Document
	params  map[string][]string
	env     map[string]string // of parameters that scripts get as variables, as they were given

	ctx     context.Context // ends with a cause of package plugin
	cancel  context.CancelCauseFunc
	running bool
	// step is the one that runs, since stepBegan; a.mu is held to use them.
	step      string
	stepBegan time.Time
	resume    *resume                      // where it goes on after a reboot; nil for the beginning
	results   map[string]wire.PluginStatus // of the steps that are over, by name
}

// HandleJob implements agentlink.Handler.
func (a *Agent) HandleJob(job wire.AgentJob, ack func(code, message string)) {
	switch {
	case wire.IsTopic(job.Topic, wire.TopicCancelCommand):
		a.handleCancel(job, ack)
	case wire.IsTopic(job.Topic, wire.TopicSendCommand):
		a.handleCommand(job, ack)
	default:
		a.refuse(job, ack, "the topic of the job is neither a command nor a cancel")
	}
}

// refuse answers a job that cannot be read, as the genuine agent does: a code,
// and one reply that says why.
func (a *Agent) refuse(job wire.AgentJob, ack func(code, message string), reason string) {
	a.log.Warn("refused a job", "job", job.JobID, "reason", reason)
	ack(wire.AckParseError, reason)
	a.sendUntracked(job.JobID, wire.TopicSendCommand, a.newReply(wire.StatusFailed, reason, nil))
}

func (a *Agent) handleCommand(job wire.AgentJob, ack func(code, message string)) {
	commandID, instanceID, err := wire.ParseJobID(job.JobID)
	if err != nil || instanceID != a.identity.InstanceID {
		a.refuse(job, ack, "the job id is not one of this instance: "+a.identity.InstanceID)
		return
	}
	if e, known := a.journal.Lookup(commandID); known {
		ack(wire.AckDuplicateCommand, "the command was taken before")
		a.repeatFinal(e)
		return
	}
	a.mu.Lock()
	stopping, reboot, waiting := a.stopping, a.rebootPending(), a.running+len(a.queue) >= a.cfg.Workers
	full := a.running+len(a.queue) >= a.cfg.Workers+a.cfg.Queue
	a.mu.Unlock()
	switch {
	case stopping:
		ack(wire.AckClosedProcessor, "the agent stops")
		return
	case reboot:
		ack(wire.AckClosedProcessor, "the host is about to restart")
		return
	case full:
		ack(wire.AckBufferFull, fmt.Sprintf("%d commands run and %d wait", a.cfg.Workers, a.cfg.Queue))
		return
	}
	c, err := a.read(commandID, job.JobID, job.Content)
	if err != nil {
		a.refuse(job, ack, err.Error())
		return
	}
	if reason := a.diskFull(); reason != "" {
		a.log.Error("refused a command", "command", commandID, "reason", reason)
		ack(wire.AckUnexpected, reason)
		return
	}
	c.entry, err = a.journal.Accept(commandID, job.JobID, job.Content, waiting)
	if err != nil {
		// Without a journal the command could run twice. Better not at all.
		a.log.Error("refused a command", "command", commandID, "error", err)
		ack(wire.AckUnexpected, fmt.Sprintf("the agent cannot write its journal in %s, without which a command could run twice: %v; mend that on the instance and send the command again", a.folder.Journal(), innermost(err)))
		return
	}
	ack(wire.AckOK, "Successful")
	a.log.Info("command taken", "command", commandID, "document", c.payload.DocumentName)
	a.sendUntracked(c.jobID, wire.TopicSendCommand, a.newReply(wire.StatusInProgress, "", nil))
	if a.wasCancelled(commandID) {
		a.finishCancelled(c)
		return
	}
	a.submit(c)
}

// Bounds of a command, far beyond what SendCommand lets through.
const (
	maxContent = 2 << 20 // bytes of the payload, which the journal keeps
	maxSteps   = 1000
)

// diskFull says why there is too little room for a command; "" where there is
// enough. Such a command fails at once, because a disk is seldom freed by itself:
// offered again and again it would only fail later, and with no reason.
func (a *Agent) diskFull() string {
	if a.cfg.MinFreeDisk < 0 {
		return ""
	}
	free, err := freeDisk(a.folder.Dir())
	if err != nil || free >= a.cfg.MinFreeDisk {
		return "" // where it cannot be known, writing shows it
	}
	return fmt.Sprintf("only %s are free for the agent's folder %s, and it takes commands from %s on (--min-free-disk): free some space on the instance and send the command again", size(uint64(max(free, 0))), a.folder.Dir(), size(uint64(a.cfg.MinFreeDisk)))
}

// read takes a command's content apart. Its errors may be shown to the sender.
func (a *Agent) read(commandID, jobID, content string) (*command, error) {
	c := &command{id: commandID, jobID: jobID}
	if len(content) > maxContent {
		return nil, fmt.Errorf("the command has %d bytes; this agent takes at most %d: put large content into a file that the script fetches", len(content), maxContent)
	}
	if err := wire.Unmarshal([]byte(content), &c.payload); err != nil {
		return nil, fmt.Errorf("the command cannot be read: %w", err)
	}
	var err error
	if c.doc, err = document.ParseDelivered(c.payload.DocumentContent); err != nil {
		return nil, fmt.Errorf("the document %s cannot be read: %s", c.payload.DocumentName, publicMessage(err))
	}
	if n := len(c.doc.Steps); n > maxSteps {
		return nil, fmt.Errorf("the document %s has %d steps; this agent takes at most %d: split it", c.payload.DocumentName, n, maxSteps)
	}
	if c.params, err = document.FromPayload(c.payload.Parameters); err != nil {
		return nil, fmt.Errorf("the parameters cannot be read: %s", publicMessage(err))
	}
	if c.env, err = c.doc.Environment(c.params, nil); err != nil {
		return nil, fmt.Errorf("the parameters cannot be read: %s", publicMessage(err))
	}
	c.ctx, c.cancel = context.WithCancelCause(context.Background())
	return c, nil
}

// publicMessage is the text of a coded error, with what is wrong with each
// parameter; package document puts no values into it.
func publicMessage(err error) string {
	if p := document.Problems(err); p != nil {
		return p.Error()
	}
	if ssmrun.ErrorCode(err) == ssmrun.CodeInternal {
		return err.Error()
	}
	return ssmrun.ErrorMessage(err)
}

// submit begins a command, or queues it where all workers are busy.
func (a *Agent) submit(c *command) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.commands[c.entry.Key()] = c
	a.queue = append(a.queue, c)
	a.status.poke()
	a.dispatch()
}

// dispatch begins as many queued commands as there are free workers. a.mu is held.
func (a *Agent) dispatch() {
	for !a.held && !a.stopping && !a.rebootPending() && len(a.queue) > 0 && a.running < a.cfg.Workers {
		c := a.queue[0]
		a.queue = a.queue[1:]
		c.running = true
		a.running++
		a.workers.Go(func() {
			over := a.execute(c)
			a.mu.Lock()
			defer a.mu.Unlock()
			a.running--
			c.running = false
			switch {
			case over:
				delete(a.commands, c.entry.Key())
			case errors.Is(context.Cause(c.ctx), plugin.ErrCancelled):
				a.cancelParked(c) // meanwhile
			default:
				a.park(c)
			}
			a.poke()
			a.status.poke()
			a.dispatch()
		})
	}
}

// opened hears that the channel is open. Commands that were recovered wait a
// moment longer: a cancel that came while the agent was away is on its way.
func (a *Agent) opened() {
	a.status.poke()
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.held {
		return
	}
	if len(a.queue) == 0 {
		a.held = false
		return
	}
	time.AfterFunc(a.cfg.resumeDelay, func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.held = false
		a.dispatch()
	})
}

func (a *Agent) handleCancel(job wire.AgentJob, ack func(code, message string)) {
	var p wire.CancelPayload
	if err := wire.Unmarshal([]byte(job.Content), &p); err != nil {
		a.refuse(job, ack, fmt.Sprintf("the cancel cannot be read: %v", err))
		return
	}
	commandID, instanceID, err := wire.ParseJobID(p.CancelMessageID)
	if err != nil || instanceID != a.identity.InstanceID {
		a.refuse(job, ack, "the cancel does not name a command of this instance: "+a.identity.InstanceID)
		return
	}
	ack(wire.AckOK, "Successful")
	a.sendUntracked(job.JobID, wire.TopicCancelCommand, a.newReply(wire.StatusInProgress, "", nil))
	a.cancelCommand(commandID)
}

// cancelCommand ends a command that runs, takes one out of the queue, and
// remembers one that has not come: a channel that was opened anew may deliver a
// cancel before its command.
func (a *Agent) cancelCommand(commandID string) {
	key := journal.Key(commandID)
	a.mu.Lock()
	c := a.commands[key]
	resumes := c != nil && !c.running && c.resume != nil
	queued := c != nil && !c.running && c.resume == nil
	if queued {
		for i := range a.queue {
			if a.queue[i] == c {
				a.queue = append(a.queue[:i:i], a.queue[i+1:]...)
				break
			}
		}
		delete(a.commands, key)
	}
	a.mu.Unlock()
	switch {
	case queued:
		a.log.Info("command cancelled before it began", "command", commandID)
		a.finishCancelled(c)
	case c != nil:
		a.log.Info("command cancelled", "command", commandID)
		c.cancel(plugin.ErrCancelled)
		if err := c.entry.Cancel(); err != nil {
			a.log.Error("keep cancel", "command", commandID, "error", err)
		}
		if resumes {
			a.mu.Lock()
			if a.commands[key] == c && !c.running {
				a.cancelParked(c)
			}
			a.mu.Unlock()
		}
	default:
		if _, known := a.journal.Lookup(commandID); !known {
			a.mu.Lock()
			remembered := a.cancelled.add(commandID, a.cfg.Now())
			a.mu.Unlock()
			if !remembered {
				return
			}
			// It is not begun here, whatever is still to come: the service need not
			// wait to hear that.
			a.sendUntracked(wire.JobID(commandID, a.identity.InstanceID), wire.TopicSendCommand, a.newReply(wire.StatusCancelled, noteCancelled, nil))
		}
	}
}

// wasCancelled tells whether the cancel of a command came before it.
func (a *Agent) wasCancelled(commandID string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.cancelled.take(commandID, a.cfg.Now())
}

// cancels remembers cancels of commands that did not come yet.
type cancels struct {
	at map[string]time.Time
}

const (
	maxCancels = 1000
	cancelLife = time.Hour
)

// add tells whether there was room to remember it.
func (c *cancels) add(commandID string, now time.Time) bool {
	if c.at == nil {
		c.at = map[string]time.Time{}
	}
	if len(c.at) >= maxCancels {
		for id, t := range c.at {
			if now.Sub(t).Abs() > cancelLife {
				delete(c.at, id)
			}
		}
	}
	if len(c.at) >= maxCancels {
		return false
	}
	c.at[commandID] = now
	return true
}

func (c *cancels) take(commandID string, now time.Time) bool {
	t, ok := c.at[commandID]
	delete(c.at, commandID)
	return ok && now.Sub(t).Abs() <= cancelLife
}

func innermost(err error) error {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err
		}
		err = next
	}
}
