package provider

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/action"
	"github.com/hashicorp/terraform-plugin-framework/action/schema"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/tfsdk"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"ssmrun/internal/runner"
)

// Bounds of timeout, in seconds, and its default; all of the reference page.
const (
	minTimeout     = 60
	maxTimeout     = 7200
	defaultTimeout = 1800
)

var (
	_ action.ActionWithConfigure      = (*sendCommand)(nil)
	_ action.ActionWithValidateConfig = (*sendCommand)(nil)
	_ action.ActionWithModifyPlan     = (*sendCommand)(nil)
)

// sendCommand is the action aws_ssm_send_command.
type sendCommand struct {
	settings *settings // nil before the provider is configured
}

func newSendCommand() action.Action { return &sendCommand{} }

type sendCommandModel struct {
	InstanceIDs      types.List    `tfsdk:"instance_ids"`
	DocumentName     types.String  `tfsdk:"document_name"`
	Parameters       types.Dynamic `tfsdk:"parameters"`
	OutputS3Bucket   types.String  `tfsdk:"output_s3_bucket"`
	Region           types.String  `tfsdk:"region"`
	Timeout          types.Int64   `tfsdk:"timeout"`
	WaitForInstances types.String  `tfsdk:"wait_for_instances"`
}

// Metadata implements action.Action. The name is fixed: it is what makes a
// configuration written for the AWS provider's page work.
func (*sendCommand) Metadata(_ context.Context, _ action.MetadataRequest, resp *action.MetadataResponse) {
	resp.TypeName = "aws_ssm_send_command"
}

// Schema implements action.Action.
func (*sendCommand) Schema(_ context.Context, _ action.SchemaRequest, resp *action.SchemaResponse) {
	resp.Schema = schema.Schema{
		Description: "Runs an SSM document on instances with Run Command, waits for it, and fails where it failed.",
		Attributes: map[string]schema.Attribute{
			"instance_ids": schema.ListAttribute{
				Required: true, ElementType: types.StringType,
				Description: "Ids of the instances to run the document on. All of them must be managed by Systems Manager.",
			},
			"document_name": schema.StringAttribute{
				Required:    true,
				Description: "Name or ARN of the SSM document: one of AWS's, such as AWS-RunShellScript or AWS-RunPowerShellScript, or your own.",
			},
			"parameters": schema.DynamicAttribute{
				Optional:    true,
				Description: "Parameters of the document. AWS-RunShellScript takes commands, a list of shell commands. A value may be a list, a string, a number, true or false, or a map; null is left out.",
			},
			"output_s3_bucket": schema.StringAttribute{
				Optional:    true,
				Description: "S3 bucket for the whole output. The instances' role must be allowed to write to it.",
			},
			"region": schema.StringAttribute{
				Optional:    true,
				Description: "Region to run in. Default: the provider's region.",
			},
			"timeout": schema.Int64Attribute{
				Optional:    true,
				Description: "Seconds to wait for the end, from 60 to 7200. Nothing starts after it. Default: 1800.",
			},
			"wait_for_instances": schema.StringAttribute{
				Optional:    true,
				Description: "How long to wait for instances that have just been created to register, as in 90s or 10m; 0s refuses them at once. Not part of timeout. Default: 5m.",
			},
		},
	}
}

// Configure implements action.ActionWithConfigure.
func (a *sendCommand) Configure(_ context.Context, req action.ConfigureRequest, _ *action.ConfigureResponse) {
	if s, ok := req.ProviderData.(*settings); ok {
		a.settings = s
	}
}

// ValidateConfig implements action.ActionWithValidateConfig: what stands in the
// configuration itself.
func (a *sendCommand) ValidateConfig(ctx context.Context, req action.ValidateConfigRequest, resp *action.ValidateConfigResponse) {
	_, _, _, diags := read(ctx, req.Config)
	resp.Diagnostics.Append(diags...)
}

// ModifyPlan implements action.ActionWithModifyPlan. What the configuration
// proves wrong is an error; what AWS says now is a warning, because the same
// apply may make the document, the bucket or the instance.
func (a *sendCommand) ModifyPlan(ctx context.Context, req action.ModifyPlanRequest, resp *action.ModifyPlanResponse) {
	request, region, skip, diags := read(ctx, req.Config)
	resp.Diagnostics.Append(diags...)
	if resp.Diagnostics.HasError() || a.settings == nil || a.settings.unknown || region.IsUnknown() {
		return
	}
	r, diags := a.settings.runner(ctx, region.ValueString())
	if diags.HasError() {
		// The provider's own settings are no matter of a later apply.
		resp.Diagnostics.Append(diags...)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, planPatience)
	defer cancel()
	for _, p := range r.Preflight(ctx, request, skip...) {
		resp.Diagnostics.AddAttributeWarning(attribute(p), title(p), body(p)+atApply)
	}
}

