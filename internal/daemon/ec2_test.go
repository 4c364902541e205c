package daemon_test

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/google/go-cmp/cmp"

	"ssmrun/internal/testenv"
)

const ec2File = `[
	{"InstanceId": "i-00000001", "Name": "web 1", "IamInstanceProfile": "web", "Tags": {"env": "prod", "empty": ""}, "PrivateIpAddress": "10.0.0.1",
	 "PrivateDnsName": "ip-10-0-0-1.internal", "AvailabilityZone": "us-east-1a", "PlatformDetails": "Linux/UNIX", "InstanceType": "t3.micro", "LaunchTime": "2026-01-02T03:04:05Z"},
	{"InstanceId": "i-00000002", "State": "stopped", "IamInstanceProfile": "web", "Tags": {"env": "test"}, "PrivateIpAddress": "10.0.0.2"},
	{"InstanceId": "i-00000003", "State": "running"},
	{"InstanceId": "i-00000004", "State": "terminated"},
	{"InstanceId": "i-00000005", "State": "pending"},
	{"InstanceId": "i-00000006", "State": "stopping"},
	{"InstanceId": "i-00000007", "State": "shutting-down"},
	{"InstanceId": "i-00000008", "Region": "eu-west-1", "Account": "111111111111"}
]`

func ec2IDs(out *ec2.DescribeInstancesOutput) []string {
	var ids []string
	for _, r := range out.Reservations {
		for _, i := range r.Instances {
			ids = append(ids, strings.TrimPrefix(aws.ToString(i.InstanceId), "i-0000000"))
		}
	}
	return ids
}

