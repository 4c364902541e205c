package daemon_test

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/google/go-cmp/cmp"

	"ssmrun/internal/testenv"
)

// remote is an agent that registered with an activation, as on another host.
type remote struct {
	id    string
	state string
	cmd   *exec.Cmd
}

// activate makes an activation.
func activate(t *testing.T, client *ssm.Client, in *ssm.CreateActivationInput) (id, secret string) {
	t.Helper()
	if in.IamRole == nil {
		in.IamRole = aws.String(testenv.DefaultRole)
	}
	out, err := client.CreateActivation(testenv.Context(t), in)
	if err != nil {
		t.Fatal(err)
	}
	return aws.ToString(out.ActivationId), aws.ToString(out.ActivationCode)
}

// startRemote runs an agent of its own and waits until it takes commands.
func startRemote(t *testing.T, s *testenv.Service, client *ssm.Client, activation, secret string) *remote {
	t.Helper()
	dir := t.TempDir()
	r := &remote{state: filepath.Join(dir, "state")}
	file := filepath.Join(dir, "activation.json")
	b, err := json.Marshal(map[string]string{"activation_id": activation, "activation_code": secret, "region": s.Region})
	if err != nil {
		t.Fatal(err)
	}
	testenv.WriteFile(t, file, string(b), 0o600)
	r.cmd = exec.Command(testenv.Binary(t, "ssmrun-agent"), "--endpoint", s.Endpoint, "--state", r.state, "--activation-file", file)
	r.cmd.Env = testenv.CleanEnv()
	stderr, err := r.cmd.StderrPipe()
	if err == nil {
		err = r.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.stop)
	r.id = registeredID(t, stderr)
	out, err := client.SendCommand(testenv.Context(t), &ssm.SendCommandInput{
		DocumentName: aws.String("AWS-RunShellScript"), InstanceIds: []string{r.id}, Parameters: shell("true"),
	})
	if err != nil {
		t.Fatal(err)
	}
	if c := waitBy(t, client, aws.ToString(out.Command.CommandId)); c.Status != types.CommandStatusSuccess {
		t.Fatalf("the first command of %s: %s", r.id, c.Status)
	}
	return r
}

func (r *remote) stop() {
	_ = r.cmd.Process.Signal(syscall.SIGTERM)
	_ = r.cmd.Wait()
}

// registeredID reads the agent's log up to the line that says who it is, and
// the rest to nowhere.
func registeredID(t *testing.T, log io.Reader) string {
	t.Helper()
	id := make(chan string, 1)
	go func() {
		defer close(id)
		for in := bufio.NewScanner(log); in.Scan(); {
			if _, rest, ok := strings.Cut(in.Text(), "msg=registered instance="); ok {
				id <- strings.Fields(rest)[0]
			}
		}
	}()
	select {
	case got, ok := <-id:
		if !ok {
			t.Fatal("the agent ended before it was registered")
		}
		return got
	case <-time.After(testenv.StartTimeout):
		t.Fatal("the agent did not register")
	}
	return ""
}

func describe(t *testing.T, client *ssm.Client, filters ...types.InstanceInformationStringFilter) []types.InstanceInformation {
	t.Helper()
	var list []types.InstanceInformation
	pages := ssm.NewDescribeInstanceInformationPaginator(client, &ssm.DescribeInstanceInformationInput{Filters: filters})
	for pages.HasMorePages() {
		page, err := pages.NextPage(testenv.Context(t))
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, page.InstanceInformationList...)
	}
	return list
}

func infoIDs(list []types.InstanceInformation) []string {
	var ids []string
	for _, i := range list {
		ids = append(ids, aws.ToString(i.InstanceId))
	}
	return ids
}

func by(key string, values ...string) types.InstanceInformationStringFilter {
	return types.InstanceInformationStringFilter{Key: aws.String(key), Values: values}
}

