package testenv

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"ssmrun/internal/testlog"
)

// EnvGenuine names a folder with the programs of amazon-ssm-agent:
// amazon-ssm-agent, ssm-agent-worker, ssm-document-worker and
// ssm-session-worker. They are found nowhere in this project.
const EnvGenuine = "SSMRUN_GENUINE_AGENT"

// genuineAgent is amazon-ssm-agent, unmodified, in namespaces of its own: its
// paths are fixed, so private folders lie over them there, and nothing of it
// is seen on the host.
type genuineAgent struct {
	t          testing.TB
	s          *Service
	o          HostOptions
	dir        string
	log        testlog.Log
	registered bool
	p          *process
}

// GenuineAgent is amazon-ssm-agent on a host, from a folder of its programs. It
// needs root and Linux.
func GenuineAgent(t testing.TB, s *Service, o HostOptions, programs string) HostAgent {
	t.Helper()
	a := &genuineAgent{t: t, s: s, o: o, dir: t.TempDir()}
	for _, name := range []string{"amazon-ssm-agent", "ssm-agent-worker", "ssm-document-worker", "ssm-session-worker"} {
		// The agent takes the programs beside it where they are root's, 0755.
		b, err := os.ReadFile(filepath.Join(programs, name))
		if err != nil {
			t.Fatalf("find amazon-ssm-agent: %v", err)
		}
		WriteFile(t, a.path("bin", name), string(b), 0o755)
	}
	a.configure()
	t.Cleanup(func() { a.p.over(t, a) })
	return a
}

func (a *genuineAgent) path(parts ...string) string {
	return filepath.Join(append([]string{a.dir}, parts...)...)
}

func (a *genuineAgent) configure() {
	a.t.Helper()
	for _, dir := range []string{"lib", "log", "home"} {
		if err := os.MkdirAll(a.path(dir), 0o755); err != nil {
			a.t.Fatal(err)
		}
	}
	// A port that nobody listens on makes a channel unavailable.
	messages := "https://127.0.0.1:1"
	objects := ""
	if a.o.TLS != "" {
		u, err := url.Parse(a.o.TLS)
		if err != nil {
			a.t.Fatal(err)
		}
		_, port, err := net.SplitHostPort(u.Host)
		if err != nil {
			a.t.Fatal(err)
		}
		names := a.s.Region + "." + a.o.Domain
		if !a.o.LongPoll {
			messages = "https://ssmmessages." + names + ":" + port
		}
		objects = "s3." + names + ":" + port
	}
	config := map[string]any{
		"Agent":    map[string]any{"Region": a.s.Region},
		"Ssm":      map[string]any{"Endpoint": a.o.Endpoint, "HealthFrequencyMinutes": 5},
		"Mds":      map[string]any{"Endpoint": a.o.Endpoint},
		"Mgs":      map[string]any{"Region": a.s.Region, "Endpoint": messages},
		"S3":       map[string]any{"Region": a.s.Region, "Endpoint": objects},
		"Identity": map[string]any{"ConsumptionOrder": []string{"OnPrem"}},
	}
	if a.o.Metadata != "" {
		config["Identity"] = map[string]any{"ConsumptionOrder": []string{"EC2"}}
	}
	b, err := json.MarshalIndent(config, "", "  ")
	if err != nil {
		a.t.Fatal(err)
	}
	WriteFile(a.t, a.path("bin", "configuration", "amazon-ssm-agent.json"), string(b), 0o600)
	WriteFile(a.t, a.path("shutdown"), "#!/bin/sh\ncase $0 in */shutdown) echo \"$*\" >>"+a.path("reboots")+" ;; esac\n", 0o755)
	a.hosts()
	for _, dir := range []string{"/var/lib/amazon", "/var/log/amazon"} {
		if os.Mkdir(dir, 0o755) == nil {
			a.t.Cleanup(func() { _ = os.Remove(dir) })
		}
	}
}

// hosts gives the service's names to the agent's namespace.
func (a *genuineAgent) hosts() {
	a.t.Helper()
	b, err := os.ReadFile("/etc/hosts")
	if err != nil {
		a.t.Fatal(err)
	}
	names := []string{"ssm", "ssmmessages", "ec2messages", "s3"}
	for _, bucket := range a.s.opts.Buckets {
		names = append(names, bucket+".s3")
	}
	text := bytes.NewBuffer(append(b, '\n'))
	for _, n := range names {
		fmt.Fprintf(text, "127.0.0.1 %s.%s.%s\n", n, a.s.Region, a.o.Domain)
	}
	WriteFile(a.t, a.path("hosts"), text.String(), 0o644)
}