func TestEC2Instances(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "ec2.json")
	testenv.WriteFile(t, file, ec2File, 0o600)
	s := testenv.Start(t, testenv.Options{
		Agents: 1, Regions: []string{"us-east-1", "eu-west-1"},
		Args: []string{"--ec2-instances", file, "--other-account", "111111111111"},
	})
	ctx, client, agent := testenv.Context(t), s.EC2(), s.InstanceIDs[0]
	filter := func(name string, values ...string) ec2types.Filter {
		return ec2types.Filter{Name: &name, Values: values}
	}
	out, err := client.DescribeInstances(ctx, &ec2.DescribeInstancesInput{InstanceIds: []string{"i-00000001", "i-00000002", "i-00000003"}})
	if err != nil || len(out.Reservations) != 3 {
		t.Fatalf("%+v, %v", out, err)
	}
	web, stopped, bare := out.Reservations[0].Instances[0], out.Reservations[1].Instances[0], out.Reservations[2].Instances[0]
	var tags []string
	for _, tag := range web.Tags {
		tags = append(tags, aws.ToString(tag.Key)+"="+aws.ToString(tag.Value))
	}
	got := append(tags, string(web.State.Name), fmt.Sprint(aws.ToInt32(web.State.Code)), aws.ToString(web.IamInstanceProfile.Arn), aws.ToString(web.PrivateIpAddress),
		aws.ToString(web.PrivateDnsName), aws.ToString(web.Placement.AvailabilityZone), aws.ToString(web.PlatformDetails), string(web.InstanceType), web.LaunchTime.UTC().String())
	want := []string{
		"Name=web 1", "empty=", "env=prod", "running", "16", "arn:aws:iam::000000000000:instance-profile/web", "10.0.0.1",
		"ip-10-0-0-1.internal", "us-east-1a", "Linux/UNIX", "t3.micro", "2026-01-02 03:04:05 +0000 UTC",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("the full one (-want +got):\n%s", d)
	}
	if stopped.State.Name != "stopped" || aws.ToInt32(stopped.State.Code) != 80 || stopped.IamInstanceProfile == nil {
		t.Errorf("the stopped one: %+v", stopped)
	}
	if bare.State.Name != "running" || bare.IamInstanceProfile != nil || len(bare.Tags) != 0 {
		t.Errorf("one without a profile: %+v", bare)
	}
	local := strings.TrimPrefix(agent, "i-0000000")
	for name, c := range map[string]struct {
		filters []ec2types.Filter
		want    []string
	}{
		"all":           {nil, []string{"1", "2", "3", "4", "5", "6", "7", local}},
		"running":       {[]ec2types.Filter{filter("instance-state-name", "running")}, []string{"1", "3", local}},
		"by code":       {[]ec2types.Filter{filter("instance-state-code", "80", "64")}, []string{"2", "6"}},
		"ids":           {[]ec2types.Filter{filter("instance-id", "i-0000000?")}, []string{"1", "2", "3", "4", "5", "6", "7"}},
		"a tag":         {[]ec2types.Filter{filter("tag:env", "prod", "none")}, []string{"1"}},
		"a tag's part":  {[]ec2types.Filter{filter("tag:env", "*t*")}, []string{"2"}},
		"any value":     {[]ec2types.Filter{filter("tag:env", "*")}, []string{"1", "2"}},
		"an empty tag":  {[]ec2types.Filter{filter("tag:empty", "")}, []string{"1"}},
		"a tag's key":   {[]ec2types.Filter{filter("tag-key", "Nam?")}, []string{"1"}},
		"a literal *":   {[]ec2types.Filter{filter("tag:env", `\*`)}, nil},
		"profile":       {[]ec2types.Filter{filter("iam-instance-profile.arn", "*/web")}, []string{"1", "2"}},
		"address":       {[]ec2types.Filter{filter("private-ip-address", "10.0.0.2")}, []string{"2"}},
		"not a pattern": {[]ec2types.Filter{filter("private-ip-address", "10.0.0.[12]")}, nil},
		"host name":     {[]ec2types.Filter{filter("private-dns-name", "*.internal")}, []string{"1"}},
		"zone":          {[]ec2types.Filter{filter("availability-zone", "us-east-1a")}, []string{"1"}},
		"platform":      {[]ec2types.Filter{filter("platform-details", "Linux/UNIX")}, []string{"1"}},
		"two":           {[]ec2types.Filter{filter("tag:env", "*"), filter("instance-state-name", "stopped")}, []string{"2"}},
	} {
		out, err := client.DescribeInstances(ctx, &ec2.DescribeInstancesInput{Filters: c.filters})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if d := cmp.Diff(c.want, ec2IDs(out)); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
	var paged []string
	pages := ec2.NewDescribeInstancesPaginator(client, &ec2.DescribeInstancesInput{MaxResults: aws.Int32(5)})
	for n := 0; pages.HasMorePages(); n++ {
		page, err := pages.NextPage(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 && len(ec2IDs(page)) != 5 {
			t.Errorf("a page of %v", ec2IDs(page))
		}
		paged = append(paged, ec2IDs(page)...)
	}
	if d := cmp.Diff([]string{"1", "2", "3", "4", "5", "6", "7", local}, paged); d != "" {
		t.Errorf("in pages (-want +got):\n%s", d)
	}
	first, err := client.DescribeInstances(ctx, &ec2.DescribeInstancesInput{MaxResults: aws.Int32(5)})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		in         ec2.DescribeInstancesInput
		code, says string
	}{
		"an unknown filter":          {ec2.DescribeInstancesInput{Filters: []ec2types.Filter{filter("colour", "red")}}, "InvalidParameterValue", "The filter 'colour' is invalid"},
		"no value":                   {ec2.DescribeInstancesInput{Filters: []ec2types.Filter{filter("instance-id")}}, "InvalidParameterValue", "has no value"},
		"a tag without a name":       {ec2.DescribeInstancesInput{Filters: []ec2types.Filter{filter("tag:", "x")}}, "InvalidParameterValue", "invalid"},
		"4 results":                  {ec2.DescribeInstancesInput{MaxResults: aws.Int32(4)}, "InvalidParameterValue", "greater than or equal to 5"},
		"results and ids":            {ec2.DescribeInstancesInput{MaxResults: aws.Int32(5), InstanceIds: []string{"i-00000001"}}, "InvalidParameterCombination", "maxResults"},
		"a token":                    {ec2.DescribeInstancesInput{NextToken: aws.String("x")}, "InvalidNextToken", ""},
		"another question's":         {ec2.DescribeInstancesInput{NextToken: first.NextToken, Filters: []ec2types.Filter{filter("instance-id", "*")}}, "InvalidNextToken", ""},
		"nobody":                     {ec2.DescribeInstancesInput{InstanceIds: []string{"i-0000000a"}}, "InvalidInstanceID.NotFound", "The instance ID 'i-0000000a' does not exist"},
		"two nobodies":               {ec2.DescribeInstancesInput{InstanceIds: []string{"i-0000000b", "i-00000001", "i-0000000a"}}, "InvalidInstanceID.NotFound", "The instance IDs 'i-0000000b, i-0000000a' do not exist"},
		"another account and region": {ec2.DescribeInstancesInput{InstanceIds: []string{"i-00000008"}}, "InvalidInstanceID.NotFound", "i-00000008"},
		"no id":                      {ec2.DescribeInstancesInput{InstanceIds: []string{"i-x"}}, "InvalidInstanceID.Malformed", "i-x"},
		"a dry run":                  {ec2.DescribeInstancesInput{DryRun: aws.Bool(true)}, "DryRunOperation", ""},
	} {
		_, err := client.DescribeInstances(ctx, &c.in)
		if got, message := code(t, err); got != c.code || !strings.Contains(message, c.says) {
			t.Errorf("%s: %s %q, want %s %q", name, got, message, c.code, c.says)
		}
	}
	// Nobody but a running machine with an agent takes commands.
	for _, id := range []string{"i-00000001", "i-00000002"} {
		_, err := s.SSM().SendCommand(ctx, &ssm.SendCommandInput{DocumentName: aws.String("AWS-RunShellScript"), InstanceIds: []string{id}, Parameters: shell("true")})
		if got, message := code(t, err); got != "InvalidInstanceId" || message != "Instances not in a valid state for account" {
			t.Errorf("%s: %s %q", id, got, message)
		}
	}
}

