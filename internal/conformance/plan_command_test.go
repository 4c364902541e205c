package conformance

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// longest is the longest sleep of a script, in seconds, that is waited for as it
// is. Longer ones run where a sleep is short (see hurried).
const longest = 60

// The phrases of `given` that tell of a script.
var (
	sleeps      = regexp.MustCompile(`\bsleeps? (\d+)|\btakes (\d+) s`)
	exits       = regexp.MustCompile(`\bexit (\d+)`)
	printsAbout = regexp.MustCompile(`about ([\d,]+) characters`)
	ownTimeout  = regexp.MustCompile(`\bexecutionTimeout (\d+)`)
	sendMember  = regexp.MustCompile(`\b(TimeoutSeconds|MaxConcurrency|MaxErrors|OutputS3BucketName|OutputS3KeyPrefix|Comment) (<[a-z-]+>|[\w./%-]+)`)
	sentAs      = regexp.MustCompile(`sent as \[([^\]]*)\]`)
	failedRun   = regexp.MustCompile(`failed to run commands: exit status (\d+)$`)
	finished    = regexp.MustCompile(`(?:^|[^t] )finished\b`) // and not "not finished"
	urlPrefix   = regexp.MustCompile(`/<bucket>/(.+?)/?<command-id>/`)
	unknownID   = regexp.MustCompile(`no such command|never existed|unknown command`)
)

const joinedMark = "\n----------ERROR-------\n"

// planCommand finds the command that a question is about: the one that another
// case sent, or one that must have been, to be answered so.
func (p *plan) planCommand(from []*theCase, text string) {
	one := from[0]
	status, _ := shownStates(one.Operation, one.Output)
	for _, c := range from[1:] {
		if c.Operation == "SendCommand" && p.send == nil {
			p.send = copyOf(c.Input)
		}
	}
	if p.send == nil {
		if one.Code == "InvocationDoesNotExist" && !soonAfter.MatchString(text) || unknownID.MatchString(text) {
			return // nothing was ever sent under that id
		}
		p.send = p.invent(from, text)
	}
	p.forget(one)
	p.cancel = one.Operation != "CancelCommand" && cancelled.MatchString(text)
	switch {
	case isOver(status), finished.MatchString(text), one.Operation == "S3:ListObjectsV2":
		p.when = settled
	case p.cancel && rightAfter.MatchString(text):
		p.when = cancelling
	case one.Operation == "CancelCommand" && longSleep(p.send) > 0:
		p.when = running
	case status == "InProgress" && longSleep(p.send) == 0:
		// The script is over at once, and the question came earlier still.
		p.paused = true
	}
}

// invent makes the SendCommand that the answers tell of.
func (p *plan) invent(from []*theCase, text string) map[string]any {
	send := map[string]any{"DocumentName": "AWS-RunShellScript"}
	script := map[string]any{}
	for _, c := range slices.Backward(from) {
		row := rowOf(c.Operation, c.Output)
		p.members(send, row)
		if params, ok := row["Parameters"].(map[string]any); ok {
			script = params
		}
	}
	for _, m := range sendMember.FindAllStringSubmatch(text, -1) {
		value := strings.TrimRight(m[2], ".")
		send[m[1]] = value
		if n, err := strconv.Atoi(value); m[1] == "TimeoutSeconds" && err == nil {
			send[m[1]] = n
		}
	}
	if send["Targets"] == nil {
		send["InstanceIds"] = whichNodes(from, text)
	}
	if mentions("document", send["DocumentName"]) {
		return send // its script is in the document: see planDocuments
	}
	if script["commands"] == nil {
		script["commands"] = p.script(from, text)
	}
	if m := ownTimeout.FindStringSubmatch(text); m != nil && script["executionTimeout"] == nil {
		script["executionTimeout"] = []any{m[1]}
	}
	send["Parameters"] = script
	return send
}

// members takes over what a row of an answer tells about the request.
func (p *plan) members(send, row map[string]any) {
	for _, name := range []string{"DocumentName", "DocumentVersion", "Comment", "TimeoutSeconds", "MaxConcurrency", "MaxErrors", "OutputS3BucketName", "OutputS3KeyPrefix"} {
		if v, ok := row[name]; ok && v != "" {
			send[name] = v
		}
	}
	if l, _ := row["Targets"].([]any); len(l) > 0 {
		send["Targets"] = l
	}
	if role := textAt(row, "ServiceRole"); role != "" {
		send["ServiceRoleArn"] = role
	}
	if textAt(row, "NotificationConfig", "NotificationArn") != "" {
		send["NotificationConfig"] = row["NotificationConfig"]
	}
	if at(row, "CloudWatchOutputConfig", "CloudWatchOutputEnabled") == true {
		send["CloudWatchOutputConfig"] = row["CloudWatchOutputConfig"]
	}
	if l, _ := at(row, "AlarmConfiguration", "Alarms").([]any); len(l) > 0 {
		send["AlarmConfiguration"] = row["AlarmConfiguration"]
	}
	if url := textAt(row, "StandardOutputUrl"); strings.Contains(url, "<bucket>") {
		send["OutputS3BucketName"] = "<bucket>"
		if m := urlPrefix.FindStringSubmatch(url); m != nil {
			send["OutputS3KeyPrefix"] = m[1]
		}
	}
}

