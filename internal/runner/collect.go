package runner

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"ssmrun"
)

const (
	// settle is how long the list of invocations may lag behind the command.
	settle = 10 * time.Second
	// parallel bounds the calls that are made at once.
	parallel = 8
	// fullOutputs is how many failed instances get their output in full; a
	// report shows fewer.
	fullOutputs = 50
)

// collect reads the results of every command that is over, or of as much of
// them as there is where whole is false, and puts them into the order of the
// request.
func (x *run) collect(ctx context.Context, whole bool) (*Result, error) {
	res := &Result{
		Document: x.req.Document, Region: x.cfg.Region, Endpoint: x.cfg.Endpoint,
		Output: x.output, Started: x.startedAt,
	}
	byID := map[string]InstanceResult{}
	var firstErr error
	for _, c := range x.commands {
		if c.sent() {
			res.Commands = append(res.Commands, Command{ID: c.id, InstanceIDs: c.ids, State: c.state, Counts: c.counts, Requested: c.requested, Adopted: c.adopted})
		}
		rows, err := x.settled(ctx, c, whole)
		if err != nil && firstErr == nil {
			firstErr = err
		}
		for _, row := range rows {
			i := x.instanceResult(row)
			byID[i.ID] = i
		}
	}
	for _, c := range x.commands {
		for _, id := range c.ids {
			i, ok := byID[id]
			if !ok {
				i = x.withoutInvocation(c, id)
			}
			if i.Name == "" {
				i.Name = x.names[id]
			}
			res.Instances = append(res.Instances, i)
		}
	}
	if ids := x.req.InstanceIDs; len(res.Instances) < len(ids) {
		// Interrupted between two sends.
		for _, id := range ids[len(res.Instances):] {
			res.Instances = append(res.Instances, InstanceResult{ID: id, Name: x.names[id], ExitCode: ssmrun.ExitNotStarted, State: ssmrun.NewState, Problem: "not sent: the run was interrupted before"})
		}
	}
	if firstErr != nil {
		return res, firstErr
	}
	x.fill(ctx, res)
	if !x.hurried {
		x.lookAtOutputs(ctx, res)
	}
	res.Warnings = append(res.Warnings, skipped(res)...)
	return res, nil
}

// settled reads a command's invocations until they agree with the command: on
// AWS the list may lag behind.
func (x *run) settled(ctx context.Context, c *command, whole bool) ([]types.CommandInvocation, error) {
	if !c.sent() {
		return nil, nil
	}
	start := time.Now()
	interval := 250 * time.Millisecond
	for {
		rows, err := x.invocations(ctx, c.id)
		if err == nil && (!whole || complete(rows, c)) {
			return rows, nil
		}
		passed := time.Since(start)
		switch {
		case err != nil && !faultOf(err).passing:
			return nil, fmt.Errorf("read the results of command %s: %s", c.id, faultOf(err))
		case err != nil && passed > 3*settle:
			return nil, fmt.Errorf("read the results of command %s: %s", c.id, faultOf(err))
		case err == nil && passed > settle:
			return rows, nil
		}
		if err := sleep(ctx, interval); err != nil {
			return rows, err
		}
		interval = min(2*interval, 2*time.Second)
	}
}

// complete tells that every instance of the command has a result. A command
// that matched nothing or was refused as a whole has no invocations.
func complete(rows []types.CommandInvocation, c *command) bool {
	if len(rows) == 0 {
		switch c.state.Details {
		case ssmrun.DetailsNoInstancesInTag, ssmrun.DetailsAccessDenied, ssmrun.DetailsRateExceeded:
			return true
		}
	}
	over := map[string]bool{}
	for _, row := range rows {
		if stateOf(string(row.Status), row.StatusDetails).Terminal() {
			over[aws.ToString(row.InstanceId)] = true
		}
	}
	return !slices.ContainsFunc(c.ids, func(id string) bool { return !over[id] })
}

// withoutInvocation is the result of an instance that the service shows none of.
func (x *run) withoutInvocation(c *command, id string) InstanceResult {
	i := InstanceResult{ID: id, CommandID: c.id, State: c.state, ExitCode: ssmrun.ExitNotStarted}
	switch {
	case c.err != nil:
		i.State = ssmrun.NewState
		i.Problem = "not sent: " + c.err.Error()
		if KindOf(c.err) == KindAmbiguous {
			i.Problem = c.err.Error()
		}
	case !c.state.Terminal():
		i.Problem = "the service shows no result for it yet"
	default:
		i.Problem = "nothing ran: the service shows no invocation for it, and the command ended " + c.state.String()
	}
	return i
}

// instanceResult reads a row of the list.
func (x *run) instanceResult(row types.CommandInvocation) InstanceResult {
	i := InstanceResult{
		ID:        aws.ToString(row.InstanceId),
		Name:      aws.ToString(row.InstanceName),
		CommandID: aws.ToString(row.CommandId),
		State:     stateOf(string(row.Status), row.StatusDetails),
		ExitCode:  ssmrun.ExitNotStarted,
		Trace:     aws.ToString(row.TraceOutput),
	}
	for _, p := range row.CommandPlugins {
		i.Plugins = append(i.Plugins, pluginResult(p))
	}
	x.order(i.Plugins)
	i.decide()
	return i
}

func pluginResult(p types.CommandPlugin) PluginResult {
	r := PluginResult{
		Name:     aws.ToString(p.Name),
		State:    stateOf(string(p.Status), p.StatusDetails),
		ExitCode: int(p.ResponseCode),
		Started:  aws.ToTime(p.ResponseStartDateTime),
		Finished: aws.ToTime(p.ResponseFinishDateTime),
	}
	r.Stdout, r.Stderr, r.joined = splitJoined(aws.ToString(p.Output))
	r.urls[0], r.urls[1] = aws.ToString(p.StandardOutputUrl), aws.ToString(p.StandardErrorUrl)
	return r
}

