package provider

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	awsbase "github.com/hashicorp/aws-sdk-go-base/v2"
	basediag "github.com/hashicorp/aws-sdk-go-base/v2/diag"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"ssmrun/internal/runner"
)

type providerModel struct {
	Region                   types.String `tfsdk:"region"`
	Profile                  types.String `tfsdk:"profile"`
	AccessKey                types.String `tfsdk:"access_key"`
	SecretKey                types.String `tfsdk:"secret_key"`
	Token                    types.String `tfsdk:"token"`
	SharedConfigFiles        types.List   `tfsdk:"shared_config_files"`
	SharedCredentialsFiles   types.List   `tfsdk:"shared_credentials_files"`
	AllowedAccountIDs        types.Set    `tfsdk:"allowed_account_ids"`
	ForbiddenAccountIDs      types.Set    `tfsdk:"forbidden_account_ids"`
	SkipCredentialsValid     types.Bool   `tfsdk:"skip_credentials_validation"`
	SkipRegionValidation     types.Bool   `tfsdk:"skip_region_validation"`
	SkipRequestingAccountID  types.Bool   `tfsdk:"skip_requesting_account_id"`
	SkipMetadataAPICheck     types.String `tfsdk:"skip_metadata_api_check"`
	S3UsePathStyle           types.Bool   `tfsdk:"s3_use_path_style"`
	MaxRetries               types.Int64  `tfsdk:"max_retries"`
	RetryMode                types.String `tfsdk:"retry_mode"`
	HTTPProxy                types.String `tfsdk:"http_proxy"`
	HTTPSProxy               types.String `tfsdk:"https_proxy"`
	NoProxy                  types.String `tfsdk:"no_proxy"`
	Insecure                 types.Bool   `tfsdk:"insecure"`
	CustomCABundle           types.String `tfsdk:"custom_ca_bundle"`
	UseFIPSEndpoint          types.Bool   `tfsdk:"use_fips_endpoint"`
	UseDualStackEndpoint     types.Bool   `tfsdk:"use_dualstack_endpoint"`
	MetadataEndpoint         types.String `tfsdk:"ec2_metadata_service_endpoint"`
	MetadataEndpointMode     types.String `tfsdk:"ec2_metadata_service_endpoint_mode"`
	STSRegion                types.String `tfsdk:"sts_region"`
	Endpoints                types.List   `tfsdk:"endpoints"`
	AssumeRole               types.List   `tfsdk:"assume_role"`
	AssumeRoleWithWebIdentiy types.List   `tfsdk:"assume_role_with_web_identity"`
}

type endpointsModel struct {
	SSM types.String `tfsdk:"ssm"`
	STS types.String `tfsdk:"sts"`
	S3  types.String `tfsdk:"s3"`
	EC2 types.String `tfsdk:"ec2"`
}

type assumeRoleModel struct {
	RoleARN           types.String `tfsdk:"role_arn"`
	Duration          types.String `tfsdk:"duration"`
	ExternalID        types.String `tfsdk:"external_id"`
	Policy            types.String `tfsdk:"policy"`
	PolicyARNs        types.Set    `tfsdk:"policy_arns"`
	SessionName       types.String `tfsdk:"session_name"`
	SourceIdentity    types.String `tfsdk:"source_identity"`
	Tags              types.Map    `tfsdk:"tags"`
	TransitiveTagKeys types.Set    `tfsdk:"transitive_tag_keys"`
}

type webIdentityModel struct {
	RoleARN     types.String `tfsdk:"role_arn"`
	Duration    types.String `tfsdk:"duration"`
	Policy      types.String `tfsdk:"policy"`
	PolicyARNs  types.Set    `tfsdk:"policy_arns"`
	SessionName types.String `tfsdk:"session_name"`
	Token       types.String `tfsdk:"web_identity_token"`
	TokenFile   types.String `tfsdk:"web_identity_token_file"`
}

// settings are the provider's, and what was made of them. AWS is asked for
// nothing before an action needs it.
type settings struct {
	base      awsbase.Config
	endpoints endpointsModel
	pathStyle types.Bool
	// unknown: something is not known yet, as at plan time when it comes from a
	// resource. Then nobody can be asked.
	unknown bool

	mu      sync.Mutex
	cfg     *aws.Config
	failed  diag.Diagnostics
	runners map[string]*runner.Runner // by region
}