// TestMachineThatStopped: its agent may still be there; it is not managed until
// it runs again, and its tags are those of the file.
func TestMachineThatStopped(t *testing.T) {
	t.Parallel()
	s := testenv.Start(t, testenv.Options{Agents: 1})
	ctx, id := testenv.Context(t), s.InstanceIDs[0]
	file := filepath.Join(t.TempDir(), "ec2.json")
	s.SetArgs("--ec2-instances", file)
	check := func(entry string, managed bool, tags ...string) {
		t.Helper()
		s.Stop()
		testenv.WriteFile(t, file, entry, 0o600)
		s.Restart()
		if got := describe(t, s.SSM()); len(got) > 0 != managed {
			t.Errorf("%s: managed are %v", entry, infoIDs(got))
		}
		_, err := s.SSM().SendCommand(ctx, &ssm.SendCommandInput{DocumentName: aws.String("AWS-RunShellScript"), InstanceIds: []string{id}, Parameters: shell("true")})
		if managed != (err == nil) {
			t.Errorf("%s: a command: %v", entry, err)
		}
		out, err := s.SSM().ListTagsForResource(ctx, &ssm.ListTagsForResourceInput{ResourceType: "ManagedInstance", ResourceId: &id})
		if err != nil {
			t.Fatal(err)
		}
		got := []string{}
		for _, tag := range out.TagList {
			got = append(got, aws.ToString(tag.Key)+"="+aws.ToString(tag.Value))
		}
		if !slices.Equal(got, tags) {
			t.Errorf("%s: tags %v, want %v", entry, got, tags)
		}
	}
	entry := func(more string) string { return `[{"InstanceId":"` + id + `"` + more + `}]` }
	check(entry(`,"State":"stopped","Tags":{"a":"1","b":"1"}`), false, "a=1", "b=1")
	if _, err := s.SSM().AddTagsToResource(ctx, &ssm.AddTagsToResourceInput{ResourceType: "ManagedInstance", ResourceId: &id, Tags: ssmTags("c", "1")}); err != nil {
		t.Fatal(err)
	}
	check(entry(`,"State":"running","Tags":{"a":"2"}`), true, "a=2", "c=1")
	check(`[]`, true, "c=1")
}