// splitJoined takes apart what a list shows of both streams. doubtful tells
// that it cannot be taken apart for certain: it was cut, or the separator
// stands in it more than once.
func splitJoined(s string) (stdout, stderr Stream, doubtful bool) {
	head, cut := strings.CutSuffix(s, ssmrun.MarkJoined)
	var both bool
	stdout.Head, stderr.Head, both = strings.Cut(head, ssmrun.Separator)
	// What was cut off is of the stream that comes last.
	stdout.Cut, stderr.Cut = cut && !both, cut && both
	return stdout, stderr, cut || strings.Contains(stderr.Head, ssmrun.Separator)
}

// order sorts plugins as the document has them; those it does not have stay
// behind, by their start.
func (x *run) order(plugins []PluginResult) {
	rank := map[string]int{}
	if x.document.content != nil {
		for n, name := range x.document.content.PluginNames() {
			rank[name] = n + 1
		}
	}
	slices.SortStableFunc(plugins, func(a, b PluginResult) int {
		ra, rb := rank[a.Name], rank[b.Name]
		switch {
		case ra != 0 && rb != 0:
			return ra - rb
		case ra != rb:
			return rb - ra // the one with a rank first
		}
		return a.Started.Compare(b.Started)
	})
}

// decide fills in what the plugins say of the instance as a whole.
func (i *InstanceResult) decide() {
	for _, p := range i.Plugins {
		if !p.Started.IsZero() && (i.Started.IsZero() || p.Started.Before(i.Started)) {
			i.Started = p.Started
		}
		if p.Finished.After(i.Ended) {
			i.Ended = p.Finished
		}
	}
	if p := i.Decisive(); p != nil {
		i.ExitCode = p.ExitCode
	}
}

// fill gets the streams that the list does not show whole.
func (x *run) fill(ctx context.Context, res *Result) {
	type want struct {
		instance *InstanceResult
		plugin   *PluginResult
	}
	var wanted []want
	failed := 0
	for n := range res.Instances {
		i := &res.Instances[n]
		all := x.req.Outputs == OutputsOfAll
		if !i.Succeeded() {
			failed++
			all = all || failed <= fullOutputs
		}
		for m := range i.Plugins {
			if p := &i.Plugins[m]; all && p.joined {
				wanted = append(wanted, want{i, p})
			}
		}
	}
	var mu sync.Mutex
	lost := map[string]int{}
	each(wanted, func(w want) {
		if err := x.streams(ctx, w.instance, w.plugin); err != nil {
			mu.Lock()
			lost[faultOf(err).String()]++
			mu.Unlock()
		}
	})
	for why, n := range lost {
		res.Warnings = append(res.Warnings, fmt.Sprintf("the output of %s is shown only in part: GetCommandInvocation: %s", instances(n), why))
	}
}

// streams asks for both streams of a plugin. A result that the list shows may
// not be there for GetCommandInvocation yet.
func (x *run) streams(ctx context.Context, i *InstanceResult, p *PluginResult) error {
	in := &ssm.GetCommandInvocationInput{CommandId: &i.CommandID, InstanceId: &i.ID}
	if len(p.Name) >= 4 {
		in.PluginName = &p.Name
	}
	start := time.Now()
	for {
		call, cancel := context.WithTimeout(ctx, callTimeout)
		out, err := x.cfg.SSM.GetCommandInvocation(call, in)
		cancel()
		switch {
		case err == nil:
			p.Stdout = stream(aws.ToString(out.StandardOutputContent), ssmrun.MaxStreamChars)
			p.Stderr = stream(aws.ToString(out.StandardErrorContent), ssmrun.MaxStderrChars)
			p.urls[0], p.urls[1] = aws.ToString(out.StandardOutputUrl), aws.ToString(out.StandardErrorUrl)
			p.joined = false
			return nil
		case hasCode(err, ssmrun.CodeInvalidPluginName) && in.PluginName != nil && len(i.Plugins) == 1:
			in.PluginName = nil
		case hasCode(err, ssmrun.CodeInvocationDoesNotExist) && time.Since(start) < settle:
			if err := sleep(ctx, 500*time.Millisecond); err != nil {
				return err
			}
		default:
			return err
		}
	}
}

// stream reads a stream that the service may have cut, at limit characters.
func stream(s string, limit int) Stream {
	if head, ok := strings.CutSuffix(s, ssmrun.MarkStream); ok {
		return Stream{Head: head, Cut: true}
	}
	return Stream{Head: s, Cut: len(s) >= limit && len([]rune(s)) >= limit}
}

// skipped warns of instances that succeeded because nothing ran.
func skipped(res *Result) []string {
	var ids []string
	for _, i := range res.Instances {
		if i.Succeeded() && len(i.Plugins) > 0 && !slices.ContainsFunc(i.Plugins, func(p PluginResult) bool { return p.State.Details != ssmrun.DetailsSkipped }) {
			ids = append(ids, i.ID)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	return []string{fmt.Sprintf("nothing ran on %s: every step of document %q was skipped by its precondition", listed(ids, 10), res.Document)}
}

// each calls f for all items, a few at a time.
func each[T any](items []T, f func(T)) {
	var all sync.WaitGroup
	slots := make(chan struct{}, parallel)
	for _, item := range items {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			f(item)
		})
	}
	all.Wait()
}
