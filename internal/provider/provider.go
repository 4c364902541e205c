package provider

import (
	"context"
	"log/slog"

	"github.com/hashicorp/terraform-plugin-framework-validators/int64validator"
	"github.com/hashicorp/terraform-plugin-framework-validators/listvalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/action"
	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/provider"
	"github.com/hashicorp/terraform-plugin-framework/provider/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"
)

var (
	_ provider.Provider            = (*ssmrunProvider)(nil)
	_ provider.ProviderWithActions = (*ssmrunProvider)(nil)
)

// ssmrunProvider is the provider.
type ssmrunProvider struct {
	log *slog.Logger
}

// Option is a choice of New.
type Option func(*ssmrunProvider)

// WithLogger gives the provider a place for what a maintainer wants to know;
// without it nothing is logged. No parameter value is.
func WithLogger(l *slog.Logger) Option { return func(p *ssmrunProvider) { p.log = l } }

// New makes the provider.
func New(opts ...Option) provider.Provider {
	p := &ssmrunProvider{log: slog.New(slog.DiscardHandler)}
	for _, o := range opts {
		o(p)
	}
	return p
}

// Metadata implements provider.Provider.
func (*ssmrunProvider) Metadata(_ context.Context, _ provider.MetadataRequest, resp *provider.MetadataResponse) {
	resp.TypeName = "ssmrun"
	resp.Version = Version
}

func text(description string) schema.StringAttribute {
	return schema.StringAttribute{Optional: true, Description: description}
}

func secret(description string) schema.StringAttribute {
	return schema.StringAttribute{Optional: true, Sensitive: true, Description: description}
}

func boolean(description string) schema.BoolAttribute {
	return schema.BoolAttribute{Optional: true, Description: description}
}

func texts(description string) schema.ListAttribute {
	return schema.ListAttribute{Optional: true, ElementType: types.StringType, Description: description}
}

