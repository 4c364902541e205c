package provider

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"ssmrun/internal/testenv"
)

// action is a configuration with the action "x".
func actionBlock(body string) string {
	return fmt.Sprintf("action \"aws_ssm_send_command\" \"x\" {\n  config {\n%s\n  }\n}\n", body)
}

// shell is the action running a script on instances.
func shell(script string, ids ...string) string {
	return actionBlock(fmt.Sprintf("instance_ids = [%s]\ndocument_name = \"AWS-RunShellScript\"\nparameters = { commands = [%s] }", quoted(ids), hcl(script)))
}

func quoted(ids []string) string {
	all := make([]string, len(ids))
	for i, id := range ids {
		all[i] = hcl(id)
	}
	return strings.Join(all, ", ")
}

// hcl is a string literal of the configuration language.
func hcl(s string) string {
	return strings.NewReplacer("${", "$${", "%{", "%%{").Replace(fmt.Sprintf("%q", s))
}

const trigger = `
variable "input" { default = "1" }
resource "terraform_data" "t" {
  input = var.input
  lifecycle {
    action_trigger {
      events  = [after_create, after_update]
      actions = [action.aws_ssm_send_command.x]
    }
  }
}
`

const invoke = "-invoke=action.aws_ssm_send_command.x"

func TestAcceptance(t *testing.T) {
	t.Parallel()
	terraform(t)
	svc := testenv.Start(t, testenv.Options{Agents: 3, Buckets: []string{"logs"}, Regions: []string{"us-east-1", "eu-west-1"}, Documents: documents})
	client, ids := svc.SSM(), svc.InstanceIDs
	// Where it makes no difference one provider serves many runs: starting it
	// takes longer than most of them.
	attachedEnv := append(svc.Env(), attach(t, svc.Env()))
	// A group, so that the service is there until the last of them ends.
	t.Run("group", func(t *testing.T) {
		t.Run("trigger", func(t *testing.T) {
			t.Parallel()
			ran := filepath.Join(t.TempDir(), "ran")
			w := newWorkspace(t, svc.Env(), inUse+shell("echo once >> "+ran, ids[0])+trigger)
			out := w.apply()
			contains(t, out, "Validated 1 instance and document AWS-RunShellScript", "Sent AWS-RunShellScript to 1 instance: command ",
				"1 of 1 instance done", "Succeeded on 1 instance in", "ssmrun show ", "Actions: 1 invoked")
			// Unchanged it does nothing, changed it runs once more.
			lacks(t, w.apply(), "Action started")
			w.apply("-var", "input=2")
			if b, err := os.ReadFile(ran); err != nil || string(b) != "once\nonce\n" {
				t.Errorf("the script ran %q, %v", b, err)
			}
		})
		t.Run("invoke", func(t *testing.T) {
			t.Parallel()
			ran := filepath.Join(t.TempDir(), "ran")
			w := newWorkspace(t, attachedEnv, inUse+shell("echo \"$AWS_SSM_INSTANCE_ID\" >> "+ran, ids...))
			contains(t, w.apply(invoke), "Succeeded on 3 instances in", "(triggered by CLI)")
			b, err := os.ReadFile(ran)
			if err != nil {
				t.Fatal(err)
			}
			for _, id := range ids {
				if strings.Count(string(b), id) != 1 {
					t.Errorf("on %s it ran %d times", id, strings.Count(string(b), id))
				}
			}
		})
		t.Run("failure", func(t *testing.T) {
			t.Parallel()
			w := newWorkspace(t, attachedEnv, inUse+shell(fmt.Sprintf("if [ $AWS_SSM_INSTANCE_ID = %s ]; then echo broken pipe dream >&2; exit 3; fi", ids[1]), ids...)+trigger)
			out := w.applyFails()
			contains(t, out, "AWS-RunShellScript failed on 1 of 3 instances", ids[1], "exit code 3", "broken pipe dream", "ssmrun show ",
				"Terraform will not run the action again by itself", "terraform apply -invoke=action.aws_ssm_send_command.NAME")
			lacks(t, out, "Apply complete")
			// As it says: nothing is planned again.
			contains(t, w.apply(), "No changes")
		})
		t.Run("json", func(t *testing.T) {
			t.Parallel()
			w := newWorkspace(t, svc.Env(), inUse+shell("exit 0", ids[0]))
			var types, messages []string
			for _, l := range lines(t, w.apply("-json", invoke)) {
				if strings.HasPrefix(l.Type, "action_") {
					types = append(types, l.Type)
				}
				if l.Type == "action_progress" {
					messages = append(messages, l.Hook.Message)
				}
			}
			if n := len(types); n < 5 || types[0] != "action_start" || types[n-1] != "action_complete" {
				t.Errorf("the events are %q", types)
			}
			if len(messages) < 4 || !strings.HasPrefix(messages[0], "Validated 1 instance") || !strings.HasPrefix(messages[1], "Sent ") || !strings.HasPrefix(messages[len(messages)-1], "Succeeded on 1 instance") {
				t.Errorf("the progress is %q", messages)
			}
		})
		t.Run("values stay secret", func(t *testing.T) {
			t.Parallel()
			const secret = "correct-horse-battery"
			w := newWorkspace(t, append(svc.Env(), "TF_LOG=trace", "TF_VAR_password="+secret), inUse+"variable \"password\" { sensitive = true }\n"+
				actionBlock(fmt.Sprintf("instance_ids = [%q]\ndocument_name = \"AWS-RunShellScript\"\nparameters = { commands = [\"test ${var.password} = x\"] }", ids[0])))
			out := w.applyFails(invoke)
			contains(t, out, "exit code 1", "provider.terraform-provider-ssmrun")
			lacks(t, out, secret)
		})
		t.Run("warning", func(t *testing.T) {
			t.Parallel()
			w := newWorkspace(t, attachedEnv, inUse+actionBlock(fmt.Sprintf("instance_ids = [%q]\ndocument_name = \"elsewhere\"", ids[0])))
			contains(t, w.apply(invoke), "Warning: ", "Check the run of elsewhere", "was skipped by its precondition", "Succeeded on 1 instance")
		})
		t.Run("interrupt", func(t *testing.T) {
			t.Parallel()
			// A terminal sends the signal to Terraform and the provider, kill to
			// Terraform alone.
			for name, group := range map[string]bool{"terraform alone": false, "process group": true} {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					for _, how := range []struct {
						name, config string
						args         []string
					}{{"invoke", "", []string{invoke}}, {"trigger", trigger, nil}} {
						t.Run(how.name, func(t *testing.T) {
							t.Parallel()
							pid := filepath.Join(t.TempDir(), "pid")
							w := newWorkspace(t, svc.Env(), inUse+shell(fmt.Sprintf("sleep 600 & echo $! > %[1]s.new; mv %[1]s.new %[1]s; echo began; wait", pid), ids[2])+how.config)
							tf := w.start(append([]string{"apply", "-no-color", "-auto-approve"}, how.args...)...)
							tf.await("Sent AWS-RunShellScript")
							id := commandID(t, tf.out.String())
							awaitFile(t, pid)
							process := tf.cmd.Process.Pid
							if group {
								process = -process
							}
							if err := syscall.Kill(process, syscall.SIGINT); err != nil {
								t.Fatal(err)
							}
							if code := tf.wait(); code != 1 {
								t.Errorf("exit %d", code)
							}
							out := tf.out.String()
							contains(t, out, "Interrupted: the command was cancelled", id, "terraform apply -invoke=")
							lacks(t, out, "Apply complete", "Plugin did not respond", "range function continued")
							if i := invocationOf(t.Context(), t, client, id, ids[2]); i.Status != "Cancelled" {
								t.Errorf("the invocation is %s", i.Status)
							}
							b, err := os.ReadFile(pid)
							if err != nil {
								t.Fatal(err)
							}
							if runtime.GOOS == "linux" {
								gone(t, strings.TrimSpace(string(b)))
							}
						})
					}
				})
			}
		})
		t.Run("region", func(t *testing.T) {
			t.Parallel()
			w := newWorkspace(t, svc.Env(), inUse+actionBlock(fmt.Sprintf("instance_ids = [%q]\ndocument_name = \"AWS-RunShellScript\"\nparameters = { commands = [\"true\"] }\nregion = \"eu-west-1\"", ids[0])))
			// The agents are in the first region only.
			contains(t, w.applyFails(invoke), ids[0]+" does not exist in eu-west-1")
			w.write(inUse + strings.ReplaceAll(shell("true", ids[0]), "parameters", "region = \"us-east-1\"\nparameters"))
			w.env = append(w.env, "AWS_REGION=eu-west-1")
			contains(t, w.apply(invoke), "Succeeded on 1 instance", "--region us-east-1")
		})
		t.Run("bucket", func(t *testing.T) {
			t.Parallel()
			body := fmt.Sprintf("instance_ids = [%q]\ndocument_name = \"AWS-RunShellScript\"\nparameters = { commands = [\"echo to the bucket\"] }\noutput_s3_bucket = ", ids[0])
			w := newWorkspace(t, attachedEnv, inUse+actionBlock(body+`"logs"`))
			id := commandID(t, w.apply(invoke))
			if i := invocationOf(t.Context(), t, client, id, ids[0]); !strings.Contains(*i.StandardOutputUrl, "logs") {
				t.Errorf("the output is at %q", *i.StandardOutputUrl)
			}
			w.write(inUse + actionBlock(body+`"no-such-bucket"`))
			contains(t, w.applyFails(invoke), "output_s3_bucket: bucket \"no-such-bucket\" does not exist")
		})
		t.Run("unknown at plan", func(t *testing.T) {
			t.Parallel()
			ran := filepath.Join(t.TempDir(), "ran")
			w := newWorkspace(t, attachedEnv, inUse+fmt.Sprintf(`
resource "terraform_data" "made" {
  input = { id = %q, document = "AWS-RunShellScript", command = "echo late > %s", bucket = "logs", region = "us-east-1", timeout = 60, wait = "10s" }
}
action "aws_ssm_send_command" "x" {
  config {
    instance_ids       = [terraform_data.made.output.id]
    document_name      = terraform_data.made.output.document
    parameters         = { commands = [terraform_data.made.output.command] }
    output_s3_bucket   = terraform_data.made.output.bucket
    region             = terraform_data.made.output.region
    timeout            = terraform_data.made.output.timeout
    wait_for_instances = terraform_data.made.output.wait
  }
}
resource "terraform_data" "t" {
  input = terraform_data.made.output.id
  lifecycle {
    action_trigger {
      events  = [after_create]
      actions = [action.aws_ssm_send_command.x]
    }
  }
}
`, ids[0], ran))
			contains(t, w.apply(), "Succeeded on 1 instance")
			if _, err := os.Stat(ran); err != nil {
				t.Error(err)
			}
		})
		t.Run("beside the AWS provider", func(t *testing.T) {
			t.Parallel()
			w := newWorkspace(t, svc.Env(), fmt.Sprintf(`
terraform {
  required_providers {
    aws    = { source = "example/aws" }
    ssmrun = { source = "ssmrun/ssmrun" }
  }
}
provider "ssmrun" {
  alias  = "named"
  region = "us-east-1"
}
resource "aws_instance" "example" {
  boots = %[1]q
  lifecycle {
    action_trigger {
      events  = [after_create]
      actions = [action.aws_ssm_send_command.x]
    }
  }
}
action "aws_ssm_send_command" "x" {
  provider = ssmrun
  config {
    instance_ids  = [aws_instance.example.id]
    document_name = "AWS-RunShellScript"
    parameters    = { commands = ["true"] }
  }
}
action "aws_ssm_send_command" "named" {
  provider = ssmrun.named
  config {
    instance_ids  = [%[1]q]
    document_name = "AWS-RunShellScript"
    parameters    = { commands = ["true"] }
  }
}
`, ids[0]))
			contains(t, w.apply(), "Succeeded on 1 instance", "Resources: 1 added", "Actions: 1 invoked")
			contains(t, w.apply("-invoke=action.aws_ssm_send_command.named"), "Succeeded on 1 instance")
		})
		t.Run("init from a mirror", func(t *testing.T) {
			t.Parallel()
			w := newWorkspace(t, svc.Env(), inUse+shell("true", ids[0]))
			mirror := filepath.Join(t.TempDir(), "mirror")
			folder := filepath.Join(mirror, "registry.terraform.io", "ssmrun", "ssmrun", "0.1.0", runtime.GOOS+"_"+runtime.GOARCH)
			if err := os.MkdirAll(folder, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(testenv.Binary(t, "terraform-provider-ssmrun"), filepath.Join(folder, "terraform-provider-ssmrun_v0.1.0")); err != nil {
				t.Fatal(err)
			}
			testenv.WriteFile(t, filepath.Join(w.dir, "terraform.rc"), fmt.Sprintf("provider_installation {\n  filesystem_mirror { path = %q }\n}\n", mirror), 0o600)
			if out, code := w.run("init", "-no-color"); code != 0 {
				t.Fatalf("terraform init: exit %d\n%s", code, out)
			}
			contains(t, w.apply(invoke), "Succeeded on 1 instance")
		})
		t.Run("bad input", func(t *testing.T) {
			t.Parallel()
			badInput(t, svc)
		})
	})
}

