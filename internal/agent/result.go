package agent

import (
	"strings"
	"unicode/utf8"

	"ssmrun"
	"ssmrun/internal/agent/plugin"
	"ssmrun/internal/document"
	"ssmrun/internal/wire"
)

// group is what one plugin result tells of: one step of a 2.x document, or all
// properties of one plugin of a 1.x document.
type group []document.Step

func (g group) name() string   { return g[0].Name }
func (g group) action() string { return g[0].Action }

// groups puts steps of the same name together, in the document's order.
func groups(d *document.Document) []group {
	var list []group
	for _, s := range d.Steps {
		if n := len(list); n > 0 && list[n-1].name() == s.Name {
			list[n-1] = append(list[n-1], s)
			continue
		}
		list = append(list, group{s})
	}
	return list
}

// notRun is the result of a group that nothing of was begun.
func notRun(g group, status string, code int, note string) wire.PluginStatus {
	p := wire.PluginStatus{Status: status, Code: code, Name: g.action()}
	if status == wire.StatusSkipped || status == wire.StatusSuccess {
		p.StandardOutput = note
	} else {
		p.StandardError = note
	}
	p.Output = ssmrun.Join(p.StandardOutput, p.StandardError)
	return p
}

// rank orders statuses by what they make of a document.
var rank = map[string]int{
	wire.StatusSkipped: 0, wire.StatusSuccess: 1, wire.StatusCancelled: 2, wire.StatusTimedOut: 3, wire.StatusFailed: 4,
}

// documentStatus is the status of a document of which these are all results.
func documentStatus(results map[string]wire.PluginStatus) string {
	status := wire.StatusSuccess
	for _, r := range results {
		if rank[r.Status] > rank[status] {
			status = r.Status
		}
	}
	return status
}

// worse gives the result that counts of two properties of one plugin: the worse
// one, the first among equals.
func worse(a, b plugin.Result) plugin.Result {
	out := a
	if rank[statusWord(b.Status)] > rank[statusWord(a.Status)] {
		out = b
	}
	out.Note = strings.Trim(a.Note+"\n"+b.Note, "\n")
	out.Next = max(a.Next, b.Next)
	return out
}

func statusWord(s plugin.Status) string {
	switch s {
	case plugin.Success:
		return wire.StatusSuccess
	case plugin.TimedOut:
		return wire.StatusTimedOut
	case plugin.Cancelled:
		return wire.StatusCancelled
	default:
		return wire.StatusFailed
	}
}

// withNote puts what the agent has to say at the end of a stderr, which gives
// way where both together are too long.
func withNote(stderr, note string) string {
	if note == "" {
		return ssmrun.CutStream(stderr, ssmrun.MaxStreamChars)
	}
	if stderr != "" && !strings.HasSuffix(stderr, "\n") {
		note = "\n" + note
	}
	note = ssmrun.CutStream(note, ssmrun.MaxStreamChars/2)
	return ssmrun.CutStream(stderr, ssmrun.MaxStreamChars-utf8.RuneCountInString(note)) + note
}

// flow is what a step's inputs say about the steps after it.
type flow struct {
	onFailure, onSuccess string
	finally              bool
	end                  bool // the document ends after the step, however it went
}

func flowOf(inputs map[string]any) flow {
	text := func(key string) string {
		s, _ := inputs[key].(string)
		return strings.TrimSpace(s)
	}
	yes := func(key string) bool {
		b, _ := inputs[key].(bool)
		return b || strings.EqualFold(text(key), "true")
	}
	return flow{text("onFailure"), text("onSuccess"), yes("finallyStep"), yes("isEnd")}
}

// after applies the flow to a step's result: whether the rest is skipped, and
// what becomes of the result itself.
func (f flow) after(r plugin.Result) (plugin.Result, bool) {
	skip := r.Next == plugin.SkipRest || f.end
	switch r.Status {
	case plugin.Success:
		skip = skip || f.onSuccess == "exit"
	case plugin.Failed: // and not TimedOut, as with the genuine agent
		switch f.onFailure {
		case "exit":
			skip = true
		case "successAndExit":
			r.Status, r.Code, skip = plugin.Success, ssmrun.ExitStop, true
			r.Note = strings.Trim(r.Note+"\ncounted as a success: the step's onFailure is successAndExit", "\n")
		}
	}
	return r, skip
}
