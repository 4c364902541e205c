package daemon_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/google/go-cmp/cmp"

	"ssmrun/internal/testenv"
)

func TestActivations(t *testing.T) {
	t.Parallel()
	s := testenv.Start(t, testenv.Options{Regions: []string{"us-east-1", "eu-west-1"}, Roles: []string{"RackRole", "service-role/Other"}})
	ctx, client := testenv.Context(t), s.SSM()
	ends := time.Now().Add(72 * time.Hour).Truncate(time.Second).UTC()
	one, secret := activate(t, client, &ssm.CreateActivationInput{
		IamRole: aws.String("RackRole"), DefaultInstanceName: aws.String("rack"), Description: aws.String("all racks"),
		RegistrationLimit: aws.Int32(3), ExpirationDate: &ends, Tags: []types.Tag{{Key: aws.String("b"), Value: aws.String("2")}, {Key: aws.String("a"), Value: aws.String("")}},
	})
	if len(secret) < 20 {
		t.Errorf("a code of %d characters", len(secret))
	}
	r := startRemote(t, s, client, one, secret)
	two, _ := activate(t, client, &ssm.CreateActivationInput{IamRole: aws.String("arn:aws:iam::000000000000:role/service-role/Other")})
	list := func(filters ...types.DescribeActivationsFilter) map[string]types.Activation {
		t.Helper()
		all := map[string]types.Activation{}
		pages := ssm.NewDescribeActivationsPaginator(client, &ssm.DescribeActivationsInput{Filters: filters, MaxResults: aws.Int32(1)})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				t.Fatal(err)
			}
			for _, a := range page.ActivationList {
				all[aws.ToString(a.ActivationId)] = a
			}
		}
		return all
	}
	all := list()
	a, b := all[one], all[two]
	if len(all) != 2 || aws.ToString(a.IamRole) != "RackRole" || aws.ToString(a.DefaultInstanceName) != "rack" || aws.ToString(a.Description) != "all racks" ||
		aws.ToInt32(a.RegistrationLimit) != 3 || aws.ToInt32(a.RegistrationsCount) != 1 || a.Expired || !a.ExpirationDate.Equal(ends) || len(a.Tags) != 2 || aws.ToString(a.Tags[0].Key) != "a" {
		t.Errorf("the full one: %+v", a)
	}
	if aws.ToString(b.IamRole) != "Other" || aws.ToInt32(b.RegistrationLimit) != 1 || b.ExpirationDate.Sub(*b.CreatedDate) != 24*time.Hour {
		t.Errorf("the bare one: %+v", b)
	}
	for name, c := range map[string]struct {
		filters []types.DescribeActivationsFilter
		want    int
	}{
		"id":     {[]types.DescribeActivationsFilter{{FilterKey: "ActivationIds", FilterValues: []string{two, "x"}}}, 1},
		"name":   {[]types.DescribeActivationsFilter{{FilterKey: "DefaultInstanceName", FilterValues: []string{"rack"}}}, 1},
		"role":   {[]types.DescribeActivationsFilter{{FilterKey: "IamRole", FilterValues: []string{"RackRole", "Other"}}}, 2},
		"both":   {[]types.DescribeActivationsFilter{{FilterKey: "IamRole", FilterValues: []string{"Other"}}, {FilterKey: "ActivationIds", FilterValues: []string{one}}}, 0},
		"a pair": {[]types.DescribeActivationsFilter{{FilterKey: "ActivationIds", FilterValues: []string{one}}, {FilterKey: "ActivationIds", FilterValues: []string{two}}}, 0},
	} {
		if got := list(c.filters...); len(got) != c.want {
			t.Errorf("by %s: %d, want %d", name, len(got), c.want)
		}
	}
	other, err := ssm.NewFromConfig(s.Config("eu-west-1")).DescribeActivations(ctx, &ssm.DescribeActivationsInput{})
	if err != nil || len(other.ActivationList) != 0 {
		t.Errorf("another region has %d, %v", len(other.ActivationList), err)
	}

	if _, err := client.DeleteActivation(ctx, &ssm.DeleteActivationInput{ActivationId: &one}); err != nil {
		t.Error(err)
	}
	if got := list(); len(got) != 1 {
		t.Errorf("%d after one was deleted", len(got))
	}
	if got := describe(t, client); len(got) != 1 || aws.ToString(got[0].InstanceId) != r.id {
		t.Errorf("what registered with it: %v", infoIDs(got))
	}
	_, err = ssm.NewFromConfig(s.Config("eu-west-1")).DeleteActivation(ctx, &ssm.DeleteActivationInput{ActivationId: &two})
	if got, _ := code(t, err); got != "InvalidActivationId" {
		t.Errorf("deleted from another region: %v", err)
	}
	_, err = client.DeleteActivation(ctx, &ssm.DeleteActivationInput{ActivationId: &one})
	if got, message := code(t, err); got != "InvalidActivationId" || !strings.Contains(message, one) {
		t.Errorf("deleted twice: %v", err)
	}
	_, err = client.DescribeActivations(ctx, &ssm.DescribeActivationsInput{Filters: []types.DescribeActivationsFilter{{FilterKey: "IamRole"}}})
	if got, _ := code(t, err); got != "InvalidFilter" {
		t.Errorf("a filter without values: %v", err)
	}
	_, err = client.DescribeActivations(ctx, &ssm.DescribeActivationsInput{Filters: []types.DescribeActivationsFilter{{FilterValues: []string{"x"}}}})
	if got, _ := code(t, err); got != "InvalidFilter" {
		t.Errorf("a filter without a key: %v", err)
	}
	_, err = client.DescribeActivations(ctx, &ssm.DescribeActivationsInput{NextToken: aws.String("x")})
	if got, _ := code(t, err); got != "InvalidNextToken" {
		t.Errorf("a token: %v", err)
	}
}

