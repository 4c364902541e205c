package provider

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	awsbase "github.com/hashicorp/aws-sdk-go-base/v2"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"ssmrun/internal/runner"
)

type providerModel struct {
	Region                    types.String `tfsdk:"region"`
	Profile                   types.String `tfsdk:"profile"`
	AccessKey                 types.String `tfsdk:"access_key"`
	SecretKey                 types.String `tfsdk:"secret_key"`
	Token                     types.String `tfsdk:"token"`
	SharedConfigFiles         types.List   `tfsdk:"shared_config_files"`
	SharedCredentialsFiles    types.List   `tfsdk:"shared_credentials_files"`
	AllowedAccountIDs         types.Set    `tfsdk:"allowed_account_ids"`
	ForbiddenAccountIDs       types.Set    `tfsdk:"forbidden_account_ids"`
	SkipCredentialsValid      types.Bool   `tfsdk:"skip_credentials_validation"`
	SkipRegionValidation      types.Bool   `tfsdk:"skip_region_validation"`
	SkipRequestingAccountID   types.Bool   `tfsdk:"skip_requesting_account_id"`
	SkipMetadataAPICheck      types.String `tfsdk:"skip_metadata_api_check"`
	S3UsePathStyle            types.Bool   `tfsdk:"s3_use_path_style"`
	MaxRetries                types.Int64  `tfsdk:"max_retries"`
	RetryMode                 types.String `tfsdk:"retry_mode"`
	HTTPProxy                 types.String `tfsdk:"http_proxy"`
	HTTPSProxy                types.String `tfsdk:"https_proxy"`
	NoProxy                   types.String `tfsdk:"no_proxy"`
	Insecure                  types.Bool   `tfsdk:"insecure"`
	CustomCABundle            types.String `tfsdk:"custom_ca_bundle"`
	UseFIPSEndpoint           types.Bool   `tfsdk:"use_fips_endpoint"`
	UseDualStackEndpoint      types.Bool   `tfsdk:"use_dualstack_endpoint"`
	MetadataEndpoint          types.String `tfsdk:"ec2_metadata_service_endpoint"`
	MetadataEndpointMode      types.String `tfsdk:"ec2_metadata_service_endpoint_mode"`
	STSRegion                 types.String `tfsdk:"sts_region"`
	Endpoints                 types.List   `tfsdk:"endpoints"`
	AssumeRole                types.List   `tfsdk:"assume_role"`
	AssumeRoleWithWebIdentity types.List   `tfsdk:"assume_role_with_web_identity"`
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
	unknown          bool
	skipRegionChecks bool
	log              *slog.Logger

	mu      sync.Mutex
	cfg     *aws.Config
	found   diag.Diagnostics          // by the search for credentials
	runners map[string]*runner.Runner // by region
}

// newSettings reads the provider's configuration.
func newSettings(ctx context.Context, m providerModel, diags *diag.Diagnostics) *settings {
	s := &settings{
		runners: map[string]*runner.Runner{}, pathStyle: m.S3UsePathStyle, skipRegionChecks: m.SkipRegionValidation.ValueBool(),
		log: slog.New(slog.DiscardHandler),
	}
	s.readEndpoints(ctx, m.Endpoints, diags)
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
		// Its log would hold the bodies of the calls, and with them the
		// parameters of commands.
		SuppressDebugLog: true,
		UserAgent:        awsbase.UserAgentProducts{{Name: "ssmrun", Version: Version}},
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
	s.conflicts(m, diags)
	s.roles(ctx, m, diags)
	return s
}

// readEndpoints reads the blocks, of which a later one counts.
func (s *settings) readEndpoints(ctx context.Context, blocks types.List, diags *diag.Diagnostics) {
	if blocks.IsUnknown() {
		return
	}
	var all []endpointsModel
	diags.Append(blocks.ElementsAs(ctx, &all, false)...)
	for i, block := range all {
		for _, e := range []struct {
			name string
			from types.String
			to   *types.String
		}{{"ssm", block.SSM, &s.endpoints.SSM}, {"sts", block.STS, &s.endpoints.STS}, {"s3", block.S3, &s.endpoints.S3}, {"ec2", block.EC2, &s.endpoints.EC2}} {
			v := e.from.ValueString()
			if v == "" {
				continue
			}
			if u, err := url.Parse(v); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
				diags.AddAttributeError(path.Root("endpoints").AtListIndex(i).AtName(e.name), "Invalid endpoint",
					fmt.Sprintf("%q is not the URL of a service, such as http://127.0.0.1:8440.", v))
			}
			*e.to = e.from
		}
	}
}

