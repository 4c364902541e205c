package runner

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"ssmrun"
)

var failedState = ssmrun.State{Status: ssmrun.Failed, Details: ssmrun.DetailsFailed}

func TestOutputsInFull(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("0123456789abcde\n", 400) // 6,400 characters
	for _, test := range []struct {
		name    string
		plan    plan
		outputs Outputs
		calls   int
		stdout  string
		stderr  string
		cut     [2]bool
	}{
		{name: "the list has it all", plan: plan{out: "a\n", err: "b\n"}, outputs: OutputsOfAll, stdout: "a\n", stderr: "b\n"},
		{name: "long", plan: plan{out: long, err: "b\n"}, outputs: OutputsOfAll, calls: 1, stdout: long, stderr: "b\n"},
		{name: "long, success, not asked for", plan: plan{out: long, err: "b\n"}, stdout: long[:2477], cut: [2]bool{true, false}},
		{name: "long, failed", plan: plan{out: long, err: "b\n", state: failedState, exit: 1}, calls: 1, stdout: long, stderr: "b\n"},
		{name: "the separator in the output", plan: plan{out: "a" + ssmrun.Separator + "c", err: "b", state: failedState, exit: 1}, calls: 1, stdout: "a" + ssmrun.Separator + "c", stderr: "b"},
		{
			name: "longer than Run Command keeps", plan: plan{out: strings.Repeat(long, 5), err: strings.Repeat(long, 2), state: failedState, exit: 1}, calls: 1,
			stdout: strings.Repeat(long, 5)[:24000-len(ssmrun.MarkStream)], stderr: strings.Repeat(long, 2)[:8000-len(ssmrun.MarkStream)], cut: [2]bool{true, true},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := bubbleEnd(t, id(1))
				test.plan.end = time.Second
				f.plans[""] = test.plan
				req := request(id(1))
				req.Outputs = test.outputs
				// AWS: the list has the result before this call does.
				f.spoil("GetCommandInvocation", refuseWith(400, "InvocationDoesNotExist"))
				res, _, err := runBubble(t, f, req)
				if err != nil && KindOf(err) != KindFailed {
					t.Fatal(err)
				}
				p := res.Instances[0].Plugins[0]
				if diff := cmp.Diff([]string{test.stdout, test.stderr}, []string{p.Stdout.Head, p.Stderr.Head}); diff != "" {
					t.Errorf("streams (-want +got)\n%s", diff)
				}
				if got := [2]bool{p.Stdout.Cut, p.Stderr.Cut}; got != test.cut {
					t.Errorf("cut %v, want %v", got, test.cut)
				}
				if n := len(f.made("GetCommandInvocation")); n != 2*test.calls {
					t.Errorf("%d calls of GetCommandInvocation, want %d", n, 2*test.calls)
				}
			})
		})
	}
}

func TestSeveralSteps(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := bubbleEnd(t, id(1))
		f.documents["Mine"] = farDocument{content: `{"schemaVersion":"2.2","mainSteps":[
			{"action":"aws:runShellScript","name":"prepare","inputs":{"runCommand":["true"]}},
			{"action":"aws:runShellScript","name":"install","inputs":{"runCommand":["false"]}},
			{"action":"aws:runShellScript","name":"cleanUp","inputs":{"runCommand":["true"]}}]}`}
		ok := ssmrun.State{Status: ssmrun.Success, Details: ssmrun.DetailsSuccess}
		f.plans[""] = plan{end: time.Second, state: failedState, steps: []step{ // AWS promises no order
			{name: "cleanUp", state: ok, out: "clean\n"},
			{name: "install", state: failedState, exit: 4, err: strings.Repeat("e", 3000) + "\nlast\n"},
			{name: "prepare", state: ok, out: "ready\n"},
		}}
		req := request(id(1))
		req.Document, req.Parameters = "Mine", nil
		res, _, err := runBubble(t, f, req)
		if _, ok := errors.AsType[*RunError](err); !ok {
			t.Fatal(err)
		}
		i := res.Instances[0]
		var names []string
		for _, p := range i.Plugins {
			names = append(names, p.Name)
		}
		if diff := cmp.Diff([]string{"prepare", "install", "cleanUp"}, names); diff != "" || i.ExitCode != 4 || i.Decisive().Name != "install" {
			t.Errorf("exit %d, steps (-want +got)\n%s", i.ExitCode, diff)
		}
		if calls := f.made("GetCommandInvocation"); len(calls) != 1 || calls[0].in["PluginName"] != "install" {
			t.Errorf("calls %v", calls)
		}
		if got := i.String(); got != id(1)+" (host-1): Failed, exit code 4, in step install" {
			t.Errorf("line %q", got)
		}
		if _, detail := Explain(err, ReportOptions{}); !strings.Contains(detail, "\n    last") {
			t.Errorf("report:\n%s", detail)
		}
	})
}