// metadata names the instance that an activation is for.
func metadata(id string) []types.RegistrationMetadataItem {
	return []types.RegistrationMetadataItem{{Key: aws.String("ssmrun:instance-id"), Value: &id}}
}

func TestActivationsThatCannotBe(t *testing.T) {
	t.Parallel()
	s := testenv.Start(t, testenv.Options{Agents: 1, Regions: []string{"us-east-1", "eu-west-1"}, Roles: []string{"Role"}})
	ctx, client := testenv.Context(t), s.SSM()
	role := aws.String("Role")
	tags := func(n int) []types.Tag {
		var list []types.Tag
		for i := range n {
			list = append(list, types.Tag{Key: aws.String(fmt.Sprint("k", i)), Value: aws.String("v")})
		}
		return list
	}
	for name, c := range map[string]struct {
		in         ssm.CreateActivationInput
		code, says string
	}{
		"31 days":            {ssm.CreateActivationInput{IamRole: role, ExpirationDate: aws.Time(time.Now().Add(31 * 24 * time.Hour))}, "InvalidParameters", "more than 30 days ahead"},
		"yesterday":          {ssm.CreateActivationInput{IamRole: role, ExpirationDate: aws.Time(time.Now().Add(-24 * time.Hour))}, "InvalidParameters", "is over"},
		"51 tags":            {ssm.CreateActivationInput{IamRole: role, Tags: tags(51)}, "InvalidParameters", "50"},
		"AWS's own tag":      {ssm.CreateActivationInput{IamRole: role, Tags: []types.Tag{{Key: aws.String("aws:x"), Value: aws.String("v")}}}, "InvalidParameters", "aws:x"},
		"a tag twice":        {ssm.CreateActivationInput{IamRole: role, Tags: append(tags(1), tags(1)...)}, "InvalidParameters", "k0"},
		"no role":            {ssm.CreateActivationInput{IamRole: aws.String("a/")}, "ValidationException", "names no role"},
		"1001 registrations": {ssm.CreateActivationInput{IamRole: role, RegistrationLimit: aws.Int32(1001)}, "ValidationException", "registrationLimit"},
		"no instance id":     {ssm.CreateActivationInput{IamRole: role, RegistrationMetadata: metadata("mi-0123456789abcdef0")}, "InvalidParameters", "no EC2 instance id"},
		"two of one":         {ssm.CreateActivationInput{IamRole: role, RegistrationMetadata: metadata("i-0123456789abcdef0"), RegistrationLimit: aws.Int32(2)}, "InvalidParameters", "RegistrationLimit"},
	} {
		_, err := client.CreateActivation(ctx, &c.in)
		if got, message := code(t, err); got != c.code || !strings.Contains(message, c.says) {
			t.Errorf("%s: %s %q, want %s %q", name, got, message, c.code, c.says)
		}
	}
	// Ids of another region's: one that registered, and one that an activation
	// waits for.
	const waits = "i-0123456789abcdef1"
	activate(t, client, &ssm.CreateActivationInput{RegistrationMetadata: metadata(waits)})
	away := ssm.NewFromConfig(s.Config("eu-west-1"))
	for _, id := range []string{s.InstanceIDs[0], waits} {
		_, err := away.CreateActivation(ctx, &ssm.CreateActivationInput{IamRole: role, RegistrationMetadata: metadata(id)})
		if got, message := code(t, err); got != "InvalidParameters" || !strings.Contains(message, id) {
			t.Errorf("an id of another region: %s %s", got, message)
		}
	}
}

