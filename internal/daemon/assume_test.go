package daemon_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	ststypes "github.com/aws/aws-sdk-go-v2/service/sts/types"

	"ssmrun/internal/testenv"
)

func ssmTags(key, value string) []types.Tag { return []types.Tag{{Key: &key, Value: &value}} }

// assume gives a configuration with keys of a role.
func assume(t *testing.T, s *testenv.Service, from aws.Config, role, session string) aws.Config {
	t.Helper()
	out, err := sts.NewFromConfig(from).AssumeRole(testenv.Context(t), &sts.AssumeRoleInput{RoleArn: &role, RoleSessionName: &session})
	if err != nil {
		t.Fatal(err)
	}
	c := s.Config(s.Region)
	c.Credentials = credentials.NewStaticCredentialsProvider(aws.ToString(out.Credentials.AccessKeyId), aws.ToString(out.Credentials.SecretAccessKey), aws.ToString(out.Credentials.SessionToken))
	return c
}

func TestAssumeRole(t *testing.T) {
	t.Parallel()
	const other = "111111111111"
	s := testenv.Start(t, testenv.Options{
		Agents: 1, Buckets: []string{"logs"}, Documents: map[string]string{"Greet.yaml": greet}, Args: []string{"--other-account", other},
	})
	ctx := testenv.Context(t)
	here := assume(t, s, s.Config(s.Region), "arn:aws:iam::000000000000:role/team/Ops", "ann")
	who, err := sts.NewFromConfig(here).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil || aws.ToString(who.Arn) != "arn:aws:sts::000000000000:assumed-role/Ops/ann" || !strings.HasSuffix(aws.ToString(who.UserId), ":ann") || aws.ToString(who.Account) != "000000000000" {
		t.Errorf("the session: %+v, %v", who, err)
	}
	sent, err := ssm.NewFromConfig(here).SendCommand(ctx, &ssm.SendCommandInput{DocumentName: aws.String("AWS-RunShellScript"), InstanceIds: s.InstanceIDs, Parameters: shell("true")})
	if err != nil {
		t.Fatal(err)
	}
	if c := waitBy(t, ssm.NewFromConfig(here), aws.ToString(sent.Command.CommandId)); c.Status != "Success" {
		t.Errorf("a command of the session: %s", c.Status)
	}
	store := s3.NewFromConfig(here, func(o *s3.Options) { o.UsePathStyle = true })
	if _, err := store.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String("logs"), Key: aws.String("k"), Body: strings.NewReader("text")}); err != nil {
		t.Error(err)
	}
	if _, err := store.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String("logs"), Key: aws.String("k")}); err != nil {
		t.Errorf("a caller's session may do everything in S3: %v", err)
	}

	// Another account has its own of everything.
	away := assume(t, s, here, "arn:aws:iam::"+other+":role/Ops", "ben")
	client := ssm.NewFromConfig(away)
	if got := describe(t, client); len(got) != 0 {
		t.Errorf("another account sees %v", infoIDs(got))
	}
	commands, err := client.ListCommands(ctx, &ssm.ListCommandsInput{})
	if err != nil || len(commands.Commands) != 0 {
		t.Errorf("another account sees commands: %+v, %v", commands, err)
	}
	instances, err := ec2.NewFromConfig(away).DescribeInstances(ctx, &ec2.DescribeInstancesInput{})
	if err != nil || len(instances.Reservations) != 0 {
		t.Errorf("another account sees machines: %+v, %v", instances, err)
	}
	doc, err := client.DescribeDocument(ctx, &ssm.DescribeDocumentInput{Name: aws.String("Greet")})
	if err != nil || aws.ToString(doc.Document.Owner) != other {
		t.Errorf("the documents of the folder: %+v, %v", doc, err)
	}
	_, err = client.SendCommand(ctx, &ssm.SendCommandInput{DocumentName: aws.String("AWS-RunShellScript"), InstanceIds: s.InstanceIDs, Parameters: shell("true")})
	if got, _ := code(t, err); got != "InvalidInstanceId" {
		t.Errorf("a command to another account's instance: %v", err)
	}
	activation, secret := activate(t, client, &ssm.CreateActivationInput{})
	r := startRemote(t, s, client, activation, secret)
	if got := describe(t, client); len(got) != 1 || aws.ToString(got[0].InstanceId) != r.id {
		t.Errorf("another account's own node: %v", infoIDs(got))
	}
	if got := describe(t, s.SSM(), by("InstanceIds", r.id)); len(got) != 0 {
		t.Errorf("the service's account sees %v", infoIDs(got))
	}

	// An agent has keys of a role too, and may do nothing with them here.
	inst, err := os.ReadFile(filepath.Join(s.Data, "audit.log"))
	if err != nil || !strings.Contains(string(inst), `"operation":"AssumeRole","region":"us-east-1","role":"arn:aws:iam::000000000000:role/team/Ops","outcome":"OK"`) {
		t.Errorf("AssumeRole is not in the audit log: %v", err)
	}
	s.Stop()
	s.Restart()
	here.BaseEndpoint = &s.Endpoint
	if _, err := sts.NewFromConfig(here).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{}); err != nil {
		t.Errorf("the session after a restart: %v", err)
	}
}

