package sim_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"ssmrun"
	"ssmrun/internal/agentlink"
	"ssmrun/internal/identity"
	"ssmrun/internal/sim"
	"ssmrun/internal/store/sqlite"
	"ssmrun/internal/testenv"
)

func TestMain(m *testing.M) {
	code := m.Run()
	testenv.Cleanup()
	os.Exit(code)
}

// activate makes activations in a data folder that no service has open yet.
func activate(t *testing.T, data string, limits ...int) (list []sim.Activation) {
	t.Helper()
	if err := os.MkdirAll(data, 0o700); err != nil {
		t.Fatal(err)
	}
	db, err := sqlite.Open(t.Context(), filepath.Join(data, "ssmrun.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	scope := ssmrun.Scope{Account: "000000000000", Region: "us-east-1"}
	s, err := identity.Open(identity.Config{Dir: data, Account: scope.Account, Store: db})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.PrepareAccounts(t.Context(), []string{scope.Account}, nil); err != nil {
		t.Fatal(err)
	}
	for _, limit := range limits {
		id, code, err := s.CreateActivation(t.Context(), identity.NewActivation{Scope: scope, IamRole: identity.DefaultRole, Limit: limit})
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, sim.Activation{ID: id, Code: code})
	}
	return list
}

// quick is how soon the tests' agents try again.
var quick = agentlink.Timing{BackoffMin: 20 * time.Millisecond, BackoffMax: 200 * time.Millisecond}

// fleet is a simulator that runs in this process.
type fleet struct {
	t         *testing.T
	connected <-chan sim.Connected
	cancel    context.CancelFunc
	done      chan struct{}
	report    sim.Report
	err       error
}

// run runs a fleet until stop.
func run(t *testing.T, cfg sim.Config) *fleet {
	t.Helper()
	r, w := io.Pipe()
	cfg.Stdout, cfg.Timing = w, quick
	cfg.Logger = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError}))
	sims, err := sim.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	lines := make(chan sim.Connected, 10)
	f := &fleet{t: t, connected: lines, done: make(chan struct{})}
	go func() {
		defer close(lines)
		s := bufio.NewScanner(r)
		s.Buffer(nil, 1<<20)
		for s.Scan() {
			var c sim.Connected
			if err := json.Unmarshal(s.Bytes(), &c); err != nil {
				t.Errorf("line %q: %v", s.Text(), err)
			}
			lines <- c
		}
	}()
	ctx, cancel := context.WithCancel(t.Context())
	f.cancel = cancel
	go func() {
		defer close(f.done)
		f.report, f.err = sims.Run(ctx)
		_ = w.Close()
	}()
	t.Cleanup(func() { f.stop() })
	return f
}

// stop ends the fleet and gives its report.
func (f *fleet) stop() sim.Report {
	f.t.Helper()
	f.cancel()
	<-f.done
	if f.err != nil {
		f.t.Errorf("the fleet: %v", f.err)
	}
	return f.report
}

// wait waits until all agents are connected.
func (f *fleet) wait() sim.Connected {
	f.t.Helper()
	select {
	case c, ok := <-f.connected:
		if !ok {
			<-f.done
			f.t.Fatalf("the fleet ended: %v", f.err)
		}
		return c
	case <-time.After(testenv.StartTimeout):
		f.t.Fatal("not all agents were connected in time")
		panic("unreachable")
	}
}

// client is the service with a way to wait for commands.
type client struct {
	t *testing.T
	*ssm.Client
}

// send sends a command to as many instances as one call may name.
func (c client) send(ids []string) (commands []string) {
	c.t.Helper()
	for len(ids) > 0 {
		n := min(len(ids), 50)
		out, err := c.SendCommand(c.t.Context(), &ssm.SendCommandInput{
			DocumentName: new("AWS-RunShellScript"), InstanceIds: ids[:n], MaxConcurrency: new("100%"), MaxErrors: new("100%"),
			Parameters: map[string][]string{"commands": {"touch /must-not-exist"}},
		})
		if err != nil {
			c.t.Fatal(err)
		}
		commands, ids = append(commands, *out.Command.CommandId), ids[n:]
	}
	return commands
}

// until waits by the long poll until a command is as wanted.
func (c client) until(id, what string, ok func(types.Command) bool) types.Command {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), testenv.StartTimeout)
	defer cancel()
	for revision := "0"; ; {
		out, err := c.ListCommands(ctx, &ssm.ListCommandsInput{CommandId: &id}, longPoll(&revision))
		if err != nil {
			c.t.Fatalf("wait for command %s %s: %v", id, what, err)
		}
		if cmd := out.Commands[0]; ok(cmd) {
			return cmd
		}
	}
}

func over(c types.Command) bool {
	return c.Status != types.CommandStatusPending && c.Status != types.CommandStatusInProgress && c.Status != types.CommandStatusCancelling
}

// longPoll asks for an answer once the revision is another, and keeps the new one.
func longPoll(revision *string) func(*ssm.Options) {
	return func(o *ssm.Options) {
		o.APIOptions = append(o.APIOptions, smithyhttp.SetHeaderValue("X-Ssmrun-Wait", *revision+";20"),
			func(s *middleware.Stack) error {
				return s.Deserialize.Add(middleware.DeserializeMiddlewareFunc("Revision", func(ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler) (middleware.DeserializeOutput, middleware.Metadata, error) {
					out, meta, err := next.HandleDeserialize(ctx, in)
					if r, ok := out.RawResponse.(*smithyhttp.Response); ok && r != nil {
						*revision = r.Header.Get("X-Ssmrun-Revision")
					}
					return out, meta, err
				}), middleware.After)
			})
	}
}

// invocations gives a command's by instance.
func (c client) invocations(id string) map[string]types.CommandInvocation {
	c.t.Helper()
	all := map[string]types.CommandInvocation{}
	pages := ssm.NewListCommandInvocationsPaginator(c.Client, &ssm.ListCommandInvocationsInput{CommandId: &id, Details: true})
	for pages.HasMorePages() {
		out, err := pages.NextPage(c.t.Context())
		if err != nil {
			c.t.Fatal(err)
		}
		for _, i := range out.CommandInvocations {
			if _, ok := all[*i.InstanceId]; ok {
				c.t.Errorf("command %s has %s twice", id, *i.InstanceId)
			}
			all[*i.InstanceId] = i
		}
	}
	return all
}