// TestActivationForAnInstance: a host registers under the EC2 id that its
// activation names, and the instance is there before it has an agent.
func TestActivationForAnInstance(t *testing.T) {
	t.Parallel()
	s := testenv.Start(t, testenv.Options{Roles: []string{"Web"}})
	ctx, client := testenv.Context(t), s.SSM()
	const id = "i-0123456789abcdef1"
	activation, secret := activate(t, client, &ssm.CreateActivationInput{
		IamRole: aws.String("Web"), RegistrationMetadata: metadata(id), Tags: []types.Tag{{Key: aws.String("Name"), Value: aws.String("web 1")}},
	})
	state := func() []string {
		out, err := s.EC2().DescribeInstances(ctx, &ec2.DescribeInstancesInput{InstanceIds: []string{id}})
		if err != nil {
			t.Fatal(err)
		}
		i := out.Reservations[0].Instances[0]
		got := []string{string(i.State.Name), aws.ToString(i.IamInstanceProfile.Arn)}
		for _, tag := range i.Tags {
			got = append(got, aws.ToString(tag.Key)+"="+aws.ToString(tag.Value))
		}
		return got
	}
	want := []string{"running", "arn:aws:iam::000000000000:instance-profile/Web", "Name=web 1"}
	if d := cmp.Diff(want, state()); d != "" {
		t.Errorf("before its agent is there (-want +got):\n%s", d)
	}
	if got := describe(t, client); len(got) != 0 {
		t.Errorf("managed without an agent: %v", infoIDs(got))
	}
	_, err := client.SendCommand(ctx, &ssm.SendCommandInput{DocumentName: aws.String("AWS-RunShellScript"), InstanceIds: []string{id}, Parameters: shell("true")})
	if got, _ := code(t, err); got != "InvalidInstanceId" {
		t.Errorf("a command without an agent: %v", err)
	}
	r := startRemote(t, s, client, activation, secret)
	if r.id != id {
		t.Fatalf("it registered as %s", r.id)
	}
	if d := cmp.Diff(want, state()); d != "" {
		t.Errorf("with its agent (-want +got):\n%s", d)
	}
	if got := describe(t, client, by("tag:Name", "web 1")); len(got) != 1 {
		t.Errorf("by its tag: %v", infoIDs(got))
	}
}