func TestEC2FilesThatCannotBe(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, c := range map[string]struct{ text, says string }{
		"no file":           {"", "no such file"},
		"no JSON":           {`{`, "no JSON list"},
		"no list":           {`{"InstanceId":"i-00000001"}`, "no JSON list"},
		"more":              {`[] []`, "has more after"},
		"an unknown field":  {`[{"InstanceId":"i-00000001","Colour":"red"}]`, `entry 1 (i-00000001): unknown field "Colour"`},
		"a wrong type":      {`[{"InstanceId":"i-00000001","State":7}]`, "entry 1 (i-00000001): State: a number cannot stand there"},
		"a wrong state":     {`[{"InstanceId":"i-00000002"},{"InstanceId":"i-00000001","State":"halted"}]`, `entry 2 (i-00000001): State: "halted" is none of pending, running`},
		"no id":             {`[{}]`, `entry 1: InstanceId: "" is not i-`},
		"a hybrid id":       {`[{"InstanceId":"mi-0123456789abcdef0"}]`, "InstanceId"},
		"an id twice":       {`[{"InstanceId":"i-00000001"},{"InstanceId":"i-00000001"}]`, "entry 2 (i-00000001): InstanceId: entry 1 has the same"},
		"a field twice":     {`[{"InstanceId":"i-00000001","State":"running","state":"stopped"}]`, "state: it is named twice"},
		"a region":          {`[{"InstanceId":"i-00000001","Region":"eu-west-1"}]`, `Region: "eu-west-1" is not served`},
		"an account":        {`[{"InstanceId":"i-00000001","Account":"222222222222"}]`, `Account: "222222222222" is not served`},
		"an address":        {`[{"InstanceId":"i-00000001","PrivateIpAddress":"10.0.0"}]`, `PrivateIpAddress: "10.0.0" is no IP address`},
		"a profile's ARN":   {`[{"InstanceId":"i-00000001","IamInstanceProfile":"arn:aws:iam::1:instance-profile/x"}]`, "IamInstanceProfile"},
		"a time":            {`[{"InstanceId":"i-00000001","LaunchTime":"yesterday"}]`, `LaunchTime: "yesterday" is no time like`},
		"AWS's own tag":     {`[{"InstanceId":"i-00000001","Tags":{"aws:x":"y"}}]`, `Tags: the tag "aws:x" cannot be`},
		"two names":         {`[{"InstanceId":"i-00000001","Name":"a","Tags":{"Name":"b"}}]`, "Name: Tags has another Name"},
		"two wrong entries": {`[{"InstanceId":"x"},{"InstanceId":"y"}]`, "entry 2 (y)"},
	} {
		file := filepath.Join(dir, strings.ReplaceAll(name, " ", "-")+".json")
		if c.text != "" {
			testenv.WriteFile(t, file, c.text, 0o600)
		}
		cmd := exec.Command(testenv.Binary(t, "ssmrun"), "serve", "--data", filepath.Join(dir, "data"), "--listen", "127.0.0.1:0", "--ec2-instances", file)
		cmd.Env = testenv.CleanEnv()
		out, err := cmd.CombinedOutput()
		if err == nil || cmd.ProcessState.ExitCode() != 2 || !strings.Contains(string(out), c.says) || !strings.Contains(string(out), file) {
			t.Errorf("%s: exit code %d, %s", name, cmd.ProcessState.ExitCode(), out)
		}
	}
}
