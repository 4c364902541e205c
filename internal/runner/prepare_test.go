package runner

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/google/go-cmp/cmp"

	"ssmrun"
)

// problem is what a ValidationError says, in short.
func problems(err error) []string {
	var e *ValidationError
	if !errors.As(err, &e) {
		return nil
	}
	var list []string
	for _, p := range e.Problems {
		list = append(list, p.String())
	}
	return list
}

func TestRefusedBeforeTheSend(t *testing.T) {
	t.Parallel()
	mi := "mi-0123456789abcdef0"
	for _, test := range []struct {
		name  string
		prep  func(*farEnd)
		req   func(*Request)
		field Field
		texts []string
		took  time.Duration
	}{
		{
			name: "an id that nobody knows", req: func(r *Request) { r.InstanceIDs = []string{id(1), id(9)} }, field: FieldInstanceIDs,
			texts: []string{id(9) + " does not exist in us-east-1", "Check the id"},
		},
		{
			name: "stopped", prep: func(f *farEnd) { f.ec2[id(9)] = "stopped" }, req: func(r *Request) { r.InstanceIDs = []string{id(9)} }, field: FieldInstanceIDs,
			texts: []string{id(9) + " is stopped", "Start it"},
		},
		{
			name: "terminated", prep: func(f *farEnd) { f.ec2[id(9)] = "terminated" }, req: func(r *Request) { r.InstanceIDs = []string{id(9)} }, field: FieldInstanceIDs,
			texts: []string{id(9) + " is terminated"},
		},
		{
			name: "a machine that is not registered", req: func(r *Request) { r.InstanceIDs = []string{mi} }, field: FieldInstanceIDs,
			texts: []string{mi + " is not registered with Systems Manager in us-east-1"},
		},
		{
			name: "offline and stopped", prep: func(f *farEnd) { f.instances[0].ping = ssmrun.ConnectionLost; f.ec2[id(1)] = "stopped" }, field: FieldInstanceIDs,
			texts: []string{id(1) + " is stopped"},
		},
		{
			name: "offline, a minute", prep: func(f *farEnd) { f.instances[0].ping = ssmrun.ConnectionLost; f.ec2[id(1)] = "running" }, field: FieldInstanceIDs,
			texts: []string{id(1) + " is offline", "last heard of 3m ago", "after waiting 1m"}, took: time.Minute,
		},
		{
			name: "offline, no waiting", prep: func(f *farEnd) { f.instances[0].ping = ssmrun.ConnectionLost; f.ec2[id(1)] = "running" }, req: func(r *Request) { r.WaitForInstances = 0 }, field: FieldInstanceIDs,
			texts: []string{id(1) + " is offline"},
		},
		{
			name: "never registered", prep: func(f *farEnd) { f.ec2[id(9)] = "running" }, req: func(r *Request) { r.InstanceIDs = []string{id(9)} }, field: FieldInstanceIDs,
			texts: []string{id(9) + " is not registered", "EC2 says running", "after waiting 5m", "AmazonSSMManagedInstanceCore"}, took: 5 * time.Minute,
		},
		{
			name: "never registered, EC2 may not be asked", prep: func(f *farEnd) { f.ec2 = nil }, req: func(r *Request) { r.InstanceIDs = []string{id(9)} }, field: FieldInstanceIDs,
			texts: []string{id(9) + " is not registered", "EC2 could not be asked (UnauthorizedOperation"}, took: 5 * time.Minute,
		},
		{name: "terminated while waited for", prep: func(f *farEnd) {
			f.ec2[id(9)] = "pending"
			time.AfterFunc(30*time.Second, func() { f.mu.Lock(); f.ec2[id(9)] = "terminated"; f.mu.Unlock() })
		}, req: func(r *Request) { r.InstanceIDs = []string{id(9)} }, field: FieldInstanceIDs, texts: []string{id(9) + " is terminated"}, took: 30 * time.Second},
		{
			name: "another platform", prep: func(f *farEnd) { f.instances[0].platform = "Windows" }, field: FieldInstanceIDs,
			texts: []string{id(1) + ` runs Windows, and document "AWS-RunShellScript" is for Linux and MacOS`},
		},
		{
			name: "no such document", req: func(r *Request) { r.Document = "Nope" }, field: FieldDocument,
			texts: []string{`document "Nope" does not exist in us-east-1`, "Check the name"},
		},
		{
			name: "no such version", req: func(r *Request) { r.DocumentVersion = "7" }, field: FieldDocumentVersion,
			texts: []string{"has no version 7"},
		},
		{
			name: "an Automation document", prep: func(f *farEnd) { f.documents["AWS-RestartEC2Instance"] = farDocument{kind: "Automation"} },
			req: func(r *Request) { r.Document = "AWS-RestartEC2Instance" }, field: FieldDocument, texts: []string{"is of type Automation", "Systems Manager Automation"},
		},
		{
			name: "a document that failed", prep: func(f *farEnd) { f.documents["Mine"] = farDocument{status: "Failed"} },
			req: func(r *Request) { r.Document = "Mine" }, field: FieldDocument, texts: []string{"could not be created: its content is wrong"},
		},
		{
			name: "a document that is never ready", prep: func(f *farEnd) { f.documents["Mine"] = farDocument{status: "Creating"} },
			req: func(r *Request) { r.Document = "Mine" }, field: FieldDocument, texts: []string{"still being created"}, took: documentPatience,
		},
		{
			name: "an unknown parameter", req: func(r *Request) { r.Parameters["comands"] = "secret-value" }, field: FieldParameters,
			texts: []string{`"comands"`, `did you mean "commands"`},
		},
		{name: "a missing parameter", req: func(r *Request) { r.Parameters = nil }, field: FieldParameters, texts: []string{`"commands"`, "required"}},
		{
			name: "a value that does not match", req: func(r *Request) { r.Parameters["executionTimeout"] = "secret-value" }, field: FieldParameters,
			texts: []string{`"executionTimeout"`, "allowed pattern"},
		},
		{name: "no such bucket", req: func(r *Request) { r.OutputBucket = "logs" }, field: FieldOutputBucket, texts: []string{`bucket "logs" does not exist`}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := bubbleEnd(t, id(1))
				if test.prep != nil {
					test.prep(f)
				}
				req := request(id(1))
				req.WaitForInstances = DefaultWaitForInstances
				if test.req != nil {
					test.req(&req)
				}
				start := time.Now()
				res, d, err := runBubble(t, f, req)
				list := problems(err)
				if len(list) != 1 || res != nil || !strings.HasPrefix(list[0], string(test.field)+": ") {
					t.Fatalf("got %v, %v", res, err)
				}
				title, detail := Explain(err, ReportOptions{})
				for _, s := range test.texts {
					if !strings.Contains(list[0], s) || !strings.Contains(detail, s) {
						t.Errorf("%q lacks %q; explained as %q: %q", list[0], s, title, detail)
					}
				}
				if strings.Contains(list[0]+detail+d.String(), "secret-value") {
					t.Errorf("a value is shown: %q %q", list[0], detail)
				}
				if took := time.Since(start); took < test.took || took > test.took+6*time.Second {
					t.Errorf("took %s, want %s", took, test.took)
				}
				if n := len(f.made("SendCommand")); n != 0 {
					t.Errorf("SendCommand was called %d times", n)
				}
			})
		})
	}
}