// whichNodes are the nodes that a command was sent to by id, in the order of
// the request.
func whichNodes(from []*theCase, text string) []any {
	if m := sentAs.FindStringSubmatch(text); m != nil {
		var ids []any
		for name := range strings.SplitSeq(m[1], ",") {
			ids = append(ids, "<"+strings.Trim(strings.TrimSpace(name), "<>")+">")
		}
		return ids
	}
	for _, c := range from {
		if mentions("instance-b", any(c.Input), any(c.Output)) {
			return []any{"<instance-a>", "<instance-b>"}
		}
	}
	if strings.Contains(text, "two nodes") {
		return []any{"<instance-a>", "<instance-b>"}
	}
	return []any{"<instance-id>"}
}

// script writes a script that does what the answers show and the words say.
func (p *plan) script(from []*theCase, text string) []any {
	one := from[0]
	out, err, code := results(from)
	status, _ := shownStates(one.Operation, one.Output)
	if m := exits.FindStringSubmatch(text); m != nil && code == 0 && !isOver(status) {
		code, _ = strconv.Atoi(m[1])
	}
	nap := 0
	if m := sleeps.FindStringSubmatch(text); m != nil {
		nap, _ = strconv.Atoi(m[1] + m[2])
	}
	if nap == 0 && !isOver(status) && !finished.MatchString(text) && one.success() {
		nap = longest / 2 // at work when the question comes; cancelled afterwards
	}
	m := printsAbout.FindStringSubmatch(text)
	if m == nil && strings.Contains(out, "stdout>") { // of which only the beginning, or all, is asked for
		m = []string{"", "14,000"}
	}
	if m != nil {
		n, _ := strconv.Atoi(strings.ReplaceAll(m[1], ",", ""))
		p.stdout = counting(n)
		return []any{fmt.Sprintf("seq %d | head -c %d", n, n)}
	}
	if at(rowOf(one.Operation, one.Output), "ExecutionEndDateTime") == "" && out == "" {
		out = "not to be seen yet\n" // nothing is shown of it before the end
	}
	lines := strings.SplitAfter(out, "\n")
	var script []any
	say := func(s, to string) {
		if s != "" {
			script = append(script, "printf %s "+quote(s)+to)
		}
	}
	if nap > 0 && status == "Success" {
		say(lines[0], "")
		lines = lines[1:]
	} else {
		say(out, "")
		lines = nil
	}
	say(err, " >&2")
	if nap > 0 {
		script = append(script, fmt.Sprintf("sleep %d", nap))
	}
	say(strings.Join(lines, ""), "")
	if code > 0 && code != 137 {
		script = append(script, fmt.Sprintf("exit %d", code))
	}
	if len(script) == 0 {
		script = append(script, "true")
	}
	return script
}

// results are what the answers show of a script: its streams and exit code.
func results(from []*theCase) (stdout, stderr string, code int) {
	for _, c := range from {
		row := rowOf(c.Operation, c.Output)
		plugin := row
		if p, ok := at(row, "CommandPlugins", "0").(map[string]any); ok {
			plugin = p
			stdout, stderr, _ = strings.Cut(textAt(p, "Output"), joinedMark)
		} else if c.Operation == "GetCommandInvocation" && row != nil {
			stdout, stderr = textAt(row, "StandardOutputContent"), textAt(row, "StandardErrorContent")
		} else {
			continue
		}
		code, _ = strconv.Atoi(fmt.Sprint(plugin["ResponseCode"]))
		if m := failedRun.FindStringSubmatch(stderr); m != nil { // the agent's own words
			stderr = strings.TrimSuffix(stderr, m[0])
			code, _ = strconv.Atoi(m[1])
		}
		return stdout, stderr, code
	}
	return "", "", 0
}

// forget leaves out of the command what the answer says nothing about, and this
// service would refuse.
func (p *plan) forget(one *theCase) {
	for _, name := range []string{"CloudWatchOutputConfig", "AlarmConfiguration", "NotificationConfig"} {
		shown := false
		walkNames(one.Output, func(n string) { shown = shown || n == name })
		if !shown {
			delete(p.send, name)
		}
	}
}

func walkNames(v any, f func(string)) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			walkNames(e, f)
		}
	case map[string]any:
		for k, e := range v {
			f(k)
			walkNames(e, f)
		}
	}
}

// longSleep is how many seconds a command's script sleeps; 0 for not at all.
func longSleep(send map[string]any) int {
	n := 0
	walk(at(send, "Parameters"), func(s string) {
		for _, m := range sleeps.FindAllStringSubmatch(s, -1) {
			seconds, _ := strconv.Atoi(m[1])
			n = max(n, seconds)
		}
	})
	return n
}

// counting is a text of n characters, the same as `seq n | head -c n` prints.
func counting(n int) string {
	var b strings.Builder
	for i := 1; b.Len() < n; i++ {
		fmt.Fprintln(&b, i)
	}
	return b.String()[:n]
}

func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

func copyOf(m map[string]any) map[string]any {
	c, _ := fill(m, nil).(map[string]any)
	return c
}
