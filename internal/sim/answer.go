package sim

import (
	"fmt"
	"time"

	"github.com/google/uuid"

	"ssmrun/internal/agentlink"
	"ssmrun/internal/wire"
)

// newReply makes a reply that tells of these plugins.
func newReply(status string, plugins map[string]wire.PluginStatus, counts map[string]int) wire.Reply {
	return wire.Reply{
		AdditionalInfo: wire.AdditionalInfo{
			Agent:    wire.AgentInfo{Lang: "en-US", Name: name, OS: "linux", OSVersion: "1", Version: Version},
			DateTime: wire.FormatTime(time.Now()), RuntimeStatusCounts: counts,
		},
		DocumentStatus: status, RuntimeStatus: plugins,
	}
}

// send sends a reply. A tracked one is repeated until it is acknowledged.
func (a *agent) send(jobID, topic string, id uuid.UUID, r wire.Reply, tracked bool) {
	packed, err := wire.NewAgentJobReply(jobID, topic, r)
	var b []byte
	if err == nil {
		b, err = wire.Marshal(packed)
	}
	if err != nil {
		a.f.cfg.Logger.Error("pack reply", "job", jobID, "error", err)
		return
	}
	a.link.Send(agentlink.Reply{ID: id, Payload: b, Tracked: tracked})
}

// sendOnce sends a reply that may be lost and tells of no plugin.
func (a *agent) sendOnce(jobID, topic, status, trace string) {
	r := newReply(status, nil, map[string]int{})
	r.DocumentTraceOutput = trace
	a.send(jobID, topic, uuid.New(), r, false)
}

// answer tells the result of a command, as package agent does: with the end
// where there is one step, before it where there are several. id is the final
// reply's.
func (a *agent) answer(jobID string, id uuid.UUID, steps []step, code int) {
	results := map[string]wire.PluginStatus{}
	now := wire.FormatTime(time.Now())
	for _, s := range steps {
		out := "simulated on " + a.id + "\n"
		results[s.Name] = wire.PluginStatus{
			Status: status(code), Code: code, Name: s.Action, Output: out, StandardOutput: out,
			StartDateTime: now, EndDateTime: now,
		}
	}
	counts := map[string]int{}
	if len(results) > 0 {
		counts[status(code)] = len(results)
	}
	if len(results) > 1 {
		for n, s := range steps {
			one := map[string]wire.PluginStatus{s.Name: results[s.Name]}
			r := newReply(wire.StatusInProgress, one, map[string]int{status(code): 1})
			a.send(jobID, wire.TopicSendCommand, uuid.NewSHA1(id, fmt.Append(nil, n)), r, true)
		}
		results = map[string]wire.PluginStatus{}
	}
	end := wire.StatusSuccess
	if len(steps) > 0 {
		end = status(code)
	}
	a.send(jobID, wire.TopicSendCommand, id, newReply(end, results, counts), true)
}

// sendCancelled tells that a command was cancelled before it had a result.
func (a *agent) sendCancelled(jobID string, id uuid.UUID) {
	a.send(jobID, wire.TopicSendCommand, id, newReply(wire.StatusCancelled, nil, map[string]int{}), true)
}
