package runner

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	smithyhttp "github.com/aws/smithy-go/transport/http"

	"ssmrun"
)

const commandID = "9d2c8e0a-5b1f-4c7d-8f60-2a4be1c3d905"

// failedInstance is one whose script ended with exit.
func failedInstance(n, exit int, stdout, stderr string) InstanceResult {
	return InstanceResult{
		ID: id(n), Name: fmt.Sprintf("web-%d", n), CommandID: commandID, State: failedState, ExitCode: exit,
		Plugins: []PluginResult{{Name: "aws:runShellScript", State: failedState, ExitCode: exit, Stdout: Stream{Head: stdout}, Stderr: Stream{Head: stderr}}},
	}
}

func stateInstance(n int, status ssmrun.Status, details ssmrun.Details) InstanceResult {
	return InstanceResult{ID: id(n), Name: fmt.Sprintf("web-%d", n), CommandID: commandID, State: ssmrun.State{Status: status, Details: details}, ExitCode: -1}
}

func result(list ...InstanceResult) *Result {
	return &Result{Commands: []Command{{ID: commandID, State: failedState}}, Document: "AWS-RunShellScript", Region: "eu-west-1", Instances: list}
}

const invoke = "Terraform does not run an action again by itself. To run it again:\n    terraform apply -invoke=action.aws_ssm_send_command.deploy"

func TestReports(t *testing.T) {
	t.Parallel()
	ok := stateInstance(90, ssmrun.Success, ssmrun.DetailsSuccess)
	agent := "failed to run commands: exit status 3"
	var many []InstanceResult
	for n := range 30 {
		many = append(many, failedInstance(n+1, 1, "", "E: Unable to locate package ngnix\n"+agent))
	}
	many[7] = failedInstance(8, 100, "", "dpkg was interrupted\n"+agent)
	many[9] = stateInstance(10, ssmrun.TimedOut, ssmrun.DetailsDeliveryTimedOut)
	many[19] = stateInstance(20, ssmrun.TimedOut, ssmrun.DetailsDeliveryTimedOut)
	var distinct []InstanceResult
	for n := range 25 {
		distinct = append(distinct, failedInstance(n+1, n+1, "", fmt.Sprintf("failure %d\n", n)))
	}
	lines := ""
	for n := range 40 {
		lines += fmt.Sprintf("step %d of 40\n", n+1)
	}
	killed := failedInstance(1, 137, "working\n", "")
	killed.State = ssmrun.State{Status: ssmrun.TimedOut, Details: ssmrun.DetailsExecutionTimedOut}
	noisy := failedInstance(2, 2, "\x1b[31mcompiling\x1b[0m\rlinking\x07\n\x1b]0;title\x07done\n", agent)
	cut := failedInstance(3, 1, "", "begin\nmiddle")
	cut.Plugins[0].Stderr.Cut = true
	bucket := result(cut)
	bucket.Output = ssmrun.OutputLocation{Bucket: "logs", Prefix: "runs"}
	unsent := InstanceResult{ID: id(51), ExitCode: -1, State: ssmrun.NewState, Problem: "not sent: Systems Manager refuses the instances (InvalidInstanceId)"}
	trace := stateInstance(4, ssmrun.Failed, ssmrun.DetailsFailed)
	trace.Trace = "plugin aws:nonsense is not known\n"
	local := result(failedInstance(1, 3, "", agent))
	local.Endpoint, local.Region = "http://127.0.0.1:8440", "us-east-1"

	for _, test := range []struct {
		name string
		err  error
		opts ReportOptions
	}{
		{"failed-one", &RunError{result(ok, failedInstance(1, 3, "configuring\nchecking\n", lines+agent), ok)}, ReportOptions{Footer: invoke}},
		{"failed-local", &RunError{local}, ReportOptions{Footer: invoke}},
		{"failed-folded", &RunError{result(many...)}, ReportOptions{}},
		{"failed-distinct", &RunError{result(distinct...)}, ReportOptions{}},
		{"failed-kinds", &RunError{result(killed, noisy, cut, trace, unsent, stateInstance(5, ssmrun.Failed, ssmrun.DetailsUndeliverable))}, ReportOptions{}},
		{"failed-cut", &RunError{bucket}, ReportOptions{}},
		{"invalid", &ValidationError{[]Problem{
			{FieldInstanceIDs, id(1), id(1) + " is stopped", "Start it first"},
			{FieldInstanceIDs, id(2), id(2) + " is stopped", "Start it first"},
			{FieldInstanceIDs, id(3), id(3) + " is not registered with Systems Manager in eu-west-1 (EC2 says running), after waiting 5m for it", adviceRegister},
			{FieldDocumentVersion, "7", `document "Mine" has no version 7`, "List its versions with: aws ssm list-document-versions --name Mine"},
		}}, ReportOptions{}},
		{"unreachable", New(Config{Endpoint: "http://127.0.0.1:8440"}).callError("DescribeDocument", &smithyhttp.RequestSendError{Err: &url.Error{
			Op: "Post", URL: "http://127.0.0.1:8440/", Err: &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)},
		}}), ReportOptions{}},
		{"ambiguous", &AmbiguousSendError{Token: "ssmrun:TOKEN", Document: "AWS-RunShellScript", Instances: 3, Cause: "http://127.0.0.1:8440: connection reset by peer", Check: `aws --region eu-west-1 ssm list-commands --filters key=InvokedAfter,value=2026-11-22T10:00:00Z --query "Commands[?contains(Comment,'ssmrun:TOKEN')]"`}, ReportOptions{}},
		{"cancelled", &CancelledError{Result: result(stateInstance(1, ssmrun.Cancelled, ssmrun.DetailsCancelled), stateInstance(2, ssmrun.InProgress, ssmrun.DetailsInProgress)), Running: []string{id(2)}}, ReportOptions{Footer: invoke}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			title, detail := Explain(test.err, test.opts)
			if strings.ContainsAny(title, "\n") || strings.HasSuffix(title, ".") {
				t.Errorf("title %q", title)
			}
			for line := range strings.SplitSeq(detail, "\n") {
				if line != strings.TrimRight(line, " ") {
					t.Errorf("blanks at the end of %q", line)
				}
			}
			golden(t, test.name+".golden", title+"\n\n"+detail+"\n")
		})
	}
}