func TestOutputInS3(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := bubbleEnd(t, ids(4)...)
		f.region = "eu-west-1"
		f.buckets["logs"] = "eu-west-1"
		var b strings.Builder
		for n := range 4000 {
			fmt.Fprintf(&b, "line %d\n", n)
		}
		f.plans[id(1)] = plan{end: time.Second, out: "fine\n"}
		f.plans[id(2)] = plan{end: time.Second, out: "out\n", err: b.String(), state: failedState, exit: 1}
		f.plans[id(3)] = plan{end: time.Second, out: "lost\n"}
		f.plans[id(4)] = plan{end: time.Second}
		key := func(n int, stream string) string {
			return "logs/runs/00000001-0000-4000-8000-000000000001/" + id(n) + "/awsrunShellScript/0.awsrunShellScript/" + stream
		}
		f.objects[key(1, "stdout")] = "fine\n"
		f.objects[key(2, "stdout")] = "out\n"
		f.objects[key(2, "stderr")] = b.String()
		req := request(ids(4)...)
		req.OutputBucket, req.OutputPrefix = "logs", "runs"
		res, _, err := runBubble(t, f, req)
		if _, ok := errors.AsType[*RunError](err); !ok {
			t.Fatal(err)
		}
		if res.Output.Region != "eu-west-1" {
			t.Errorf("region %q", res.Output.Region)
		}
		one, two, three, four := res.Instances[0].Plugins[0], res.Instances[1].Plugins[0], res.Instances[2].Plugins[0], res.Instances[3].Plugins[0]
		if o := one.Stdout.Object; o == nil || o.State != ObjectPresent || o.Size != 5 || o.URL() != "s3://"+key(1, "stdout") || one.Stderr.Object != nil {
			t.Errorf("object %+v", o)
		}
		if o := three.Stdout.Object; o == nil || o.State != ObjectMissing || o.Cause == "" {
			t.Errorf("object %+v", o)
		}
		if four.Stdout.Object != nil || four.Stderr.Object != nil {
			t.Error("an empty stream is looked for")
		}
		if !two.Stderr.Cut || !strings.HasSuffix(two.Stderr.Tail, "line 3999\n") || len(two.Stderr.Tail) > tailBytes {
			t.Errorf("tail of %d bytes", len(two.Stderr.Tail))
		}
		if len(res.Warnings) != 1 || !strings.Contains(res.Warnings[0], "stdout of "+id(3)) || !strings.Contains(res.Warnings[0], "s3:PutObject") {
			t.Errorf("warnings %q", res.Warnings)
		}
		title, detail := Explain(err, ReportOptions{Lines: 3})
		golden(t, "s3.golden", title+"\n\n"+detail+"\n")
	})
}

func TestOutputsThatMayNotBeLookedAt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := bubbleEnd(t, ids(2)...)
		f.buckets["logs"] = "403"
		f.plans[""] = plan{end: time.Second, out: "x\n"}
		req := request(ids(2)...)
		req.OutputBucket = "logs"
		res, _, err := runBubble(t, f, req)
		if err != nil {
			t.Fatal(err)
		}
		if len(res.Warnings) != 1 || !strings.Contains(res.Warnings[0], "whether the output of 2 instances arrived in s3://logs could not be checked") {
			t.Errorf("warnings %q", res.Warnings)
		}
	})
}

