package runner

import "time"

// Observer is told how a run goes. It is called from one goroutine at a time,
// never after the run's context is done (a Terraform action may not send
// progress then) and never after Run has returned. It should return quickly.
type Observer func(Event)

// Event is one of WaitingForInstances, Validated, Sent, Progress, InstanceDone,
// Notice. String gives it as one line of plain text without a line end, in
// which no parameter value and no output ever stands.
type Event interface {
	String() string
	event()
}

// WaitingForInstances tells, at first and then at every change and at least
// every 30 s, which instances are not ready yet.
type WaitingForInstances struct {
	Missing []Awaited
	Elapsed time.Duration
	Limit   time.Duration // Request.WaitForInstances
}

// Awaited is an instance that is not ready, and why, as far as is known.
type Awaited struct {
	ID    string
	Cause string // "EC2 says pending", "not registered with Systems Manager yet", …
}

// Validated tells that instances, document and bucket were found good.
type Validated struct {
	Instances int
	Document  string
}

// Sent tells that the service has accepted the command.
type Sent struct {
	CommandIDs []string // one for every 50 instances
	Instances  int
	Document   string
	// Adopted: the answer was lost on its way, and the command was found by its
	// token instead of being sent again.
	Adopted bool
}

// Progress tells the counts, at every change and at least every 30 s.
type Progress struct {
	Counts  Counts
	Elapsed time.Duration // since SendCommand's answer
	// Changed is false for a heartbeat.
	Changed bool
}

// InstanceDone tells that an instance has ended; only where Request.Each asks
// for it. The outputs are the heads that the list shows.
type InstanceDone struct {
	Instance InstanceResult
	Counts   Counts
}

// Notice is something the caller should know although the run goes on: a bucket
// that may not be looked at, a service that does not answer for a while.
type Notice struct {
	Text string
}

// Counts sum up the commands of a run, as ListCommands shows them.
type Counts struct {
	Target           int // instances
	Completed        int // those that are over
	Errors           int // of these: failed or out of execution time
	DeliveryTimedOut int // of these: no agent took it in time
}

func (WaitingForInstances) event() {}
func (Validated) event()           {}
func (Sent) event()                {}
func (Progress) event()            {}
func (InstanceDone) event()        {}
func (Notice) event()              {}