// conflicts refuses settings that exclude each other.
func (s *settings) conflicts(m providerModel, diags *diag.Diagnostics) {
	accounts := len(s.base.AllowedAccountIds) + len(s.base.ForbiddenAccountIds)
	if len(s.base.AllowedAccountIds) > 0 && len(s.base.ForbiddenAccountIds) > 0 {
		diags.AddAttributeError(path.Root("forbidden_account_ids"), "Conflicting settings",
			"allowed_account_ids and forbidden_account_ids exclude each other: use one of them.")
	}
	if accounts > 0 && s.base.SkipRequestingAccountId {
		diags.AddAttributeError(path.Root("skip_requesting_account_id"), "Conflicting settings",
			"allowed_account_ids and forbidden_account_ids need the account id, and skip_requesting_account_id forbids to ask for it: leave one of them out.")
	}
	switch {
	case m.AccessKey.IsUnknown() || m.SecretKey.IsUnknown():
	case s.base.AccessKey != "" && s.base.SecretKey == "":
		diags.AddAttributeError(path.Root("secret_key"), "Missing secret key", "access_key is set and secret_key is not: set both, or neither.")
	case s.base.AccessKey == "" && s.base.SecretKey != "":
		diags.AddAttributeError(path.Root("access_key"), "Missing access key", "secret_key is set and access_key is not: set both, or neither.")
	case s.base.AccessKey == "" && s.base.Token != "":
		diags.AddAttributeError(path.Root("token"), "Missing access key", "token belongs to an access key: set access_key and secret_key too.")
	}
}

func (s *settings) roles(ctx context.Context, m providerModel, diags *diag.Diagnostics) {
	var roles []assumeRoleModel
	if !m.AssumeRole.IsUnknown() {
		diags.Append(m.AssumeRole.ElementsAs(ctx, &roles, false)...)
	}
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
	if !m.AssumeRoleWithWebIdentity.IsUnknown() {
		diags.Append(m.AssumeRoleWithWebIdentity.ElementsAs(ctx, &web, false)...)
	}
	for i, r := range web {
		at := path.Root("assume_role_with_web_identity").AtListIndex(i)
		w := &awsbase.AssumeRoleWithWebIdentity{
			RoleARN: orEnv(r.RoleARN, "AWS_ROLE_ARN"), Duration: duration(r.Duration, at.AtName("duration"), diags),
			Policy: r.Policy.ValueString(), PolicyARNs: set(ctx, r.PolicyARNs, diags),
			SessionName: orEnv(r.SessionName, "AWS_ROLE_SESSION_NAME"), WebIdentityToken: r.Token.ValueString(),
		}
		if r.Token.IsNull() {
			w.WebIdentityTokenFile = orEnv(r.TokenFile, "AWS_WEB_IDENTITY_TOKEN_FILE")
		}
		if w.RoleARN == "" && !r.RoleARN.IsUnknown() {
			diags.AddAttributeError(at.AtName("role_arn"), "Missing role", "role_arn names the role to assume; AWS_ROLE_ARN may name it too.")
		}
		if w.WebIdentityToken == "" && w.WebIdentityTokenFile == "" && !r.Token.IsUnknown() && !r.TokenFile.IsUnknown() {
			diags.AddAttributeError(at.AtName("web_identity_token_file"), "Missing token",
				"Set web_identity_token or web_identity_token_file; AWS_WEB_IDENTITY_TOKEN_FILE may name the file too.")
		}
		s.base.AssumeRoleWithWebIdentity = w
	}
}

// orEnv is a setting, or the environment variable that stands in for it.
func orEnv(v types.String, variable string) string {
	if v.IsNull() {
		return os.Getenv(variable)
	}
	return v.ValueString()
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

// Bounds of a session's duration, which are STS's.
const (
	minSession = 15 * time.Minute
	maxSession = 12 * time.Hour
)

func duration(s types.String, at path.Path, diags *diag.Diagnostics) time.Duration {
	if s.ValueString() == "" {
		return 0
	}
	d, err := time.ParseDuration(s.ValueString())
	if err != nil || d < minSession || d > maxSession {
		diags.AddAttributeError(at, "Invalid duration", fmt.Sprintf("duration is %q; it must be from 15m to 12h, as in 1h30m.", s.ValueString()))
		return 0
	}
	return d
}