// Schema implements provider.Provider. Names and meanings are the AWS
// provider's, so that a configuration can be moved between the two.
func (*ssmrunProvider) Schema(_ context.Context, _ provider.SchemaRequest, resp *provider.SchemaResponse) {
	accounts := func(description string) schema.SetAttribute {
		return schema.SetAttribute{Optional: true, ElementType: types.StringType, Description: description}
	}
	resp.Schema = schema.Schema{
		Description: "Runs SSM documents on instances with AWS Systems Manager Run Command, or with ssmrun's own service where there is no AWS.",
		Attributes: map[string]schema.Attribute{
			"region":                             text("Region in which actions run. Can also be set with AWS_REGION or AWS_DEFAULT_REGION, or by the profile."),
			"profile":                            text("Profile of the shared configuration and credentials files. Can also be set with AWS_PROFILE."),
			"access_key":                         text("Access key id. Can also be set with AWS_ACCESS_KEY_ID, or by the credentials file."),
			"secret_key":                         secret("Secret access key. Can also be set with AWS_SECRET_ACCESS_KEY, or by the credentials file."),
			"token":                              secret("Session token of temporary credentials. Can also be set with AWS_SESSION_TOKEN."),
			"shared_config_files":                texts("Shared configuration files instead of ~/.aws/config."),
			"shared_credentials_files":           texts("Shared credentials files instead of ~/.aws/credentials."),
			"allowed_account_ids":                accounts("Accounts that may be worked on; every other one is refused. Conflicts with forbidden_account_ids."),
			"forbidden_account_ids":              accounts("Accounts that are refused. Conflicts with allowed_account_ids."),
			"skip_credentials_validation":        boolean("Credentials are validated with STS GetCallerIdentity before the first call only where this is false. Default: true."),
			"skip_region_validation":             boolean("Take regions that this version does not know. Regions are compared with the known ones only where ssm is AWS's own endpoint."),
			"skip_requesting_account_id":         boolean("Do not ask STS for the account id. It is asked only where allowed_account_ids or forbidden_account_ids need it."),
			"skip_metadata_api_check":            text("Whether to leave the EC2 metadata service alone when credentials are looked for: \"true\" or \"false\"."),
			"s3_use_path_style":                  boolean("Address buckets as paths. Default: true where the S3 endpoint is not AWS's, else false."),
			"max_retries":                        schema.Int64Attribute{Optional: true, Validators: []validator.Int64{int64validator.AtLeast(0)}, Description: "How often a call is tried in all where it may be repeated. SendCommand is repeated only where it certainly was not accepted. Default: 3."},
			"retry_mode":                         schema.StringAttribute{Optional: true, Description: "How retries are spaced: standard or adaptive. Can also be set with AWS_RETRY_MODE.", Validators: []validator.String{stringvalidator.OneOf("standard", "adaptive")}},
			"http_proxy":                         text("Proxy for HTTP calls. Can also be set with HTTP_PROXY."),
			"https_proxy":                        text("Proxy for HTTPS calls. Can also be set with HTTPS_PROXY."),
			"no_proxy":                           text("Hosts that are called without a proxy, with commas between them. Can also be set with NO_PROXY."),
			"insecure":                           boolean("Accept any TLS certificate. Default: false."),
			"custom_ca_bundle":                   text("File with the certificates of the authorities to trust. Can also be set with AWS_CA_BUNDLE."),
			"use_fips_endpoint":                  boolean("Use the FIPS endpoints. Can also be set with AWS_USE_FIPS_ENDPOINT."),
			"use_dualstack_endpoint":             boolean("Use the dual-stack endpoints. Can also be set with AWS_USE_DUALSTACK_ENDPOINT."),
			"ec2_metadata_service_endpoint":      text("Address of the EC2 metadata service. Can also be set with AWS_EC2_METADATA_SERVICE_ENDPOINT."),
			"ec2_metadata_service_endpoint_mode": text("Protocol of the EC2 metadata service: IPv4 or IPv6. Can also be set with AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE."),
			"sts_region":                         text("Region of the STS calls. Default: the provider's region."),
		},
		Blocks: map[string]schema.Block{
			"endpoints": schema.ListNestedBlock{
				Description: "Endpoints instead of AWS's own: where to find ssmrun's service, for instance. Of several blocks the last one that names a service counts.",
				NestedObject: schema.NestedBlockObject{Attributes: map[string]schema.Attribute{
					"ssm": text("Systems Manager. Can also be set with AWS_ENDPOINT_URL_SSM or AWS_ENDPOINT_URL."),
					"sts": text("Security Token Service. Can also be set with AWS_ENDPOINT_URL_STS or AWS_ENDPOINT_URL."),
					"s3":  text("S3. Can also be set with AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL."),
					"ec2": text("EC2. Can also be set with AWS_ENDPOINT_URL_EC2 or AWS_ENDPOINT_URL."),
				}},
			},
			"assume_role": schema.ListNestedBlock{
				Description: "Roles to assume, one after another.",
				NestedObject: schema.NestedBlockObject{Attributes: map[string]schema.Attribute{
					"role_arn":            text("ARN of the role."),
					"duration":            text("How long the session holds, as in 1h or 30m."),
					"external_id":         text("External id that the role's trust policy asks for."),
					"policy":              text("IAM policy as JSON that restricts the session further."),
					"policy_arns":         accounts("ARNs of IAM policies that restrict the session further."),
					"session_name":        text("Name of the session."),
					"source_identity":     text("Source identity of the session."),
					"tags":                schema.MapAttribute{Optional: true, ElementType: types.StringType, Description: "Session tags."},
					"transitive_tag_keys": accounts("Session tags that further sessions keep."),
				}},
			},
			"assume_role_with_web_identity": schema.ListNestedBlock{
				Description: "A role to assume with a web identity token.",
				Validators:  []validator.List{listvalidator.SizeAtMost(1)},
				NestedObject: schema.NestedBlockObject{Attributes: map[string]schema.Attribute{
					"role_arn":                text("ARN of the role. Can also be set with AWS_ROLE_ARN."),
					"duration":                text("How long the session holds, as in 1h or 30m."),
					"policy":                  text("IAM policy as JSON that restricts the session further."),
					"policy_arns":             accounts("ARNs of IAM policies that restrict the session further."),
					"session_name":            text("Name of the session. Can also be set with AWS_ROLE_SESSION_NAME."),
					"web_identity_token":      secret("The token."),
					"web_identity_token_file": text("File with the token. Can also be set with AWS_WEB_IDENTITY_TOKEN_FILE."),
				}},
			},
		},
	}
}

// Configure implements provider.Provider. Nothing is asked of anyone here: what
// is wrong with credentials shows when an action needs them.
func (p *ssmrunProvider) Configure(ctx context.Context, req provider.ConfigureRequest, resp *provider.ConfigureResponse) {
	var m providerModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &m)...)
	if resp.Diagnostics.HasError() {
		return
	}
	s := newSettings(ctx, m, &resp.Diagnostics)
	s.log, s.unknown = p.log, !req.Config.Raw.IsFullyKnown()
	resp.ActionData = s
}

// Actions implements provider.ProviderWithActions.
func (*ssmrunProvider) Actions(context.Context) []func() action.Action {
	return []func() action.Action{newSendCommand}
}

// DataSources implements provider.Provider.
func (*ssmrunProvider) DataSources(context.Context) []func() datasource.DataSource { return nil }

// Resources implements provider.Provider.
func (*ssmrunProvider) Resources(context.Context) []func() resource.Resource { return nil }
