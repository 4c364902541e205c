package runner

import (
	"context"
	"errors"
	"sync"
	"time"

	"ssmrun"
)

// run is one Run on its way. Its methods are called from one goroutine, but
// for those that say otherwise.
type run struct {
	*Runner
	req     Request
	observe Observer
	timeout time.Duration

	document documentFacts
	values   map[string][]string // the parameters, converted
	output   ssmrun.OutputLocation
	names    map[string]string // host names by instance id
	skew     time.Duration     // how far ahead of ours the service's clock is

	commands []*command
	told     map[string]bool // instances whose end was told
	// hurried: someone has interrupted and wants to leave; the objects in S3 are
	// not looked for.
	hurried   bool
	started   time.Time // when SendCommand answered last, on the monotonic clock
	startedAt time.Time // the same on the wall clock
}

func (r *Runner) newRun(req Request, observe Observer) *run {
	x := &run{Runner: r, req: req, observe: observe, timeout: req.Timeout, names: map[string]string{}, told: map[string]bool{}}
	if x.timeout == 0 {
		x.timeout = DefaultTimeout
	}
	return x
}

// emit tells the observer, unless the caller has interrupted the run.
func (x *run) emit(ctx context.Context, e Event) {
	if x.observe != nil && ctx.Err() == nil {
		x.observe(e)
	}
}

// done tells the end of an instance, once.
func (x *run) done(ctx context.Context, i InstanceResult, now Counts) {
	if i.State.Terminal() && !x.told[i.ID] {
		x.told[i.ID] = true
		x.emit(ctx, InstanceDone{Instance: i, Counts: now})
	}
}

func (x *run) ready(i Instance) { x.names[i.ID] = i.Name }

// Run checks the request, the document, the instances and the bucket, sends the
// command, waits for its end and collects the results. The error is one of
// ValidationError, CallError, SendError, AmbiguousSendError, RunError,
// TimeoutError, CancelledError, LostError; where something was sent the Result
// is given beside it. observe may be nil.
func (r *Runner) Run(ctx context.Context, req Request, observe Observer) (*Result, error) {
	if problems := Check(req); len(problems) > 0 {
		return nil, &ValidationError{Problems: problems}
	}
	x := r.newRun(req, observe)
	if err := x.prepare(ctx); err != nil {
		return nil, beforeSend(ctx, err)
	}
	if err := x.send(ctx); err != nil {
		return nil, beforeSend(ctx, err)
	}
	switch err := x.watch(ctx); {
	case ctx.Err() != nil:
		return x.interrupted(ctx)
	case errors.Is(err, errDeadline):
		return x.timedOut(ctx)
	case err != nil:
		return x.lost(ctx, err)
	}
	res, err := x.collect(ctx, true)
	switch {
	case ctx.Err() != nil:
		return x.interrupted(ctx)
	case err != nil:
		return res, &LostError{Result: res, Err: err, Over: true}
	}
	res.Ended = r.cfg.Now()
	if req.Each {
		// The list may have shown the last ones only now.
		for _, i := range res.Instances {
			x.done(ctx, i, res.Counts())
		}
	}
	if len(res.Failed()) > 0 {
		return res, &RunError{Result: res}
	}
	return res, nil
}

// beforeSend says that nothing was sent because the caller interrupted, where
// that is what happened.
func beforeSend(ctx context.Context, err error) error {
	if ctx.Err() != nil && KindOf(err) != KindAmbiguous {
		return &CancelledError{Err: context.Cause(ctx)}
	}
	return err
}

// prepare checks what AWS has to be asked, all at once, then waits for the
// instances that are not ready.
func (x *run) prepare(ctx context.Context) error {
	var (
		all                      sync.WaitGroup
		problems                 []Problem
		documentErr, instanceErr error
		found                    []standing
		bucket                   bucketFacts
	)
	all.Go(func() { problems, documentErr = x.awaitDocument(ctx) })
	all.Go(func() { found, x.skew, instanceErr = x.standings(ctx, x.req.InstanceIDs) })
	all.Go(func() { bucket = x.lookAtBucket(ctx, x.req) })
	all.Wait()
	if err := errors.Join(instanceErr, documentErr); err != nil {
		return firstError(instanceErr, documentErr)
	}
	for _, s := range found {
		if s.hopeless || (!s.ready && x.req.WaitForInstances == 0) {
			problems = append(problems, s.problem())
		}
	}
	if bucket.problem != nil {
		problems = append(problems, *bucket.problem)
	}
	if len(problems) > 0 {
		return &ValidationError{Problems: problems}
	}
	x.output = outputLocation(x.req, bucket)
	if bucket.notice != "" {
		x.emit(ctx, Notice{Text: bucket.notice})
	}
	if err := x.awaitInstances(ctx, found); err != nil {
		return err
	}
	x.emit(ctx, Validated{Instances: len(x.req.InstanceIDs), Document: x.req.Document})
	return nil
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// region names the region in texts.
func (r *Runner) region() string { return firstOf(r.cfg.Region, "this region") }

// passing tells whether the same may well work later.
func passing(err error) bool {
	var call *CallError
	return errors.As(err, &call) && faultOf(call.Err).passing
}
