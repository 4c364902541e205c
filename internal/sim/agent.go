package sim

import (
	"context"
	"sync"
	"time"

	"github.com/google/uuid"

	"ssmrun/internal/agentlink"
	"ssmrun/internal/wire"
)

// agent is one simulated agent. It is small: there are thousands.
type agent struct {
	f             *Fleet
	id            string
	link          *agentlink.Link
	silent, twice bool
	opened        chan struct{} // closed when the channel is open for the first time

	mu    sync.Mutex
	known map[uuid.UUID]*taken // by message id of the final reply; see finalID
}

// taken is a command that was acknowledged.
type taken struct {
	timer        *time.Timer // of the answer that is delayed; nil for none
	answered     bool
	acknowledged bool // the service has the answer
}

// finalID is the message id of a job's final reply, always the same, so that it
// need not be kept.
func finalID(jobID string) uuid.UUID { return uuid.NewSHA1(uuid.NameSpaceOID, []byte(jobID)) }

func (f *Fleet) newAgent(n int, id agentlink.Identity) *agent {
	a := &agent{
		f: f, id: id.InstanceID, opened: make(chan struct{}),
		silent: among(n, f.cfg.Silent), twice: among(n, f.cfg.Twice),
	}
	cfg := agentlink.Config{
		Identity: id, Endpoint: f.cfg.Place.endpoint(), Handler: a, Acked: a.acked,
		Opened: sync.OnceFunc(func() { close(a.opened) }), Info: a.info, HTTP: f.client(n),
		Timing: f.cfg.Timing, Logger: f.cfg.Logger,
	}
	if f.cfg.ServiceKeys {
		cfg.Keys = f.cfg.Place.keys
	}
	a.link = agentlink.New(cfg)
	return a
}

// patience is how long an agent that cannot connect holds others back.
const patience = 10 * time.Second

// connecting gives the turn back once the agent is connected.
func (a *agent) connecting(ctx context.Context, turns <-chan struct{}) {
	t := time.NewTimer(patience)
	defer t.Stop()
	select {
	case <-a.opened:
	case <-t.C:
	case <-ctx.Done():
	}
	<-turns
}

// Version is what the agents say they are.
const Version = "3.3.0.0"

const name = "ssmrun-sim"

func (a *agent) info() agentlink.Info {
	return agentlink.Info{
		AgentName: name, AgentVersion: Version, ComputerName: a.id + ".sim", IPAddress: "127.0.0.1",
		PlatformType: "Linux", PlatformName: "Simulated", PlatformVersion: "1",
	}
}

// HandleJob implements agentlink.Handler.
func (a *agent) HandleJob(job wire.AgentJob, ack func(code, message string)) {
	switch {
	case wire.IsTopic(job.Topic, wire.TopicSendCommand):
		a.command(job, ack)
	case wire.IsTopic(job.Topic, wire.TopicCancelCommand):
		a.cancel(job, ack)
	default:
		a.refuse(job, ack, "the topic of the job is neither a command nor a cancel")
	}
}

// refuse answers a job that cannot be read as package agent does.
func (a *agent) refuse(job wire.AgentJob, ack func(code, message string), reason string) {
	a.f.counts.refused.Add(1)
	ack(wire.AckParseError, reason)
	a.sendOnce(job.JobID, wire.TopicSendCommand, wire.StatusFailed, reason)
}

func (a *agent) command(job wire.AgentJob, ack func(code, message string)) {
	_, instanceID, err := wire.ParseJobID(job.JobID)
	if err != nil || instanceID != a.id {
		a.refuse(job, ack, "the job id is not one of this instance: "+a.id)
		return
	}
	steps, err := a.f.docs.read(job.Content)
	if err != nil {
		a.refuse(job, ack, err.Error())
		return
	}
	id := finalID(job.JobID)
	a.mu.Lock()
	defer a.mu.Unlock()
	if t, ok := a.known[id]; ok {
		a.f.counts.duplicates.Add(1)
		ack(wire.AckDuplicateCommand, "the command was taken before")
		if t.answered {
			// The service offers it again, so it may have lost the answer.
			a.answer(job.JobID, id, steps, a.f.cfg.ExitCode)
		}
		return
	}
	t := &taken{}
	if a.known == nil {
		a.known = map[uuid.UUID]*taken{}
	}
	a.known[id] = t
	a.f.counts.jobs.Add(1)
	ack(wire.AckOK, "Successful")
	a.sendOnce(job.JobID, wire.TopicSendCommand, wire.StatusInProgress, "")
	switch {
	case a.silent:
	case a.f.cfg.Delay > 0:
		t.timer = time.AfterFunc(a.f.cfg.Delay, func() {
			a.mu.Lock()
			defer a.mu.Unlock()
			a.finish(t, job.JobID, id, steps)
		})
	default:
		a.finish(t, job.JobID, id, steps)
	}
}

// finish answers a command, unless it has been. a.mu is held.
func (a *agent) finish(t *taken, jobID string, id uuid.UUID, steps []step) {
	if t.answered {
		return
	}
	t.answered = true
	a.f.counts.answered.Add(1)
	a.answer(jobID, id, steps, a.f.cfg.ExitCode)
	if a.twice {
		a.f.counts.twice.Add(1)
		a.answer(jobID, uuid.NewSHA1(id, []byte("second")), steps, secondCode)
	}
}

func (a *agent) cancel(job wire.AgentJob, ack func(code, message string)) {
	var p wire.CancelPayload
	if err := wire.Unmarshal([]byte(job.Content), &p); err != nil {
		a.refuse(job, ack, "the cancel cannot be read")
		return
	}
	a.f.counts.cancels.Add(1)
	ack(wire.AckOK, "Successful")
	a.sendOnce(job.JobID, wire.TopicCancelCommand, wire.StatusInProgress, "")
	id := finalID(p.CancelMessageID)
	a.mu.Lock()
	defer a.mu.Unlock()
	t, ok := a.known[id]
	if !ok || t.answered || a.silent {
		return
	}
	t.answered = true
	t.timer.Stop()
	a.f.counts.answered.Add(1)
	a.sendCancelled(p.CancelMessageID, id)
}

// acked hears that the service has a reply.
func (a *agent) acked(r agentlink.Reply) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if t, ok := a.known[r.ID]; ok && !t.acknowledged {
		t.acknowledged = true
		a.f.counts.acknowledged.Add(1)
	}
}

// stop keeps what was delayed from being answered.
func (a *agent) stop() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, t := range a.known {
		if t.timer != nil {
			t.timer.Stop()
		}
	}
}
