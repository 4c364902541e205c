package testenv

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"ssmrun/internal/testlog"
)

// HostAgent is an agent that a test runs beside a service, as an operator would
// on a host: this project's own, or amazon-ssm-agent.
type HostAgent interface {
	// Start registers the host where it is not, and starts the agent. It does
	// not wait until the agent is connected.
	Start()
	// Stop asks the agent to end and waits until it has.
	Stop()
	// Kill ends the agent's processes with SIGKILL; scripts live on.
	Kill()
	// Reboots tells how often the agent has asked its host to restart.
	Reboots() int
	// Log is what the agent has logged so far.
	Log() string
	// PIDs are the agent's processes.
	PIDs() []int
}

// HostOptions say how a HostAgent finds its service.
type HostOptions struct {
	// InstanceID is the id that the host gets; "" for an mi- id.
	InstanceID string
	// LongPoll leaves the agent ec2messages alone.
	LongPoll bool
	// Endpoint is http://HOST:PORT of the service.
	Endpoint string
	// TLS is https://HOST:PORT of the service, in a certificate of CA.
	TLS, CA string
	// Metadata is http://HOST:PORT of the instance's metadata, by which
	// amazon-ssm-agent finds out who it is in place of an activation; "" for none.
	Metadata string
	// Domain is the one whose host names TLS answers to.
	Domain string
}

// Activation makes an activation for one host, for the id that is named.
func (s *Service) Activation(instanceID string) (id, code string) {
	s.t.Helper()
	in := &ssm.CreateActivationInput{IamRole: aws.String(DefaultRole)}
	if instanceID != "" {
		in.RegistrationMetadata = []types.RegistrationMetadataItem{{Key: aws.String("ssmrun:instance-id"), Value: &instanceID}}
	}
	out, err := s.SSM().CreateActivation(Context(s.t), in)
	if err != nil {
		s.t.Fatalf("make an activation: %v", err)
	}
	return *out.ActivationId, *out.ActivationCode
}

// NewInstanceID is an id as EC2 gives it.
func NewInstanceID() string {
	b := make([]byte, 9)
	_, _ = rand.Read(b) // it never fails
	return "i-0" + hex.EncodeToString(b)[:16]
}

// process is a program that a HostAgent started.
type process struct {
	cmd    *exec.Cmd
	exited chan struct{}
}

func start(t testing.TB, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{cmd: cmd, exited: make(chan struct{})}
	if err := cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", cmd.Path, err)
	}
	go func() {
		_ = cmd.Wait()
		close(p.exited)
	}()
	return p
}

// stop asks pid, which ends with the process, to end.
func (p *process) stop(t testing.TB, pid int) {
	t.Helper()
	_ = syscall.Kill(pid, syscall.SIGTERM)
	select {
	case <-p.exited:
	case <-time.After(time.Minute):
		t.Errorf("the agent did not stop in a minute")
		p.kill()
	}
}

// over kills the process, if there is one, and shows the agent's log where the test
// failed.
func (p *process) over(t testing.TB, a HostAgent) {
	if p != nil {
		p.kill()
	}
	if t.Failed() {
		t.Logf("log of the agent:\n%s", a.Log())
	}
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.exited
}

// ownAgent is ssmrun-agent.
type ownAgent struct {
	t    testing.TB
	s    *Service
	o    HostOptions
	dir  string
	log  testlog.Log
	once sync.Once
	p    *process
}

// OwnAgent is this project's agent on a host.
func OwnAgent(t testing.TB, s *Service, o HostOptions) HostAgent {
	a := &ownAgent{t: t, s: s, o: o, dir: t.TempDir()}
	t.Cleanup(func() { a.p.over(t, a) })
	return a
}

func (a *ownAgent) Start() {
	a.t.Helper()
	a.once.Do(func() {
		id, code := a.s.Activation(a.o.InstanceID)
		WriteFile(a.t, filepath.Join(a.dir, "activation.json"), fmt.Sprintf(`{"activation_id":%q,"activation_code":%q,"region":%q}`, id, code, a.s.Region), 0o600)
		WriteFile(a.t, filepath.Join(a.dir, "reboot"), "#!/bin/sh\necho reboot >>"+a.reboots()+"\n", 0o700)
	})
	args := []string{"--state", filepath.Join(a.dir, "state"), "--reboot-command", filepath.Join(a.dir, "reboot")}
	if _, err := os.Stat(filepath.Join(a.dir, "activation.json")); err == nil {
		args = append(args, "--activation-file", filepath.Join(a.dir, "activation.json"))
	}
	if a.o.LongPoll {
		args = append(args, "--ssmmessages-endpoint", "http://127.0.0.1:1") // nobody listens there
	}
	if a.o.TLS == "" {
		args = append(args, "--endpoint", a.o.Endpoint)
	} else {
		args = append(args, "--endpoint", a.o.TLS, "--ca-file", a.o.CA)
	}
	cmd := exec.Command(Binary(a.t, "ssmrun-agent"), args...)
	if n := a.Reboots(); n > 0 {
		// The agent looks at the boot id to see that its host was restarted.
		WriteFile(a.t, filepath.Join(a.dir, "boot_id"), fmt.Sprintf("00000000-0000-4000-8000-%012d\n", n), 0o644)
		cmd = exec.Command("unshare", append([]string{
			"-m", "sh", "-c",
			`mount --bind "$0" /proc/sys/kernel/random/boot_id && exec "$@"`, filepath.Join(a.dir, "boot_id"), cmd.Path,
		}, args...)...)
	}
	cmd.Env, cmd.Stderr = CleanEnv(), &a.log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	a.p = start(a.t, cmd)
}

func (a *ownAgent) reboots() string { return filepath.Join(a.dir, "reboots") }

func (a *ownAgent) Reboots() int { return lines(a.reboots()) }
func (a *ownAgent) Stop()        { a.t.Helper(); a.p.stop(a.t, a.p.cmd.Process.Pid) }
func (a *ownAgent) Kill()        { a.p.kill() }
func (a *ownAgent) Log() string  { return a.log.String() }
func (a *ownAgent) PIDs() []int  { return []int{a.p.cmd.Process.Pid} }

func lines(file string) int {
	b, _ := os.ReadFile(file)
	return strings.Count(string(b), "\n")
}

// WaitOnline waits until an instance is Online, and gives what the service
// knows of it.
func (s *Service) WaitOnline(ctx context.Context, t testing.TB, find func(types.InstanceInformation) bool) types.InstanceInformation {
	t.Helper()
	var found types.InstanceInformation
	WaitFor(ctx, t, "an instance that is Online", func() (bool, error) {
		out, err := s.SSM().DescribeInstanceInformation(ctx, &ssm.DescribeInstanceInformationInput{MaxResults: aws.Int32(50)})
		if err != nil {
			return false, err
		}
		for _, i := range out.InstanceInformationList {
			if i.PingStatus == types.PingStatusOnline && find(i) {
				found = i
				return true, nil
			}
		}
		return false, nil
	})
	return found
}

// WaitFor asks until it is told yes, ten times a second: for what nobody
// signals. A failing call counts as no until ctx ends.
func WaitFor(ctx context.Context, t testing.TB, what string, ask func() (bool, error)) {
	t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, err := ask()
		if ok && err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waited for %s in vain: %v", what, errors.Join(err, ctx.Err()))
		}
	}
}
