package ssmrun

import (
	"regexp"
	"strings"
	"time"
)

// Scope says in which account and region a thing lives. Nothing is visible
// from another scope.
type Scope struct {
	Account string // 12 digits
	Region  string // us-east-1
}

// Target selects instances by a key ("InstanceIds", "tag:NAME", "tag-key",
// "resource-groups:Name") and values, any of which may match.
type Target struct {
	Key    string
	Values []string
}

// OutputLocation is where the whole output of a command goes.
type OutputLocation struct {
	Region string // of the bucket; the service's region where none was named
	Bucket string // "" for none
	Prefix string // key prefix, without a slash at its end
}

// Command is one SendCommand: a document sent to instances.
type Command struct {
	ID       string // UUID, 36 characters
	Scope    Scope
	Caller   string // ARN of who sent it
	Comment  string
	Document string // the name as the caller gave it
	Version  string // DocumentVersion as the caller gave it, $DEFAULT where none
	// Content is the document, in JSON, as it was when the command was sent: a
	// later change of the document does not change what runs.
	Content        string
	Parameters     map[string][]string // as given; defaults are not filled in
	InstanceIDs    []string            // as given
	Targets        []Target
	RequestedAt    time.Time
	ExpiresAfter   time.Time // RequestedAt + TimeoutSeconds + the steps' timeouts
	TimeoutSeconds int       // how long delivery may take
	MaxConcurrency string    // number or percentage
	MaxErrors      string
	Output         OutputLocation
	ServiceRole    string
	// Steps are the document's, in order.
	Steps []Step

	State  State
	Counts Counts
	// Turn is the instance whose turn came last; they come by instance id. ""
	// before the first.
	Turn string
	// Revision grows by one with every change that ListCommands shows.
	Revision int64
}

// Step is a step of a command's document: under which name its result is kept
// and asked for, and which plugin runs it.
type Step struct {
	Name   string // aws:runShellScript for schema 1.2, the step's name for 2.x
	Action string // aws:runShellScript
}

// Plugins gives the result of every step on one instance, in order: those that
// are kept, and, for a step of which no agent has said anything, that it is
// pending.
func (c *Command) Plugins(instanceID string, kept []Plugin) []Plugin {
	out := make([]Plugin, len(c.Steps))
	for n, s := range c.Steps {
		out[n] = Plugin{
			CommandID: c.ID, InstanceID: instanceID, Name: s.Name, Action: s.Action, Index: n,
			State: NewState, ExitCode: ExitNotStarted,
		}
	}
	for _, p := range kept {
		if p.Index >= 0 && p.Index < len(out) {
			out[p.Index] = p
		}
	}
	return out
}

// Invocation is a command on one instance.
type Invocation struct {
	CommandID    string
	InstanceID   string
	Scope        Scope
	InstanceName string // host name of the instance when it was sent
	RequestedAt  time.Time
	State        State
	// Handed is when it was last handed to an agent; zero while it waits for
	// its turn or for the agent.
	Handed time.Time
	// Begun is when the agent took it; zero before.
	Begun time.Time
	// CancelRequested is when a cancel was asked for; zero for never.
	CancelRequested time.Time
	// DeliverBy is when delivery is given up. Zero while the invocation waits
	// for its turn behind MaxConcurrency, which does not count.
	DeliverBy time.Time
	// FinishBy is when the service stops waiting for an agent's last word.
	FinishBy time.Time
	// Next is when control has to look at it again: the earliest of its
	// deadlines. Zero for never (it is over).
	Next time.Time
	// Trace is the agent's own account of a document it could not run.
	Trace string
}

// Plugin is the result of one step of a document on one instance.
type Plugin struct {
	CommandID  string
	InstanceID string
	Name       string // as Step.Name
	Action     string // as Step.Action
	Index      int    // position in Command.Steps
	State      State
	ExitCode   int       // ResponseCode: -1 before the end
	Started    time.Time // zero: not started
	Finished   time.Time // zero: not over
	Stdout     string    // at most MaxStreamChars
	Stderr     string    // at most MaxStreamChars
	// Output is where the whole output lies; filled once the step ran.
	Output OutputLocation
}

// Delivery is what goes to an agent: an invocation to run, or the cancel of one.
type Delivery struct {
	Scope      Scope
	CommandID  string
	InstanceID string
	Again      bool // it was handed over before; the agent may have it
	Cancel     bool
	Document   string // its name
	Content    string // JSON
	Parameters map[string][]string
	Output     OutputLocation
}

// Report is what an agent says about an invocation.
type Report struct {
	CommandID  string
	InstanceID string
	// Event is EventBegan while the document runs, else how it ended.
	Event Event
	// Plugins holds the steps this report knows of; the result of a step may
	// come before, with or after the report that ends the document.
	Plugins []PluginReport
	Trace   string
	// Reboot: the agent restarts the host, and goes on with the document then.
	Reboot bool
}

// PluginReport is what an agent says about one step.
type PluginReport struct {
	Name     string // as Plugin.Name
	Event    Event  // EventBegan while it runs, else how it ended
	ExitCode int
	Started  time.Time
	Finished time.Time
	Stdout   string
	Stderr   string
	Output   OutputLocation // where the whole output lies; zero for nowhere
}

// Instance is a managed instance.
type Instance struct {
	ID              string // i-… or mi-…
	Scope           Scope
	Name            string // host name
	IPAddress       string
	AgentName       string
	AgentVersion    string
	PlatformType    string // Linux, Windows, MacOS
	PlatformName    string
	PlatformVersion string
	ActivationID    string
	IamRole         string
	DefaultName     string // DefaultInstanceName of its activation
	PublicKey       string // base64 DER SPKI that it registered
	Fingerprint     string
	RegisteredAt    time.Time
	KeyAt           time.Time // when it changed PublicKey; zero: has not since it registered
	LastPing        time.Time // zero: never heard of
	// Stopped: the agent said, or the service saw, that it went away cleanly.
	Stopped bool
}

// PingStatus is how the service sees an agent.
type PingStatus string

// The values of AWS's enum.
const (
	Online         PingStatus = "Online"
	ConnectionLost PingStatus = "ConnectionLost"
	Inactive       PingStatus = "Inactive"
)

// Hybrid tells whether the id is that of a hybrid node, mi-.
func (i Instance) Hybrid() bool { return strings.HasPrefix(i.ID, "mi-") }

// ResourceType gives EC2Instance for i- ids and ManagedInstance for mi- ids.
func (i Instance) ResourceType() string {
	if i.Hybrid() {
		return "ManagedInstance"
	}
	return "EC2Instance"
}

// Service and Kind are how an ARN spells the instance:
// arn:aws:SERVICE:REGION:ACCOUNT:KIND/ID.
func (i Instance) Service() string {
	if i.Hybrid() {
		return "ssm"
	}
	return "ec2"
}

// Kind is the KIND of Service's comment.
func (i Instance) Kind() string {
	if i.Hybrid() {
		return "managed-instance"
	}
	return "instance"
}

var instanceID = regexp.MustCompile(`^(i-([0-9a-f]{8}|[0-9a-f]{17})|mi-[0-9a-f]{17})$`)

// ValidInstanceID tells whether id has the form of an EC2 instance's (i- and 8
// or 17 hex digits) or a hybrid node's (mi- and 17).
func ValidInstanceID(id string) bool { return instanceID.MatchString(id) }
