package daemon_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"ssmrun/internal/sigv4"
	"ssmrun/internal/testenv"
)

// metadataKeys asks an instance's metadata for keys.
func metadataKeys(t *testing.T, s *testenv.Service, id, path string) sigv4.Keys {
	t.Helper()
	out, err := imds.New(imds.Options{Endpoint: s.InstanceMetadata[id]}).GetMetadata(testenv.Context(t), &imds.GetMetadataInput{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(out.Content)
	var key struct{ AccessKeyId, SecretAccessKey, Token string }
	if err == nil {
		err = json.Unmarshal(body, &key)
	}
	if err != nil || key.Token == "" {
		t.Fatalf("no keys: %s, %v", body, err)
	}
	return sigv4.Keys{AccessKeyID: key.AccessKeyId, SecretAccessKey: key.SecretAccessKey, SessionToken: key.Token}
}

func registeredKey(t *testing.T) string {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&k.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(der)
}

// TestEC2Agent makes the calls of an agent on EC2: it registers with the keys of
// its instance, and works with those of the instance's profile.
func TestEC2Agent(t *testing.T) {
	t.Parallel()
	const web, bare = "i-0123456789abcdef0", "i-0123456789abcdef1"
	s := testenv.Start(t, testenv.Options{Roles: []string{"Web", "Bare="}, Args: []string{"--instance-metadata", web + "=Web", "--instance-metadata", bare + "=Bare"}})
	ctx, client := testenv.Context(t), s.SSM()
	for _, line := range []string{"whoever reaches this port gets the keys of the role", s.InstanceMetadata[web]} {
		if !strings.Contains(s.Log(), line) {
			t.Errorf("not in the log: %s", line)
		}
	}
	const own, profile = "identity-credentials/ec2/security-credentials/ec2-instance", "iam/security-credentials/"
	register := func(id string, keys sigv4.Keys, public string) (string, string) {
		t.Helper()
		_, code, message, _ := wireCall{target: "AmazonSSM.RegisterManagedInstance", keys: &keys, body: `{"Fingerprint":"` + id + `","PublicKey":"` + public + `","PublicKeyType":"Rsa"}`}.send(t, s)
		return code, message
	}
	heartbeat := func(id string, keys sigv4.Keys) (string, string) {
		t.Helper()
		_, code, message, _ := wireCall{target: "AmazonSSM.UpdateInstanceInformation", keys: &keys, body: `{"InstanceId":"` + id + `","AgentName":"amazon-ssm-agent","AgentVersion":"3.3.0.0","PlatformType":"Linux"}`}.send(t, s)
		return code, message
	}
	const mend = "aws iam attach-role-policy --role-name Bare"
	bareOwn, bareKeys := metadataKeys(t, s, bare, own), metadataKeys(t, s, bare, profile+"Bare")
	if code, message := register(bare, bareOwn, registeredKey(t)); code != "AccessDeniedException" || !strings.Contains(message, mend) {
		t.Errorf("registration without the policy: %s %s", code, message)
	}
	if code, message := heartbeat(bare, bareKeys); code != "AccessDeniedException" || !strings.Contains(message, mend) {
		t.Errorf("a heartbeat without the policy: %s %s", code, message)
	}
	webOwn, webKeys := metadataKeys(t, s, web, own), metadataKeys(t, s, web, profile+"Web")
	public := registeredKey(t)
	for range 2 {
		if code, message := register(web, webOwn, public); code != "" {
			t.Errorf("registration: %s %s", code, message)
		}
	}
	if code, message := register(web, webOwn, registeredKey(t)); code != "InstanceAlreadyRegistered" {
		t.Errorf("with another key: %s %s", code, message)
	}
	if code, message := register(bare, webOwn, public); code != "ValidationException" || !strings.Contains(message, web) {
		t.Errorf("another's fingerprint: %s %s", code, message)
	}
	if code, message := register(web, webKeys, public); code != "AccessDeniedException" {
		t.Errorf("with the keys of its profile: %s %s", code, message)
	}
	if code, message := heartbeat(web, webKeys); code != "" {
		t.Errorf("a heartbeat: %s %s", code, message)
	}
	if code, message := heartbeat(web, webOwn); code != "AccessDeniedException" || !strings.Contains(message, "registration only") {
		t.Errorf("a heartbeat with the instance's own keys: %s %s", code, message)
	}
	if code, message := heartbeat(bare, webKeys); code != "AccessDeniedException" {
		t.Errorf("another's heartbeat: %s %s", code, message)
	}
	_, code, message, _ := wireCall{
		target: "AmazonSSM.RequestManagedInstanceRoleToken", keys: &webOwn, body: `{"Fingerprint":"` + web + `"}`,
		change: func(r *http.Request) { r.Header.Set("SSM-AsymmetricKeyAuthorization", "Signature=x") },
	}.send(t, s)
	if code != "AccessDeniedException" || !strings.Contains(message, "no default host management") {
		t.Errorf("default host management: %s %s", code, message)
	}
	list := describe(t, client)
	if len(list) != 1 || aws.ToString(list[0].InstanceId) != web || list[0].PingStatus != "Online" || list[0].ResourceType != "EC2Instance" {
		t.Errorf("%+v", list)
	}
	// Keys of a profile are an agent's: nothing that callers do.
	cfg := s.Config(s.Region)
	cfg.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: webKeys.AccessKeyID, SecretAccessKey: webKeys.SecretAccessKey, SessionToken: webKeys.SessionToken}, nil
	})
	if _, err := ssm.NewFromConfig(cfg).ListCommands(ctx, &ssm.ListCommandsInput{}); !isCode(t, err, "AccessDeniedException", "ssm:ListCommands") {
		t.Error(err)
	}
	if _, err := iam.NewFromConfig(cfg).ListRoles(ctx, &iam.ListRolesInput{}); !isCode(t, err, "AccessDenied", "iam:ListRoles") {
		t.Error(err)
	}
	who, err := sts.NewFromConfig(cfg).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil || aws.ToString(who.Arn) != "arn:aws:sts::000000000000:assumed-role/Web/"+web {
		t.Errorf("%+v, %v", who, err)
	}
	// Attached, the other one works without a registration: its profile's keys
	// say enough.
	if _, err := s.IAM().AttachRolePolicy(ctx, &iam.AttachRolePolicyInput{RoleName: aws.String("Bare"), PolicyArn: aws.String(corePolicy)}); err != nil {
		t.Fatal(err)
	}
	if code, message := heartbeat(bare, bareKeys); code != "" {
		t.Errorf("once it is attached: %s %s", code, message)
	}
	if list := describe(t, client); len(list) != 2 {
		t.Errorf("%v", infoIDs(list))
	}
}