// TestDocumentMadeBeforeApply plans while a document is not there, and applies
// the plan when it is.
func TestDocumentMadeBeforeApply(t *testing.T) {
	t.Parallel()
	terraform(t)
	data := filepath.Join(t.TempDir(), "data")
	svc := testenv.Start(t, testenv.Options{Agents: 1, Data: data})
	w := newWorkspace(t, svc.Env(), inUse+actionBlock(fmt.Sprintf("instance_ids = [%q]\ndocument_name = \"made-later\"\nparameters = { name = \"you\" }", svc.InstanceIDs[0]))+trigger)
	out, code := w.run("plan", "-no-color", "-out=plan")
	if code != 0 {
		t.Fatalf("terraform plan: exit %d\n%s", code, out)
	}
	contains(t, out, "Warning: ", "Check document_name", "Document \"made-later\" does not exist in us-east-1", "checked again when the action runs")

	svc.Stop()
	svc = testenv.Start(t, testenv.Options{
		Agents: 1, Data: data, Args: []string{"--listen", strings.TrimPrefix(svc.Endpoint, "http://")},
		Documents: map[string]string{"made-later.json": `{
  "schemaVersion": "2.2", "description": "made later",
  "parameters": {"name": {"type": "String", "description": "whom to greet"}},
  "mainSteps": [{"action": "aws:runShellScript", "name": "greet", "inputs": {"runCommand": ["echo hello {{ name }}"]}}]
}`},
	})
	out, code = w.run("apply", "-no-color", "plan")
	if code != 0 {
		t.Fatalf("terraform apply: exit %d\n%s", code, out)
	}
	contains(t, out, "Succeeded on 1 instance")
	id, plugin := commandID(t, out), "greet"
	i, err := svc.SSM().GetCommandInvocation(testenv.Context(t), &ssm.GetCommandInvocationInput{CommandId: &id, InstanceId: &svc.InstanceIDs[0], PluginName: &plugin})
	if err != nil || *i.StandardOutputContent != "hello you\n" {
		t.Errorf("the document said %+v, %v", i, err)
	}
}
