// Package testenv is the real thing for tests: `ssmrun serve` as a process of
// its own on a port of its own, with real agents, and a proxy that breaks what
// passes through it. Nothing but tests imports it.
//
// A service is a process because the embedded S3 endpoint allows one in a
// process, and because tests kill it.
package testenv

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"ssmrun/internal/daemon"
	"ssmrun/internal/testlog"
)

// StartTimeout bounds how long a service with its agents may take to be ready,
// race detector and a loaded machine included.
const StartTimeout = 90 * time.Second

// Options say what service a test wants.
type Options struct {
	Agents  int
	Buckets []string
	Regions []string
	// Roles are made at start, as `ssmrun serve --role` does: NAME[=POLICY,...].
	Roles []string
	// Documents maps file names to contents.
	Documents map[string]string
	// Data is the data folder; "" for a fresh one.
	Data string
	// Args are further arguments of `ssmrun serve`.
	Args []string
	// KeepPorts makes a Restart listen where the service listened before.
	KeepPorts bool
	// TLSDomain makes it listen with TLS too, for the names of this domain.
	TLSDomain string
}

// DefaultRole is the role that every account has from the start.
const DefaultRole = "service-role/AmazonEC2RunCommandRoleForManagedInstances"

// Service is a running `ssmrun serve`.
type Service struct {
	daemon.Info
	t       testing.TB
	opts    Options
	cmd     *exec.Cmd
	exited  chan struct{}
	log     *testlog.Log
	stopped bool
}

// Start starts a service and waits until it is ready. It is stopped, its agents
// too, when the test ends; its log is shown where the test failed.
func Start(t testing.TB, o Options) *Service {
	t.Helper()
	if o.Data == "" {
		o.Data = filepath.Join(t.TempDir(), "data")
	}
	s := &Service{t: t, opts: o}
	if len(o.Documents) > 0 {
		dir := filepath.Join(t.TempDir(), "documents")
		for name, content := range o.Documents {
			WriteFile(t, filepath.Join(dir, name), content, 0o600)
		}
		s.opts.Args = append(s.opts.Args, "--documents", dir)
	}
	t.Cleanup(func() {
		s.Stop()
		s.killAgents()
		if t.Failed() {
			t.Logf("log of the service:\n%s", s.log)
			for _, id := range s.InstanceIDs {
				b, _ := os.ReadFile(filepath.Join(s.Data, "agents", id, "agent.log"))
				t.Logf("log of agent %s:\n%s", id, tail(b, 8<<10))
			}
		}
	})
	s.Restart()
	return s
}

// Restart starts the service again on the same data folder, after Stop or Kill.
// It may listen on another port.
func (s *Service) Restart() {
	s.t.Helper()
	listen := "127.0.0.1:0"
	if s.opts.KeepPorts && s.Endpoint != "" {
		listen = strings.TrimPrefix(s.Endpoint, "http://")
	}
	args := []string{
		"serve", "--data", s.opts.Data, "--listen", listen,
		"--ready-file", filepath.Join(filepath.Dir(s.opts.Data), "ready.json"),
		"--local-agents", strconv.Itoa(s.opts.Agents), "--drain", "10s",
	}
	if os.Geteuid() == 0 {
		args = append(args, "--allow-root-agents")
	}
	if s.opts.TLSDomain != "" {
		listen = "127.0.0.1:0"
		if s.opts.KeepPorts && s.TLSEndpoint != "" {
			listen = strings.TrimPrefix(s.TLSEndpoint, "https://")
		}
		args = append(args, "--tls-listen", listen, "--domain", s.opts.TLSDomain)
	}
	for _, b := range s.opts.Buckets {
		args = append(args, "--bucket", b)
	}
	for _, r := range s.opts.Regions {
		args = append(args, "--region", r)
	}
	for _, r := range s.opts.Roles {
		args = append(args, "--role", r)
	}
	s.cmd = exec.Command(Binary(s.t, "ssmrun"), append(args, s.opts.Args...)...)
	s.cmd.Env = CleanEnv()
	if s.log == nil {
		s.log = &testlog.Log{}
	}
	s.cmd.Stderr = s.log
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		s.t.Fatalf("start the service: %v", err)
	}
	s.exited, s.stopped = make(chan struct{}), false
	ready := make(chan struct{})
	go func() {
		// The ready line comes after the ready file is written.
		r := bufio.NewReader(out)
		if _, err := r.ReadString('\n'); err == nil {
			close(ready)
		}
		_, _ = io.Copy(io.Discard, r)
		_ = s.cmd.Wait()
		close(s.exited)
	}()
	select {
	case <-ready:
	case <-s.exited:
		s.t.Fatalf("the service ended instead of being ready:\n%s", s.log)
	case <-time.After(StartTimeout):
		s.t.Fatalf("the service was not ready in %s:\n%s", StartTimeout, s.log)
	}
	b, err := os.ReadFile(filepath.Join(filepath.Dir(s.opts.Data), "ready.json"))
	if err == nil {
		err = json.Unmarshal(b, &s.Info)
	}
	if err != nil {
		s.t.Fatalf("read the ready file: %v", err)
	}
}

