package daemon_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"ssmrun/internal/testenv"
)

// parameterTypes declares a parameter of each type, as text and as a variable.
func parameterTypes(t *testing.T) string {
	t.Helper()
	declared := map[string]any{}
	var lines []string
	for _, p := range []struct {
		name, typ string
		fallback  any
	}{
		{"string", "String", "d'flt"},
		{"list", "StringList", []string{"a", "b c"}},
		{"map", "StringMap", map[string]any{"k": "v", "n": 1}},
		{"flag", "Boolean", true},
		{"count", "Integer", 7},
		{"maps", "MapList", []map[string]any{{"a": "1"}, {"b": "2"}}},
	} {
		declared[p.name] = map[string]any{"type": p.typ, "default": p.fallback}
		declared[p.name+"Var"] = map[string]any{"type": p.typ, "default": p.fallback, "interpolationType": "ENV_VAR"}
		// A here-document whose word is quoted shows the text as it came.
		lines = append(lines, "cat <<'EOF'", p.name+"={{ "+p.name+" }}", "EOF", `printf '%s\n' "`+p.name+`Var=$SSM_`+p.name+`Var"`)
	}
	b, err := json.Marshal(map[string]any{
		"schemaVersion": "2.2", "parameters": declared,
		"mainSteps": []any{map[string]any{"action": "aws:runShellScript", "name": "show", "inputs": map[string]any{"runCommand": lines}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestParameterTypesArrive: what a script sees of parameters of every type, by
// default and given, in its text and as variables.
func TestParameterTypesArrive(t *testing.T) {
	t.Parallel()
	s := testenv.Start(t, testenv.Options{Agents: 1, Documents: map[string]string{"Types.json": parameterTypes(t)}})
	given := map[string][]string{
		"string": {`$(id) "x" {{ flag }}`}, "list": {"one", `t"w'o`}, "map": {`{"a":{"b":[1,true,null]}}`},
		"flag": {"False"}, "count": {"-12"}, "maps": {`{"x":"1"}`, `[{"y":"2"},{"z":"3"}]`},
	}
	both := map[string][]string{}
	for name, values := range given {
		both[name], both[name+"Var"] = values, values
	}
	for _, c := range []struct {
		name  string
		given map[string][]string
		want  map[string]string
	}{
		{"defaults", nil, map[string]string{
			"string": "d'flt", "list": `["a","b c"]`, "map": `{"k":"v","n":1}`, "flag": "true", "count": "7", "maps": `[{"a":"1"},{"b":"2"}]`,
		}},
		{"given", both, map[string]string{
			"string": `$(id) "x" {{ flag }}`, "list": `["one","t\"w'o"]`, "map": `{"a":{"b":[1,true,null]}}`, "flag": "False",
			"count": "-12", "maps": `[{"x":"1"},{"y":"2"},{"z":"3"}]`,
		}},
	} {
		got := run(t, s, "Types", c.given, 0)
		var want strings.Builder
		for _, name := range []string{"string", "list", "map", "flag", "count", "maps"} {
			fmt.Fprintf(&want, "%s=%s\n%sVar=%s\n", name, c.want[name], name, c.want[name])
		}
		if out := aws.ToString(got.StandardOutputContent); got.Status != "Success" || out != want.String() {
			t.Errorf("%s: %s\n%s\nwant\n%s\n%s", c.name, got.Status, out, want.String(), aws.ToString(got.StandardErrorContent))
		}
	}
}

const flow = `schemaVersion: "2.2"
parameters:
  fail: {type: String, default: "no"}
  onFailure: {type: String, default: ""}
  onSuccess: {type: String, default: ""}
  isEnd: {type: String, default: "false"}
  platform: {type: String, default: "Windows"}
mainSteps:
  - action: aws:runShellScript
    name: elsewhere
    precondition: {StringEquals: [platformType, "{{ platform }}"]}
    inputs: {runCommand: [echo elsewhere]}
  - action: aws:runShellScript
    name: middle
    inputs:
      runCommand: ["echo middle; echo warns >&2; test '{{ fail }}' = no"]
      onFailure: "{{ onFailure }}"
      onSuccess: "{{ onSuccess }}"
      isEnd: "{{ isEnd }}"
  - action: aws:runShellScript
    name: rest
    inputs: {runCommand: [echo rest]}
  - action: aws:runShellScript
    name: last
    inputs: {runCommand: [echo last], finallyStep: true}
`

const stepEnd = `schemaVersion: "2.2"
mainSteps:
  - action: aws:runShellScript
    name: first
    isEnd: true
    inputs: {runCommand: [echo first]}
  - action: aws:runShellScript
    name: second
    inputs: {runCommand: [echo second]}
`

// TestStepsFlow: which steps of a document run, and what is told of each.
func TestStepsFlow(t *testing.T) {
	t.Parallel()
	s := testenv.Start(t, testenv.Options{Agents: 1, Documents: map[string]string{"Flow.yaml": flow, "Ends.yaml": stepEnd}})
	given := func(pairs ...string) map[string][]string {
		m := map[string][]string{}
		for i := 0; i < len(pairs); i += 2 {
			m[pairs[i]] = []string{pairs[i+1]}
		}
		return m
	}
	for _, c := range []struct {
		name, document string
		given          map[string][]string
		status         types.CommandInvocationStatus
		plugins        string
	}{
		{"all well", "Flow", nil, "Success", "elsewhere Skipped 0, middle Success 0, rest Success 0, last Success 0"},
		{"the precondition holds", "Flow", given("platform", "linux"), "Success", "elsewhere Success 0, middle Success 0, rest Success 0, last Success 0"},
		{"goes on after a failure", "Flow", given("fail", "yes"), "Failed", "elsewhere Skipped 0, middle Failed 1, rest Success 0, last Success 0"},
		{"onFailure exit", "Flow", given("fail", "yes", "onFailure", "exit"), "Failed", "elsewhere Skipped 0, middle Failed 1, rest Skipped 0, last Success 0"},
		{"onFailure successAndExit", "Flow", given("fail", "yes", "onFailure", "successAndExit"), "Success", "elsewhere Skipped 0, middle Success 168, rest Skipped 0, last Success 0"},
		{"onFailure of a success", "Flow", given("onFailure", "exit"), "Success", "elsewhere Skipped 0, middle Success 0, rest Success 0, last Success 0"},
		{"onSuccess exit", "Flow", given("onSuccess", "exit"), "Success", "elsewhere Skipped 0, middle Success 0, rest Skipped 0, last Success 0"},
		{"onSuccess of a failure", "Flow", given("fail", "yes", "onSuccess", "exit"), "Failed", "elsewhere Skipped 0, middle Failed 1, rest Success 0, last Success 0"},
		{"isEnd", "Flow", given("isEnd", "true"), "Success", "elsewhere Skipped 0, middle Success 0, rest Skipped 0, last Success 0"},
		{"isEnd of a failure", "Flow", given("fail", "yes", "isEnd", "true"), "Failed", "elsewhere Skipped 0, middle Failed 1, rest Skipped 0, last Success 0"},
		{"isEnd beside the inputs", "Ends", nil, "Success", "first Success 0, second Skipped 0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			id := send(t, s, c.document, c.given, 0)
			wait(t, s, id)
			ctx := testenv.Context(t)
			list, err := s.SSM().ListCommandInvocations(ctx, &ssm.ListCommandInvocationsInput{CommandId: aws.String(id), Details: true})
			if err != nil || len(list.CommandInvocations) != 1 {
				t.Fatalf("%d invocations, %v", len(list.CommandInvocations), err)
			}
			i := list.CommandInvocations[0]
			var got []string
			for _, p := range i.CommandPlugins {
				name := aws.ToString(p.Name)
				got = append(got, fmt.Sprint(name, " ", aws.ToString(p.StatusDetails), " ", p.ResponseCode))
				one, err := s.SSM().GetCommandInvocation(ctx, &ssm.GetCommandInvocationInput{CommandId: aws.String(id), InstanceId: aws.String(s.InstanceIDs[0]), PluginName: p.Name})
				if err != nil {
					t.Errorf("%s: %v", name, err)
					continue
				}
				if aws.ToString(one.PluginName) != name || aws.ToString(one.StatusDetails) != aws.ToString(p.StatusDetails) || one.ResponseCode != p.ResponseCode {
					t.Errorf("%s alone: %s %s %d", name, aws.ToString(one.PluginName), aws.ToString(one.StatusDetails), one.ResponseCode)
				}
				out, errs := aws.ToString(one.StandardOutputContent), aws.ToString(one.StandardErrorContent)
				switch {
				case aws.ToString(p.StatusDetails) == "Skipped":
					if !strings.HasPrefix(out, "skipped: ") || errs != "" {
						t.Errorf("%s: %q %q", name, out, errs)
					}
				case out != name+"\n" || (name == "middle") != strings.Contains(errs, "warns"):
					t.Errorf("%s: %q %q", name, out, errs)
				}
				if !strings.HasPrefix(aws.ToString(p.Output), out) {
					t.Errorf("%s in the list: %q", name, aws.ToString(p.Output))
				}
			}
			if text := strings.Join(got, ", "); i.Status != c.status || text != c.plugins {
				t.Errorf("%s: %s\nwant %s: %s", i.Status, text, c.status, c.plugins)
			}
			if c.document == "Flow" {
				_, err := s.SSM().GetCommandInvocation(ctx, &ssm.GetCommandInvocationInput{CommandId: aws.String(id), InstanceId: aws.String(s.InstanceIDs[0]), PluginName: aws.String("none")})
				if got, _ := code(t, err); got != "InvalidPluginName" {
					t.Errorf("a plugin that is not there: %v", err)
				}
			}
		})
	}
}
