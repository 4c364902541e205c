package runner

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"ssmrun"
)

// s3Timeout bounds one call of S3, its repeats included.
const s3Timeout = 15 * time.Second

// bucketFacts is what was learnt of the output bucket.
type bucketFacts struct {
	region  string // "" where that is not known
	problem *Problem
	// notice says why less is known; "" for nothing to say.
	notice string
}

// lookAtBucket asks for the bucket, and follows it to its region.
func (r *Runner) lookAtBucket(ctx context.Context, req Request) bucketFacts {
	if req.OutputBucket == "" {
		return bucketFacts{}
	}
	region := req.OutputRegion
	if region == "" {
		region = r.cfg.Region
	}
	if r.cfg.S3 == nil {
		return bucketFacts{region: req.OutputRegion}
	}
	status, actual, err := r.headBucket(ctx, req.OutputBucket, region)
	if actual != "" && actual != region {
		// It is elsewhere: ask there, for what its own region says of access.
		region = actual
		status, _, err = r.headBucket(ctx, req.OutputBucket, region)
	}
	name := req.OutputBucket
	switch {
	case err == nil:
		return bucketFacts{region: region}
	case status == http.StatusNotFound:
		return bucketFacts{problem: &Problem{FieldOutputBucket, name, fmt.Sprintf("bucket %q does not exist", name), "Create it first, or name another"}}
	case status == http.StatusForbidden:
		return bucketFacts{region: actual, notice: fmt.Sprintf(
			"bucket %q may not be looked at (403): whether the instances can write to it shows when the run is over. Letting the caller do s3:ListBucket on it allows the check", name)}
	}
	return bucketFacts{region: actual, notice: fmt.Sprintf("bucket %q could not be looked at: %s", name, faultOf(err))}
}

// headBucket gives the HTTP status and the region that S3 names, which it does
// in refusals too.
func (r *Runner) headBucket(ctx context.Context, bucket, region string) (status int, actual string, err error) {
	ctx, cancel := context.WithTimeout(ctx, s3Timeout)
	defer cancel()
	out, err := r.cfg.S3(region).HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &bucket})
	if err == nil {
		return http.StatusOK, aws.ToString(out.BucketRegion), nil
	}
	var re *smithyhttp.ResponseError
	if errors.As(err, &re) && re.Response != nil && re.Response.Response != nil {
		return re.HTTPStatusCode(), re.Response.Header.Get("X-Amz-Bucket-Region"), err
	}
	return 0, "", err
}

// outputLocation is where a command is told to put its output.
func outputLocation(req Request, b bucketFacts) ssmrun.OutputLocation {
	if req.OutputBucket == "" {
		return ssmrun.OutputLocation{}
	}
	loc := ssmrun.OutputLocation{Bucket: req.OutputBucket, Prefix: req.OutputPrefix, Region: req.OutputRegion}
	if b.region != "" {
		loc.Region = b.region
	}
	return loc
}
