package genuineagent

import (
	"os"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"ssmrun/internal/testenv"
)

// TestInstanceProfile lets amazon-ssm-agent find out by its instance's metadata
// who it is, as on EC2: it registers and works with the keys of the instance's
// profile, and only where the role carries the policy.
func TestInstanceProfile(t *testing.T) {
	t.Parallel()
	programs := os.Getenv(testenv.EnvGenuine)
	if programs == "" {
		t.Skip("asked of amazon-ssm-agent alone: " + testenv.EnvGenuine + " is not set")
	}
	id, bare := testenv.NewInstanceID(), testenv.NewInstanceID()
	h := &host{T: t, dir: t.TempDir(), id: id}
	h.Service = testenv.Start(t, testenv.Options{
		KeepPorts: true, TLSDomain: domain, Roles: []string{"Web", "Bare="},
		Args: []string{"--instance-metadata", id + "=Web", "--instance-metadata", bare + "=Bare"},
	})
	o := testenv.HostOptions{Endpoint: h.Endpoint, TLS: h.TLSEndpoint, CA: h.CAFile, Domain: domain, Metadata: h.InstanceMetadata[id]}
	h.agent = testenv.GenuineAgent(t, h.Service, o, programs)
	h.agent.Start()
	h.online()
	h.want(h.send("echo $AWS_SSM_INSTANCE_ID"), "", "Success", 0, id+"\n")

	o.Metadata = h.InstanceMetadata[bare]
	other := testenv.GenuineAgent(t, h.Service, o, programs)
	other.Start()
	testenv.WaitFor(h.context(), t, "the reason in the log of an agent whose role lacks the policy", func() (bool, error) {
		return strings.Contains(other.Log(), "aws iam attach-role-policy --role-name Bare"), nil
	})
	if out, err := h.SSM().GetConnectionStatus(h.context(), &ssm.GetConnectionStatusInput{Target: aws.String(bare)}); err == nil && out.Status == types.ConnectionStatusConnected {
		t.Error("it is connected all the same")
	}
}
