package daemon_test

import (
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/google/go-cmp/cmp"

	"ssmrun/internal/testenv"
)

func TestInformationRefuses(t *testing.T) {
	t.Parallel()
	s := testenv.Start(t, testenv.Options{})
	ctx, client := testenv.Context(t), s.SSM()
	legacy := []types.InstanceInformationFilter{{Key: "InstanceIds", ValueSet: []string{"i-00000000000000000"}}}
	for name, c := range map[string]struct {
		in   ssm.DescribeInstanceInformationInput
		code string
		says string
	}{
		"an unknown key":  {ssm.DescribeInstanceInformationInput{Filters: []types.InstanceInformationStringFilter{by("UnknownKey", "i-00000000000000000")}}, "ValidationException", "UnknownKey filter Key is invalid."},
		"both styles":     {ssm.DescribeInstanceInformationInput{Filters: []types.InstanceInformationStringFilter{by("InstanceIds", "i-00000000000000000")}, InstanceInformationFilterList: legacy}, "ValidationException", "Cannot use both legacy and new filter simultaneously."},
		"4 results":       {ssm.DescribeInstanceInformationInput{MaxResults: aws.Int32(4)}, "ValidationException", "1 validation error detected: Value at 'maxResults' failed to satisfy constraint: Member must have value greater than or equal to 5"},
		"a tag and an id": {ssm.DescribeInstanceInformationInput{Filters: []types.InstanceInformationStringFilter{by("tag:a", "b"), by("InstanceIds", "i-00000000000000000")}}, "ValidationException", "Cannot mix tag or inventory filter with any other filter."},
		"a token":         {ssm.DescribeInstanceInformationInput{NextToken: aws.String("x")}, "InvalidNextToken", ""},
		"a malformed id":  {ssm.DescribeInstanceInformationInput{Filters: []types.InstanceInformationStringFilter{by("InstanceIds", "i-nonsense")}}, "InvalidInstanceId", "i-nonsense is no value for the filter key InstanceIds."},
		"a wrong status":  {ssm.DescribeInstanceInformationInput{Filters: []types.InstanceInformationStringFilter{by("PingStatus", "Sleeping")}}, "InvalidInstanceInformationFilterValue", "Sleeping is no value for the filter key PingStatus."},
		"an activation":   {ssm.DescribeInstanceInformationInput{Filters: []types.InstanceInformationStringFilter{by("ActivationIds", "x")}}, "InvalidInstanceInformationFilterValue", "x is no value for the filter key ActivationIds."},
	} {
		_, err := client.DescribeInstanceInformation(ctx, &c.in)
		if got, message := code(t, err); got != c.code || message != c.says {
			t.Errorf("%s: %s %q, want %s %q", name, got, message, c.code, c.says)
		}
	}
	out, err := client.DescribeInstanceInformation(ctx, &ssm.DescribeInstanceInformationInput{InstanceInformationFilterList: legacy})
	if err != nil || len(out.InstanceInformationList) != 0 || out.NextToken != nil {
		t.Errorf("the older style: %+v, %v", out, err)
	}
	where := func(key, operator string, values ...string) ssm.DescribeInstancePropertiesInput {
		return ssm.DescribeInstancePropertiesInput{FiltersWithOperator: []types.InstancePropertyStringFilter{
			{Key: &key, Operator: types.InstancePropertyFilterOperator(operator), Values: values},
		}}
	}
	both := where("PingStatus", "Equal", "Online")
	both.InstancePropertyFilterList = []types.InstancePropertyFilter{{Key: "PingStatus", ValueSet: []string{"Online"}}}
	token := where("PingStatus", "Equal", "Online")
	token.NextToken = aws.String("x")
	for name, c := range map[string]struct {
		in   ssm.DescribeInstancePropertiesInput
		code string
	}{
		"an unknown key":       {where("UnknownKey", "Equal", "x"), "ValidationException"},
		"both styles":          {both, "ValidationException"},
		"a token":              {token, "InvalidNextToken"},
		"a malformed id":       {where("InstanceIds", "Equal", "x"), "InvalidInstanceId"},
		"an activation":        {where("ActivationIds", "NotEqual", "x"), "InvalidActivationId"},
		"a document":           {where("DocumentName", "Equal", "No-Such-Document"), "InvalidDocument"},
		"a wrong platform":     {where("PlatformTypes", "Equal", "BeOS"), "InvalidInstancePropertyFilterValue"},
		"an order of roles":    {where("IamRole", "LessThan", "x"), "InvalidInstancePropertyFilterValue"},
		"an order of what not": {where("AgentVersion", "LessThan", "new"), "InvalidInstancePropertyFilterValue"},
		"parts of documents":   {where("DocumentName", "BeginWith", "AWS"), "InvalidInstancePropertyFilterValue"},
	} {
		_, err := client.DescribeInstanceProperties(ctx, &c.in)
		if got, message := code(t, err); got != c.code {
			t.Errorf("properties, %s: %s %q, want %s", name, got, message, c.code)
		}
	}
}