// newSettings reads the provider's configuration.
func newSettings(ctx context.Context, m providerModel, diags *diag.Diagnostics) *settings {
	s := &settings{runners: map[string]*runner.Runner{}, pathStyle: m.S3UsePathStyle}
	if len(m.Endpoints.Elements()) > 0 {
		var list []endpointsModel
		diags.Append(m.Endpoints.ElementsAs(ctx, &list, false)...)
		if len(list) > 0 {
			s.endpoints = list[0]
		}
	}
	for name, e := range map[string]types.String{"ssm": s.endpoints.SSM, "sts": s.endpoints.STS, "s3": s.endpoints.S3, "ec2": s.endpoints.EC2} {
		if v := e.ValueString(); v != "" && !strings.HasPrefix(v, "http://") && !strings.HasPrefix(v, "https://") {
			diags.AddAttributeError(path.Root("endpoints").AtListIndex(0).AtName(name), "Invalid endpoint",
				fmt.Sprintf("%q is not the URL of a service: it must begin with http:// or https://.", v))
		}
	}
	s.base = awsbase.Config{
		Region: m.Region.ValueString(), Profile: m.Profile.ValueString(),
		AccessKey: m.AccessKey.ValueString(), SecretKey: m.SecretKey.ValueString(), Token: m.Token.ValueString(),
		SharedConfigFiles:      list(ctx, m.SharedConfigFiles, diags),
		SharedCredentialsFiles: list(ctx, m.SharedCredentialsFiles, diags),
		AllowedAccountIds:      set(ctx, m.AllowedAccountIDs, diags), ForbiddenAccountIds: set(ctx, m.ForbiddenAccountIDs, diags),
		CallerName: "ssmrun", CallerDocumentationURL: "the provider's documentation",
		MaxRetries: int(m.MaxRetries.ValueInt64()), RetryMode: aws.RetryMode(m.RetryMode.ValueString()),
		NoProxy: m.NoProxy.ValueString(), HTTPProxyMode: awsbase.HTTPProxyModeSeparate,
		Insecure: m.Insecure.ValueBool(), CustomCABundle: m.CustomCABundle.ValueString(),
		UseFIPSEndpoint: m.UseFIPSEndpoint.ValueBool(), UseDualStackEndpoint: m.UseDualStackEndpoint.ValueBool(),
		EC2MetadataServiceEndpoint:     m.MetadataEndpoint.ValueString(),
		EC2MetadataServiceEndpointMode: m.MetadataEndpointMode.ValueString(),
		StsEndpoint:                    s.endpoints.STS.ValueString(), StsRegion: m.STSRegion.ValueString(),
		SkipCredsValidation:     m.SkipCredentialsValid.IsNull() || m.SkipCredentialsValid.ValueBool(),
		SkipRequestingAccountId: m.SkipRequestingAccountID.ValueBool(),
		UserAgent:               awsbase.UserAgentProducts{{Name: "ssmrun", Version: Version}},
	}
	if v := m.HTTPProxy.ValueString(); v != "" {
		s.base.HTTPProxy = aws.String(v)
	}
	if v := m.HTTPSProxy.ValueString(); v != "" {
		s.base.HTTPSProxy = aws.String(v)
	}
	if skip, err := strconv.ParseBool(m.SkipMetadataAPICheck.ValueString()); err == nil {
		s.base.EC2MetadataServiceEnableState = imds.ClientEnabled
		if skip {
			s.base.EC2MetadataServiceEnableState = imds.ClientDisabled
		}
	}
	if len(s.base.AllowedAccountIds) > 0 && len(s.base.ForbiddenAccountIds) > 0 {
		diags.AddAttributeError(path.Root("forbidden_account_ids"), "Conflicting account ids", "allowed_account_ids and forbidden_account_ids exclude each other: use one of them.")
	}
	s.roles(ctx, m, diags)
	return s
}

func (s *settings) roles(ctx context.Context, m providerModel, diags *diag.Diagnostics) {
	var roles []assumeRoleModel
	diags.Append(m.AssumeRole.ElementsAs(ctx, &roles, false)...)
	for i, r := range roles {
		at := path.Root("assume_role").AtListIndex(i)
		if r.RoleARN.ValueString() == "" {
			if !r.RoleARN.IsUnknown() {
				diags.AddAttributeError(at.AtName("role_arn"), "Missing role", "role_arn names the role to assume.")
			}
			continue
		}
		s.base.AssumeRole = append(s.base.AssumeRole, awsbase.AssumeRole{
			RoleARN: r.RoleARN.ValueString(), Duration: duration(r.Duration, at.AtName("duration"), diags),
			ExternalID: r.ExternalID.ValueString(), Policy: r.Policy.ValueString(), PolicyARNs: set(ctx, r.PolicyARNs, diags),
			SessionName: r.SessionName.ValueString(), SourceIdentity: r.SourceIdentity.ValueString(),
			Tags: mapping(ctx, r.Tags, diags), TransitiveTagKeys: set(ctx, r.TransitiveTagKeys, diags),
		})
	}
	var web []webIdentityModel
	diags.Append(m.AssumeRoleWithWebIdentiy.ElementsAs(ctx, &web, false)...)
	for i, r := range web {
		at := path.Root("assume_role_with_web_identity").AtListIndex(i)
		s.base.AssumeRoleWithWebIdentity = &awsbase.AssumeRoleWithWebIdentity{
			RoleARN: r.RoleARN.ValueString(), Duration: duration(r.Duration, at.AtName("duration"), diags),
			Policy: r.Policy.ValueString(), PolicyARNs: set(ctx, r.PolicyARNs, diags), SessionName: r.SessionName.ValueString(),
			WebIdentityToken: r.Token.ValueString(), WebIdentityTokenFile: r.TokenFile.ValueString(),
		}
	}
}

