package conformance

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestCompare: what differs is found. A harness that calls everything equal
// would never fail otherwise.
func TestCompare(t *testing.T) {
	t.Parallel()
	values := map[string]string{"command-id": "c-1", "region": "us-east-1", "bucket": "b"}
	for _, c := range []struct {
		name, operation, code, message, want, got string
		status                                    int
		diff                                      string // what the only line begins with; "" for none
	}{
		{name: "equal", want: `{"A":{"N":1,"L":["x"]}}`, got: `{"A":{"N":1,"L":["x"]}}`},
		{name: "a member more", want: `{"A":1}`, got: `{"A":1,"NextToken":"t"}`, diff: "output.NextToken: AWS has no such member"},
		{name: "a member less", want: `{"A":1,"B":""}`, got: `{"A":1}`, diff: "output.B: is missing"},
		{name: "another type", want: `{"A":1}`, got: `{"A":"1"}`, diff: `output.A: want 1, got "1"`},
		{name: "null", want: `{"A":[]}`, got: `{"A":null}`, diff: "output.A: want [], got null"},
		{name: "another order", want: `{"A":["x","y"]}`, got: `{"A":["x","x"]}`, diff: "output.A[1]"},
		{name: "more elements", want: `{"A":[]}`, got: `{"A":["x"]}`, diff: "output.A: want 0 elements"},
		{name: "a value of the run", want: `{"A":"<command-id>"}`, got: `{"A":"c-2"}`, diff: "output.A"},
		{name: "a value inside", want: `{"A":"x <command-id>"}`, got: `{"A":"x c-1"}`},
		{name: "a form", want: `{"A":"<hash>"}`, got: `{"A":"xyz"}`, diff: "output.A: want the form of <hash>"},
		{name: "a time", want: `{"A":"<time>"}`, got: `{"A":1795650369.606}`},
		{name: "a time as text", want: `{"A":"<time>"}`, got: `{"A":"2026-09-27T00:38:21.786Z"}`, diff: "output.A: want a time as seconds"},
		{name: "a text as time", operation: "GetCommandInvocation", want: `{"A":"<time>"}`, got: `{"A":1795650369.606}`, diff: "output.A: want a time like"},
		{name: "later", want: `{"RequestedDateTime":"<time>","E":"<time+35s>"}`, got: `{"RequestedDateTime":1795650369.606,"E":1795650404.606}`},
		{name: "too late", want: `{"RequestedDateTime":"<time>","E":"<time+35s>"}`, got: `{"RequestedDateTime":1795650369.606,"E":1795650404.607}`, diff: "output.E: want RequestedDateTime"},
		{name: "elapsed", want: `{"A":"<elapsed>"}`, got: `{"A":"PT0.020S"}`, diff: "output.A"},
		{name: "an excerpt", want: `{"Command":{"TimeoutSeconds":30}}`, got: `{"Command":{"TimeoutSeconds":30,"CommandId":"c-1"}}`},
		{name: "no excerpt", want: `{"Command":{"CommandId":"<command-id>"}}`, got: `{"Command":{"CommandId":"c-1","More":1}}`, diff: "output.Command.More"},
		{name: "an object's address", want: `{"U":"https://s3.<region>.amazonaws.com/<bucket>/stdout"}`, got: `{"U":"http://127.0.0.1:1/b/stdout"}`},
		{name: "another object", want: `{"U":"https://s3.<region>.amazonaws.com/<bucket>/stdout"}`, got: `{"U":"http://127.0.0.1:1/c/stdout"}`, diff: "output.U"},
		{name: "a failure", code: "InvalidDocument", message: "gone", status: 400, got: `{"__type":"InvalidDocument","Message":"gone"}`},
		{name: "with a namespace", code: "InvalidDocument", message: "gone", status: 400, got: `{"__type":"com.amazonaws.ssm#InvalidDocument","Message":"gone"}`},
		{name: "another text", code: "InvalidDocument", message: "gone", status: 400, got: `{"__type":"InvalidDocument","Message":"Gone"}`, diff: "message"},
		{name: "the other member", code: "InvalidDocument", message: "gone", status: 400, got: `{"__type":"InvalidDocument","message":"gone"}`, diff: "members of the error"},
		{name: "the other member too", code: "ValidationException", message: "no", status: 400, got: `{"__type":"ValidationException","Message":"no"}`, diff: "members of the error"},
		{name: "either member", code: "InvalidRole", message: "no", status: 400, got: `{"__type":"InvalidRole","message":"no"}`},
		{name: "either member again", code: "InvalidRole", message: "no", status: 400, got: `{"__type":"InvalidRole","Message":"no"}`},
		{name: "no text at all", code: "InvalidDocument", status: 400, got: `{"__type":"InvalidDocument","Message":""}`, diff: "members of the error"},
		{name: "another code", code: "InvalidDocument", status: 400, got: `{"__type":"ValidationException"}`, diff: "code"},
		{name: "another status", code: "InvalidDocument", status: 500, got: `{"__type":"InvalidDocument"}`, diff: "HTTP status"},
		{name: "no failure", code: "InvalidDocument", status: 200, got: `{}`, diff: "code: want InvalidDocument, got Success"},
		{name: "a failure instead", want: `{}`, status: 400, got: `{"__type":"InvalidDocument"}`, diff: "code: want Success"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			one := &theCase{Operation: c.operation, Code: "Success"}
			if c.code != "" {
				one.Code, one.Message = c.code, &c.message
			} else {
				one.Output, _ = decode(t, c.want).(map[string]any)
			}
			got := &answer{status: max(c.status, 200), body: decode(t, c.got), raw: c.got}
			diffs := compare(one, values, got)
			switch {
			case c.diff == "" && len(diffs) > 0:
				t.Errorf("found %q", diffs)
			case c.diff != "" && (len(diffs) != 1 || !strings.HasPrefix(diffs[0], c.diff)):
				t.Errorf("found %q, want one that begins with %q", diffs, c.diff)
			}
		})
	}
}