func TestProperties(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "ec2.json")
	data := filepath.Join(t.TempDir(), "data")
	s := testenv.Start(t, testenv.Options{Agents: 2, Data: data, Documents: map[string]string{"Windows-Only.json": `{"schemaVersion":"2.2","mainSteps":[{"name":"a","action":"aws:applications","inputs":{"action":"Install","source":"x"}}]}`}})
	one, two := s.InstanceIDs[0], s.InstanceIDs[1]
	s.Stop()
	testenv.WriteFile(t, file, `[{"InstanceId":"`+one+`","Name":"web 1","Tags":{"env":"prod"},"InstanceType":"t3.micro","Architecture":"x86_64","KeyName":"ops",
		"PublicIpAddress":"192.0.2.1","AvailabilityZone":"us-east-1b","IamInstanceProfile":"web","LaunchTime":"2026-01-02T03:04:05Z"}]`, 0o600)
	s.SetArgs("--ec2-instances", file)
	s.Restart()
	ctx, client := testenv.Context(t), s.SSM()
	all, err := client.DescribeInstanceProperties(ctx, &ssm.DescribeInstancePropertiesInput{})
	if err != nil || len(all.InstanceProperties) != 2 {
		t.Fatalf("%+v, %v", all, err)
	}
	i := all.InstanceProperties[slices.IndexFunc(all.InstanceProperties, func(p types.InstanceProperty) bool { return aws.ToString(p.InstanceId) == one })]
	got := []string{
		aws.ToString(i.Name), aws.ToString(i.InstanceType), aws.ToString(i.InstanceRole), aws.ToString(i.KeyName), aws.ToString(i.InstanceState),
		aws.ToString(i.Architecture), aws.ToString(i.IPAddress), aws.ToString(i.AvailabilityZone), i.LaunchTime.UTC().Format(time.RFC3339), string(i.PingStatus), aws.ToString(i.ResourceType),
	}
	want := []string{"web 1", "t3.micro", "web", "ops", "running", "x86_64", "192.0.2.1", "us-east-1b", "2026-01-02T03:04:05Z", "Online", "EC2Instance"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("properties (-want +got):\n%s", d)
	}
	version := aws.ToString(i.AgentVersion)
	both := []string{one, two}
	for name, c := range map[string]struct {
		key, operator string
		values        []string
		want          []string
	}{
		"ids":              {"InstanceIds", "Equal", []string{two}, []string{two}},
		"no operator":      {"InstanceIds", "", []string{two}, []string{two}},
		"not these ids":    {"InstanceIds", "NotEqual", []string{two}, []string{one}},
		"begins":           {"InstanceIds", "BeginWith", []string{one[:15]}, []string{one}},
		"newer than 0":     {"AgentVersion", "GreaterThan", []string{"0.0.0"}, both},
		"older than 0.0.1": {"AgentVersion", "LessThan", []string{"0.0.1"}, nil},
		"this version":     {"AgentVersion", "Equal", []string{version}, both},
		"not newer":        {"AgentVersion", "GreaterThan", []string{version}, nil},
		"by 10 not 9":      {"AgentVersion", "LessThan", []string{"0.10.0"}, both},
		"tag":              {"tag:env", "Equal", []string{"prod"}, []string{one}},
		"not this tag":     {"tag:env", "NotEqual", []string{"prod"}, []string{two}},
		"tag begins":       {"tag:env", "BeginWith", []string{"pr"}, []string{one}},
		"tag key":          {"tag-key", "Equal", []string{"Name"}, []string{one}},
		"no tag key":       {"tag-key", "NotEqual", []string{"Name"}, []string{two}},
		"document":         {"DocumentName", "Equal", []string{"AWS-RunShellScript"}, both},
		"another platform": {"DocumentName", "Equal", []string{"Windows-Only"}, nil},
		"not its platform": {"DocumentName", "NotEqual", []string{"Windows-Only"}, both},
	} {
		out, err := client.DescribeInstanceProperties(ctx, &ssm.DescribeInstancePropertiesInput{FiltersWithOperator: []types.InstancePropertyStringFilter{
			{Key: &c.key, Operator: types.InstancePropertyFilterOperator(c.operator), Values: c.values},
		}})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var got []string
		for _, p := range out.InstanceProperties {
			got = append(got, aws.ToString(p.InstanceId))
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
	out, err := client.DescribeInstanceProperties(ctx, &ssm.DescribeInstancePropertiesInput{InstancePropertyFilterList: []types.InstancePropertyFilter{
		{Key: "DocumentName", ValueSet: []string{"AWS-RunShellScript"}}, {Key: "InstanceIds", ValueSet: []string{one}},
	}})
	if err != nil || len(out.InstanceProperties) != 1 {
		t.Errorf("the older style: %+v, %v", out, err)
	}
}
