package genuineagent

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"ssmrun/internal/testenv"
)

// check is one thing that an agent has to do. They run in order, on one host.
type check struct {
	name string
	run  func(h *host)
}

var checks = []check{
	{"registers with an activation, is Online and says what it is", func(h *host) {
		i := h.WaitOnline(h.context(), h.T, func(i types.InstanceInformation) bool { return *i.InstanceId == h.id && i.PlatformName != nil })
		if *i.AgentVersion == "" || i.PlatformType != types.PlatformTypeLinux || *i.PlatformName == "" || i.ComputerName == nil {
			h.Errorf("the service knows %+v", i)
		}
	}},
	{"runs AWS-RunShellScript: stdout, stderr, exit code 0", func(h *host) {
		c := h.send("echo out", "echo err >&2", "echo $AWS_SSM_INSTANCE_ID")
		r := h.want(c, "", "Success", 0, "out\n"+h.id+"\n")
		if *r.StandardErrorContent != "err\n" {
			h.Errorf("stderr %q", *r.StandardErrorContent)
		}
	}},
	{"reports another exit code", func(h *host) {
		r := h.want(h.send("echo before", "exit 7"), "", "Failed", 7, "before\n")
		if !strings.Contains(*r.StandardErrorContent, "failed to run commands: exit status 7") {
			h.Errorf("stderr %q", *r.StandardErrorContent)
		}
	}},
	{"cuts a long output, and survives bytes that are no UTF-8", func(h *host) {
		r := h.want(h.send("head -c 30000 /dev/zero | tr '\\0' x"), "", "Success", 0, "*")
		if n := len(*r.StandardOutputContent); n < 23_000 || n > 24_000 || !strings.HasSuffix(*r.StandardOutputContent, "truncated--") {
			h.Errorf("%d characters, ending in %q", n, (*r.StandardOutputContent)[max(0, n-30):])
		}
		h.want(h.send(`printf 'a\377b\n'`), "", "Success", 0, "a\ufffdb\n")
	}},
	{"uploads the whole output to S3", func(h *host) {
		c := h.sendKept("head -c 300000 /dev/zero | tr '\\0' y", "echo said >&2")
		h.want(c, "", "Success", 0, "*")
		i, err := h.steps(h.context(), c)
		if err != nil {
			h.Fatal(err)
		}
		p := i.CommandPlugins[0]
		for name, want := range map[string]string{"stdout": strings.Repeat("y", 300_000), "stderr": "said\n"} {
			key := *p.OutputS3KeyPrefix + "/" + name
			if !strings.HasPrefix(key, "kept/"+c+"/"+h.id+"/awsrunShellScript/") {
				h.Errorf("key %s", key)
			}
			out, err := h.S3().GetObject(h.context(), &s3.GetObjectInput{Bucket: p.OutputS3BucketName, Key: &key})
			if err != nil {
				h.Errorf("get %s: %v", key, err)
				continue
			}
			b, err := io.ReadAll(out.Body)
			_ = out.Body.Close()
			if err != nil || string(b) != want {
				h.Errorf("%s: %d bytes, %v; want %d", name, len(b), err, len(want))
			}
		}
	}},
	{"runs a script with its working directory, interpreter and parameters", func(h *host) {
		c := h.sendDocument(shell, map[string][]string{
			"commands": {"#!/bin/bash", "pwd", "echo ${BASH_VERSION:+bash} '{{ not a parameter }}'"}, "workingDirectory": {"/usr/share"},
		})
		h.want(c, "", "Success", 0, "/usr/share\nbash {{ not a parameter }}\n")
	}},
	{"ends a script at its executionTimeout", func(h *host) {
		arg := sleeper()
		c := h.sendDocument(shell, map[string][]string{"commands": {"sleep " + arg}, "executionTimeout": {"5"}})
		h.want(c, "", "ExecutionTimedOut", 137, "*")
		h.gone(arg)
	}},
	{"cancels a running script", func(h *host) {
		arg := sleeper()
		c := h.send("echo here >"+h.file("cancel"), "sleep "+arg)
		h.appears("cancel")
		h.cancel(c)
		h.want(c, "", "Cancelled", 137, "*")
		h.gone(arg)
	}},
	{"cancels a script that it has not begun", func(h *host) {
		var held []string
		for n := range 5 {
			held = append(held, h.send(fmt.Sprintf("echo here >%s", h.file(fmt.Sprint("held", n))), "while [ ! -e "+h.file("go")+" ]; do sleep 0.1; done"))
			h.appears(fmt.Sprint("held", n))
		}
		c := h.send("echo ran >" + h.file("never"))
		h.cancel(c)
		h.ended(c)
		if err := os.WriteFile(h.file("go"), nil, 0o600); err != nil {
			h.Fatal(err)
		}
		for _, c := range held {
			h.want(c, "", "Success", 0, "*")
		}
		if _, err := os.Stat(h.file("never")); err == nil {
			h.Errorf("the cancelled script ran")
		}
		if i, err := h.steps(h.context(), c); err != nil || *i.StatusDetails != "Cancelled" {
			h.Errorf("%v %v", i, err)
		}
	}},
	{"takes 16 commands at once and runs each exactly once", func(h *host) {
		var list []string
		for range 16 {
			list = append(list, h.send("echo $SSM_COMMAND_ID >>"+h.file("sixteen"), "sleep 0.3"))
		}
		for _, c := range list {
			h.want(c, "", "Success", 0, "")
		}
		b, err := os.ReadFile(h.file("sixteen"))
		for _, c := range list {
			if n := strings.Count(string(b), c); n != 1 || err != nil {
				h.Errorf("%s ran %d times (%v)", c, n, err)
			}
		}
	}},
	{"runs a document of several steps: results, preconditions, onFailure, finallyStep", func(h *host) {
		name := h.document(h.unique("Steps"), `{"schemaVersion":"2.2","description":"steps","mainSteps":[
			{"action":"aws:runShellScript","name":"first","inputs":{"runCommand":["echo 1"]}},
			{"action":"aws:runPowerShellScript","name":"other","precondition":{"StringEquals":["platformType","Windows"]},"inputs":{"runCommand":["echo never"]}},
			{"action":"aws:runShellScript","name":"fails","inputs":{"runCommand":["echo 2; exit 4"],"onFailure":"exit"}},
			{"action":"aws:runShellScript","name":"skipped","inputs":{"runCommand":["echo never"]}},
			{"action":"aws:runShellScript","name":"always","inputs":{"runCommand":["echo 3"],"finallyStep":"true"}}]}`)
		c := h.sendDocument(name, nil)
		if i := h.ended(c); *i.StatusDetails != "Failed" {
			h.Errorf("the command: %s", *i.StatusDetails)
		}
		h.want(c, "first", "Success", 0, "1\n")
		// amazon-ssm-agent adds a line about the rest to the step's output.
		if r := h.want(c, "fails", "Failed", 4, "*"); !strings.HasPrefix(*r.StandardOutputContent, "2\n") {
			h.Errorf("stdout of the step that failed: %q", *r.StandardOutputContent)
		}
		h.want(c, "always", "Success", 0, "3\n")
		for _, step := range []string{"other", "skipped"} {
			r := h.result(c, step)
			if strings.Contains(*r.StandardOutputContent, "never") || r.Status != types.CommandInvocationStatusSuccess && *r.StatusDetails != "Skipped" {
				h.Errorf("%s: %s %q", step, *r.StatusDetails, *r.StandardOutputContent)
			}
		}
	}},
	{"reads a stored parameter", func(h *host) {
		name := h.unique("word")
		_, err := h.SSM().PutParameter(h.context(), &ssm.PutParameterInput{Name: &name, Value: aws.String("stored"), Type: types.ParameterTypeString})
		if err != nil {
			h.Fatal(err)
		}
		h.want(h.send("echo {{ssm:"+name+"}}"), "", "Success", 0, "stored\n")
	}},
	{"names a plugin that it does not have", func(h *host) {
		name := h.document(h.unique("Odd"), `{"schemaVersion":"2.2","description":"odd","mainSteps":[{"action":"aws:configureDocker","name":"docker","inputs":{"action":"Install"}}]}`)
		c := h.sendDocument(name, nil)
		r := h.result(c, "docker")
		if *r.StatusDetails != "Failed" {
			h.Errorf("%s: %q %q", *r.StatusDetails, *r.StandardOutputContent, *r.StandardErrorContent)
		}
	}},
	{"gets what was sent while it was away", func(h *host) {
		h.agent.Stop()
		c := h.send("echo late")
		h.agent.Start()
		h.want(c, "", "Success", 0, "late\n")
	}},
	{"keeps a result while the service is away", func(h *host) {
		c := h.send("echo $$ >"+h.file("away"), "while [ ! -e "+h.file("back")+" ]; do sleep 0.1; done", "echo result")
		h.appears("away")
		h.Service.Stop()
		if err := os.WriteFile(h.file("back"), nil, 0o600); err != nil {
			h.Fatal(err)
		}
		h.restartService()
		// amazon-ssm-agent says again after five minutes what was not acknowledged.
		h.patience = 7 * time.Minute
		h.want(c, "", "Success", 0, "result\n")
	}},
	{"survives a service that is killed in mid-command", func(h *host) {
		c := h.send("echo x >>"+h.file("killed"), "while [ ! -e "+h.file("goon")+" ]; do sleep 0.1; done", "echo result")
		h.appears("killed")
		h.Service.Kill()
		h.restartService()
		h.online()
		if err := os.WriteFile(h.file("goon"), nil, 0o600); err != nil {
			h.Fatal(err)
		}
		h.patience = 7 * time.Minute // as above
		h.want(c, "", "Success", 0, "result\n")
		if b, err := os.ReadFile(h.file("killed")); string(b) != "x\n" {
			h.Errorf("begun %q %v", b, err)
		}
	}},
	{"tells how a command ended whose agent was killed, and runs nothing twice", func(h *host) {
		arg := sleeper()
		c := h.send("echo x >>"+h.file("dead"), "sleep "+arg+" & wait")
		h.appears("dead")
		h.agent.Kill()
		h.restartAgent()
		h.online()
		if running(arg) { // an agent whose script outlives its worker
			h.cancel(c)
		}
		i := h.ended(c)
		if i.Status == types.CommandInvocationStatusSuccess {
			h.Errorf("ended as %s", *i.StatusDetails)
		}
		h.gone(arg)
		if b, err := os.ReadFile(h.file("dead")); string(b) != "x\n" {
			h.Errorf("begun %q %v", b, err)
		}
		h.want(h.send("echo after"), "", "Success", 0, "after\n")
	}},
	{"restarts its host when a script exits 194, and goes on with the script", func(h *host) {
		if _, err := os.Stat("/sbin/shutdown"); err != nil {
			h.Skip("this machine has no /sbin/shutdown that could be replaced")
		}
		if os.Geteuid() != 0 {
			testenv.NotRun(h.T, "an agent whose host is restarted", "its boot id is changed in a mount namespace", "run as root")
		}
		c := h.send("if [ -e "+h.file("once")+" ]; then echo after; exit 0; fi", "touch "+h.file("once"), "echo before", "exit 194")
		testenv.WaitFor(h.context(), h.T, "a restart of the host", func() (bool, error) { return h.agent.Reboots() > 0, nil })
		if i, err := h.steps(h.context(), c); err != nil || i.Status != types.CommandInvocationStatusInProgress {
			h.Errorf("while the host restarts: %v %v", i, err)
		}
		h.agent.Stop()
		h.agent.Start()
		h.want(c, "", "Success", 0, "before\nafter\n")
		if n := h.agent.Reboots(); n != 1 {
			h.Errorf("%d restarts", n)
		}
	}},
	{"is not let in any more once it is deregistered", func(h *host) {
		if strings.HasPrefix(h.id, "i-") {
			h.Skip("only hybrid nodes are deregistered")
		}
		if _, err := h.SSM().DeregisterManagedInstance(h.context(), &ssm.DeregisterManagedInstanceInput{InstanceId: &h.id}); err != nil {
			h.Fatal(err)
		}
		_, err := h.SSM().SendCommand(h.context(), &ssm.SendCommandInput{InstanceIds: []string{h.id}, DocumentName: aws.String(shell), Parameters: map[string][]string{"commands": {"true"}}})
		if err == nil || !strings.Contains(err.Error(), "InvalidInstanceId") {
			h.Errorf("a command to it: %v", err)
		}
	}},
}

var names atomic.Int64

// unique is a name that no other check has.
func (h *host) unique(name string) string { return fmt.Sprintf("%s%d", name, names.Add(1)) }

func (h *host) cancel(command string) {
	h.Helper()
	if _, err := h.SSM().CancelCommand(h.context(), &ssm.CancelCommandInput{CommandId: &command}); err != nil {
		h.Fatal(err)
	}
}