// SetArgs adds arguments for the next Restart.
func (s *Service) SetArgs(args ...string) { s.opts.Args = append(s.opts.Args, args...) }

// Stop asks the service to end and waits for it.
func (s *Service) Stop() {
	s.t.Helper()
	if s.cmd == nil || s.stopped {
		return
	}
	s.stopped = true
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.exited:
	case <-time.After(StartTimeout):
		_ = s.cmd.Process.Kill()
		s.t.Errorf("the service did not stop in %s", StartTimeout)
		<-s.exited
	}
}

// Kill kills the service with SIGKILL. Its agents live on.
func (s *Service) Kill() {
	s.t.Helper()
	s.stopped = true
	_ = s.cmd.Process.Kill()
	<-s.exited
}

// Signal sends the service a signal.
func (s *Service) Signal(sig os.Signal) { _ = s.cmd.Process.Signal(sig) }

// Exited is closed when the service's process has ended.
func (s *Service) Exited() <-chan struct{} { return s.exited }

// PID is the service's process id.
func (s *Service) PID() int { return s.cmd.Process.Pid }

// Log is what the service has logged so far.
func (s *Service) Log() string { return s.log.String() }

// AgentPID is the process id of a local agent.
func (s *Service) AgentPID(id string) int {
	s.t.Helper()
	var p struct {
		PID int `json:"pid"`
	}
	b, err := os.ReadFile(filepath.Join(s.Data, "agents", id, "agent.json"))
	if err == nil {
		err = json.Unmarshal(b, &p)
	}
	if err != nil {
		s.t.Fatalf("find the process of agent %s: %v", id, err)
	}
	return p.PID
}

// killAgents ends agents that outlived a killed service.
func (s *Service) killAgents() {
	files, _ := filepath.Glob(filepath.Join(s.opts.Data, "agents", "*", "agent.json"))
	for _, f := range files {
		id := filepath.Base(filepath.Dir(f))
		pid := s.AgentPID(id)
		cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if err == nil && bytes.Contains(cmdline, []byte(filepath.Dir(f))) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

// Config is an SDK configuration for the service, in a region.
func (s *Service) Config(region string) aws.Config {
	return aws.Config{
		Region:       region,
		BaseEndpoint: aws.String(s.Endpoint),
		Credentials:  credentials.NewStaticCredentialsProvider(s.AccessKeyID, s.SecretKey, ""),
	}
}

// SSM is a client of the service.
func (s *Service) SSM() *ssm.Client { return ssm.NewFromConfig(s.Config(s.Region)) }

// EC2 is a client of the service.
func (s *Service) EC2() *ec2.Client { return ec2.NewFromConfig(s.Config(s.Region)) }

// STS is a client of the service.
func (s *Service) STS() *sts.Client { return sts.NewFromConfig(s.Config(s.Region)) }

// IAM is a client of the service.
func (s *Service) IAM() *iam.Client { return iam.NewFromConfig(s.Config(s.Region)) }

// S3 is a client of the service.
func (s *Service) S3() *s3.Client {
	return s3.NewFromConfig(s.Config(s.Region), func(o *s3.Options) { o.UsePathStyle = true })
}

// Env is an environment that points AWS tools at the service.
func (s *Service) Env() []string {
	return append(CleanEnv(),
		"AWS_ENDPOINT_URL="+s.Endpoint, "AWS_REGION="+s.Region, "AWS_DEFAULT_REGION="+s.Region,
		"AWS_ACCESS_KEY_ID="+s.AccessKeyID, "AWS_SECRET_ACCESS_KEY="+s.SecretKey)
}

// CleanEnv is this process's environment without what would lead tools
// elsewhere.
func CleanEnv() []string {
	var env []string
	for _, e := range os.Environ() {
		if strings.HasPrefix(e, "AWS_") || strings.HasPrefix(e, "TF_") || strings.HasPrefix(e, "SSMRUN_") {
			continue
		}
		env = append(env, e)
	}
	// A program with the race detector otherwise sleeps a second before it exits.
	return append(env, "AWS_EC2_METADATA_DISABLED=true", "CHECKPOINT_DISABLE=1", "GORACE=atexit_sleep_ms=0")
}

// Context ends with the test, or after a minute.
func Context(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// WriteFile writes a file and the folders above it.
func WriteFile(t testing.TB, path, content string, mode os.FileMode) {
	t.Helper()
	err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(content), mode), os.Chmod(path, mode))
	if err != nil {
		t.Fatal(err)
	}
}

func tail(b []byte, n int) []byte {
	if len(b) > n {
		return b[len(b)-n:]
	}
	return b
}

// NotRun skips a test that cannot run here, and says so in the list that `make
// test` prints last: what was not run, why, and the command that enables it.
func NotRun(t testing.TB, what, why, enable string) {
	t.Helper()
	line := what + ": " + why + "; enable with: " + enable
	if list := os.Getenv("SSMRUN_NOT_RUN"); list != "" {
		f, err := os.OpenFile(list, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err == nil {
			_, err = fmt.Fprintln(f, line)
			_ = f.Close()
		}
		if err != nil {
			t.Errorf("note what was not run: %v", err)
		}
	}
	t.Skip("NOT RUN " + line)
}
