package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"ssmrun"
	"ssmrun/internal/wire"
)

// handle takes one frame of an agent, as soon as there is room in its window.
// Unknown types are passed over: agents may send telemetry.
func (ch *channel) handle(ctx context.Context, f wire.Frame) error {
	switch f.Type {
	case wire.TypeAgentJobAck:
		var ack wire.AgentJobAck
		if err := wire.Unmarshal(f.Payload, &ack); err != nil {
			return err
		}
		leave, err := ch.enter(ctx, len(f.Payload))
		if err != nil {
			return err
		}
		return ch.acknowledged(ctx, ack, leave)
	case wire.TypeAgentJobReply:
		var reply wire.AgentJobReply
		if err := wire.Unmarshal(f.Payload, &reply); err != nil {
			return err
		}
		leave, err := ch.enter(ctx, len(f.Payload))
		if err != nil {
			return err
		}
		ch.replied(reply, f.ID.String(), leave)
	default:
		if !ch.strange {
			ch.strange = true
			ch.log.Info("pass over frames of an unknown type", "type", f.Type)
		}
	}
	return nil
}

// enter waits for room in the channel's window. While it waits nothing is read,
// pongs neither: probe is told of it.
func (ch *channel) enter(ctx context.Context, n int) (leave func(), err error) {
	ch.waits.Store(true)
	defer ch.waits.Store(false)
	if err := ch.window.enter(ctx, n); err != nil {
		return nil, err
	}
	return func() { ch.window.leave(n) }, nil
}

// replied hands a reply to control, and acknowledges it once it is durable; until
// then the agent keeps it, and sends it again. One that makes no sense is logged
// and acknowledged all the same: sent again, it would make no more. leave is
// called when the acknowledgement is written.
func (ch *channel) replied(reply wire.AgentJobReply, messageID string, leave func()) {
	kept := func(err error) {
		if err == nil {
			err = ch.send(wire.TypeAgentJobReplyAck, wire.AgentJobReplyAck{
				JobID: reply.JobID, AcknowledgedMessageID: messageID,
			}, leave)
		}
		if err != nil {
			leave()
			ch.log.Error("handle a reply", "error", err)
		}
	}
	report, ok := ch.report(reply)
	if !ok {
		kept(nil)
		return
	}
	ch.box.take(reply.JobID, false) // a reply says as much as an acknowledgement that was lost
	ch.g.cfg.Control.Report(ch.scope, report, func(err error) {
		if err != nil {
			err = fmt.Errorf("keep the reply of %s: %w", report.CommandID, err)
		}
		kept(err)
		if err == nil && report.Event != ssmrun.EventBegan {
			ch.box.hasRoom()
		}
	})
}

// report reads a reply; ok is false where there is nothing in it to keep.
func (ch *channel) report(reply wire.AgentJobReply) (report ssmrun.Report, ok bool) {
	if wire.IsTopic(reply.Topic, wire.TopicCancelCommand) {
		return report, false // the cancelled command reports for itself
	}
	commandID, instanceID, err := wire.ParseJobID(reply.JobID)
	if err != nil {
		ch.log.Warn("drop a reply", "error", err)
		return report, false
	}
	if instanceID != ch.instance {
		ch.log.Warn("drop a reply: its job is another instance's", "of", ssmrun.Head(instanceID, 100))
		return report, false
	}
	return readReply(ch.log, commandID, instanceID, reply.Content)
}

// readReply reads what a reply says; ok is false where that is no reply.
func readReply(log *slog.Logger, commandID, instanceID, payload string) (report ssmrun.Report, ok bool) {
	commandID = ssmrun.Head(commandID, 100) // no id of ours is longer
	var content wire.Reply
	if err := wire.Unmarshal([]byte(payload), &content); err != nil {
		log.Warn("drop a reply", "command", commandID, "error", err)
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
			log.Warn("a plugin's result is odd", "command", commandID, "plugin", ssmrun.Head(name, 100), "error", err)
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
