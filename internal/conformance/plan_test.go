package conformance

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// place is a service that offers one kind of circumstances.
type place int

const (
	atWork  place = iota // agents run
	still                // the agent was killed, the service goes on
	hurried              // long sleeps of scripts are short
	racing               // the service shows AWS's races: --emulate aws-races
)

// moment is when the question is asked, seen from the command it is about.
type moment int

const (
	atOnce     moment = iota // right after the set-up
	running                  // a script is at work
	cancelling               // right after CancelCommand
	settled                  // the command is over
)

// request is a call of the set-up.
type request struct {
	operation string
	input     map[string]any
}

// plan is what has to be so before a case's question is asked.
type plan struct {
	missing string // what of it cannot be made; "" where all can
	place   place
	gone    bool // the node does not exist any more
	paused  bool // agents do not answer while the question is asked
	nodes   int  // how many are needed
	// documents are calls about <document>, in their order. hash is the content
	// that <hash> is about.
	documents []request
	hash      string
	writes    int // document writes right before the question
	tags      []request
	group     string // what <group> is
	// send is the command that the question is about; nil for none.
	send   map[string]any
	stdout string // what its script prints, where <...stdout...> is asked for
	cancel bool   // it is cancelled while it runs
	when   moment
	// foreign: <account> is another than the service's.
	foreign bool
}

// The phrases of `given` that are no matter of documents or scripts.
var (
	agentGone   = regexp.MustCompile(`agent (service )?(is )?(stopped|down)|agent never came back|agent stop`)
	nodeGone    = regexp.MustCompile(`(machine|instance|node) (is |was )?(stopped|terminated)`)
	stalled     = regexp.MustCompile(`reboot`)
	soonAfter   = regexp.MustCompile(`within (about )?0?\.\d+ s of SendCommand`)
	inARow      = regexp.MustCompile(`(\w+) document writes within`)
	cancelled   = regexp.MustCompile(`(?i)\bcancelled\b|\bCancelCommand\b`)
	rightAfter  = regexp.MustCompile(`after CancelCommand`)
	noLicence   = regexp.MustCompile(`caller without permission|not allowed for the caller`)
	taggedNode  = regexp.MustCompile(`(?:a |the )?node (?:has|with) (?:the|that|a|this) tag|matching tag|tagged node`)
	untagged    = regexp.MustCompile(`no node`)
	emptyGroup  = regexp.MustCompile(`empty (resource )?group`)
	groupOfNode = regexp.MustCompile(`group (of|with|that has) .*node`)
	alarmState  = regexp.MustCompile(`alarm (set to|in state) (ALARM|OK|INSUFFICIENT_DATA)`)
)

var ended = []string{"Success", "Failed", "Cancelled", "TimedOut"}

var numbers = map[string]int{"no": 0, "one": 1, "a": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6}

// number reads "two" or "2"; 0 for what is none.
func number(s string) int {
	if n, ok := numbers[strings.ToLower(s)]; ok {
		return n
	}
	n, _ := strconv.Atoi(s)
	return n
}

// makePlan reads a case's circumstances from its words, from the cases that it
// names, and from what AWS answered.
func makePlan(list *catalog, one *theCase) *plan {
	from := list.sources(one)
	var words []string
	for _, c := range slices.Backward(from) {
		words = append(words, c.Given)
	}
	text := strings.Join(words, "; ")
	p := &plan{nodes: 1, gone: nodeGone.MatchString(text)}
	if strings.Contains(one.Operation, ":") && one.Operation != "S3:ListObjectsV2" {
		p.missing = one.Operation + " is a call of another service, which there is none of here"
	}
	if noLicence.MatchString(text) {
		p.missing = "the service has no policies by which a caller could lack a permission"
	}
	if m := alarmState.FindString(text); m != "" && p.missing == "" {
		p.missing = fmt.Sprintf("the service watches no alarms (%q)", m)
	}
	p.planDocuments(from, text)
	if mentions("command-id", any(one.Input)) {
		p.planCommand(from, text)
	}
	p.nodes = p.nodesOf(from)
	p.planTargets(one, text)
	switch {
	case agentGone.MatchString(text):
		p.place, p.nodes = still, 1
	case soonAfter.MatchString(text), inARow.MatchString(text), emptyPage(one):
		p.place, p.when = racing, atOnce
	case p.when == settled && !p.cancel && longSleep(p.send) >= longest:
		p.place = hurried
	}
	if m := inARow.FindStringSubmatch(text); m != nil {
		p.writes = number(m[1]) - 1
	}
	p.paused = p.place != still && (p.paused || stalled.MatchString(text))
	return p
}

// emptyPage: a page with nothing on it and a token for the next is what only a
// service shows that pages as AWS does.
func emptyPage(one *theCase) bool {
	if one.Output["NextToken"] == nil {
		return false
	}
	for _, v := range one.Output {
		if l, ok := v.([]any); ok && len(l) == 0 {
			return true
		}
	}
	return false
}

// nodesOf counts the nodes that the case speaks of.
func (p *plan) nodesOf(from []*theCase) int {
	n := 1
	if mentions("instance-b", any(from[0].Input), any(from[0].Output), any(p.send)) {
		n = 2
	}
	for _, c := range from {
		if m := regexp.MustCompile(`(\w+) nodes`).FindStringSubmatch(c.Given); m != nil {
			n = max(n, min(number(m[1]), 2))
		}
	}
	return n
}

// planTargets makes what a command's targets select.
func (p *plan) planTargets(one *theCase, text string) {
	p.group = groupMissing
	switch {
	case emptyGroup.MatchString(text):
		p.group = groupEmpty
	case groupOfNode.MatchString(text):
		p.group = groupOfNodes
		p.tags = append(p.tags, tagging(groupTag, groupValue))
	}
	targets, _ := one.Input["Targets"].([]any)
	if p.send != nil {
		targets, _ = p.send["Targets"].([]any)
	}
	for _, t := range targets {
		key, isTag := strings.CutPrefix(textAt(t, "Key"), "tag:")
		if !isTag || untagged.MatchString(text) || !taggedNode.MatchString(text) && !countsTargets(one) {
			continue
		}
		p.tags = append(p.tags, tagging(key, textAt(t, "Values", "0")))
	}
}

// tagging puts a tag on the node.
func tagging(key, value string) request {
	return request{"AddTagsToResource", map[string]any{
		"ResourceType": "ManagedInstance", "ResourceId": "<instance-id>",
		"Tags": []any{map[string]any{"Key": key, "Value": value}},
	}}
}

// countsTargets: the answer tells of a command that found nodes.
func countsTargets(one *theCase) bool {
	n := at(one.Output, "Commands", "0", "TargetCount")
	return n != nil && fmt.Sprint(n) != "0"
}

// shownStates are the states in an answer, Status and StatusDetails, from the
// first row.
func shownStates(operation string, output any) (status, details string) {
	row := rowOf(operation, output)
	return textAt(row, "Status"), textAt(row, "StatusDetails")
}

// rowOf is the part of an answer that tells of the command.
func rowOf(operation string, output any) map[string]any {
	var row any
	switch operation {
	case "ListCommands":
		row = at(output, "Commands", "0")
	case "ListCommandInvocations":
		row = at(output, "CommandInvocations", "0")
	case "SendCommand":
		row = at(output, "Command")
	case "GetCommandInvocation", "GetConnectionStatus":
		row = output
	}
	m, _ := row.(map[string]any)
	return m
}

// isOver tells whether a status is an end.
func isOver(status string) bool { return slices.Contains(ended, status) }