// Whatever is wrong is said at once.
func TestAllProblemsTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := bubbleEnd(t, id(1))
		req := request(id(1), id(8), id(9))
		req.Parameters["nope"], req.OutputBucket = 1, "logs"
		_, _, err := runBubble(t, f, req)
		if got := problems(err); len(got) != 4 {
			t.Errorf("%d problems: %q", len(got), got)
		}
	})
}

func TestWaitForInstances(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := bubbleEnd(t, ids(3)...)
		f.plans[""] = plan{end: time.Second}
		f.ec2[id(2)], f.ec2[id(3)] = "pending", "running"
		f.instances[1].from = 50 * time.Second
		f.instances[2].ping = ssmrun.ConnectionLost
		time.AfterFunc(20*time.Second, func() { f.mu.Lock(); f.instances[2].ping = ""; f.mu.Unlock() })
		time.AfterFunc(25*time.Second, func() { f.mu.Lock(); f.ec2[id(2)] = "running"; f.mu.Unlock() })
		req := request(ids(3)...)
		req.WaitForInstances, req.Timeout = 2*time.Minute, time.Minute
		_, d, err := runBubble(t, f, req)
		if err != nil {
			t.Fatal(err)
		}
		golden(t, "waiting.golden", d.String())
		if in := f.made("SendCommand")[0].in; in["TimeoutSeconds"] != 60.0 {
			t.Errorf("the wait is part of the timeout: %v", in["TimeoutSeconds"])
		}
	})
}

