package provider

import (
	"context"
	"fmt"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/tfsdk"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"ssmrun/internal/runner"
)

// read makes a request of a configuration. skip are the fields that are not
// known yet. The diagnostics are what the configuration alone proves wrong.
func read(ctx context.Context, config tfsdk.Config) (req runner.Request, region types.String, skip []runner.Field, diags diag.Diagnostics) {
	var m sendCommandModel
	diags.Append(config.Get(ctx, &m)...)
	if diags.HasError() {
		return
	}
	region = m.Region
	if !region.IsUnknown() && !region.IsNull() && !regionName.MatchString(region.ValueString()) {
		diags.AddAttributeError(path.Root("region"), "Invalid region", badRegion(region.ValueString()))
	}
	readIDs(m.InstanceIDs, &req, &skip)
	req.Document = m.DocumentName.ValueString()
	if m.DocumentName.IsUnknown() {
		skip = append(skip, runner.FieldDocument)
	}
	req.OutputBucket = m.OutputS3Bucket.ValueString()
	switch {
	case m.OutputS3Bucket.IsUnknown():
		skip = append(skip, runner.FieldOutputBucket)
	case !m.OutputS3Bucket.IsNull() && req.OutputBucket == "":
		diags.AddAttributeError(path.Root("output_s3_bucket"), "Invalid output_s3_bucket", "output_s3_bucket is empty: name a bucket, or leave it out.")
	}
	parameters, complete, err := parameters(ctx, m.Parameters)
	if err != nil {
		diags.AddAttributeError(path.Root("parameters"), "Invalid parameters", "parameters: "+err.Error()+".")
	}
	req.Parameters = parameters
	if !complete {
		skip = append(skip, runner.FieldParameters)
	}
	readTimes(m, &req, &skip, &diags)
	if diags.HasError() {
		return
	}
	diags.Append(failures(runner.Check(req, skip...))...)
	return
}

// readIDs reads the ids that are known; the others are not checked yet.
func readIDs(ids types.List, req *runner.Request, skip *[]runner.Field) {
	complete := !ids.IsUnknown()
	for _, e := range ids.Elements() {
		id, ok := e.(types.String)
		if !ok || id.IsUnknown() {
			complete = false
			continue
		}
		req.InstanceIDs = append(req.InstanceIDs, id.ValueString())
	}
	if !complete && len(req.InstanceIDs) == 0 {
		*skip = append(*skip, runner.FieldInstanceIDs)
	}
}

// readTimes reads timeout and wait_for_instances.
func readTimes(m sendCommandModel, req *runner.Request, skip *[]runner.Field, diags *diag.Diagnostics) {
	req.Timeout = defaultTimeout * time.Second
	switch n := m.Timeout.ValueInt64(); {
	case m.Timeout.IsUnknown():
		*skip = append(*skip, runner.FieldTimeout)
	case m.Timeout.IsNull():
	case n < minTimeout || n > maxTimeout:
		diags.AddAttributeError(path.Root("timeout"), "Invalid timeout",
			fmt.Sprintf("timeout is %d seconds; it must be from %d to %d.", n, minTimeout, maxTimeout))
	default:
		req.Timeout = time.Duration(n) * time.Second
	}
	req.WaitForInstances = runner.DefaultWaitForInstances
	if m.WaitForInstances.IsUnknown() {
		*skip = append(*skip, runner.FieldWaitForInstances)
	}
	if !m.WaitForInstances.IsNull() && !m.WaitForInstances.IsUnknown() {
		d, err := time.ParseDuration(m.WaitForInstances.ValueString())
		if err != nil || d < 0 {
			diags.AddAttributeError(path.Root("wait_for_instances"), "Invalid wait_for_instances",
				fmt.Sprintf("wait_for_instances is %q; it must be a duration like 5m, 90s or 0s.", m.WaitForInstances.ValueString()))
			return
		}
		req.WaitForInstances = d
	}
}