// planPatience bounds what a plan asks of AWS: an answer that does not come is
// no answer.
const planPatience = 20 * time.Second

const atApply = "\n\nThis is checked again when the action runs: it is no error if the same apply changes it."

// Invoke implements action.Action.
func (a *sendCommand) Invoke(ctx context.Context, req action.InvokeRequest, resp *action.InvokeResponse) {
	request, region, _, diags := read(ctx, req.Config)
	resp.Diagnostics.Append(diags...)
	if resp.Diagnostics.HasError() {
		return
	}
	if a.settings == nil {
		resp.Diagnostics.AddError("Provider not configured", "The action was invoked before the provider was configured. This is a fault of Terraform or of the provider.")
		return
	}
	r, diags := a.settings.runner(ctx, region.ValueString())
	resp.Diagnostics.Append(diags...)
	if diags.HasError() {
		return
	}
	progress := func(text string) {
		// After a cancellation Terraform must not be sent progress any more: it
		// ends the call.
		if ctx.Err() == nil {
			resp.SendProgress(action.InvokeProgressEvent{Message: strings.TrimRight(text, "\n")})
		}
	}
	result, err := r.Run(ctx, request, func(e runner.Event) { progress(e.String()) })
	if err != nil {
		title, detail := runner.Explain(err, runner.ReportOptions{Footer: footer})
		if detail == "" {
			detail = footer
		}
		resp.Diagnostics.AddError(title, detail)
		return
	}
	for _, w := range result.Warnings {
		progress("Warning: " + w)
		resp.Diagnostics.AddWarning("Run Command", w)
	}
	progress(runner.SuccessText(result))
}

// footer tells what Terraform does next, which is nothing.
const footer = `Terraform will not run the action again by itself: what triggered it is done. To run it again:
    terraform apply -invoke=action.aws_ssm_send_command.NAME`

// read makes a request of a configuration. skip are the fields that are not
// known yet. The diagnostics are what the configuration alone proves wrong.
func read(ctx context.Context, config tfsdk.Config) (req runner.Request, region types.String, skip []runner.Field, diags diag.Diagnostics) {
	var m sendCommandModel
	diags.Append(config.Get(ctx, &m)...)
	if diags.HasError() {
		return
	}
	region = m.Region
	if !region.IsUnknown() && !region.IsNull() && region.ValueString() == "" {
		diags.AddAttributeError(path.Root("region"), "Invalid region", "region is empty: name one, as in \"us-east-1\", or leave it out for the provider's.")
	}
	if m.InstanceIDs.IsUnknown() {
		skip = append(skip, runner.FieldInstanceIDs)
	}
	for _, e := range m.InstanceIDs.Elements() {
		id, ok := e.(types.String)
		switch {
		case !ok || id.IsUnknown():
			skip = append(skip, runner.FieldInstanceIDs)
		default:
			req.InstanceIDs = append(req.InstanceIDs, id.ValueString())
		}
	}
	req.Document = m.DocumentName.ValueString()
	if m.DocumentName.IsUnknown() {
		skip = append(skip, runner.FieldDocument)
	}
	req.OutputBucket = m.OutputS3Bucket.ValueString()
	switch {
	case m.OutputS3Bucket.IsUnknown():
		skip = append(skip, runner.FieldOutputBucket)
	case !m.OutputS3Bucket.IsNull() && req.OutputBucket == "":
		diags.AddAttributeError(path.Root("output_s3_bucket"), "Invalid bucket", "output_s3_bucket is empty: name a bucket, or leave it out.")
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
	for _, p := range runner.Check(req, skip...) {
		diags.AddAttributeError(attribute(p), title(p), body(p))
	}
	return
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
			diags.AddAttributeError(path.Root("wait_for_instances"), "Invalid duration",
				fmt.Sprintf("wait_for_instances is %q; it must be a duration like 5m, 90s or 0s.", m.WaitForInstances.ValueString()))
			return
		}
		req.WaitForInstances = d
	}
}

// attribute is the argument that a problem is about.
func attribute(p runner.Problem) path.Path {
	return path.Root(string(p.Field))
}

func title(p runner.Problem) string { return "Problem with " + string(p.Field) }

func body(p runner.Problem) string { return p.String() + "." }