// Of a long output that nobody asked for, the list shows only stdout: whether
// there is a stderr is not known, so a missing one is no loss.
func TestStreamThatMayBeEmpty(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := bubbleEnd(t, id(1))
		f.buckets["logs"] = "us-east-1"
		f.plans[""] = plan{end: time.Second, out: strings.Repeat("x", 5000)}
		f.objects["logs/00000001-0000-4000-8000-000000000001/"+id(1)+"/awsrunShellScript/0.awsrunShellScript/stdout"] = "x"
		req := request(id(1))
		req.OutputBucket = "logs"
		res, _, err := runBubble(t, f, req)
		if err != nil || len(res.Warnings) > 0 || res.Instances[0].Plugins[0].Stderr.Object != nil {
			t.Errorf("%v, warnings %q", err, res.Warnings)
		}
		f.objects["logs/00000002-0000-4000-8000-000000000002/"+id(1)+"/awsrunShellScript/0.awsrunShellScript/stderr"] = "y"
		if res, _, err = runBubble(t, f, req); err != nil || res.Instances[0].Plugins[0].Stderr.Object == nil {
			t.Errorf("%v, a stderr that is there was not found", err)
		}
	})
}

func TestKeys(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ url, want string }{
		{"https://s3.eu-west-1.amazonaws.com/logs/a/b/stdout", "a/b/stdout"},
		{"https://logs.s3.eu-west-1.amazonaws.com/a/b/stdout", "a/b/stdout"},
		{"http://127.0.0.1:8440/logs/a%20b/stdout", "a b/stdout"},
		{"https://s3.eu-west-1.amazonaws.com/other/a/b/stdout", ""},
		{"", ""},
	} {
		if got := keyIn(test.url, "logs"); got != test.want {
			t.Errorf("%q: %q", test.url, got)
		}
	}
	x := New(Config{}).newRun(Request{}, nil)
	x.output = ssmrun.OutputLocation{Bucket: "logs", Prefix: "runs/"}
	i := &InstanceResult{ID: "i-1", CommandID: "c"}
	for _, test := range []struct{ name, want string }{
		{"aws:runShellScript", "runs/c/i-1/awsrunShellScript/0.awsrunShellScript/stdout"},
		{"install", "runs/c/i-1/awsrunShellScript/install/stdout"},
	} {
		if got := x.objectKey(i, &PluginResult{Name: test.name}, 0); got != test.want {
			t.Errorf("%s: %q", test.name, got)
		}
	}
}

func TestShowAndCancel(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := bubbleEnd(t, ids(2)...)
		f.plans[id(1)] = plan{end: time.Second, out: strings.Repeat("x", 5000)}
		f.plans[id(2)] = plan{begin: time.Second}
		c := f.config(t)
		r := New(c)
		req := request(ids(2)...)
		req.Timeout = time.Minute
		if _, err := r.Run(t.Context(), req, nil); KindOf(err) != KindTimeout {
			t.Fatal(err)
		}
		command := f.commands[0].id
		res, err := r.Show(t.Context(), command, OutputsOfAll)
		if err != nil {
			t.Fatal(err)
		}
		if res.CommandID() != command || len(res.Instances) != 2 || len(res.Instances[0].Plugins[0].Stdout.Head) != 5000 || res.Instances[1].State.Status != ssmrun.InProgress || res.Commands[0].State.Terminal() {
			t.Errorf("%+v", res)
		}
		if res, err = r.Cancel(t.Context(), command, []string{id(2)}, 10*time.Second); err != nil {
			t.Fatal(err)
		}
		if res.Instances[1].State.Status != ssmrun.Cancelled || res.Commands[0].State.Status != ssmrun.Cancelled {
			t.Errorf("%+v", res)
		}
		if _, err = r.Cancel(t.Context(), command, nil, 0); err != nil || len(f.made("CancelCommand")) != 1 {
			t.Errorf("a command that is over: %v, %d cancels", err, len(f.made("CancelCommand")))
		}
		for _, unknown := range []string{"00000009-0000-4000-8000-000000000009", "nonsense"} {
			if unknown == "nonsense" {
				f.spoil("ListCommands", refuseWith(400, "ValidationException"))
			}
			if _, err := r.Show(t.Context(), unknown, OutputsOfAll); KindOf(err) != KindInvalid || !strings.Contains(err.Error(), unknown) {
				t.Errorf("%s: %v", unknown, err)
			}
		}
	})
}