// runner gives the runner for a region; "" is the provider's own.
func (s *settings) runner(ctx context.Context, region string) (*runner.Runner, diag.Diagnostics) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cfg == nil && !s.failed.HasError() {
		s.load(ctx)
	}
	if s.failed.HasError() {
		return nil, s.failed
	}
	cfg := s.cfg.Copy()
	if region != "" {
		cfg.Region = region
	}
	if cfg.Region == "" {
		var d diag.Diagnostics
		d.AddError("No region", "Neither the action's region, nor the provider's, nor AWS_REGION, nor the profile names a region. Set one of them, as in region = \"us-east-1\".")
		return nil, d
	}
	if r := s.runners[cfg.Region]; r != nil {
		return r, nil
	}
	r := s.connect(cfg)
	s.runners[cfg.Region] = r
	return r, nil
}

// load finds the credentials, once.
func (s *settings) load(ctx context.Context) {
	base := s.base
	ctx, cfg, found := awsbase.GetAwsConfig(ctx, &base)
	s.failed.Append(fromBase(found)...)
	if s.failed.HasError() {
		return
	}
	if len(base.AllowedAccountIds)+len(base.ForbiddenAccountIds) > 0 {
		account, _, found := awsbase.GetAwsAccountIDAndPartition(ctx, cfg, &base)
		s.failed.Append(fromBase(found)...)
		if err := base.VerifyAccountIDAllowed(account); err != nil {
			s.failed.AddError("Account not allowed", fmt.Sprintf("%v. See allowed_account_ids and forbidden_account_ids of the provider.", err))
		}
		if s.failed.HasError() {
			return
		}
	}
	s.cfg = &cfg
}

func (s *settings) connect(cfg aws.Config) *runner.Runner {
	endpoint := func(e types.String) *string {
		if v := e.ValueString(); v != "" {
			return aws.String(v)
		}
		return nil
	}
	client := ssm.NewFromConfig(cfg, func(o *ssm.Options) {
		if e := endpoint(s.endpoints.SSM); e != nil {
			o.BaseEndpoint = e
		}
	})
	return runner.New(runner.Config{
		SSM: client, Region: cfg.Region, Endpoint: aws.ToString(client.Options().BaseEndpoint),
		EC2: ec2.NewFromConfig(cfg, func(o *ec2.Options) {
			if e := endpoint(s.endpoints.EC2); e != nil {
				o.BaseEndpoint = e
			}
		}),
		S3: func(region string) runner.S3 {
			return s3.NewFromConfig(cfg, func(o *s3.Options) {
				o.Region = region
				if e := endpoint(s.endpoints.S3); e != nil {
					o.BaseEndpoint = e
				}
				o.UsePathStyle = s.pathStyle.ValueBool() || s.pathStyle.IsNull() && o.BaseEndpoint != nil
			})
		},
	})
}

// fromBase turns the diagnostics of aws-sdk-go-base into Terraform's.
func fromBase(found basediag.Diagnostics) diag.Diagnostics {
	var out diag.Diagnostics
	for _, d := range found {
		if d.Severity() == basediag.SeverityError {
			summary, detail := d.Summary(), d.Detail()
			if strings.Contains(summary, "No valid credential sources found") {
				summary = "No credentials"
				detail = "No credentials were found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or profile, or access_key and secret_key of the provider.\n\n" + detail
			}
			out.AddError(summary, detail)
		} else {
			out.AddWarning(d.Summary(), d.Detail())
		}
	}
	return out
}

func list(ctx context.Context, l types.List, diags *diag.Diagnostics) []string {
	if l.IsUnknown() || l.IsNull() {
		return nil
	}
	var out []types.String
	diags.Append(l.ElementsAs(ctx, &out, false)...)
	return known(out)
}

func set(ctx context.Context, l types.Set, diags *diag.Diagnostics) []string {
	if l.IsUnknown() || l.IsNull() {
		return nil
	}
	var out []types.String
	diags.Append(l.ElementsAs(ctx, &out, false)...)
	return known(out)
}

func known(in []types.String) []string {
	var out []string
	for _, s := range in {
		if v := s.ValueString(); v != "" {
			out = append(out, v)
		}
	}
	return out
}

func mapping(ctx context.Context, m types.Map, diags *diag.Diagnostics) map[string]string {
	if m.IsUnknown() || m.IsNull() {
		return nil
	}
	var values map[string]types.String
	diags.Append(m.ElementsAs(ctx, &values, false)...)
	out := map[string]string{}
	for k, v := range values {
		out[k] = v.ValueString()
	}
	return out
}

func duration(s types.String, at path.Path, diags *diag.Diagnostics) time.Duration {
	if s.ValueString() == "" {
		return 0
	}
	d, err := time.ParseDuration(s.ValueString())
	if err != nil || d <= 0 {
		diags.AddAttributeError(at, "Invalid duration", fmt.Sprintf("%q is not a duration like 5m, 90s or 1h30m.", s.ValueString()))
		return 0
	}
	return d
}