func decode(t *testing.T, s string) any {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(s))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

// TestPlan: words and answers become circumstances, whatever a case is called.
func TestPlan(t *testing.T) {
	t.Parallel()
	const invocation = `"operation":"GetCommandInvocation","input":{"CommandId":"<command-id>","InstanceId":"<instance-id>"}`
	const document = `"code":"Success","output":{},"input":{"Name":"<document>"}`
	for _, c := range []struct{ name, is, want string }{
		{"a script by its results", `{"id":"x","code":"Success",` + invocation + `,"output":{"DocumentName":"AWS-RunShellScript","Status":"Failed","ResponseCode":3,
			"StandardOutputContent":"it's\n","StandardErrorContent":"failed to run commands: exit status 3"}}`, `printf %s 'it'\''s
' | exit 3; settled`},
		{"a sleep between", `{"id":"x","given":"executionTimeout 3, script sleeps 25 s","code":"Success",` + invocation + `,"output":{"Status":"Success","ResponseCode":0,
			"StandardOutputContent":"a\nb\n"}}`, `printf %s 'a
' | sleep 25 | printf %s 'b
'; settled`},
		{"a long sleep", `{"id":"x","given":"script takes 70 s","code":"Success",` + invocation + `,"output":{"Status":"Success"}}`, `sleep 70; settled; hurried`},
		{"not finished", `{"id":"x","given":"script not finished","code":"Success",` + invocation + `,"output":{"Status":"InProgress"}}`, `sleep 30; at once`},
		{"cancelled", `{"id":"x","given":"sleep 80; cancelled after 1 s","code":"Success",` + invocation + `,"output":{"Status":"Cancelled","ResponseCode":137}}`, `sleep 80; settled; cancelled`},
		{"right after", `{"id":"x","given":"0.2 s after CancelCommand","code":"Success",` + invocation + `,"output":{"Status":"InProgress"}}`, `sleep 30; cancelling; cancelled`},
		{"never sent", `{"id":"x","code":"InvocationDoesNotExist",` + invocation + `}`, `at once`},
		{"too early", `{"id":"x","given":"within 0.3 s of SendCommand","code":"InvocationDoesNotExist",` + invocation + `}`, `true; at once; racing`},
		{"agent gone", `{"id":"x","given":"agent stopped","operation":"GetConnectionStatus","input":{"Target":"<instance-id>"},"code":"Success","output":{"Status":"notconnected"}}`, `at once; still`},
		{"as another", `{"id":"x","given":"as base","code":"Success",` + invocation + `,"output":{"Status":"Success"}},
			{"id":"base","given":"","operation":"SendCommand","code":"Success","input":{"Parameters":{"commands":["uptime"]}}}`, `uptime; settled`},
		{"versions", `{"id":"x","given":"latest 3, default 2","operation":"DeleteDocument",` + document + `}`, `Create, Update, Update, UpdateDefaultVersion 2; at once`},
		{"deleted ones", `{"id":"x","given":"versions 2 and 3 deleted, then two updates","operation":"ListDocumentVersions",` + document + `}`, `Create, Update, Update, Delete 2, Delete 3, Update, Update; at once`},
		{"sharing", `{"id":"x","given":"shared with an account, then AccountIdsToRemove [All]","operation":"DescribeDocumentPermission",` + document + `}`, `Create, ModifyPermission, ModifyPermission; at once`},
		{"no document", `{"id":"x","operation":"GetDocument","code":"InvalidDocument","input":{"Name":"<document>"}}`, `at once`},
		{"gone again", `{"id":"x","given":"DeleteDocument without version succeeded","operation":"GetDocument","code":"InvalidDocument","input":{"Name":"<document>"}}`, `Create, Delete; at once`},
		{"as created", `{"id":"x","given":"created as in base","operation":"DescribeDocument",` + document + `},
			{"id":"base","operation":"CreateDocument","code":"Success","input":{"Name":"<document>","Content":"c"}}`, `Create; at once`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			list, err := parseCatalog([]byte("[" + c.is + "]"))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, tell(makePlan(list, list.cases[0]))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// tell spells a plan for TestPlan.
func tell(p *plan) string {
	var parts, calls, lines []string
	for _, r := range p.documents {
		name := strings.Replace(r.operation, "Document", "", 1)
		if v := textAt(r.input, "DocumentVersion"); v != "" && v != "$LATEST" {
			name += " " + v
		}
		calls = append(calls, name)
	}
	walk(at(p.send, "Parameters", "commands"), func(s string) { lines = append(lines, s) })
	for _, part := range []string{strings.Join(calls, ", "), strings.Join(lines, " | ")} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	parts = append(parts, []string{"at once", "running", "cancelling", "settled"}[p.when])
	if p.place != atWork {
		parts = append(parts, []string{"", "still", "hurried", "racing"}[p.place])
	}
	if p.cancel {
		parts = append(parts, "cancelled")
	}
	return strings.Join(parts, "; ")
}

// TestExceptions: the table excuses what it names, and nothing else; a row that
// is not needed is a mistake.
func TestExceptions(t *testing.T) {
	t.Parallel()
	list, err := parseCatalog([]byte(`[{"id":"a","group":"g","operation":"O","code":"Success"},{"id":"b","group":"g","operation":"O","code":"Success"}]`))
	if err != nil {
		t.Fatal(err)
	}
	const head = heading + "\n| case | group | why it cannot match |\n|---|---|---|\n"
	const why = "there is no such thing here"
	for _, c := range []struct {
		name, table string
		standard    bool
		failed      []string
		want        []string // what the problems begin with
		sum         string
	}{
		{"all match", head, true, nil, nil, "conformance: matched 2 of 2\n"},
		{"one fails", head, true, []string{"a"}, []string{"a (O, given"}, "conformance: matched 1 of 2\n"},
		{"one is named", head + "| a | g | " + why + " |\n", true, []string{"a"}, nil, "conformance: matched 1 of 2; 1 cannot match, see handbook/fidelity.md\n"},
		{"a stale row", head + "| a | g | " + why + " |\n", true, nil, []string{"a matches now"}, "conformance: matched 2 of 2\n"},
		{"another group", head + "| a | h | " + why + " |\n", true, []string{"a"}, []string{"a is of group g"}, "conformance: matched 1 of 2; 1 cannot match, see handbook/fidelity.md\n"},
		{"no such case", head + "| c | g | " + why + " |\n", true, nil, []string{"c has a row"}, "conformance: matched 2 of 2\n"},
		{"of another file", head + "| c | g | " + why + " |\n", false, nil, nil, "conformance: matched 2 of 2\n"},
		{"no reason", head + "| a | g | no |\n", true, []string{"a"}, []string{`a: "no" is no reason`}, "conformance: matched 1 of 2; 1 cannot match, see handbook/fidelity.md\n"},
		{"twice", head + "| a | g | " + why + " |\n| a | g | " + why + " |\n", false, []string{"a"}, []string{"a has two rows"}, "conformance: matched 1 of 2; 1 cannot match, see handbook/fidelity.md\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			list := &catalog{cases: list.cases, byID: list.byID, standard: c.standard}
			diffs := map[string][]string{}
			for _, id := range c.failed {
				diffs[id] = []string{"output: differs"}
			}
			rows, problems := exceptions(c.table)
			problems = append(problems, judge(list, rows, diffs)...)
			ok := slices.EqualFunc(problems, c.want, strings.HasPrefix)
			if text := report(list, rows, diffs, problems); !ok || !strings.HasSuffix(text, "\n"+c.sum) {
				t.Errorf("problems %q, want %q; the report:\n%s", problems, c.want, text)
			}
		})
	}
}
