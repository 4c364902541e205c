package provider

import (
	"context"
	"strings"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/action"
	"github.com/hashicorp/terraform-plugin-framework/action/schema"
	"github.com/hashicorp/terraform-plugin-framework/diag"
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
		Description: "Runs an SSM document on instances with AWS Systems Manager Run Command, waits for it, and fails where it failed.",
		Attributes: map[string]schema.Attribute{
			"instance_ids": schema.ListAttribute{
				Required: true, ElementType: types.StringType,
				MarkdownDescription: "Ids of the instances to run the document on, each once: `i-…` of EC2 or `mi-…` of a hybrid activation. All of them must be managed by Systems Manager. More than 50 are sent as several commands and reported as one run.",
			},
			"document_name": schema.StringAttribute{
				Required:            true,
				MarkdownDescription: "Name or ARN of the SSM document to run: one that AWS provides (such as `AWS-RunShellScript` or `AWS-RunPowerShellScript`) or your own. It must be a Command document.",
			},
			"parameters": schema.DynamicAttribute{
				Optional:            true,
				MarkdownDescription: "Parameters for the document, as an object or a map; which ones there are depends on the document. `AWS-RunShellScript` takes `commands`, a list of shell commands. A value is a list, a string, a number, true or false, or a map (sent as JSON), converted to the type that the document declares: a single value becomes a list of one where it wants a list. `null` is left out. No value is ever printed or logged.",
			},
			"output_s3_bucket": schema.StringAttribute{
				Optional:            true,
				MarkdownDescription: "Name of an S3 bucket for the whole output; without one only its beginning is kept. The instances must be allowed to write to it. A bucket in another region is found by itself.",
			},
			"region": schema.StringAttribute{
				Optional:            true,
				MarkdownDescription: "[Region](https://docs.aws.amazon.com/general/latest/gr/rande.html#regional-endpoints) in which this action runs. Default: the region of the [provider](../index.md).",
			},
			"timeout": schema.Int64Attribute{
				Optional:            true,
				MarkdownDescription: "Seconds to wait for the end, from 60 to 7200, counted from when Systems Manager accepts the command. What has not begun by then is cancelled and never starts; what runs is left alone and named. Default: `1800`.",
			},
			"wait_for_instances": schema.StringAttribute{
				Optional:            true,
				MarkdownDescription: "How long to wait, before anything is sent, for instances that have just been created to register with Systems Manager: a duration such as `90s` or `10m`. `0s` refuses them at once. Not part of `timeout`. Default: `5m`.",
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
// proves wrong is an error, and so are settings that lead to no region or no
// credentials. What AWS says now is a warning, because the same apply may make
// the document, the bucket or the instance.
func (a *sendCommand) ModifyPlan(ctx context.Context, req action.ModifyPlanRequest, resp *action.ModifyPlanResponse) {
	request, region, skip, diags := read(ctx, req.Config)
	resp.Diagnostics.Append(diags...)
	if resp.Diagnostics.HasError() || a.settings == nil || a.settings.unknown || region.IsUnknown() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, planPatience)
	defer cancel()
	r, diags := a.settings.runner(ctx, region.ValueString())
	resp.Diagnostics.Append(diags...)
	if diags.HasError() {
		return
	}
	resp.Diagnostics.Append(warnings(r.Preflight(ctx, request, skip...))...)
}

// planPatience bounds what a plan asks of AWS: an answer that does not come is
// no answer.
const planPatience = 20 * time.Second

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
	if diags.HasError() {
		// Warnings were shown with the plan.
		resp.Diagnostics.Append(diags...)
		return
	}
	progress := sender(ctx, resp.SendProgress)
	result, err := r.Run(ctx, request, func(e runner.Event) { progress(e.String()) })
	if err != nil {
		resp.Diagnostics.Append(a.explain(err))
		return
	}
	for _, w := range result.Warnings {
		resp.Diagnostics.AddWarning("Check the run of "+result.Document, w+".")
	}
	progress(runner.SuccessText(result))
}

// sender makes a function that shows progress as long as the context lives.
// After a cancellation Terraform must not be sent any more: it ends the call.
// And when Terraform is gone nobody takes the event, which must not keep the
// runner from cancelling the command.
func sender(ctx context.Context, send func(action.InvokeProgressEvent)) func(text string) {
	return func(text string) {
		if ctx.Err() != nil {
			return
		}
		taken := make(chan struct{})
		go func() {
			defer close(taken)
			// A line end would show as an empty line.
			send(action.InvokeProgressEvent{Message: strings.TrimRight(text, "\n")})
		}()
		select {
		case <-taken:
		case <-ctx.Done():
		}
	}
}

// explain puts an error of a run into a diagnostic.
func (a *sendCommand) explain(err error) diag.Diagnostic {
	foot := footer
	if source := a.settings.endpointSource(); source != "" && runner.KindOf(err) == runner.KindUnreachable {
		foot = "The address comes from " + source + ".\n\n" + foot
	}
	title, detail := runner.Explain(err, runner.ReportOptions{Footer: foot})
	if detail == "" {
		detail = foot
	}
	// Terraform joins the two with a colon; the detail begins a line of its own.
	return diag.NewErrorDiagnostic(title, "\n"+detail)
}

// footer tells what Terraform does next. The provider does not know the action's
// address.
const footer = `Terraform will not run the action again by itself: a change that is done does not trigger it twice. To run it again:
    terraform apply -invoke=action.aws_ssm_send_command.NAME`
