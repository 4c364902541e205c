package agent

import (
	"fmt"
	"runtime"

	"github.com/google/uuid"

	"ssmrun/internal/agent/journal"
	"ssmrun/internal/agentlink"
	"ssmrun/internal/wire"
)

// owedReply is a reply that the service has not acknowledged.
type owedReply struct {
	entry *journal.Entry
	final bool
}

// newReply makes a reply that tells of these plugins.
func (a *Agent) newReply(status, trace string, plugins map[string]wire.PluginStatus) wire.Reply {
	counts := map[string]int{}
	for _, p := range plugins {
		counts[p.Status]++
	}
	return wire.Reply{
		AdditionalInfo: wire.AdditionalInfo{
			Agent: wire.AgentInfo{
				Lang: "en-US", Name: Name, OS: runtime.GOOS, OSVersion: a.cfg.Platform.Version, Version: a.cfg.Version,
			},
			DateTime:            wire.FormatTime(a.cfg.Now()),
			RuntimeStatusCounts: counts,
		},
		DocumentStatus: status, DocumentTraceOutput: trace, RuntimeStatus: plugins,
	}
}

// message packs a reply, its outputs cut to what the wire takes, under a fresh
// message id.
func message(jobID, topic string, r wire.Reply, step int, final bool) (journal.Reply, error) {
	packed, err := wire.NewAgentJobReply(jobID, topic, r)
	if err != nil {
		return journal.Reply{}, fmt.Errorf("pack reply: %w", err)
	}
	b, err := wire.Marshal(packed)
	if err != nil {
		return journal.Reply{}, fmt.Errorf("pack reply: %w", err)
	}
	id, err := uuid.NewRandom()
	if err != nil {
		return journal.Reply{}, fmt.Errorf("make message id: %w", err)
	}
	return journal.Reply{ID: id.String(), JobID: jobID, Topic: topic, Content: string(b), Step: step, Final: final}, nil
}

// sendUntracked sends a reply that may be lost.
func (a *Agent) sendUntracked(jobID, topic string, r wire.Reply) {
	m, err := message(jobID, topic, r, -1, false)
	if err != nil {
		a.log.Error("send reply", "job", jobID, "error", err)
		return
	}
	a.link.Send(agentlink.Reply{ID: uuid.MustParse(m.ID), Payload: []byte(m.Content)})
}

// deliver keeps replies of a command and sends them until they are acknowledged.
// Where the journal takes them no more they are sent all the same: the service
// shall know how the command ended, even if a restart would lose it.
func (a *Agent) deliver(e *journal.Entry, messages ...journal.Reply) {
	if err := e.AddReplies(messages...); err != nil {
		a.log.Error("keep replies", "command", e.Key(), "error", err)
	}
	for _, m := range messages {
		a.owe(e, m)
	}
}

// owe sends a reply that is in the journal. Before the link is there, resendOwed
// will.
func (a *Agent) owe(e *journal.Entry, m journal.Reply) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.link == nil {
		return
	}
	id, err := uuid.Parse(m.ID)
	if err != nil {
		a.log.Error("a kept reply has no message id", "command", e.Key())
		return
	}
	a.owed[m.ID] = owedReply{e, m.Final}
	a.link.Send(agentlink.Reply{ID: id, Payload: []byte(m.Content), Tracked: true})
}

// acked hears that the service has a reply.
func (a *Agent) acked(r agentlink.Reply) {
	id := r.ID.String()
	a.mu.Lock()
	o, ok := a.owed[id]
	delete(a.owed, id)
	a.mu.Unlock()
	if !ok {
		return
	}
	if err := o.entry.Acked(id); err != nil {
		a.log.Error("keep acknowledgement", "command", o.entry.Key(), "error", err)
	}
	if o.final {
		select {
		case a.tidy <- struct{}{}:
		default:
		}
	}
}

// resendOwed sends what earlier runs of the agent still owe.
func (a *Agent) resendOwed() error {
	for _, e := range a.journal.Entries() {
		replies, err := e.Replies()
		if err != nil {
			return err
		}
		for _, r := range replies {
			if !r.Acked {
				a.owe(e, r)
			}
		}
	}
	return nil
}

// room hears that the link has room again for replies that it could not hold.
func (a *Agent) room() {
	if err := a.resendOwed(); err != nil {
		a.log.Error("send kept replies", "error", err)
	}
}

// repeatFinal sends the last word on a command once more: the service offers it
// again, so it may have lost it.
func (a *Agent) repeatFinal(e *journal.Entry) {
	replies, err := e.Replies()
	if err != nil {
		a.log.Error("repeat final reply", "command", e.Key(), "error", err)
		return
	}
	for _, r := range replies {
		if r.Final {
			a.owe(e, r)
		}
	}
}
