package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"ssmrun"
	"ssmrun/internal/agent/journal"
	"ssmrun/internal/agent/plugin"
	"ssmrun/internal/agent/plugin/shellscript"
	"ssmrun/internal/document"
	"ssmrun/internal/executor"
	"ssmrun/internal/wire"
)

// Notes on steps that did not run.
const (
	noteStopped   = "not run: the agent was stopped before the step began"
	noteCancelled = "not run: the command was cancelled"
	noteExited    = "skipped: an earlier step ended the document"
)

// codeCancelledRest is what the genuine agent reports of the steps after one
// that was cancelled.
const codeCancelledRest = 1

// execute runs a command to its end and reports, or to a step that wants the
// host restarted; then it is not over.
func (a *Agent) execute(c *command) (over bool) {
	if a.refusedByHost(c) {
		c.cancel(nil)
		return true
	}
	list := groups(c.doc)
	if results := a.unknownPlugin(c, list); results != nil {
		a.finishWith(c, list, results)
		return true
	}
	results := make(map[string]wire.PluginStatus, len(list))
	c.results = results
	exited := false
	for i, g := range list {
		var end stepEnd
		if c.resume.before(g) {
			r, told := c.resume.told[g.name()]
			if !told {
				// It began, or was skipped: in doubt it is not begun again.
				r = notRun(g, wire.StatusFailed, ssmrun.ExitKilled, "the result of the step was lost over the restart of the host; it is not run again")
				a.report(c, g, r)
			}
			results[g.name()] = r
			continue
		}
		if end = a.step(c, g, i == len(list)-1, exited); end.reboot {
			return false
		}
		exited = exited || end.exit
		results[g.name()] = end.result
		if i < len(list)-1 {
			a.report(c, g, end.result)
		}
	}
	var last group
	if len(list) > 0 {
		last = list[len(list)-1]
	}
	a.forgetReboot(c)
	a.finish(c, results, "", last, len(list))
	c.cancel(nil)
	return true
}

// unknownPlugin gives results for all steps where one of them needs a plugin that
// this agent lacks, and would run: half a document does more harm than none. nil
// where there is no such step.
func (a *Agent) unknownPlugin(c *command, list []group) map[string]wire.PluginStatus {
	lacks := func(g group) bool {
		if _, ok := a.plugins[g.action()]; ok {
			return false
		}
		met, err := g[0].Met(a.cfg.Platform.Type, c.params)
		return met && err == nil
	}
	n := slices.IndexFunc(list, lacks)
	if n < 0 || c.resume != nil || context.Cause(c.ctx) != nil {
		return nil
	}
	results := make(map[string]wire.PluginStatus, len(list))
	for _, g := range list {
		results[g.name()] = notRun(g, wire.StatusFailed, ssmrun.ExitNotStarted,
			fmt.Sprintf("not run: the step %s of the document needs the plugin %s, which this agent lacks", list[n].name(), list[n].action()))
		if lacks(g) {
			results[g.name()] = notRun(g, wire.StatusFailed, 1,
				fmt.Sprintf("the plugin %s is not one that this agent runs: it runs %s", g.action(), strings.Join(a.actions(), ", ")))
		}
	}
	return results
}

// report tells the result of one step of several.
func (a *Agent) report(c *command, g group, r wire.PluginStatus) {
	m, err := message(c.jobID, wire.TopicSendCommand, a.newReply(wire.StatusInProgress, "", map[string]wire.PluginStatus{g.name(): r}), g[0].Index, false)
	if err != nil {
		a.log.Error("report step", "command", c.id, "step", g.name(), "error", err)
		return
	}
	a.deliver(c.entry, m)
}

// finish tells how a command ended. As with the genuine agent, the last reply
// carries the result of the only plugin, and none where there are several: the
// results were told before, that of the last one (last) together with the end.
func (a *Agent) finish(c *command, results map[string]wire.PluginStatus, trace string, last group, count int) {
	status := documentStatus(results)
	var out []journal.Reply
	final := results
	if count > 1 {
		final = map[string]wire.PluginStatus{}
		if last != nil {
			m, err := message(c.jobID, wire.TopicSendCommand,
				a.newReply(wire.StatusInProgress, "", map[string]wire.PluginStatus{last.name(): results[last.name()]}), last[0].Index, false)
			if err != nil {
				a.log.Error("report step", "command", c.id, "step", last.name(), "error", err)
			} else {
				out = append(out, m)
			}
		}
	}
	r := a.newReply(status, trace, final)
	r.AdditionalInfo.RuntimeStatusCounts = a.newReply(status, "", results).AdditionalInfo.RuntimeStatusCounts
	m, err := message(c.jobID, wire.TopicSendCommand, r, -1, true)
	if err != nil {
		a.log.Error("report end", "command", c.id, "error", err)
		m, err = message(c.jobID, wire.TopicSendCommand, a.newReply(status, "the results are too large to be reported", nil), -1, true)
		if err != nil {
			return
		}
	}
	a.deliver(c.entry, append(out, m)...)
	a.log.Info("command over", "command", c.id, "status", status, "took", a.cfg.Now().Sub(c.entry.Accepted()))
}

