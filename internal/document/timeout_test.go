package document

import (
	"testing"
	"time"
)

// TestExecutionSeconds holds what AWS was seen to add to RequestedDateTime and
// TimeoutSeconds for ExpiresAfter (marked), and our reading of the rest.
func TestExecutionSeconds(t *testing.T) {
	t.Parallel()
	builtIn, _ := BuiltIn("AWS-RunShellScript")
	shell := func(timeout string) string {
		return `{"schemaVersion":"2.2","parameters":{"t":{"type":"String","default":"5"}},"mainSteps":[
			{"action":"aws:runShellScript","name":"a","inputs":{"runCommand":["true"]` + timeout + `}}]}`
	}
	old := func(properties string) string {
		return `{"schemaVersion":"1.2","parameters":{"executionTimeout":{"type":"String","default":"9"}},
			"runtimeConfig":{"aws:runShellScript":{"properties":[` + properties + `]}}}`
	}
	none := map[string][]string{}
	tests := map[string]struct {
		document string
		given    map[string][]string
		want     int
	}{
		// Seen on AWS.
		"built-in, given":          {builtIn.Content, map[string][]string{"commands": {"true"}, "executionTimeout": {"10"}}, 10},
		"built-in, not given":      {builtIn.Content, map[string][]string{"commands": {"true"}}, 3600},
		"built-in, below agents'":  {builtIn.Content, map[string][]string{"commands": {"true"}, "executionTimeout": {"2"}}, 2},
		"literal":                  {shell(`,"timeoutSeconds":"5"`), none, 5},
		"a default does not count": {shell(`,"timeoutSeconds":"{{ t }}"`), none, 3600},
		"given 0":                  {shell(`,"timeoutSeconds":"{{ t }}"`), map[string][]string{"t": {"0"}}, 3600},
		"sum of 2.0's steps": {`{"schemaVersion":"2.0","mainSteps":[
			{"action":"aws:runShellScript","name":"a","inputs":{"timeoutSeconds":"5"}},
			{"action":"aws:runShellScript","name":"b","inputs":{"timeoutSeconds":"70"}}]}`, none, 75},
		"first property of 1.2": {old(`{"id":"a","timeoutSeconds":"5"},{"id":"b","timeoutSeconds":"70"}`), none, 5},
		"no properties":         {old(``), map[string][]string{"executionTimeout": {"31"}}, 3600},
		"one id for two": {
			old(`{"id":"a","timeoutSeconds":"{{ executionTimeout }}"},{"id":"a","timeoutSeconds":"{{ executionTimeout }}"}`),
			map[string][]string{"executionTimeout": {"31"}},
			31,
		},

		// Ours.
		"none":             {shell(``), none, 3600},
		"a number":         {shell(`,"timeoutSeconds":12`), none, 12},
		"no number":        {shell(`,"timeoutSeconds":"soon"`), none, 3600},
		"a fraction":       {shell(`,"timeoutSeconds":1.5`), none, 3600},
		"below 0":          {shell(`,"timeoutSeconds":"-5"`), none, 3600},
		"48 hours":         {shell(`,"timeoutSeconds":"172800"`), none, 172800},
		"above 48 hours":   {shell(`,"timeoutSeconds":"172801"`), none, 3600},
		"beyond int":       {shell(`,"timeoutSeconds":"99999999999999999999"`), none, 3600},
		"part of the text": {shell(`,"timeoutSeconds":"1{{ t }}"`), map[string][]string{"t": {"0"}}, 3600},
		"given nothing":    {shell(`,"timeoutSeconds":"{{ t }}"`), map[string][]string{"t": {}}, 3600},
		"a list":           {shell(`,"timeoutSeconds":["5"]`), none, 3600},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := parseText(t, tt.document).ExecutionSeconds(tt.given); got != tt.want {
				t.Errorf("got %d, want %d", got, tt.want)
			}
		})
	}
}

func TestTimeout(t *testing.T) {
	t.Parallel()
	d := parse(t, "two-properties-12.json")
	for name, tt := range map[string]struct {
		given map[string][]string
		want  time.Duration
	}{
		"default":               {nil, 87 * time.Second},
		"given":                 {map[string][]string{"executionTimeout": {"100"}}, 170 * time.Second},
		"below what agents use": {map[string][]string{"executionTimeout": {"2"}}, 3670 * time.Second},
		"above":                 {map[string][]string{"executionTimeout": {"172801"}}, 3670 * time.Second},
	} {
		got, err := d.Timeout(tt.given)
		if err != nil || got != tt.want {
			t.Errorf("%s: %s, %v; want %s", name, got, err, tt.want)
		}
	}
	required := parseText(t, `{"schemaVersion":"2.2","parameters":{"t":{"type":"String"}},"mainSteps":[{"action":"aws:runShellScript","name":"a","inputs":{"timeoutSeconds":"{{t}}"}}]}`)
	if _, err := required.Timeout(nil); len(Problems(err)) != 1 {
		t.Errorf("a timeout that must be given: %v", err)
	}
}
