package provider

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/provider"
	"github.com/hashicorp/terraform-plugin-framework/provider/schema"
	"github.com/hashicorp/terraform-plugin-framework/providerserver"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	resourceschema "github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"ssmrun/internal/testenv"
)

// neighbour is the file name under which Terraform starts this test program as
// another provider.
const neighbour = "terraform-provider-aws"

func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == neighbour {
		err := providerserver.Serve(context.Background(), func() provider.Provider { return awsStub{} },
			providerserver.ServeOpts{Address: "registry.terraform.io/example/aws"})
		if err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	code := m.Run()
	testenv.Cleanup()
	os.Exit(code)
}

// awsStub stands for the AWS provider: it has the resource aws_instance, whose
// id is known when it is created, and no action.
type awsStub struct{}

func (awsStub) Metadata(_ context.Context, _ provider.MetadataRequest, resp *provider.MetadataResponse) {
	resp.TypeName = "aws"
}

func (awsStub) Schema(_ context.Context, _ provider.SchemaRequest, resp *provider.SchemaResponse) {
	resp.Schema = schema.Schema{}
}
func (awsStub) Configure(context.Context, provider.ConfigureRequest, *provider.ConfigureResponse) {}
func (awsStub) DataSources(context.Context) []func() datasource.DataSource                        { return nil }

func (awsStub) Resources(context.Context) []func() resource.Resource {
	return []func() resource.Resource{func() resource.Resource { return instanceStub{} }}
}

type instanceStub struct{}

func (instanceStub) Metadata(_ context.Context, _ resource.MetadataRequest, resp *resource.MetadataResponse) {
	resp.TypeName = "aws_instance"
}

func (instanceStub) Schema(_ context.Context, _ resource.SchemaRequest, resp *resource.SchemaResponse) {
	resp.Schema = resourceschema.Schema{Attributes: map[string]resourceschema.Attribute{
		"boots": resourceschema.StringAttribute{Required: true},
		"id": resourceschema.StringAttribute{Computed: true, PlanModifiers: []planmodifier.String{
			stringplanmodifier.UseStateForUnknown(),
		}},
	}}
}

type instanceModel struct {
	Boots types.String `tfsdk:"boots"` // the id that it will have
	ID    types.String `tfsdk:"id"`
}

func (instanceStub) Create(ctx context.Context, req resource.CreateRequest, resp *resource.CreateResponse) {
	var m instanceModel
	resp.Diagnostics.Append(req.Plan.Get(ctx, &m)...)
	m.ID = m.Boots
	resp.Diagnostics.Append(resp.State.Set(ctx, &m)...)
}

func (instanceStub) Read(context.Context, resource.ReadRequest, *resource.ReadResponse) {}

func (instanceStub) Update(ctx context.Context, req resource.UpdateRequest, resp *resource.UpdateResponse) {
	resp.State.Raw = req.Plan.Raw
}

func (instanceStub) Delete(context.Context, resource.DeleteRequest, *resource.DeleteResponse) {}