func TestAssumeRoleRefuses(t *testing.T) {
	t.Parallel()
	s := testenv.Start(t, testenv.Options{})
	ctx, client := testenv.Context(t), s.STS()
	role, session := aws.String("arn:aws:iam::000000000000:role/Ops"), aws.String("ann")
	for name, c := range map[string]struct {
		in         sts.AssumeRoleInput
		code, says string
	}{
		"another account": {sts.AssumeRoleInput{RoleArn: aws.String("arn:aws:iam::111111111111:role/Ops"), RoleSessionName: session}, "AccessDenied", "User: arn:aws:iam::000000000000:user/ssmrun is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::111111111111:role/Ops"},
		"no role":         {sts.AssumeRoleInput{RoleArn: aws.String("arn:aws:iam::000000000000:user/ops"), RoleSessionName: session}, "ValidationError", "Request ARN is invalid"},
		"a short ARN":     {sts.AssumeRoleInput{RoleArn: aws.String("Ops"), RoleSessionName: session}, "ValidationError", "1 validation error detected: Value 'Ops' at 'roleArn' failed to satisfy constraint: Member must have length greater than or equal to 20"},
		"a short time":    {sts.AssumeRoleInput{RoleArn: role, RoleSessionName: session, DurationSeconds: aws.Int32(899)}, "ValidationError", "1 validation error detected: Value '899' at 'durationSeconds' failed to satisfy constraint: Member must have value greater than or equal to 900"},
		"a long time":     {sts.AssumeRoleInput{RoleArn: role, RoleSessionName: session, DurationSeconds: aws.Int32(43201)}, "ValidationError", "less than or equal to 43200"},
		"a session":       {sts.AssumeRoleInput{RoleArn: role, RoleSessionName: aws.String("a b")}, "ValidationError", `Member must satisfy regular expression pattern: [\w+=,.@-]*`},
		"a policy":        {sts.AssumeRoleInput{RoleArn: role, RoleSessionName: session, Policy: aws.String("{}")}, "ValidationError", "Policy: this service has neither session policies nor MFA"},
		"policies":        {sts.AssumeRoleInput{RoleArn: role, RoleSessionName: session, PolicyArns: []ststypes.PolicyDescriptorType{{Arn: aws.String("arn:aws:iam::aws:policy/X")}}}, "ValidationError", "PolicyArns"},
		"MFA":             {sts.AssumeRoleInput{RoleArn: role, RoleSessionName: session, SerialNumber: aws.String("arn:aws:iam::000000000000:mfa/x"), TokenCode: aws.String("123456")}, "ValidationError", "MFA"},
	} {
		_, err := client.AssumeRole(ctx, &c.in)
		if got, message := code(t, err); got != c.code || !strings.Contains(message, c.says) {
			t.Errorf("%s: %s %q, want %s %q", name, got, message, c.code, c.says)
		}
	}
	out, err := client.AssumeRole(ctx, &sts.AssumeRoleInput{
		RoleArn: role, RoleSessionName: session, DurationSeconds: aws.Int32(43200), ExternalId: aws.String("x1"), SourceIdentity: aws.String("ann"),
		Tags: []ststypes.Tag{{Key: aws.String("team"), Value: aws.String("x")}},
	})
	if err != nil || aws.ToString(out.AssumedRoleUser.Arn) != "arn:aws:sts::000000000000:assumed-role/Ops/ann" || aws.ToString(out.SourceIdentity) != "ann" ||
		!strings.HasSuffix(aws.ToString(out.AssumedRoleUser.AssumedRoleId), ":ann") {
		t.Errorf("what changes nothing: %+v, %v", out, err)
	}
	chained := sts.NewFromConfig(assume(t, s, s.Config(s.Region), *role, "first"))
	_, err = chained.AssumeRole(ctx, &sts.AssumeRoleInput{RoleArn: role, RoleSessionName: session, DurationSeconds: aws.Int32(3601)})
	if got, message := code(t, err); got != "ValidationError" || !strings.Contains(message, "role chaining") {
		t.Errorf("a long chained session: %v", err)
	}
	cut := s.Config(s.Region)
	cut.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		c := aws.Credentials{AccessKeyID: aws.ToString(out.Credentials.AccessKeyId), SecretAccessKey: aws.ToString(out.Credentials.SecretAccessKey), SessionToken: aws.ToString(out.Credentials.SessionToken)}
		c.SessionToken = "x" + c.SessionToken
		return c, nil
	})
	_, err = sts.NewFromConfig(cut).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if got, _ := code(t, err); got != "InvalidClientTokenId" {
		t.Errorf("a changed token: %v", err)
	}
}