// The instances cannot be looked at for a while.
func TestWaitSurvivesAnOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := bubbleEnd(t, id(1))
		f.instances[0].from = 20 * time.Second
		f.ec2[id(1)] = "pending"
		f.spoil("DescribeInstanceInformation", append([]spoiler{nil}, times(6, refuseWith(500, "InternalServerError"))...)...)
		req := request(id(1))
		req.WaitForInstances = time.Minute
		if _, _, err := runBubble(t, f, req); err != nil {
			t.Fatal(err)
		}
	})
}

func TestPagesOfInstances(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := bubbleEnd(t, ids(64)...)
		f.pageLimit, f.emptyPage = 7, true
		r := New(f.config(t))
		all, err := r.Instances(context.Background())
		if err != nil || len(all) != 64 {
			t.Fatalf("%d instances, %v", len(all), err)
		}
		if _, err := r.Run(context.Background(), request(ids(64)...), nil); err != nil {
			t.Fatal(err)
		}
	})
}

func TestDocumentThatIsBeingCreated(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := bubbleEnd(t, id(1))
		f.documents["Mine"] = farDocument{content: scriptDocument, readyAfter: 3}
		f.spoil("GetDocument", times(3, refuseWith(400, "InvalidDocument"))...) // its content comes last
		req := request(id(1))
		req.Document = "Mine"
		if _, _, err := runBubble(t, f, req); err != nil {
			t.Fatal(err)
		}
	})
}

// A caller with the least permissions.
func TestDeniedChecksAreLeftOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := bubbleEnd(t, id(1))
		f.ec2 = nil
		f.buckets["logs"] = "403"
		f.spoil("DescribeDocument", refuseWith(400, "AccessDeniedException"))
		f.spoil("GetDocument", refuseWith(400, "AccessDeniedException"))
		req := request(id(1))
		req.OutputBucket = "logs"
		req.Parameters = map[string]any{"commands": []any{"true"}, "count": 3, "map": map[string]any{"a": "b"}}
		res, d, err := runBubble(t, f, req)
		if err != nil {
			t.Fatal(err)
		}
		p := f.made("SendCommand")[0].in["Parameters"].(map[string]any)
		if diff := cmp.Diff([]string{"3", `{"a":"b"}`}, append(texts(p["count"]), texts(p["map"])...)); diff != "" {
			t.Errorf("parameters (-want +got)\n%s", diff)
		}
		if n := events[Notice](d); len(n) != 1 || !strings.Contains(n[0].Text, `bucket "logs" may not be looked at (403)`) {
			t.Errorf("notices %v", n)
		}
		if len(res.Instances) != 1 {
			t.Errorf("%+v", res)
		}
	})
}