// inside makes a command that runs the agent in its namespaces. When it is
// killed, all of them is.
func (a *genuineAgent) inside(args ...string) *exec.Cmd {
	script := `set -e
mount --bind "$I/lib" /var/lib/amazon
mount --bind "$I/log" /var/log/amazon
mount --bind "$I/hosts" /etc/hosts
if [ -e /sbin/shutdown ]; then mount --bind "$I/shutdown" /sbin/shutdown; fi
exec "$I/bin/amazon-ssm-agent" "$@"`
	cmd := exec.Command("unshare", append([]string{"-m", "-p", "-f", "--mount-proc", "--kill-child=KILL", "sh", "-c", script, "agent"}, args...)...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=" + a.path("home"), "I=" + a.dir, "SSL_CERT_FILE=" + a.o.CA}
	if a.o.Metadata != "" {
		cmd.Env = append(cmd.Env, "AWS_EC2_METADATA_SERVICE_ENDPOINT="+a.o.Metadata)
	} else {
		cmd.Env = append(cmd.Env, "AWS_EC2_METADATA_DISABLED=true")
	}
	cmd.Stdout, cmd.Stderr = &a.log, &a.log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return cmd
}

// Start implements HostAgent.
func (a *genuineAgent) Start() {
	a.t.Helper()
	if !a.registered && a.o.Metadata == "" {
		id, code := a.s.Activation(a.o.InstanceID)
		if err := a.inside("-register", "-id", id, "-code", code, "-region", a.s.Region, "-y").Run(); err != nil {
			a.t.Fatalf("register amazon-ssm-agent: %v\n%s", err, a.Log())
		}
		a.registered = true
	}
	a.p = start(a.t, a.inside())
}

// Stop implements HostAgent.
func (a *genuineAgent) Stop() {
	a.t.Helper()
	for _, pid := range children(a.p.cmd.Process.Pid) {
		a.p.stop(a.t, pid)
		return
	}
	a.p.kill()
}

// Kill implements HostAgent. It kills the worker, which the core starts again.
func (a *genuineAgent) Kill() {
	a.t.Helper()
	for _, pid := range a.PIDs() {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
		if strings.HasPrefix(string(b), "ssm-agent-worke") {
			_ = syscall.Kill(pid, syscall.SIGKILL)
			return
		}
	}
	a.t.Errorf("the worker of amazon-ssm-agent was not found")
}

// Reboots implements HostAgent.
func (a *genuineAgent) Reboots() int { return lines(a.path("reboots")) }

// Log implements HostAgent.
func (a *genuineAgent) Log() string {
	b, _ := os.ReadFile(a.path("log", "ssm", "amazon-ssm-agent.log"))
	return a.log.String() + string(tail(b, 32<<10))
}

// PIDs implements HostAgent: the core and its workers.
func (a *genuineAgent) PIDs() []int {
	var all []int
	next := children(a.p.cmd.Process.Pid)
	for len(next) > 0 {
		all = append(all, next[0])
		next = append(next[1:], children(next[0])...)
	}
	return all
}

// children are the direct children of a process.
func children(pid int) []int {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	var list []int
	for _, f := range files {
		b, _ := os.ReadFile(f)
		for field := range strings.FieldsSeq(string(b)) {
			if n, err := strconv.Atoi(field); err == nil {
				list = append(list, n)
			}
		}
	}
	return list
}

// GenuineVersion is what amazon-ssm-agent says of itself.
func GenuineVersion(programs string) string {
	cmd := exec.Command(filepath.Join(programs, "amazon-ssm-agent"), "-version")
	cmd.WaitDelay = 10 * time.Second
	b, err := cmd.Output()
	if err != nil {
		return "unknown: " + err.Error()
	}
	return strings.TrimPrefix(strings.TrimSpace(string(b)), "SSM Agent version: ")
}

// StartsItself tells that what Kill kills comes back by itself.
func (a *genuineAgent) StartsItself() bool { return true }
