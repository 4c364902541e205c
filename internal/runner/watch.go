package runner

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/aws/smithy-go/middleware"
)

const (
	// pollEvery is the pace of plain polls, as documented.
	pollEvery = 5 * time.Second
	// throttledMax is the longest pause of a poll that is throttled.
	throttledMax = 30 * time.Second
	// refusals is how many polls in a row the service may refuse (a permission
	// that is taking effect, a session being renewed) before the run is lost.
	refusals = 3
	// unlisted is how long the service may go without listing a command that it
	// accepted.
	unlisted = 2 * time.Minute
	// silence is how long polls may fail before the caller is told.
	silence = 20 * time.Second
)

// earlyLooks are the first polls, counted from the send: most commands are
// over by the third.
var earlyLooks = []time.Duration{500 * time.Millisecond, 1500 * time.Millisecond, 3200 * time.Millisecond}

// errDeadline ends watching when the timeout has passed.
var errDeadline = errors.New("the timeout has passed")

// update is what a follower learnt.
type update struct {
	command *command
	seen    *types.Command // nil where nothing new was seen
	done    []InstanceResult
	notice  string
	err     error // the command cannot be followed any further
}

// watch follows the commands until all are over: nil. Else errDeadline, the
// context's cause, or a fault that makes further watching pointless.
func (x *run) watch(ctx context.Context) error {
	following, stop := context.WithCancel(ctx)
	var all sync.WaitGroup
	defer all.Wait()
	defer stop()

	updates := make(chan update)
	live := 0
	for _, c := range x.commands {
		if !c.sent() || c.state.Terminal() {
			continue
		}
		live++
		f := &follower{run: x, command: c, id: c.id, revision: c.revision, started: x.started, updates: updates}
		all.Go(func() { f.follow(following) })
	}

	deadline := time.NewTimer(time.Until(x.started.Add(x.timeout)))
	defer deadline.Stop()
	beat := time.NewTimer(heartbeat)
	defer beat.Stop()
	tell := func(e Event) {
		x.emit(ctx, e)
		beat.Reset(heartbeat)
	}
	last := x.counts()
	for live > 0 {
		select {
		case u := <-updates:
			if u.err != nil {
				return u.err
			}
			if u.notice != "" {
				tell(Notice{Text: u.notice})
			}
			if u.seen != nil {
				u.command.take(*u.seen)
				if u.command.state.Terminal() {
					live--
				}
			}
			now := x.counts()
			for _, i := range u.done {
				x.done(ctx, i, now)
				beat.Reset(heartbeat)
			}
			if now != last {
				last = now
				tell(Progress{Counts: now, Elapsed: time.Since(x.started), Changed: true})
			}
		case <-beat.C:
			tell(Progress{Counts: last, Elapsed: time.Since(x.started)})
		case <-deadline.C:
			return errDeadline
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// counts sums up the commands. Instances that were not sent to are none of
// them.
func (x *run) counts() Counts {
	var sum Counts
	for _, c := range x.commands {
		if c.sent() {
			sum.add(c.counts)
		}
	}
	return sum
}

// follower looks at one command until it is over.
type follower struct {
	run     *run
	command *command // only handed on: watch owns it
	id      string
	started time.Time
	updates chan<- update

	revision int64 // of the last answer
	cuts     int   // long polls that were cut
	answered int   // long polls that were answered
	looks    int   // polls made
	backoff  time.Duration
	// calm: the service has throttled; there are no early looks any more.
	calm    bool
	refused int
	failing time.Time // since when polls fail; zero while they do not
	told    bool      // that they fail
	listed  bool
	counts  [2]int32
}

func (f *follower) follow(ctx context.Context) {
	for {
		if f.pause(ctx) != nil {
			return
		}
		u, over := f.look(ctx)
		if ctx.Err() != nil {
			return
		}
		u.command = f.command
		select {
		case f.updates <- u:
		case <-ctx.Done():
			return
		}
		if over || u.err != nil {
			return
		}
	}
}

// long tells whether the next poll is a long one.
func (f *follower) long() bool {
	return f.revision != noRevision && f.cuts < maxCuts && f.failing.IsZero() && f.backoff == 0
}

// pause waits until the next poll is due.
func (f *follower) pause(ctx context.Context) error {
	switch {
	case f.backoff > 0:
		return sleep(ctx, jitter(f.backoff))
	case f.long():
		if f.answered < burst {
			return ctx.Err()
		}
		return sleep(ctx, spacing)
	case f.looks == 0 && f.run.cfg.Endpoint != "":
		// Not AWS's own service: it may have a revision to wait on.
		return ctx.Err()
	}
	since := time.Since(f.started)
	for _, early := range earlyLooks {
		if since < early && !f.calm {
			return sleep(ctx, early-since)
		}
	}
	return sleep(ctx, pollEvery)
}

// look polls once.
func (f *follower) look(ctx context.Context) (u update, over bool) {
	long := f.long()
	timeout, options := callTimeout, []func(*ssm.Options){}
	if long {
		timeout, options = longPollTimeout, append(options, longPoll(f.revision))
	}
	call, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	f.looks++
	asked := time.Now()
	out, err := f.run.cfg.SSM.ListCommands(call, &ssm.ListCommandsInput{CommandId: &f.id}, options...)
	if err != nil {
		if ctx.Err() == nil {
			u = f.failed(err, long)
		}
		return u, false
	}
	if f.told {
		u.notice = fmt.Sprintf("Systems Manager answers again, after %s", short(time.Since(f.failing)))
	}
	f.failing, f.told, f.refused, f.backoff = time.Time{}, false, 0, 0
	if throttledBefore(out.ResultMetadata) {
		// It came through at last, but it was too much.
		f.backoff, f.calm = pollEvery, true
	}
	revision := revisionIn(out.ResultMetadata)
	if long {
		f.answered++
		if revision == f.revision && time.Since(asked) < longPollWait/2 {
			// It does not wait: somebody answers for it. Do not run in circles.
			f.cuts = maxCuts
		}
	}
	f.revision = revision
	if len(out.Commands) == 0 {
		// Lists lag behind; they are asked again.
		if !f.listed && time.Since(f.started) > unlisted {
			u.err = fmt.Errorf("the service has accepted it but does not list it")
		}
		return u, false
	}
	f.listed = true
	u.seen = &out.Commands[0]
	over = stateOf(string(u.seen.Status), u.seen.StatusDetails).Terminal()
	if counts := [2]int32{u.seen.CompletedCount, u.seen.TargetCount}; f.run.req.Each && counts != f.counts {
		f.counts = counts
		u.done = f.ended(ctx)
	}
	return u, over
}

// failed decides what a failed poll means.
func (f *follower) failed(err error, long bool) (u update) {
	why := faultOf(err)
	f.run.log.Info("a poll failed", "command", f.id, "long", long, "error", why.String())
	if long && !why.throttled {
		// Ask plainly before anything is made of it: something on the way may
		// not bear a slow answer.
		f.cuts++
		f.revision = noRevision
		return u
	}
	if f.failing.IsZero() {
		f.failing = time.Now()
	}
	switch {
	case why.throttled:
		f.calm = true
		f.backoff = min(max(2*f.backoff, 2*pollEvery), throttledMax)
	case why.passing:
		f.backoff = pollEvery
	default:
		f.backoff = pollEvery
		if f.refused++; f.refused >= refusals {
			u.err = errors.New(why.String())
			return u
		}
	}
	if passed := time.Since(f.failing); passed >= silence && !f.told {
		f.told = true
		u.notice = fmt.Sprintf("Systems Manager has not answered for %s (%s). Still trying; command %s runs on", short(passed), why, f.id)
	}
	return u
}

// ended gives the instances that are over.
func (f *follower) ended(ctx context.Context) []InstanceResult {
	rows, err := f.run.invocations(ctx, f.id)
	if err != nil {
		f.run.log.Info("the list of invocations could not be read", "command", f.id, "error", faultOf(err).String())
		return nil
	}
	var done []InstanceResult
	for _, row := range rows {
		if i := f.run.instanceResult(row); i.State.Terminal() {
			done = append(done, i)
		}
	}
	return done
}

// throttledBefore tells whether a call came through only after the service had
// throttled it.
func throttledBefore(metadata middleware.Metadata) bool {
	results, ok := retry.GetAttemptResults(metadata)
	if !ok {
		return false
	}
	for _, a := range results.Results {
		if a.Err != nil && faultOf(a.Err).throttled {
			return true
		}
	}
	return false
}

// invocations reads all invocations of a command.
func (r *Runner) invocations(ctx context.Context, id string) (rows []types.CommandInvocation, err error) {
	err = pages(func(token *string) (*string, error) {
		ctx, cancel := context.WithTimeout(ctx, callTimeout)
		defer cancel()
		out, err := r.cfg.SSM.ListCommandInvocations(ctx, &ssm.ListCommandInvocationsInput{
			CommandId: &id, Details: true, MaxResults: aws.Int32(pageSize), NextToken: token,
		})
		if err != nil {
			return nil, err
		}
		rows = append(rows, out.CommandInvocations...)
		return out.NextToken, nil
	})
	return rows, err
}

// sleep waits for d, or less where the context ends first: its error then.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
