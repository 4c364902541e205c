package runner

import (
	"time"

	"ssmrun"
)

// Result is what became of a run.
type Result struct {
	// Commands are in the order in which they were sent: one for every 50
	// instances.
	Commands []Command
	Document string
	Region   string
	Endpoint string // Config.Endpoint
	Output   ssmrun.OutputLocation
	// Started is when SendCommand answered first, Ended when the end was seen;
	// zero where it was not.
	Started, Ended time.Time
	// Instances are in the order of the request.
	Instances []InstanceResult
	// Warnings are what a caller should know although it is no failure: outputs
	// that are missing in S3, instances on which every step was skipped.
	Warnings []string
}

// Command is one SendCommand of a run.
type Command struct {
	ID          string
	InstanceIDs []string
	State       ssmrun.State
	Counts      Counts
	Requested   time.Time // as the service says
	Adopted     bool      // found by its token after the answer was lost
}

// InstanceResult is what became of a run on one instance.
type InstanceResult struct {
	ID        string
	Name      string // host name, "" where it is not known
	CommandID string // "" where it was never sent
	State     ssmrun.State
	// Problem says in words what State cannot: why nothing was sent, or that
	// the service shows no invocation. "" where State says it all.
	Problem string
	// ExitCode is that of the Decisive plugin; -1 where none ran.
	ExitCode       int
	Started, Ended time.Time // zero where it is not known
	// Plugins are the steps of the document, in its order.
	Plugins []PluginResult
	Trace   string // the agent's account of a document it could not run
}

// Succeeded tells whether the document ran on the instance with success.
func (i InstanceResult) Succeeded() bool {
	return i.State.Status == ssmrun.Success && i.Problem == ""
}

// Decisive is the plugin that made the instance what it is: the first that
// failed, else the last; nil where the service shows none.
func (i InstanceResult) Decisive() *PluginResult {
	for n := range i.Plugins {
		if p := &i.Plugins[n]; p.State.Terminal() && p.State.Status != ssmrun.Success {
			return p
		}
	}
	if n := len(i.Plugins); n > 0 {
		return &i.Plugins[n-1]
	}
	return nil
}

// PluginResult is what became of one step on one instance.
type PluginResult struct {
	Name              string // aws:runShellScript for schema 1.2, else the step's name
	State             ssmrun.State
	ExitCode          int // -1: not run
	Started, Finished time.Time
	Stdout, Stderr    Stream

	// joined: both streams are as the list shows them, cut or not to be told
	// apart; GetCommandInvocation knows better.
	joined bool
	urls   [2]string // of stdout and stderr, as the service gives them
}

// Stream is one output stream of a step.
type Stream struct {
	// Head is the beginning, as the service keeps it, without marks.
	Head string
	// Cut tells that the stream went on.
	Cut bool
	// Tail is the end, read from S3; "" where Head is whole or nothing was read.
	Tail string
	// Object is the whole stream in S3; nil where no bucket was named or the
	// stream is empty.
	Object *Object
}

// Object is a stream in S3.
type Object struct {
	Bucket, Key, Region string
	State               ObjectState
	Size                int64  // bytes; of a present one
	Cause               string // likely cause of a missing or unknown one
}

// ObjectState tells whether an object was seen.
type ObjectState int

// The values of ObjectState.
const (
	ObjectUnknown ObjectState = iota // not looked at, or it may not be
	ObjectPresent
	ObjectMissing
)

// URL is the object's address for `aws s3 cp`.
func (o Object) URL() string { return "s3://" + o.Bucket + "/" + o.Key }

// CommandID is the id of the first command; "" where none was sent.
func (r *Result) CommandID() string {
	if len(r.Commands) == 0 {
		return ""
	}
	return r.Commands[0].ID
}

// CommandIDs are the ids of all commands, in the order in which they were sent.
func (r *Result) CommandIDs() []string {
	ids := make([]string, len(r.Commands))
	for i, c := range r.Commands {
		ids[i] = c.ID
	}
	return ids
}

// Failed are the instances on which the document did not run with success, for
// whatever reason, in the order of the request.
func (r *Result) Failed() []InstanceResult {
	var failed []InstanceResult
	for _, i := range r.Instances {
		if !i.Succeeded() {
			failed = append(failed, i)
		}
	}
	return failed
}

// Counts are those of all commands together.
func (r *Result) Counts() Counts {
	var sum Counts
	for _, c := range r.Commands {
		sum.add(c.Counts)
	}
	return sum
}

func (c *Counts) add(d Counts) {
	c.Target += d.Target
	c.Completed += d.Completed
	c.Errors += d.Errors
	c.DeliveryTimedOut += d.DeliveryTimedOut
}