func TestTags(t *testing.T) {
	t.Parallel()
	s := testenv.Start(t, testenv.Options{Agents: 1, Documents: map[string]string{"Greet.yaml": greet}})
	ctx, client, id := testenv.Context(t), s.SSM(), s.InstanceIDs[0]
	tag := func(key, value string) types.Tag { return types.Tag{Key: &key, Value: &value} }
	add := func(kind types.ResourceTypeForTagging, id string, tags ...types.Tag) error {
		_, err := client.AddTagsToResource(ctx, &ssm.AddTagsToResourceInput{ResourceType: kind, ResourceId: &id, Tags: tags})
		return err
	}
	list := func(kind types.ResourceTypeForTagging, id string) []string {
		t.Helper()
		out, err := client.ListTagsForResource(ctx, &ssm.ListTagsForResourceInput{ResourceType: kind, ResourceId: &id})
		if err != nil {
			t.Fatal(err)
		}
		got := []string{}
		for _, tag := range out.TagList {
			got = append(got, aws.ToString(tag.Key)+"="+aws.ToString(tag.Value))
		}
		return got
	}
	for _, c := range []struct {
		kind types.ResourceTypeForTagging
		id   string
	}{{"ManagedInstance", id}, {"Document", "Greet"}} {
		if d := cmp.Diff([]string{}, list(c.kind, c.id)); d != "" {
			t.Errorf("%s has tags: %s", c.kind, d)
		}
		for _, tags := range [][]types.Tag{{tag("b", "1"), tag("a", "")}, {tag("b", "2")}, {tag("c", "3")}} {
			if err := add(c.kind, c.id, tags...); err != nil {
				t.Fatal(err)
			}
		}
		if d := cmp.Diff([]string{"a=", "b=2", "c=3"}, list(c.kind, c.id)); d != "" {
			t.Errorf("%s (-want +got):\n%s", c.kind, d)
		}
		if _, err := client.RemoveTagsFromResource(ctx, &ssm.RemoveTagsFromResourceInput{ResourceType: c.kind, ResourceId: &c.id, TagKeys: []string{"a", "none"}}); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff([]string{"b=2", "c=3"}, list(c.kind, c.id)); d != "" {
			t.Errorf("%s after one was removed (-want +got):\n%s", c.kind, d)
		}
	}
	if got := list("Document", "arn:aws:ssm:us-east-1:000000000000:document/Greet"); len(got) != 2 {
		t.Errorf("by its ARN: %v", got)
	}
	if got := describe(t, client, by("tag:b", "2"), by("tag-key", "c")); len(got) != 1 {
		t.Errorf("by tags: %v", infoIDs(got))
	}
	var many []types.Tag
	for n := range 49 {
		many = append(many, tag(fmt.Sprint("n", n), ""))
	}
	for name, c := range map[string]struct {
		kind types.ResourceTypeForTagging
		id   string
		tags []types.Tag
		code string
	}{
		"too many":          {"ManagedInstance", id, many, "TooManyTagsError"},
		"AWS's own":         {"ManagedInstance", id, []types.Tag{tag("AWS:x", "")}, "ValidationException"},
		"a key twice":       {"ManagedInstance", id, []types.Tag{tag("x", ""), tag("x", "")}, "ValidationException"},
		"no instance":       {"ManagedInstance", "mi-00000000000000000", many[:1], "InvalidResourceId"},
		"no EC2 instance":   {"ManagedInstance", "i-00000000000000000", many[:1], "InvalidResourceId"},
		"nonsense":          {"ManagedInstance", "x", many[:1], "InvalidResourceId"},
		"no document":       {"Document", "Nothing", many[:1], "InvalidResourceId"},
		"AWS's document":    {"Document", "AWS-RunShellScript", many[:1], "InvalidResourceId"},
		"no parameter":      {"Parameter", "/x", many[:1], "InvalidResourceId"},
		"another type":      {"OpsItem", "oi-1", many[:1], "InvalidResourceType"},
		"no type at all":    {"Toaster", "x", many[:1], "ValidationException"},
		"a tag with a star": {"ManagedInstance", id, []types.Tag{tag("x", "*")}, "ValidationException"},
	} {
		if got, message := code(t, add(c.kind, c.id, c.tags...)); got != c.code {
			t.Errorf("%s: %s %q, want %s", name, got, message, c.code)
		}
	}
	if got := list("ManagedInstance", id); len(got) != 2 {
		t.Errorf("what was refused was added: %v", got)
	}
	_, err := client.RemoveTagsFromResource(ctx, &ssm.RemoveTagsFromResourceInput{ResourceType: "OpsItem", ResourceId: aws.String("x"), TagKeys: []string{"a"}})
	if got, _ := code(t, err); got != "InvalidResourceType" {
		t.Errorf("removed from another type: %v", err)
	}
	_, err = client.RemoveTagsFromResource(ctx, &ssm.RemoveTagsFromResourceInput{ResourceType: "Document", ResourceId: aws.String("Nothing"), TagKeys: []string{"a"}})
	if got, _ := code(t, err); got != "InvalidResourceId" {
		t.Errorf("removed from nothing: %v", err)
	}
	_, err = client.ListTagsForResource(ctx, &ssm.ListTagsForResourceInput{ResourceType: "Automation", ResourceId: aws.String("x")})
	if got, _ := code(t, err); got != "InvalidResourceType" {
		t.Errorf("listed of another type: %v", err)
	}
}