// finishCancelled ends a command of which nothing had begun.
func (a *Agent) finishCancelled(c *command) {
	c.cancel(plugin.ErrCancelled)
	a.finishAll(c, wire.StatusCancelled, ssmrun.ExitNotStarted, noteCancelled)
}

// finishAll ends a command of which nothing had begun with one result for all
// its steps.
func (a *Agent) finishAll(c *command, status string, code int, note string) {
	list := groups(c.doc)
	results := make(map[string]wire.PluginStatus, len(list))
	for _, g := range list {
		results[g.name()] = notRun(g, status, code, note)
	}
	a.finishWith(c, list, results)
}

// finishWith ends a command of which these are all results, none told yet.
func (a *Agent) finishWith(c *command, list []group, results map[string]wire.PluginStatus) {
	var last group
	for i, g := range list {
		if last = g; i < len(list)-1 {
			a.report(c, g, results[g.name()])
		}
	}
	a.finish(c, results, "", last, len(list))
	c.cancel(nil)
}

// stepEnd is how a step ended.
type stepEnd struct {
	result wire.PluginStatus
	exit   bool // the steps after it are skipped
	reboot bool // it has no result yet: the host is restarted first
}

// step runs one step, or says why not. last tells that it is the document's last,
// exited that an earlier one ended the document.
func (a *Agent) step(c *command, g group, last, exited bool) stepEnd {
	resumed := c.resume.of(g)
	if resumed {
		exited = c.resume.Exited
	}
	cause := context.Cause(c.ctx)
	switch {
	case resumed:
	case errors.Is(cause, plugin.ErrCancelled):
		return stepEnd{result: notRun(g, wire.StatusCancelled, codeCancelledRest, noteCancelled)}
	case cause != nil:
		return stepEnd{result: notRun(g, wire.StatusFailed, ssmrun.ExitNotStarted, noteStopped)}
	}
	inputs, err := g[0].Resolve(c.params)
	if err != nil {
		inputs = g[0].Inputs // the plugin's turn brings the error up
	}
	flow := flowOf(inputs)
	flow.end = flow.end || g[0].IsEnd
	if exited && !(flow.finally && last) {
		return stepEnd{result: notRun(g, wire.StatusSkipped, 0, noteExited)}
	}
	met, err := g[0].Met(a.cfg.Platform.Type, c.params)
	if err != nil {
		failed, exit := flow.after(plugin.Fail(publicMessage(err)))
		return stepEnd{result: notRun(g, statusWord(failed.Status), failed.Code, failed.Note), exit: exit}
	}
	if !met {
		return stepEnd{result: notRun(g, wire.StatusSkipped, 0, "skipped: the step's precondition is not met on this instance (platform "+a.cfg.Platform.Type+")")}
	}
	note := rebootNote{Exited: exited, Started: a.cfg.Now()}
	kept := ""
	if resumed {
		kept, note = a.rebootFolder(c.entry.Key()), c.resume.rebootNote
	}
	out := a.newStreams(c, g, kept)
	if resumed {
		out.restore(c.resume)
	}
	result, reboot := a.runGroup(c, g, out, note)
	if reboot {
		a.log.Info("step asks for a reboot", "command", c.id, "step", g.name())
		return stepEnd{reboot: true}
	}
	result, exit := flow.after(result)
	r := out.finish(c, g, result)
	r.StartDateTime, r.EndDateTime = wire.FormatTime(note.Started), wire.FormatTime(a.cfg.Now())
	a.log.Info("step over", "command", c.id, "step", g.name(), "status", r.Status, "code", r.Code)
	return stepEnd{result: r, exit: exit}
}

// runGroup runs the properties of a group one after the other. After a reboot it
// begins with the one that asked for it: those before are over.
func (a *Agent) runGroup(c *command, g group, out *streams, note rebootNote) (result plugin.Result, reboot bool) {
	for _, s := range g {
		resumed := c.resume.of(g)
		if resumed && s.Index < c.resume.step {
			continue
		}
		var one plugin.Result
		denied := false
		switch cause := context.Cause(c.ctx); {
		case resumed && errors.Is(cause, plugin.ErrCancelled):
			one = plugin.Result{Status: plugin.Cancelled, Code: ssmrun.ExitKilled}
		case resumed && cause != nil:
			one = plugin.Result{Status: plugin.Failed, Code: ssmrun.ExitKilled, Note: plugin.ErrStopping.Error()}
		case resumed && c.resume.failure != "" && s.Index == c.resume.step:
			one, denied = withoutReboot(shellscript.RebootCode, c.resume.failure), true
		case cause != nil && s.Index != g[0].Index:
			return result, false
		default:
			one = a.runPlugin(c, s, out)
		}
		if one.Next == plugin.Reboot {
			why := a.askReboot(c, g, s, out, note)
			if why == "" {
				return one, true
			}
			one, denied = withoutReboot(one.Code, why), true
		}
		if note.Before != nil {
			one = worse(*note.Before, one)
		}
		result = one
		note.Before = &result
		if denied {
			break
		}
	}
	return result, false
}