// However much failed: in bounds, valid, and with the caller's advice.
func TestReportsAreBounded(t *testing.T) {
	t.Parallel()
	wide := strings.Repeat("日本語 ", 90) + "\n"
	for _, test := range []struct{ instances, bytes int }{{20, 32 << 10}, {100, 32 << 10}, {800, 32 << 10}, {100, 2 << 10}, {5, 700}} {
		var list []InstanceResult
		for n := range test.instances {
			list = append(list, failedInstance(n+1, n%200+1, "", strings.Repeat(wide, 30)+fmt.Sprint("failure ", n)))
		}
		_, detail := Explain(&RunError{result(list...)}, ReportOptions{Bytes: test.bytes, Footer: invoke})
		if len(detail) > test.bytes || !utf8.ValidString(detail) || !strings.HasSuffix(detail, invoke) || !strings.HasPrefix(detail, id(1)) {
			t.Errorf("%+v: %d bytes, ends %q", test, len(detail), detail[max(0, len(detail)-80):])
		}
	}
}

func TestProgressTexts(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	for _, e := range []Event{
		WaitingForInstances{Missing: []Awaited{{id(1), "offline"}, {id(2), "not registered"}, {id(3), "offline"}}, Elapsed: 15 * time.Second, Limit: 5 * time.Minute},
		Validated{Instances: 1, Document: "AWS-RunShellScript"},
		Sent{CommandIDs: []string{commandID}, Instances: 3, Document: "AWS-RunShellScript"},
		Sent{CommandIDs: []string{commandID}, Instances: 1, Document: "AWS-RunShellScript", Adopted: true},
		Sent{CommandIDs: []string{commandID, commandID}, Instances: 70, Document: "AWS-RunShellScript"},
		Progress{Counts: Counts{Target: 3, Completed: 1}, Elapsed: 3200 * time.Millisecond, Changed: true},
		Progress{Counts: Counts{Target: 3, Completed: 2, Errors: 1, DeliveryTimedOut: 1}, Elapsed: 33 * time.Second},
		InstanceDone{Instance: failedInstance(1, 3, "secret", "")},
		InstanceDone{Instance: stateInstance(2, ssmrun.Success, ssmrun.DetailsSuccess)},
		Notice{Text: "a notice"},
	} {
		b.WriteString(e.String() + "\n")
	}
	res := result(stateInstance(1, ssmrun.Success, ssmrun.DetailsSuccess))
	res.Started, res.Ended = time.Unix(100, 0), time.Unix(104, 250e6)
	b.WriteString(SuccessText(res) + "\n")
	golden(t, "progress.golden", b.String())
}

func FuzzPrintable(f *testing.F) {
	for _, s := range []string{"plain", "\x1b[31mred\x1b[0m", "a\rb", "\x9b31m", "\x1b]0;t\x07x", strings.Repeat("ü", 900), "tab\there", "\xff\xfe"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := printable(s)
		if utf8.RuneCountInString(got) > maxLine {
			t.Errorf("%d characters", utf8.RuneCountInString(got))
		}
		for _, r := range got {
			if r != '\t' && unicode.IsControl(r) {
				t.Errorf("%q holds %U", got, r)
			}
		}
	})
}

func FuzzSplitJoined(f *testing.F) {
	f.Add("out", "err")
	f.Add("", "")
	f.Add(strings.Repeat("x", 3000), "err")
	f.Add("a"+ssmrun.Separator, "b")
	f.Fuzz(func(t *testing.T, out, err string) {
		out, err = strings.ToValidUTF8(out, "?"), strings.ToValidUTF8(err, "?")
		joined := ssmrun.Join(out, err)
		stdout, stderr, doubtful := splitJoined(joined)
		if !doubtful && (stdout.Head != out || stderr.Head != err) && !strings.HasSuffix(joined, ssmrun.MarkJoined) && !strings.Contains(out, ssmrun.Separator) {
			t.Errorf("%q and %q became %q and %q", out, err, stdout.Head, stderr.Head)
		}
		if doubtful && stdout.Cut && stderr.Cut {
			t.Error("both cut")
		}
	})
}
