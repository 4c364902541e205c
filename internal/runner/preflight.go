package runner

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"ssmrun/internal/document"
)

// Preflight says what the service, asked now, finds wrong with the request:
// instances that are unknown or offline, a document that is not there or takes
// other parameters, a bucket that does not exist, an executionTimeout that ends
// the script before Timeout. All of it may be right by the time of the run, so
// these are warnings for a plan. What cannot be asked is left out. Fields in
// skip are not known yet.
func (r *Runner) Preflight(ctx context.Context, req Request, skip ...Field) []Problem {
	knows := func(f Field) bool { return !slices.Contains(skip, f) }
	var (
		all                             sync.WaitGroup
		instanceProblems, documentFound []Problem
		bucketFound                     []Problem
		found                           []standing
		facts                           documentFacts
		documentKnown                   = knows(FieldDocument) && knows(FieldDocumentVersion)
	)
	if knows(FieldInstanceIDs) && len(req.InstanceIDs) > 0 {
		all.Go(func() {
			var err error
			if found, _, err = r.standings(ctx, req.InstanceIDs); err != nil {
				r.log.Info("instances were not checked before the run", "error", err.Error())
			}
		})
	}
	if documentKnown {
		all.Go(func() {
			var err error
			if facts, documentFound, _, err = r.lookAtDocument(ctx, req); err != nil {
				r.log.Info("the document was not checked before the run", "error", err.Error())
			}
		})
	}
	if knows(FieldOutputBucket) && req.OutputBucket != "" {
		all.Go(func() {
			b := r.lookAtBucket(ctx, req)
			switch {
			case b.problem != nil:
				bucketFound = append(bucketFound, *b.problem)
			case b.notice != "":
				bucketFound = append(bucketFound, Problem{FieldOutputBucket, req.OutputBucket, b.notice, ""})
			}
		})
	}
	all.Wait()

	for _, s := range found {
		switch {
		case !s.ready:
			instanceProblems = append(instanceProblems, s.problem())
		default:
			instanceProblems = append(instanceProblems, listOf(facts.platformProblem(req.Document, s.id, s.instance.PlatformType))...)
		}
	}
	problems := append(instanceProblems, documentFound...)
	if d := facts.content; d != nil && knows(FieldParameters) {
		values, wrong := convertParameters(d, req.Parameters)
		problems = append(problems, wrong...)
		if knows(FieldTimeout) {
			problems = append(problems, listOf(earlyEnd(d, values, req.Timeout))...)
		}
	}
	return append(problems, bucketFound...)
}

// earlyEnd warns where the document's own limit ends the script before the
// caller stops waiting.
func earlyEnd(d *document.Document, values map[string][]string, timeout time.Duration) *Problem {
	if timeout == 0 {
		timeout = DefaultTimeout
	}
	limit, err := d.Timeout(values)
	if err != nil || limit >= timeout {
		return nil
	}
	what, advice := "the time limits of the document's steps end it", "Lower timeout to match, or send a document that allows more"
	if _, ok := d.Parameter(executionTimeout); ok {
		what, advice = "its default executionTimeout ends the script", "Set the parameter executionTimeout to at least as much, or lower timeout to match"
		if len(values[executionTimeout]) > 0 {
			what, advice = "the parameter executionTimeout ends the script", "Raise it to at least as much, or lower timeout to match"
		}
	}
	return &Problem{FieldTimeout, "", fmt.Sprintf("timeout is %s, but %s after %s", short(timeout), what, short(limit)), advice}
}

// executionTimeout is the parameter by which documents that run scripts take
// their limit.
const executionTimeout = "executionTimeout"
