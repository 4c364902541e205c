package bench

import (
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"ssmrun/internal/sim"
	"ssmrun/internal/testenv"
)

// register measures a herd: a thousand agents that register, get their keys and
// connect at the same moment, and that lose their service at the same moment.
func register(t *testing.T, out *table) {
	const agents = 1000
	s := testenv.Start(t, testenv.Options{Args: append(profiled("register"), "--log-level", "warn")})
	began := time.Now()
	f := launch(t, s, agents, "--dials", fmt.Sprint(agents))
	waitOnline(t, s, agents)
	took := time.Since(began)
	out.value(fmt.Sprintf("%d agents register at once, until all are Online", agents), seconds(took.Seconds()), "< 10 s")
	out.value("  of it registering, then role tokens and connecting", seconds(f.first.Registered)+", "+seconds(f.first.Seconds), "")

	s.Kill()
	began = time.Now()
	s.Restart()
	ready := time.Since(began)
	var again sim.Connected
	f.read(t, &again)
	took = time.Since(began)
	waitOnline(t, s, agents)
	out.value(fmt.Sprintf("%d agents are back after a kill -9 and a start of the service", agents),
		fmt.Sprintf("%s, the service was ready after %s", seconds(took.Seconds()), seconds(ready.Seconds())), "< 10 s")
	if c := everyInstance(t, s, f.first.IDs); int(c) != agents {
		t.Errorf("a command afterwards was done by %d of %d", c, agents)
	}
	f.stop(t)
	s.Stop()
}

// waitOnline waits until the service calls that many agents Online.
func waitOnline(t *testing.T, s *testenv.Service, agents int) {
	t.Helper()
	client := s.SSM()
	for tick := time.NewTicker(50 * time.Millisecond); ; <-tick.C {
		online := 0
		pages := ssm.NewDescribeInstanceInformationPaginator(client, &ssm.DescribeInstanceInformationInput{
			MaxResults: aws.Int32(50),
			Filters:    []types.InstanceInformationStringFilter{{Key: aws.String("PingStatus"), Values: []string{"Online"}}},
		})
		for pages.HasMorePages() {
			p, err := pages.NextPage(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			online += len(p.InstanceInformationList)
		}
		if online == agents {
			tick.Stop()
			return
		}
	}
}

// everyInstance sends a command to instances, 50 at a time, and tells how many
// have done it.
func everyInstance(t *testing.T, s *testenv.Service, ids []string) (done int32) {
	t.Helper()
	client := s.SSM()
	var commands []string
	for len(ids) > 0 {
		part := ids[:min(50, len(ids))]
		ids = ids[len(part):]
		sent, err := client.SendCommand(t.Context(), &ssm.SendCommandInput{
			DocumentName: aws.String("AWS-RunShellScript"), Parameters: map[string][]string{"commands": {"true"}},
			InstanceIds: part, MaxConcurrency: aws.String("100%"),
		})
		if err != nil {
			t.Fatal(err)
		}
		commands = append(commands, *sent.Command.CommandId)
	}
	for _, id := range commands {
		for tick := time.NewTicker(20 * time.Millisecond); ; <-tick.C {
			out, err := client.ListCommands(t.Context(), &ssm.ListCommandsInput{CommandId: &id})
			if err != nil {
				t.Fatal(err)
			}
			if c := out.Commands[0]; c.Status != types.CommandStatusPending && c.Status != types.CommandStatusInProgress {
				tick.Stop()
				done += c.CompletedCount - c.ErrorCount
				break
			}
		}
	}
	return done
}
