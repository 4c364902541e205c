package runner

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"ssmrun"
)

const (
	// timeoutCleanup bounds what is done after the timeout has passed.
	timeoutCleanup = time.Minute
	// cancelTimeout bounds the calls that cancel an interrupted run.
	cancelTimeout = 20 * time.Second
	// cancelWait is how long a cancelled command is given to end.
	cancelWait = 10 * time.Second
	// lastLook bounds the reading of results after an interrupt: whoever
	// interrupts does not want to wait.
	lastLook = 10 * time.Second
)

// timedOut cancels the invocations that have not begun, leaves those that run
// alone, and reports both.
func (x *run) timedOut(ctx context.Context) (*Result, error) {
	clean, cancel := context.WithTimeout(ctx, timeoutCleanup)
	defer cancel()
	e := &TimeoutError{Timeout: x.timeout}
	stopped := map[string]bool{}
	for _, c := range x.commands {
		if !c.sent() || c.state.Terminal() {
			continue
		}
		waiting, err := x.notBegun(clean, c)
		if err == nil && len(waiting) > 0 {
			_, err = x.cfg.SSM.CancelCommand(clean, &ssm.CancelCommandInput{CommandId: &c.id, InstanceIds: waiting})
		}
		if err != nil {
			e.StopErr = fmt.Errorf("cancel what has not begun of command %s: %s", c.id, faultOf(err))
			continue
		}
		for _, id := range waiting {
			stopped[id] = true
		}
	}
	if len(stopped) > 0 {
		x.awaitEnd(clean, cancelWait, func(i InstanceResult) bool { return stopped[i.ID] })
	}
	res, err := x.collect(clean, false)
	if ctx.Err() != nil {
		return x.interrupted(ctx)
	}
	if err != nil && e.StopErr == nil {
		e.StopErr = err
	}
	res.Ended = x.cfg.Now()
	e.Result = res
	for _, i := range res.Instances {
		switch {
		case !i.State.Terminal() && i.CommandID != "":
			e.Running = append(e.Running, i.ID)
		case stopped[i.ID] && i.State.Status == ssmrun.Cancelled:
			e.Stopped = append(e.Stopped, i.ID)
		}
	}
	if len(e.Running) == 0 && len(e.Stopped) == 0 {
		// All ended while the timeout was being dealt with.
		if len(res.Failed()) > 0 {
			return res, &RunError{Result: res}
		}
		return res, nil
	}
	return res, e
}

// notBegun gives the instances on which the command waits to be started.
func (x *run) notBegun(ctx context.Context, c *command) ([]string, error) {
	rows, err := x.invocations(ctx, c.id)
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, row := range rows {
		if s := stateOf(string(row.Status), row.StatusDetails); s.Status == ssmrun.Pending || s.Status == ssmrun.Delayed {
			ids = append(ids, aws.ToString(row.InstanceId))
		}
	}
	return ids, nil
}

// interrupted cancels everything, on a context of its own because the run's is
// gone, and waits for the end for as long as someone who interrupts can be kept.
func (x *run) interrupted(ctx context.Context) (*Result, error) {
	e := &CancelledError{Err: context.Cause(ctx)}
	clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), cancelTimeout+cancelWait+lastLook)
	defer cancel()
	e.Late = true
	for _, c := range x.commands {
		if !c.sent() || c.state.Terminal() {
			continue
		}
		e.Late = false
		if err := x.cancelCommand(clean, c.id, nil); err != nil {
			e.CancelErr = errors.Join(e.CancelErr, fmt.Errorf("command %s: %s", c.id, faultOf(err)))
		}
	}
	if e.CancelErr == nil && !e.Late {
		x.awaitEnd(clean, cancelWait, func(InstanceResult) bool { return true })
	}
	read, stop := context.WithTimeout(clean, lastLook)
	defer stop()
	x.hurried = true
	res, err := x.collect(read, false)
	if err != nil {
		x.log.Info("the results of the interrupted run could not be read", "error", err.Error())
	}
	res.Ended = x.cfg.Now()
	e.Result = res
	for _, i := range res.Instances {
		if !i.State.Terminal() && i.CommandID != "" {
			e.Running = append(e.Running, i.ID)
		}
	}
	return res, e
}

func (r *Runner) cancelCommand(ctx context.Context, id string, instanceIDs []string) error {
	ctx, cancel := context.WithTimeout(ctx, cancelTimeout)
	defer cancel()
	_, err := r.cfg.SSM.CancelCommand(ctx, &ssm.CancelCommandInput{CommandId: &id, InstanceIds: instanceIDs})
	return err
}

// awaitEnd looks, for a while, until the chosen instances are over.
func (x *run) awaitEnd(ctx context.Context, limit time.Duration, chosen func(InstanceResult) bool) {
	start := time.Now()
	interval := 100 * time.Millisecond
	for {
		open := false
		for _, c := range x.commands {
			if !c.sent() {
				continue
			}
			rows, err := x.invocations(ctx, c.id)
			if err != nil {
				x.log.Info("the list of invocations could not be read", "command", c.id, "error", faultOf(err).String())
				open = true
				continue
			}
			for _, row := range rows {
				if i := x.instanceResult(row); chosen(i) && !i.State.Terminal() {
					open = true
				}
			}
		}
		if !open || time.Since(start) >= limit {
			break
		}
		if sleep(ctx, min(interval, limit-time.Since(start))) != nil {
			return
		}
		interval = min(2*interval, 2*time.Second)
	}
	x.refresh(ctx)
}

// refresh reads the commands' states once more, for the result.
func (x *run) refresh(ctx context.Context) {
	for _, c := range x.commands {
		if !c.sent() || c.state.Terminal() {
			continue
		}
		call, cancel := context.WithTimeout(ctx, callTimeout)
		out, err := x.cfg.SSM.ListCommands(call, &ssm.ListCommandsInput{CommandId: &c.id})
		cancel()
		if err == nil && len(out.Commands) > 0 {
			c.take(out.Commands[0])
		}
	}
}

// lost reports a run that was sent and cannot be watched any more.
func (x *run) lost(ctx context.Context, cause error) (*Result, error) {
	last, cancel := context.WithTimeout(ctx, lastLook)
	defer cancel()
	res, err := x.collect(last, false)
	if err != nil {
		x.log.Info("the results of the lost run could not be read", "error", err.Error())
	}
	if ctx.Err() != nil {
		return x.interrupted(ctx)
	}
	return res, &LostError{Result: res, Err: cause}
}
