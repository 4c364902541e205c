package gateway

import (
	"context"
	"fmt"
	"strings"

	"ssmrun"
	"ssmrun/internal/wire"
)

// handle takes one frame of an agent. Unknown types are ignored: agents may
// send telemetry.
func (ch *channel) handle(ctx context.Context, f wire.Frame) error {
	switch f.Type {
	case wire.TypeAgentJobAck:
		var ack wire.AgentJobAck
		if err := wire.Unmarshal(f.Payload, &ack); err != nil {
			return err
		}
		return ch.acknowledged(ctx, ack)
	case wire.TypeAgentJobReply:
		var reply wire.AgentJobReply
		if err := wire.Unmarshal(f.Payload, &reply); err != nil {
			return err
		}
		ch.replied(reply, func() error {
			return ch.send(wire.TypeAgentJobReplyAck, wire.AgentJobReplyAck{
				JobID: reply.JobID, AcknowledgedMessageID: f.ID.String(),
			})
		})
	}
	return nil
}

// replied hands a reply to control, which calls acknowledge once it is durable;
// until then the agent keeps it, and sends it again. One that makes no sense is
// logged and acknowledged all the same: sent again, it would make no more.
func (ch *channel) replied(reply wire.AgentJobReply, acknowledge func() error) {
	report, ok := ch.report(reply)
	if !ok {
		ch.kept(nil, acknowledge)
		return
	}
	// A reply says as much as an acknowledgement that was lost.
	ch.mu.Lock()
	delete(ch.jobs, reply.JobID)
	ch.mu.Unlock()
	ch.g.cfg.Control.Report(ch.scope, report, func(err error) {
		if err != nil {
			err = fmt.Errorf("keep the reply of %s: %w", report.CommandID, err)
		}
		ch.kept(err, acknowledge)
		if err == nil && report.Event != ssmrun.EventBegan {
			ch.hasRoom()
		}
	})
}

// kept tells the agent that its reply is durable, or logs why it is not.
func (ch *channel) kept(err error, acknowledge func() error) {
	if err == nil {
		err = acknowledge()
	}
	if err != nil {
		ch.log.Error("handle a reply", "error", err)
	}
}

// report reads a reply; ok is false where there is nothing in it to keep.
func (ch *channel) report(reply wire.AgentJobReply) (report ssmrun.Report, ok bool) {
	if wire.IsTopic(reply.Topic, wire.TopicCancelCommand) {
		return report, false // the cancelled command reports for itself
	}
	commandID, instanceID, err := wire.ParseJobID(reply.JobID)
	if err != nil || instanceID != ch.instance {
		ch.log.Warn("drop a reply: its job is not this instance's", "error", err)
		return report, false
	}
	var content wire.Reply
	if err := wire.Unmarshal([]byte(reply.Content), &content); err != nil {
		ch.log.Warn("drop a reply", "command", commandID, "error", err)
		return report, false
	}
	report = ssmrun.Report{
		CommandID: commandID, InstanceID: instanceID,
		Event: documentEvent(content.DocumentStatus), Trace: content.DocumentTraceOutput,
		Reboot: content.DocumentStatus == wire.StatusSuccessAndReboot,
	}
	for name, p := range content.RuntimeStatus {
		r, err := pluginReport(name, p)
		if err != nil {
			ch.log.Warn("a plugin's result is odd", "command", commandID, "plugin", name, "error", err)
		}
		report.Plugins = append(report.Plugins, r)
	}
	return report, true
}

// documentEvent reads a document's status. SuccessAndReboot is no end: the
// agent comes back and goes on.
func documentEvent(status string) ssmrun.Event {
	switch status {
	case wire.StatusSuccess, wire.StatusSkipped:
		return ssmrun.EventSucceeded
	case wire.StatusFailed:
		return ssmrun.EventFailed
	case wire.StatusTimedOut:
		return ssmrun.EventExecutionTimedOut
	case wire.StatusCancelled:
		return ssmrun.EventCancelled
	default:
		return ssmrun.EventBegan
	}
}

// pluginReport reads a step's result. A time that cannot be read is left out.
func pluginReport(name string, p wire.PluginStatus) (ssmrun.PluginReport, error) {
	r := ssmrun.PluginReport{
		Name: name, Event: documentEvent(p.Status), ExitCode: p.Code,
		Stdout: p.StandardOutput, Stderr: p.StandardError,
	}
	if p.Status == wire.StatusSkipped {
		r.Event = ssmrun.EventSkipped
	}
	if p.StandardOutput == "" && p.StandardError == "" {
		r.Stdout = p.Output // a plugin that knows no streams
	}
	if p.OutputS3BucketName != "" {
		prefix := p.OutputS3KeyPrefix
		if p.StepName != "" {
			prefix = strings.TrimSuffix(prefix, "/") + "/" + p.StepName
		}
		r.Output = ssmrun.OutputLocation{Bucket: p.OutputS3BucketName, Prefix: prefix}
	}
	var err error
	if r.Started, err = wire.ParseTime(p.StartDateTime); err != nil {
		return r, fmt.Errorf("read the start: %w", err)
	}
	if r.Event == ssmrun.EventBegan {
		return r, nil
	}
	if r.Finished, err = wire.ParseTime(p.EndDateTime); err != nil {
		return r, fmt.Errorf("read the end: %w", err)
	}
	if r.Finished.Before(r.Started) {
		r.Finished = r.Started // the host's clock was set in between
	}
	return r, nil
}