// TestHybridNode follows a node from its activation to its end.
func TestHybridNode(t *testing.T) {
	t.Parallel()
	s := testenv.Start(t, testenv.Options{Agents: 1, Roles: []string{"service-role/Hybrid", "path/Other"}})
	ctx, client := testenv.Context(t), s.SSM()
	activation, secret := activate(t, client, &ssm.CreateActivationInput{
		IamRole: aws.String("arn:aws:iam::000000000000:role/service-role/Hybrid"), DefaultInstanceName: aws.String("rack 7"),
		Description: aws.String("the racks"), Tags: []types.Tag{{Key: aws.String("site"), Value: aws.String("bonn")}},
	})
	r := startRemote(t, s, client, activation, secret)

	list := describe(t, client, by("tag:site", "bonn", "kiel"))
	if len(list) != 1 {
		t.Fatalf("nodes by their tag: %v", infoIDs(list))
	}
	i := list[0]
	if aws.ToString(i.InstanceId) != r.id || aws.ToString(i.Name) != "rack 7" || aws.ToString(i.IamRole) != "Hybrid" ||
		aws.ToString(i.ActivationId) != activation || i.RegistrationDate == nil || i.ResourceType != "ManagedInstance" ||
		i.SourceType != "AWS::SSM::ManagedInstance" || !aws.ToBool(i.IsLatestVersion) || i.PingStatus != "Online" {
		t.Errorf("the node: %+v", i)
	}
	host := describe(t, client, by("InstanceIds", s.InstanceIDs[0]))[0]
	if host.Name != nil || host.IamRole != nil || host.ActivationId != nil || host.RegistrationDate != nil || host.SourceType != "AWS::EC2::Instance" {
		t.Errorf("a host that is not hybrid shows what only hybrid ones do: %+v", host)
	}
	for name, c := range map[string]struct {
		filters []types.InstanceInformationStringFilter
		want    []string
	}{
		"all":              {nil, []string{s.InstanceIDs[0], r.id}},
		"activation":       {[]types.InstanceInformationStringFilter{by("ActivationIds", activation)}, []string{r.id}},
		"role":             {[]types.InstanceInformationStringFilter{by("IamRole", "Hybrid", "x")}, []string{r.id}},
		"type":             {[]types.InstanceInformationStringFilter{by("ResourceType", "EC2Instance")}, []string{s.InstanceIDs[0]}},
		"platform":         {[]types.InstanceInformationStringFilter{by("PlatformTypes", "Windows")}, nil},
		"ping":             {[]types.InstanceInformationStringFilter{by("PingStatus", "Online")}, []string{s.InstanceIDs[0], r.id}},
		"nobody's ping":    {[]types.InstanceInformationStringFilter{by("PingStatus", "ConnectionLost")}, nil},
		"source ids":       {[]types.InstanceInformationStringFilter{by("SourceIds", r.id, "x")}, []string{r.id}},
		"source types":     {[]types.InstanceInformationStringFilter{by("SourceTypes", "AWS::EC2::Instance")}, []string{s.InstanceIDs[0]}},
		"associations":     {[]types.InstanceInformationStringFilter{by("AssociationStatus", "Success")}, nil},
		"version and type": {[]types.InstanceInformationStringFilter{by("AgentVersion", aws.ToString(i.AgentVersion)), by("ResourceType", "ManagedInstance")}, []string{r.id}},
		"a key twice":      {[]types.InstanceInformationStringFilter{by("InstanceIds", r.id), by("InstanceIds", s.InstanceIDs[0])}, nil},
		"tag key":          {[]types.InstanceInformationStringFilter{by("tag-key", "site")}, []string{r.id}},
		"another value":    {[]types.InstanceInformationStringFilter{by("tag:site", "kiel")}, nil},
		"another tag":      {[]types.InstanceInformationStringFilter{by("tag:site", "bonn"), by("tag:other", "x")}, nil},
		"unknown id":       {[]types.InstanceInformationStringFilter{by("InstanceIds", "i-00000000000000000")}, nil},
	} {
		if d := cmp.Diff(c.want, infoIDs(describe(t, client, c.filters...))); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}

	if got := connection(t, client, r.id); got != types.ConnectionStatusConnected {
		t.Errorf("its connection: %s", got)
	}
	if _, err := client.UpdateManagedInstanceRole(ctx, &ssm.UpdateManagedInstanceRoleInput{InstanceId: &r.id, IamRole: aws.String("path/Other")}); err != nil {
		t.Error(err)
	}
	if got := describe(t, client, by("IamRole", "Other")); len(got) != 1 {
		t.Errorf("after the change of its role: %v", infoIDs(got))
	}

	// What it has taken and what it has no room for, then it goes.
	var commands []string
	for range 7 { // two more than it runs at once
		out, err := client.SendCommand(ctx, &ssm.SendCommandInput{
			DocumentName: aws.String("AWS-RunShellScript"), InstanceIds: []string{r.id}, Parameters: shell("sleep 600"),
		})
		if err != nil {
			t.Fatal(err)
		}
		commands = append(commands, aws.ToString(out.Command.CommandId))
	}
	if _, err := client.DeregisterManagedInstance(ctx, &ssm.DeregisterManagedInstanceInput{InstanceId: &r.id}); err != nil {
		t.Fatal(err)
	}
	for _, id := range commands {
		c := waitBy(t, client, id)
		if d := aws.ToString(c.StatusDetails); d != "DeliveryTimedOut" && d != "Failed" {
			t.Errorf("an open command ended %s/%s", c.Status, d)
		}
	}
	if got := connection(t, client, r.id); got != types.ConnectionStatusNotConnected {
		t.Errorf("the connection of a deregistered node: %s", got)
	}
	if got := describe(t, client); len(got) != 1 {
		t.Errorf("deregistered, and there: %v", infoIDs(got))
	}
	_, err := client.SendCommand(ctx, &ssm.SendCommandInput{DocumentName: aws.String("AWS-RunShellScript"), InstanceIds: []string{r.id}, Parameters: shell("true")})
	if got, _ := code(t, err); got != "InvalidInstanceId" {
		t.Errorf("a command for it: %v", err)
	}
	_, err = client.ListTagsForResource(ctx, &ssm.ListTagsForResourceInput{ResourceType: "ManagedInstance", ResourceId: &r.id})
	if got, _ := code(t, err); got != "InvalidResourceId" {
		t.Errorf("its tags: %v", err)
	}
	for name, call := range map[string]func() error{
		"deregister": func() error {
			_, err := client.DeregisterManagedInstance(ctx, &ssm.DeregisterManagedInstanceInput{InstanceId: &r.id})
			return err
		},
		"another role": func() error {
			_, err := client.UpdateManagedInstanceRole(ctx, &ssm.UpdateManagedInstanceRoleInput{InstanceId: &r.id, IamRole: aws.String("X")})
			return err
		},
	} {
		if got, message := code(t, call()); got != "InvalidInstanceId" || !strings.Contains(message, r.id) {
			t.Errorf("%s of what is not there: %s %s", name, got, message)
		}
	}
	_, err = client.DeregisterManagedInstance(ctx, &ssm.DeregisterManagedInstanceInput{InstanceId: &s.InstanceIDs[0]})
	if got, _ := code(t, err); got != "ValidationException" {
		t.Errorf("an EC2 instance was deregistered: %v", err)
	}
	s.Stop()
	log, err := os.ReadFile(filepath.Join(s.Data, "audit.log"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"operation":"CreateActivation","region":"us-east-1","activation_id":"` + activation + `","role":"Hybrid","outcome":"OK"`,
		`"operation":"DeregisterManagedInstance","region":"us-east-1","instances":["` + r.id + `"],"outcome":"OK"`,
		`"operation":"ListTagsForResource","region":"us-east-1","resource":"ManagedInstance ` + r.id + `","outcome":"InvalidResourceId"`,
	} {
		if !strings.Contains(string(log), want) {
			t.Errorf("not in the audit log: %s", want)
		}
	}
	if strings.Contains(string(log), secret) {
		t.Error("the activation's code is in the audit log")
	}
}

func connection(t *testing.T, client *ssm.Client, id string) types.ConnectionStatus {
	t.Helper()
	out, err := client.GetConnectionStatus(testenv.Context(t), &ssm.GetConnectionStatusInput{Target: &id})
	if err != nil || aws.ToString(out.Target) != id {
		t.Fatalf("%+v, %v", out, err)
	}
	return out.Status
}

func TestConnectionOfNothing(t *testing.T) {
	t.Parallel()
	s := testenv.Start(t, testenv.Options{Agents: 1, Regions: []string{"us-east-1", "eu-west-1"}})
	for _, id := range []string{"i-00000000000000000", "mi-00000000000000000", "something"} {
		if got := connection(t, s.SSM(), id); got != types.ConnectionStatusNotConnected {
			t.Errorf("%s: %s", id, got)
		}
	}
	if got := connection(t, s.SSM(), s.InstanceIDs[0]); got != "connected" {
		t.Errorf("a local agent: %s", got)
	}
	if got := connection(t, ssm.NewFromConfig(s.Config("eu-west-1")), s.InstanceIDs[0]); got != "notconnected" {
		t.Errorf("from another region: %s", got)
	}
}
