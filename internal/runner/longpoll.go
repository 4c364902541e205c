package runner

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// The long poll. Our own service gives a command's revision with every answer
// about it; a caller that saw one may ask to be answered as soon as the
// revision is another. AWS gives none and is never asked.
const (
	headerRevision = "X-Ssmrun-Revision"
	headerWait     = "X-Ssmrun-Wait"
	// headerAccepted is "no" where our own service refuses a command with a
	// status that AWS also answers when it does not know: 503 while it stops.
	headerAccepted = "X-Ssmrun-Accepted"
	// longPollWait is how long the service may keep the answer, longPollTimeout
	// how long the answer may take in all.
	longPollWait    = 20 * time.Second
	longPollTimeout = longPollWait + 15*time.Second
	// maxCuts is how many long polls may be cut (by a proxy, say) before only
	// plain polls are made.
	maxCuts = 2
	// burst is how many long polls in a row may be answered at once; further
	// ones are spaced, because a command on many instances changes all the time.
	burst   = 10
	spacing = 50 * time.Millisecond
)

// longPoll makes a ListCommands call wait for another revision than this one.
// The header is set before signing, so that it is part of the signature. The
// SDK must not repeat a call that a proxy cut: it would be cut again.
func longPoll(revision int64) func(*ssm.Options) {
	value := fmt.Sprintf("%d;%d", revision, int(longPollWait.Seconds()))
	return func(o *ssm.Options) {
		o.Retryer = aws.NopRetryer{}
		o.APIOptions = append(o.APIOptions, func(stack *middleware.Stack) error {
			return stack.Build.Add(middleware.BuildMiddlewareFunc("SsmrunWait", func(ctx context.Context, in middleware.BuildInput, next middleware.BuildHandler) (middleware.BuildOutput, middleware.Metadata, error) {
				if req, ok := in.Request.(*smithyhttp.Request); ok {
					req.Header.Set(headerWait, value)
				}
				return next.HandleBuild(ctx, in)
			}), middleware.After)
		})
	}
}

// noRevision stands for an answer without a revision.
const noRevision = -1

// revisionIn reads the revision of an answer; noRevision where it has none.
func revisionIn(metadata middleware.Metadata) int64 {
	resp, ok := awsmiddleware.GetRawResponse(metadata).(*smithyhttp.Response)
	if !ok || resp == nil || resp.Response == nil {
		return noRevision
	}
	n, err := strconv.ParseInt(resp.Header.Get(headerRevision), 10, 64)
	if err != nil || n < 0 {
		return noRevision
	}
	return n
}
