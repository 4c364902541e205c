package genuineagent

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"ssmrun/internal/testenv"
)

const (
	domain = "agents.test"
	bucket = "agent-outputs"
	shell  = "AWS-RunShellScript"
	// usual bounds one check: the slowest thing that agents do by plan is to
	// start a worker again within a minute.
	usual = 2 * time.Minute
)

// host is one agent with a service of its own.
type host struct {
	*testing.T
	*testenv.Service
	agent testenv.HostAgent
	id    string
	dir   string // for what scripts leave
	// patience bounds one thing that is waited for; zero is the usual.
	patience time.Duration
}

// context bounds what a check waits for.
func (h *host) context() context.Context {
	ctx, cancel := context.WithTimeout(h.T.Context(), max(h.patience, usual))
	h.T.Cleanup(cancel)
	return ctx
}

// online waits until the service sees the agent, on a channel.
func (h *host) online() {
	h.Helper()
	ctx := h.context()
	testenv.WaitFor(ctx, h.T, "a connected agent", func() (bool, error) {
		out, err := h.SSM().GetConnectionStatus(ctx, &ssm.GetConnectionStatusInput{Target: &h.id})
		return err == nil && out.Status == types.ConnectionStatusConnected, err
	})
}

// send sends commands of AWS-RunShellScript.
func (h *host) send(commands ...string) string {
	h.Helper()
	return h.sendDocument(shell, map[string][]string{"commands": commands})
}

// sendKept sends commands whose output is kept in the bucket.
func (h *host) sendKept(commands ...string) string {
	h.Helper()
	return h.sendInput(&ssm.SendCommandInput{
		DocumentName: aws.String(shell), Parameters: map[string][]string{"commands": commands},
		OutputS3BucketName: aws.String(bucket), OutputS3KeyPrefix: aws.String("kept"),
	})
}

func (h *host) sendDocument(name string, parameters map[string][]string) string {
	h.Helper()
	return h.sendInput(&ssm.SendCommandInput{DocumentName: &name, Parameters: parameters})
}

func (h *host) sendInput(in *ssm.SendCommandInput) string {
	h.Helper()
	in.InstanceIds = []string{h.id}
	out, err := h.SSM().SendCommand(h.context(), in)
	if err != nil {
		h.Fatal(err)
	}
	return *out.Command.CommandId
}

// document makes a document.
func (h *host) document(name, content string) string {
	h.Helper()
	_, err := h.SSM().CreateDocument(h.context(), &ssm.CreateDocumentInput{
		Name: &name, Content: &content, DocumentType: types.DocumentTypeCommand, DocumentFormat: types.DocumentFormatJson,
	})
	if err != nil {
		h.Fatal(err)
	}
	return name
}

// steps gives an invocation with its plugins.
func (h *host) steps(ctx context.Context, command string) (*types.CommandInvocation, error) {
	out, err := h.SSM().ListCommandInvocations(ctx, &ssm.ListCommandInvocationsInput{CommandId: &command, Details: true})
	if err != nil || len(out.CommandInvocations) != 1 {
		return nil, err
	}
	return &out.CommandInvocations[0], nil
}

// ended waits until an invocation is over.
func (h *host) ended(command string) *types.CommandInvocation {
	h.Helper()
	return h.reached(command, func(i *types.CommandInvocation) bool {
		switch i.Status {
		case types.CommandInvocationStatusPending, types.CommandInvocationStatusInProgress, types.CommandInvocationStatusDelayed, types.CommandInvocationStatusCancelling:
			return false
		}
		return true
	})
}

func (h *host) reached(command string, there func(*types.CommandInvocation) bool) (i *types.CommandInvocation) {
	h.Helper()
	ctx := h.context()
	testenv.WaitFor(ctx, h.T, "a status of "+command, func() (bool, error) {
		var err error
		i, err = h.steps(ctx, command)
		return err == nil && i != nil && there(i), err
	})
	return i
}

// result gives what GetCommandInvocation tells of a step, once it is over.
func (h *host) result(command, step string) *ssm.GetCommandInvocationOutput {
	h.Helper()
	h.ended(command)
	in := &ssm.GetCommandInvocationInput{CommandId: &command, InstanceId: &h.id}
	if step != "" {
		in.PluginName = &step
	}
	out, err := h.SSM().GetCommandInvocation(h.context(), in)
	if err != nil {
		h.Fatal(err)
	}
	return out
}

// want compares what became of a step. stdout is not looked at where it is "*".
func (h *host) want(command, step, details string, code int32, stdout string) *ssm.GetCommandInvocationOutput {
	h.Helper()
	r := h.result(command, step)
	if *r.StatusDetails != details || r.ResponseCode != code || stdout != "*" && *r.StandardOutputContent != stdout {
		h.Errorf("step %q: %s, code %d, stdout %.200q, stderr %.300q; want %s, code %d, stdout %.200q",
			step, *r.StatusDetails, r.ResponseCode, *r.StandardOutputContent, *r.StandardErrorContent, details, code, stdout)
	}
	return r
}

// file is where a script may leave something.
func (h *host) file(name string) string { return filepath.Join(h.dir, name) }

// appears waits until a script has written a file, and gives it.
func (h *host) appears(name string) string {
	h.Helper()
	var b []byte
	testenv.WaitFor(h.context(), h.T, "the script's "+name, func() (bool, error) {
		var err error
		b, err = os.ReadFile(h.file(name))
		return err == nil && len(b) > 0, err
	})
	return string(b)
}

// gone waits until no process carries an argument. Arguments of scripts that
// are unique are told apart so, in whatever namespace they run.
func (h *host) gone(argument string) {
	h.Helper()
	testenv.WaitFor(h.context(), h.T, "the end of "+argument, func() (bool, error) { return !running(argument), nil })
}

func running(argument string) bool {
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, f := range files {
		b, _ := os.ReadFile(f)
		if slices.Contains(strings.Split(string(b), "\x00"), argument) {
			return true
		}
	}
	return false
}

// sleeper is the number of seconds of a sleep that no other command has, by
// which its process is told apart.
func sleeper() string { return fmt.Sprintf("300.%07d%04d", os.Getpid(), names.Add(1)) }

// onlyInstance waits for the one instance that the service has.
func (h *host) onlyInstance() types.InstanceInformation {
	h.Helper()
	return h.WaitOnline(h.context(), h.T, func(types.InstanceInformation) bool { return true })
}

// restartService starts the service again where it was.
func (h *host) restartService() {
	h.Helper()
	h.Restart()
}

// restartAgent starts an agent that was killed. That of amazon-ssm-agent is
// started again by its core.
func (h *host) restartAgent() {
	if a, ok := h.agent.(interface{ StartsItself() bool }); ok && a.StartsItself() {
		return
	}
	h.agent.Start()
}
