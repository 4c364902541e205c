package daemon_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/google/go-cmp/cmp"

	"ssmrun/internal/testenv"
)

// trust lets a service assume a role.
func trust(service string) *string {
	return aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"` + service + `"},"Action":"sts:AssumeRole"}]}`)
}

const corePolicy = "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore"

// makeRole makes a role that Systems Manager may assume, with policies.
func makeRole(t *testing.T, client *iam.Client, name string, policies ...string) {
	t.Helper()
	ctx := testenv.Context(t)
	if _, err := client.CreateRole(ctx, &iam.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: trust("ssm.amazonaws.com")}); err != nil {
		t.Fatal(err)
	}
	for _, arn := range policies {
		if _, err := client.AttachRolePolicy(ctx, &iam.AttachRolePolicyInput{RoleName: &name, PolicyArn: &arn}); err != nil {
			t.Fatal(err)
		}
	}
}

// TestRoleLife makes the calls that Terraform's aws_iam_role and
// aws_iam_role_policy_attachment make, and the others that there are.
func TestRoleLife(t *testing.T) {
	t.Parallel()
	s := testenv.Start(t, testenv.Options{Regions: []string{"eu-west-1"}, Roles: []string{"team/Made=AmazonEC2RoleforSSM"}})
	ctx := testenv.Context(t)
	client := iam.NewFromConfig(s.Config("us-east-1")) // not served otherwise
	name := aws.String("Rack")
	made, err := client.CreateRole(ctx, &iam.CreateRoleInput{
		RoleName: name, Path: aws.String("/racks/"), Description: aws.String("of racks"), AssumeRolePolicyDocument: trust("ec2.amazonaws.com"),
		Tags: []iamtypes.Tag{{Key: aws.String("site"), Value: aws.String("bonn")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if r := made.Role; aws.ToString(r.Arn) != "arn:aws:iam::000000000000:role/racks/Rack" || !strings.HasPrefix(aws.ToString(r.RoleId), "AROA") ||
		aws.ToInt32(r.MaxSessionDuration) != 3600 || r.CreateDate.IsZero() || len(r.Tags) != 1 {
		t.Errorf("%+v", r)
	}
	if _, err := client.UpdateAssumeRolePolicy(ctx, &iam.UpdateAssumeRolePolicyInput{RoleName: name, PolicyDocument: trust("ssm.amazonaws.com")}); err != nil {
		t.Error(err)
	}
	if _, err := client.UpdateRole(ctx, &iam.UpdateRoleInput{RoleName: name, Description: aws.String("other"), MaxSessionDuration: aws.Int32(7200)}); err != nil {
		t.Error(err)
	}
	if _, err := client.TagRole(ctx, &iam.TagRoleInput{RoleName: name, Tags: []iamtypes.Tag{{Key: aws.String("env"), Value: aws.String("")}}}); err != nil {
		t.Error(err)
	}
	if _, err := client.UntagRole(ctx, &iam.UntagRoleInput{RoleName: name, TagKeys: []string{"site", "x"}}); err != nil {
		t.Error(err)
	}
	got, err := client.GetRole(ctx, &iam.GetRoleInput{RoleName: name})
	if err != nil {
		t.Fatal(err)
	}
	policy, err := url.PathUnescape(aws.ToString(got.Role.AssumeRolePolicyDocument))
	if err != nil || policy != *trust("ssm.amazonaws.com") || aws.ToString(got.Role.Description) != "other" || aws.ToInt32(got.Role.MaxSessionDuration) != 7200 ||
		len(got.Role.Tags) != 1 || aws.ToString(got.Role.Tags[0].Key) != "env" || aws.ToString(got.Role.RoleId) != aws.ToString(made.Role.RoleId) {
		t.Errorf("%s, %v, %+v", policy, err, got.Role)
	}
	tags, err := client.ListRoleTags(ctx, &iam.ListRoleTagsInput{RoleName: name})
	if err != nil || len(tags.Tags) != 1 || tags.IsTruncated {
		t.Errorf("%+v, %v", tags, err)
	}

	for range 2 {
		if _, err := client.AttachRolePolicy(ctx, &iam.AttachRolePolicyInput{RoleName: name, PolicyArn: aws.String(corePolicy)}); err != nil {
			t.Error(err)
		}
	}
	attached, err := client.ListAttachedRolePolicies(ctx, &iam.ListAttachedRolePoliciesInput{RoleName: name})
	if err != nil || len(attached.AttachedPolicies) != 1 || aws.ToString(attached.AttachedPolicies[0].PolicyArn) != corePolicy || aws.ToString(attached.AttachedPolicies[0].PolicyName) != "AmazonSSMManagedInstanceCore" {
		t.Errorf("%+v, %v", attached, err)
	}
	inline, err := client.ListRolePolicies(ctx, &iam.ListRolePoliciesInput{RoleName: name})
	if err != nil || len(inline.PolicyNames) != 0 {
		t.Errorf("%+v, %v", inline, err)
	}
	profiles, err := client.ListInstanceProfilesForRole(ctx, &iam.ListInstanceProfilesForRoleInput{RoleName: name})
	if err != nil || len(profiles.InstanceProfiles) != 0 {
		t.Errorf("%+v, %v", profiles, err)
	}
	if _, err := client.DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: name}); !isCode(t, err, "DeleteConflict", "must detach all policies first") {
		t.Error(err)
	}

	list := func(prefix string) (names []string) {
		in := &iam.ListRolesInput{MaxItems: aws.Int32(1)}
		if prefix != "" {
			in.PathPrefix = &prefix
		}
		for pages := iam.NewListRolesPaginator(client, in); pages.HasMorePages(); {
			page, err := pages.NextPage(ctx)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range page.Roles {
				names = append(names, aws.ToString(r.RoleName))
			}
		}
		return names
	}
	if d := cmp.Diff([]string{"AmazonEC2RunCommandRoleForManagedInstances", "Made", "Rack"}, list("")); d != "" {
		t.Errorf("all roles (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]string{"Rack"}, list("/racks/")); d != "" {
		t.Errorf("below a path (-want +got):\n%s", d)
	}

	if _, err := client.DetachRolePolicy(ctx, &iam.DetachRolePolicyInput{RoleName: name, PolicyArn: aws.String(corePolicy)}); err != nil {
		t.Error(err)
	}
	// They last, and what was made at a start is not made anew.
	s.Stop()
	s.Restart()
	client = iam.NewFromConfig(s.Config("eu-west-1"))
	if _, err := client.DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: name}); err != nil {
		t.Error(err)
	}
	if _, err := client.GetRole(ctx, &iam.GetRoleInput{RoleName: name}); !isCode(t, err, "NoSuchEntity", "The role with name Rack cannot be found.") {
		t.Error(err)
	}
}

// isCode tells whether err has a code, and says something.
func isCode(t *testing.T, err error, want, says string) bool {
	t.Helper()
	if err == nil {
		return false
	}
	got, message := code(t, err)
	return got == want && strings.Contains(message, says)
}

func TestRolesThatCannotBe(t *testing.T) {
	t.Parallel()
	s := testenv.Start(t, testenv.Options{})
	ctx, client := testenv.Context(t), s.IAM()
	makeRole(t, client, "Rack")
	rack, none := aws.String("Rack"), aws.String("None")
	create := func(change func(*iam.CreateRoleInput)) func() error {
		return func() error {
			in := &iam.CreateRoleInput{RoleName: aws.String("New"), AssumeRolePolicyDocument: trust("ssm.amazonaws.com")}
			change(in)
			_, err := client.CreateRole(ctx, in)
			return err
		}
	}
	attach := func(role, arn string) func() error {
		return func() error {
			_, err := client.AttachRolePolicy(ctx, &iam.AttachRolePolicyInput{RoleName: &role, PolicyArn: &arn})
			return err
		}
	}
	for name, c := range map[string]struct {
		call       func() error
		code, says string
	}{
		"there already":         {create(func(in *iam.CreateRoleInput) { in.RoleName = rack }), "EntityAlreadyExists", "Role with name Rack already exists."},
		"a bad name":            {create(func(in *iam.CreateRoleInput) { in.RoleName = aws.String("a b") }), "ValidationError", `1 validation error detected: Value 'a b' at 'roleName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\w+=,.@-]+`},
		"a bad path":            {create(func(in *iam.CreateRoleInput) { in.Path = aws.String("a") }), "ValidationError", `'path'`},
		"a bad trust":           {create(func(in *iam.CreateRoleInput) { in.AssumeRolePolicyDocument = aws.String("{") }), "MalformedPolicyDocument", "invalid Json"},
		"no service":            {create(func(in *iam.CreateRoleInput) { in.AssumeRolePolicyDocument = trust("ssm") }), "MalformedPolicyDocument", "Invalid principal"},
		"a short session":       {create(func(in *iam.CreateRoleInput) { in.MaxSessionDuration = aws.Int32(60) }), "ValidationError", "maxSessionDuration"},
		"a boundary":            {create(func(in *iam.CreateRoleInput) { in.PermissionsBoundary = aws.String(corePolicy) }), "ValidationError", "PermissionsBoundary"},
		"a slip in a policy":    {attach("Rack", corePolicy+"s"), "NoSuchEntity", "does not exist or is not attachable"},
		"a policy of one's own": {attach("Rack", "arn:aws:iam::000000000000:policy/Mine"), "NoSuchEntity", "Policy arn:aws:iam::000000000000:policy/Mine does not exist or is not attachable."},
		"to nobody":             {attach("None", corePolicy), "NoSuchEntity", "The role with name None cannot be found."},
		"no ARN":                {attach("Rack", "x"), "ValidationError", "policyArn"},
		"what is not attached": {func() error {
			_, err := client.DetachRolePolicy(ctx, &iam.DetachRolePolicyInput{RoleName: rack, PolicyArn: aws.String(corePolicy)})
			return err
		}, "NoSuchEntity", "was not found"},
		"delete what is not there": {func() error { _, err := client.DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: none}); return err }, "NoSuchEntity", "None"},
		"policies of nobody": {func() error {
			_, err := client.ListAttachedRolePolicies(ctx, &iam.ListAttachedRolePoliciesInput{RoleName: none})
			return err
		}, "NoSuchEntity", "None"},
		"inline policies of nobody": {func() error {
			_, err := client.ListRolePolicies(ctx, &iam.ListRolePoliciesInput{RoleName: none})
			return err
		}, "NoSuchEntity", "None"},
		"trust of nobody": {func() error {
			_, err := client.UpdateAssumeRolePolicy(ctx, &iam.UpdateAssumeRolePolicyInput{RoleName: none, PolicyDocument: trust("ssm.amazonaws.com")})
			return err
		}, "NoSuchEntity", "None"},
		"a bad new trust": {func() error {
			_, err := client.UpdateAssumeRolePolicy(ctx, &iam.UpdateAssumeRolePolicyInput{RoleName: rack, PolicyDocument: aws.String("[]")})
			return err
		}, "MalformedPolicyDocument", ""},
		"a marker of another list": {func() error {
			_, err := client.ListRoles(ctx, &iam.ListRolesInput{Marker: aws.String("x")})
			return err
		}, "ValidationError", "Invalid Marker"},
		"AWS's own tag": {func() error {
			_, err := client.TagRole(ctx, &iam.TagRoleInput{RoleName: rack, Tags: []iamtypes.Tag{{Key: aws.String("aws:x"), Value: aws.String("y")}}})
			return err
		}, "InvalidInput", "aws:x"},
		"an operation that is not there": {func() error { _, err := client.GetUser(ctx, &iam.GetUserInput{}); return err }, "InvalidAction", "Could not find operation GetUser for version 2010-05-08"},
	} {
		if err := c.call(); !isCode(t, err, c.code, c.says) {
			t.Errorf("%s: %v; want %s, %s", name, err, c.code, c.says)
		}
	}
	for n := range 10 {
		if err := attach("Rack", fmt.Sprintf("arn:aws:iam::aws:policy/Other%d", n))(); err != nil {
			t.Fatal(err)
		}
	}
	if err := attach("Rack", corePolicy)(); !isCode(t, err, "LimitExceeded", "PoliciesPerRole: 10") {
		t.Error(err)
	}
	away := s.Config("ap-south-1")
	if _, err := iam.NewFromConfig(away).ListRoles(ctx, &iam.ListRolesInput{}); err == nil {
		t.Error("a region that is not served")
	}
}