func TestCallsThatFailBeforeTheSend(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		faults []spoiler
		refuse int32
		config func(*Config, *farEnd)
		kind   Kind
		text   string
	}{
		{name: "nobody there", refuse: 1000, kind: KindUnreachable, text: "http://far.end: connection refused"},
		{name: "no answer", faults: times(5, hang(false)), kind: KindUnreachable, text: "no answer in time"},
		{name: "not allowed", faults: times(5, refuseWith(400, "AccessDeniedException")), kind: KindDenied, text: "Let the caller do ssm:DescribeInstanceInformation"},
		{name: "unknown key", faults: times(5, refuseWith(400, "UnrecognizedClientException")), kind: KindCredentials, text: "Check the access key"},
		{name: "throttled", faults: times(5, throttle), kind: KindNotSent, text: "try again later"},
		{name: "no credentials", config: func(c *Config, f *farEnd) {
			c.SSM = ssm.New(ssm.Options{Region: "us-east-1", BaseEndpoint: &f.url, HTTPClient: f.http(nil), Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
				return aws.Credentials{}, errors.New("no EC2 IMDS role found")
			})})
		}, kind: KindCredentials, text: "there are no usable credentials"},
		{name: "no region", config: func(c *Config, f *farEnd) {
			c.SSM = ssm.New(ssm.Options{HTTPClient: f.http(nil), Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
				return aws.Credentials{AccessKeyID: "A", SecretAccessKey: "B"}, nil
			})})
		}, kind: KindInvalid, text: "no region is set"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := bubbleEnd(t, id(1))
				f.spoil("DescribeInstanceInformation", test.faults...)
				f.net.refuse.Store(test.refuse)
				c := f.config(t)
				if test.config != nil {
					test.config(&c, f)
				}
				res, err := New(c).Run(context.Background(), request(id(1)), nil)
				if res != nil || KindOf(err) != test.kind {
					t.Fatalf("kind %d: %v", KindOf(err), err)
				}
				title, detail := Explain(err, ReportOptions{})
				if !strings.Contains(title+detail, test.text) || !strings.HasPrefix(title, "Nothing was sent") {
					t.Errorf("explained as %q: %q", title, detail)
				}
			})
		})
	}
}

func TestOneBadIDDoesNotHideTheOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := bubbleEnd(t)
		f.ec2[id(1)], f.ec2[id(2)] = "running", "stopped"
		_, _, err := runBubble(t, f, request(ids(4)...))
		want := []string{" is not registered", " is stopped", " does not exist", " does not exist"}
		got := problems(err)
		if len(got) != len(want) {
			t.Fatalf("%q", got)
		}
		for i := range want {
			if !strings.Contains(got[i], want[i]) {
				t.Errorf("%q lacks %q", got[i], want[i])
			}
		}
	})
}

func TestPreflight(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := bubbleEnd(t, id(1))
		req := request(id(1), id(9))
		req.Timeout, req.OutputBucket = 2*time.Hour, "logs"
		req.Parameters["nope"] = "x"
		r := New(f.config(t))
		var got []Field
		for _, p := range r.Preflight(context.Background(), req) {
			got = append(got, p.Field)
		}
		if diff := cmp.Diff([]Field{FieldInstanceIDs, FieldParameters, FieldTimeout, FieldOutputBucket}, got); diff != "" {
			t.Errorf("problems (-want +got)\n%s", diff)
		}
		for _, skip := range []Field{FieldInstanceIDs, FieldParameters, FieldTimeout, FieldOutputBucket} {
			for _, p := range r.Preflight(context.Background(), req, skip) {
				if p.Field == skip {
					t.Errorf("%s is not known yet: %s", skip, p)
				}
			}
		}
		if p := r.Preflight(context.Background(), req, FieldDocument); len(p) != 2 {
			t.Errorf("without the document: %v", p)
		}
		if n := len(f.made("SendCommand")); n != 0 {
			t.Error("something was sent")
		}
		// What cannot be asked is no warning.
		f.net.hangUp()
		f.net.refuse.Store(1000)
		for _, p := range r.Preflight(context.Background(), req) {
			if p.Field != FieldOutputBucket {
				t.Errorf("offline: %s", p)
			}
		}
	})
}

func TestEarlyEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := bubbleEnd(t, id(1))
		r := New(f.config(t))
		for _, test := range []struct {
			timeout   time.Duration
			execution any
			want      string
		}{
			{30 * time.Minute, nil, ""},
			{2 * time.Hour, nil, "timeout is 2h, but its default executionTimeout ends the script after 1h"},
			{30 * time.Minute, 600, "timeout is 30m, but the parameter executionTimeout ends the script after 10m"},
			{30 * time.Minute, "1800", ""},
			{0, 60, "timeout is 30m"},
		} {
			req := request(id(1))
			req.Timeout = test.timeout
			req.Parameters["executionTimeout"] = test.execution
			got := r.Preflight(context.Background(), req)
			switch {
			case test.want == "" && len(got) > 0:
				t.Errorf("%+v: %v", test, got)
			case test.want != "" && (len(got) != 1 || !strings.Contains(got[0].Summary, test.want)):
				t.Errorf("%+v: %v", test, got)
			}
		}
	})
}

var _ http.Handler = (*farEnd)(nil)