// runPlugin runs the plugin of a step.
func (a *Agent) runPlugin(c *command, s document.Step, out *streams) plugin.Result {
	p, ok := a.plugins[s.Action]
	if !ok {
		return plugin.Fail(fmt.Sprintf("the plugin %s is not one that this agent runs: it runs %s", s.Action, strings.Join(a.actions(), ", ")))
	}
	inputs, env, err := a.resolve(c, s)
	switch cause := context.Cause(c.ctx); {
	case err == nil:
	case errors.Is(cause, plugin.ErrCancelled):
		return plugin.Result{Status: plugin.Cancelled, Code: ssmrun.ExitKilled, Note: noteCancelled}
	case cause != nil:
		return plugin.Fail(noteStopped)
	default:
		return plugin.Fail("the step was not run: " + publicMessage(err))
	}
	own := a.stepFolder(c, s, "")
	if err := os.Mkdir(own, 0o700); err != nil {
		return plugin.Fail(fmt.Sprintf("the step was not run: the agent cannot make a folder for it: %v", innermost(err)))
	}
	defer a.removeFolder(own)
	in := plugin.Input{
		CommandID: c.id, InstanceID: a.identity.InstanceID, Name: s.Name, Action: s.Action, Inputs: inputs,
		Folder: own, WorkDir: a.cfg.WorkDir, Env: a.environment(c.id, env), Stdout: out.stdout, Stderr: out.stderr,
		Begin: func(h executor.Handle) error {
			b, err := json.Marshal(h)
			if err == nil {
				err = c.entry.Begin(s.Index, s.Name, s.Action, b)
			}
			if err != nil {
				return fmt.Errorf("write the journal: %w", err)
			}
			return nil
		},
		Running: func(h executor.Handle) {
			b, err := json.Marshal(h)
			if err == nil {
				err = c.entry.Process(s.Index, b)
			}
			if err != nil {
				a.log.Error("keep process of step", "command", c.id, "error", err)
			}
		},
	}
	if err := a.runAs(c, s, p, &in); err != nil {
		return plugin.Fail("the step was not run: " + err.Error())
	}
	return p.Run(c.ctx, in)
}

// stepFolder is where a step keeps its script, or for another use its output:
// one folder below the common one, since each costs a little to make.
func (a *Agent) stepFolder(c *command, s document.Step, use string) string {
	return filepath.Join(a.folder.Orchestration(), c.entry.Key()+"."+strconv.Itoa(s.Index)+use)
}

func (a *Agent) removeFolder(path string) {
	if err := os.RemoveAll(path); err != nil {
		a.log.Error("remove folder of step", "folder", path, "error", err)
	}
}

func (a *Agent) actions() []string {
	list := make([]string, 0, len(a.plugins))
	for name := range a.plugins {
		list = append(list, name)
	}
	slices.Sort(list)
	return list
}

// environment is all that scripts find in theirs. It is made here and never the
// agent's own, which may hold keys of whoever started it.
func (a *Agent) environment(commandID string, variables map[string]string) []string {
	own := [][2]string{
		{"AWS_SSM_INSTANCE_ID", a.identity.InstanceID},
		{"AWS_SSM_REGION_NAME", a.identity.Region},
		{"AWS_SSM_PLATFORM_NAME", a.cfg.Platform.Name},
		{"AWS_SSM_PLATFORM_VERSION", a.cfg.Platform.Version},
		{"SSM_COMMAND_ID", commandID},
		{"HOME", a.cfg.Home},
		{"PATH", a.cfg.Path},
	}
	env := make([]string, 0, len(own)+len(variables))
	taken := map[string]bool{}
	for _, v := range own {
		taken[v[0]] = true
		env = append(env, v[0]+"="+v[1])
	}
	for name, value := range variables {
		if !taken[name] {
			env = append(env, name+"="+value)
		}
	}
	slices.Sort(env[len(own):])
	return env
}

// untilStopped gives a context that ends grace after the agent was told to stop.
func (a *Agent) untilStopped(grace time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	undo := context.AfterFunc(a.stopped, func() {
		t := time.AfterFunc(grace, cancel)
		context.AfterFunc(ctx, func() { t.Stop() })
	})
	return ctx, func() { undo(); cancel() }
}
