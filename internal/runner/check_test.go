package runner

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ssmrun"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		req   func(*Request)
		field Field
		text  string
	}{
		{"nothing wrong", func(*Request) {}, "", ""},
		{"everything given", func(r *Request) {
			r.OutputBucket, r.OutputPrefix, r.OutputRegion = "logs", "a/b", "eu-west-1"
			r.MaxConcurrency, r.MaxErrors, r.Comment, r.DocumentVersion = "10%", "0", strings.Repeat("ü", MaxComment), "$LATEST"
			r.Document = "arn:aws:ssm:us-east-1:123456789012:document/Mine"
		}, "", ""},
		{"no ids", func(r *Request) { r.InstanceIDs = nil }, FieldInstanceIDs, "no instance ids are given"},
		{"malformed", func(r *Request) { r.InstanceIDs = []string{"web-1"} }, FieldInstanceIDs, `"web-1" is no instance id`},
		{"malformed, long", func(r *Request) { r.InstanceIDs = []string{strings.Repeat("x", 10_000)} }, FieldInstanceIDs, "xxx…"},
		{"twice", func(r *Request) { r.InstanceIDs = []string{id(1), id(2), id(1), id(1)} }, FieldInstanceIDs, "more than once"},
		{"no document", func(r *Request) { r.Document = "" }, FieldDocument, "no document is named"},
		{"bad document", func(r *Request) { r.Document = "my document" }, FieldDocument, `"my document" cannot be`},
		{"bad version", func(r *Request) { r.DocumentVersion = "latest" }, FieldDocumentVersion, `"latest" is no document version`},
		{"bad bucket", func(r *Request) { r.OutputBucket = "s3://Logs" }, FieldOutputBucket, `"s3://Logs"`},
		{"prefix alone", func(r *Request) { r.OutputPrefix = "a" }, FieldOutputPrefix, "without a bucket"},
		{"region alone", func(r *Request) { r.OutputRegion = "eu-west-1" }, FieldOutputRegion, "without a bucket"},
		{"bad region", func(r *Request) { r.OutputBucket, r.OutputRegion = "logs", "Europe" }, FieldOutputRegion, `"Europe" is no region`},
		{"negative timeout", func(r *Request) { r.Timeout = -time.Second }, FieldTimeout, "negative"},
		{"endless timeout", func(r *Request) { r.Timeout = 31 * 24 * time.Hour }, FieldTimeout, "30 days"},
		{"negative wait", func(r *Request) { r.WaitForInstances = -1 }, FieldWaitForInstances, "negative"},
		{"long comment", func(r *Request) { r.Comment = strings.Repeat("x", MaxComment+1) }, FieldComment, "67 characters"},
		{"bad concurrency", func(r *Request) { r.MaxConcurrency = "0" }, FieldMaxConcurrency, `"0" is neither`},
		{"bad errors", func(r *Request) { r.MaxErrors = "101%" }, FieldMaxErrors, `"101%" is neither`},
		{"a number for many", func(r *Request) { r.InstanceIDs, r.MaxErrors = ids(51), "3" }, FieldMaxErrors, "with 51 instances"},
		{"too large", func(r *Request) { r.Parameters["commands"] = strings.Repeat("secret", 1<<20) }, FieldParameters, "the parameters have 6291464 bytes"},
		{"no value", func(r *Request) { r.Parameters["x"] = []any{[]any{"secret"}} }, FieldParameters, `"x"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			req := request(id(1))
			test.req(&req)
			got := Check(req)
			if test.field == "" {
				if len(got) > 0 {
					t.Errorf("got %v", got)
				}
				return
			}
			if len(got) != 1 || got[0].Field != test.field || !strings.Contains(got[0].String(), test.text) || strings.Contains(got[0].String(), "secret") {
				t.Errorf("got %v", got)
			}
			if len(got) > 0 && len(got[0].String()) > 400 {
				t.Errorf("%d characters", len(got[0].String()))
			}
			if got := Check(req, test.field); len(got) != 0 {
				t.Errorf("not known yet: %v", got)
			}
		})
	}
	if n := len(Check(Request{Timeout: -1, WaitForInstances: -1})); n != 4 {
		t.Errorf("%d problems at once", n)
	}
}

func TestTokens(t *testing.T) {
	t.Parallel()
	a, b := newToken(), newToken()
	if a == b || len(a) != tokenLength || len(a)+1+MaxComment != ssmrun.MaxCommentLength {
		t.Errorf("tokens %s and %s", a, b)
	}
}

func TestDeliverySeconds(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]int32{time.Second: 30, time.Minute: 60, 90500 * time.Millisecond: 91, 2 * time.Hour: 7200, 40 * 24 * time.Hour: 2_592_000} {
		if got := deliverySeconds(d); got != want {
			t.Errorf("%s: %d, want %d", d, got, want)
		}
	}
}

func TestRedact(t *testing.T) {
	t.Parallel()
	values := map[string][]string{"commands": {"echo hunter2", "echo hunter2 again", "a"}}
	got := redact("Value '[echo hunter2, echo hunter2 again, a]' at 'parameters.commands'", values)
	if diff := cmp.Diff("Value '[(value not shown), (value not shown), a]' at 'parameters.commands'", got); diff != "" {
		t.Error(diff)
	}
}

func TestShort(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		0: "0s", 250 * time.Millisecond: "250ms", 3210 * time.Millisecond: "3.2s", 45 * time.Second: "45s", 5 * time.Minute: "5m",
		90 * time.Second: "1m30s", time.Hour: "1h", 90 * time.Minute: "1h30m", time.Hour + time.Second: "1h0m1s", 10 * time.Minute: "10m", 20 * time.Hour: "20h",
	} {
		if got := short(d); got != want {
			t.Errorf("%s: %q, want %q", d, got, want)
		}
	}
}
