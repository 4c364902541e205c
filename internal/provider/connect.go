package provider

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	awsbase "github.com/hashicorp/aws-sdk-go-base/v2"
	basediag "github.com/hashicorp/aws-sdk-go-base/v2/diag"
	"github.com/hashicorp/aws-sdk-go-base/v2/validation"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"ssmrun/internal/runner"
)

// runner gives the runner for a region; "" is the provider's own. What is wrong
// here is wrong with the provider's settings or the environment. The first call
// looks for credentials, which may ask STS or the metadata service.
func (s *settings) runner(ctx context.Context, region string) (*runner.Runner, diag.Diagnostics) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cfg == nil {
		if !s.found.HasError() {
			s.load(ctx)
		}
		if s.found.HasError() {
			found := s.found
			if ctx.Err() != nil {
				s.found = nil // it says nothing about the settings
			}
			return nil, found
		}
	}
	cfg := s.cfg.Copy()
	if region != "" {
		cfg.Region = region
	}
	if r := s.runners[cfg.Region]; r != nil {
		return r, s.found
	}
	if d := s.checkRegion(cfg, region != ""); d != nil {
		return nil, diag.Diagnostics{d}
	}
	r := s.connect(cfg)
	s.runners[cfg.Region] = r
	return r, s.found
}

// load finds the credentials, once.
func (s *settings) load(ctx context.Context) {
	base := s.base
	ctx, cfg, found := awsbase.GetAwsConfig(ctx, &base)
	s.found = fromBase(found)
	if s.found.HasError() {
		return
	}
	if len(base.AllowedAccountIds)+len(base.ForbiddenAccountIds) > 0 {
		// Else it would fall back to IAM where STS does not answer.
		base.SkipCredsValidation = false
		account, _, found := awsbase.GetAwsAccountIDAndPartition(ctx, cfg, &base)
		if s.found.Append(fromBase(found)...); s.found.HasError() {
			return
		}
		if err := base.VerifyAccountIDAllowed(account); err != nil {
			s.found.AddError("Account not allowed", fmt.Sprintf(
				"The credentials belong to account %s, which allowed_account_ids or forbidden_account_ids of the provider rules out. Nothing was sent.", account))
			return
		}
	}
	s.cfg = &cfg
}

// regionName is what a region can be: it becomes part of a host name.
var regionName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// checkRegion refuses a region that is missing, or unknown where only AWS's own
// are there. ofAction tells that it is the action's argument.
func (s *settings) checkRegion(cfg aws.Config, ofAction bool) diag.Diagnostic {
	refuse := func(title, text string) diag.Diagnostic { return diag.NewErrorDiagnostic(title, text) }
	if ofAction {
		refuse = func(title, text string) diag.Diagnostic {
			return diag.NewAttributeErrorDiagnostic(path.Root("region"), title, text)
		}
	}
	switch {
	case cfg.Region == "":
		return refuse("No region", "Neither the action's region, nor the provider's, nor AWS_REGION, nor the profile names a region. Set one of them, as in region = \"us-east-1\".")
	case !regionName.MatchString(cfg.Region):
		return refuse("Invalid region", badRegion(cfg.Region))
	case s.skipRegionChecks || s.ownEndpoint(cfg) != "" || validation.SupportedRegion(cfg.Region) == nil:
		return nil
	}
	return refuse("Unknown region", fmt.Sprintf("%q is not a region that this version knows. Check its spelling, or set skip_region_validation = true in the provider if it is new.", cfg.Region))
}

func badRegion(region string) string {
	return fmt.Sprintf("region is %q; regions look like \"us-east-1\". Leave it out for the provider's.", region)
}

func (s *settings) connect(cfg aws.Config) *runner.Runner {
	return runner.New(runner.Config{
		SSM: s.ssmClient(cfg), Region: cfg.Region, Endpoint: s.ownEndpoint(cfg), Logger: s.log,
		EC2: ec2.NewFromConfig(cfg, func(o *ec2.Options) {
			o.BaseEndpoint = endpoint(s.endpoints.EC2, o.BaseEndpoint)
		}),
		S3: func(region string) runner.S3 {
			return s3.NewFromConfig(cfg, func(o *s3.Options) {
				o.Region = region
				o.BaseEndpoint = endpoint(s.endpoints.S3, o.BaseEndpoint)
				o.UsePathStyle = s.pathStyle.ValueBool() || s.pathStyle.IsNull() && o.BaseEndpoint != nil
			})
		},
	})
}

func (s *settings) ssmClient(cfg aws.Config) *ssm.Client {
	return ssm.NewFromConfig(cfg, func(o *ssm.Options) {
		o.BaseEndpoint = endpoint(s.endpoints.SSM, o.BaseEndpoint)
	})
}

// endpoint is the provider's, or else what the environment and the profile say.
func endpoint(e types.String, other *string) *string {
	if v := e.ValueString(); v != "" {
		return &v
	}
	return other
}

// ownEndpoint is the URL of Systems Manager where it is not AWS's own, else "".
func (s *settings) ownEndpoint(cfg aws.Config) string {
	return aws.ToString(s.ssmClient(cfg).Options().BaseEndpoint)
}

// endpointSource says where the endpoint of Systems Manager was set, for someone
// who has to correct it; "" where it is AWS's own.
func (s *settings) endpointSource() string {
	switch {
	case s.endpoints.SSM.ValueString() != "":
		return "endpoints { ssm } of the provider"
	case os.Getenv("AWS_ENDPOINT_URL_SSM") != "":
		return "the environment variable AWS_ENDPOINT_URL_SSM; endpoints { ssm } of the provider goes before it"
	case os.Getenv("AWS_ENDPOINT_URL") != "":
		return "the environment variable AWS_ENDPOINT_URL; endpoints { ssm } of the provider goes before it"
	case s.cfg != nil && s.ownEndpoint(*s.cfg) != "":
		return "the profile; endpoints { ssm } of the provider goes before it"
	}
	return ""
}

// fromBase turns the diagnostics of aws-sdk-go-base into Terraform's.
func fromBase(found basediag.Diagnostics) diag.Diagnostics {
	var out diag.Diagnostics
	for _, d := range found {
		summary, detail := d.Summary(), strings.TrimSpace(d.Detail())
		switch {
		case d.Severity() != basediag.SeverityError:
			out.AddWarning(summary, detail)
			continue
		case awsbase.IsNoValidCredentialSourcesError(d):
			detail := "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or profile or access_key and secret_key of the provider."
			if e, ok := d.(basediag.DiagnosticWithErr); ok && e.Err() != nil {
				detail += fmt.Sprintf("\n\nWhat was tried last: %v.", e.Err())
			}
			out.AddError("No credentials", detail)
			continue
		case detail == "":
			// An error without a title of its own.
			summary, detail = "The provider's settings do not lead to credentials", summary
		}
		out.AddError(summary, detail)
	}
	return out
}
