package ssmrun

import "slices"

import "fmt"

// Status is the coarse status of a command, an invocation or a plugin, as the
// Status member of Run Command's answers spells it.
type Status string

// The statuses of AWS's enums CommandStatus, CommandInvocationStatus and
// CommandPluginStatus. Delayed exists for invocations only; Cancelling for
// commands and invocations. The service of this project never shows either:
// AWS was observed to answer Pending with the details Delayed, and InProgress
// until a cancelled script is gone. A caller has to know them all the same.
const (
	Pending    Status = "Pending"
	InProgress Status = "InProgress"
	Delayed    Status = "Delayed"
	Success    Status = "Success"
	Cancelled  Status = "Cancelled"
	Cancelling Status = "Cancelling"
	Failed     Status = "Failed"
	TimedOut   Status = "TimedOut"
)

// Terminal tells whether a thing with this status is over.
func (s Status) Terminal() bool {
	switch s {
	case Success, Cancelled, Failed, TimedOut:
		return true
	}
	return false
}

// Details is the fine status, the StatusDetails member: a free string in AWS's
// model, spelled without blanks on the wire.
type Details string

// The details that Run Command is documented or was observed to answer.
const (
	DetailsPending           Details = "Pending"
	DetailsInProgress        Details = "InProgress"
	DetailsDelayed           Details = "Delayed"
	DetailsSuccess           Details = "Success"
	DetailsSkipped           Details = "Skipped"
	DetailsFailed            Details = "Failed"
	DetailsCancelled         Details = "Cancelled"
	DetailsCancelling        Details = "Cancelling"
	DetailsDeliveryTimedOut  Details = "DeliveryTimedOut"
	DetailsExecutionTimedOut Details = "ExecutionTimedOut"
	DetailsUndeliverable     Details = "Undeliverable"
	DetailsTerminated        Details = "Terminated"
	DetailsInvalidPlatform   Details = "InvalidPlatform"
	DetailsAccessDenied      Details = "AccessDenied"
	DetailsIncomplete        Details = "Incomplete"
	DetailsRateExceeded      Details = "RateExceeded"
	DetailsNoInstancesInTag  Details = "NoInstancesInTag"
)

// State is the pair that every answer carries.
type State struct {
	Status  Status
	Details Details
}

// NewState is the state in which everything begins.
var NewState = State{Pending, DetailsPending}

// Terminal tells whether a thing in this state is over.
func (s State) Terminal() bool { return s.Status.Terminal() }

// String spells the state as "Status", or "Status/Details" where they differ.
func (s State) String() string {
	if string(s.Status) == string(s.Details) || s.Details == "" {
		return string(s.Status)
	}
	return string(s.Status) + "/" + string(s.Details)
}

// Level says whose status a transition is about.
type Level int

// The three things that have a status.
const (
	CommandLevel Level = iota
	InvocationLevel
	PluginLevel
)

// String names the level as AWS does.
func (l Level) String() string {
	switch l {
	case CommandLevel:
		return "command"
	case InvocationLevel:
		return "invocation"
	default:
		return "plugin"
	}
}

// Event is something that happened and may change a status.
type Event int

// The events of the transition table.
const (
	// EventSent: the service handed the invocation to a connected agent.
	EventSent Event = iota
	// EventSendFailed: no agent was there to take it; it will be tried again.
	EventSendFailed
	// EventBegan: an agent took the invocation, or the first invocation of a
	// command was taken or handed over.
	EventBegan
	// EventSucceeded: exit code 0; of a command: nothing counts as an error.
	EventSucceeded
	// EventSkipped: a plugin whose precondition was not met.
	EventSkipped
	// EventFailed: a plugin ended with another exit code or could not be run;
	// of a command: its error budget was reached.
	EventFailed
	// EventExecutionTimedOut: the agent stopped the script at executionTimeout.
	EventExecutionTimedOut
	// EventCancelled: cancelled before the end.
	EventCancelled
	// EventDeliveryTimedOut: no agent took it in time, or none ever answered.
	EventDeliveryTimedOut
	// EventTerminated: the command passed MaxErrors before this one began.
	EventTerminated
	// EventUndeliverable: the instance does not exist any more.
	EventUndeliverable
	// EventInvalidPlatform: the document is not for the instance's platform.
	EventInvalidPlatform
	// EventAccessDenied: the caller may not touch the instance.
	EventAccessDenied
	// EventIncomplete: a command whose invocations were all tried, not all with
	// success, with fewer errors than its budget.
	EventIncomplete
	// EventNoInstances: the command's targets matched nothing.
	EventNoInstances
	// EventRateExceeded: more pending invocations than allowed; nothing ran.
	EventRateExceeded
)

var eventNames = map[Event]string{
	EventSent: "sent", EventSendFailed: "send failed", EventBegan: "began", EventSucceeded: "succeeded",
	EventSkipped: "skipped", EventFailed: "failed", EventExecutionTimedOut: "execution timed out",
	EventCancelled: "cancelled", EventDeliveryTimedOut: "delivery timed out", EventTerminated: "terminated",
	EventUndeliverable: "undeliverable", EventInvalidPlatform: "invalid platform", EventAccessDenied: "access denied",
	EventIncomplete: "incomplete", EventNoInstances: "no instances", EventRateExceeded: "rate exceeded",
}

// String names the event in plain words.
func (e Event) String() string {
	if n, ok := eventNames[e]; ok {
		return n
	}
	return fmt.Sprintf("event %d", int(e))
}

// Counts are the counters of a command. CompletedCount counts invocations that
// are over; ErrorCount those that ended Failed or ExecutionTimedOut (not
// Terminated, Undeliverable or the like); the rest explain a command's outcome.
type Counts struct {
	Target            int // invocations the command has
	Completed         int // invocations in a terminal state
	Errors            int // Failed and ExecutionTimedOut
	DeliveryTimedOut  int // DeliveryTimedOut
	Succeeded         int // Success
	Cancelled         int // Cancelled
	Terminated        int // Terminated by MaxErrors
	Refused           int // Undeliverable, InvalidPlatform, AccessDenied
	Begun             int // invocations that an agent took, over or not
	Unanswered        int // invocations that were handed over and that no agent has taken yet
	Tried             int // how often an agent took one, or none was there to take it: what the ramp goes by
	InFlight          int // handed over or begun, not over: what MaxConcurrency bounds
	CancelRequested   bool
	ErrorsBeyondLimit bool // MaxErrors was passed: nothing further is started
}

// Transition is one row of the table.
type Transition struct {
	Level Level
	Event Event
	From  []State
	To    State
	// Counts is what the row adds to the counters of the command; only rows of
	// invocations add any.
	Counts Counts
}

var (
	statePending    = State{Pending, DetailsPending}
	stateDelayed    = State{Pending, DetailsDelayed}
	stateInProgress = State{InProgress, DetailsInProgress}

	// waiting: no agent has it; open: not over.
	waiting = []State{statePending, stateDelayed}
	open    = []State{statePending, stateDelayed, stateInProgress}
)

// Transitions is the one table of status changes. Sources: the lifecycle of
// Run Command as documented by AWS, with what was observed of the real service
// where the two differ (Pending/Delayed while an agent is away; Failed/Failed
// for the command of an invocation that timed out in execution).
//
// An invocation or plugin that is over stays as it is: no row leads out of a
// terminal state, so that a late or repeated reply of an agent changes nothing.
var Transitions = []Transition{
	{Level: InvocationLevel, Event: EventSent, From: waiting, To: stateInProgress},
	{Level: InvocationLevel, Event: EventSendFailed, From: []State{statePending, stateInProgress}, To: stateDelayed},
	{Level: InvocationLevel, Event: EventBegan, From: open, To: stateInProgress},
	{Level: InvocationLevel, Event: EventSucceeded, From: open, To: State{Success, DetailsSuccess}, Counts: Counts{Completed: 1, Succeeded: 1}},
	{Level: InvocationLevel, Event: EventFailed, From: open, To: State{Failed, DetailsFailed}, Counts: Counts{Completed: 1, Errors: 1}},
	{Level: InvocationLevel, Event: EventExecutionTimedOut, From: open, To: State{TimedOut, DetailsExecutionTimedOut}, Counts: Counts{Completed: 1, Errors: 1}},
	{Level: InvocationLevel, Event: EventCancelled, From: open, To: State{Cancelled, DetailsCancelled}, Counts: Counts{Completed: 1, Cancelled: 1}},
	{Level: InvocationLevel, Event: EventDeliveryTimedOut, From: open, To: State{TimedOut, DetailsDeliveryTimedOut}, Counts: Counts{Completed: 1, DeliveryTimedOut: 1}},
	{Level: InvocationLevel, Event: EventTerminated, From: waiting, To: State{Failed, DetailsTerminated}, Counts: Counts{Completed: 1, Terminated: 1}},
	{Level: InvocationLevel, Event: EventUndeliverable, From: waiting, To: State{Failed, DetailsUndeliverable}, Counts: Counts{Completed: 1, Refused: 1}},
	{Level: InvocationLevel, Event: EventInvalidPlatform, From: waiting, To: State{Failed, DetailsInvalidPlatform}, Counts: Counts{Completed: 1, Refused: 1}},
	{Level: InvocationLevel, Event: EventAccessDenied, From: waiting, To: State{Failed, DetailsAccessDenied}, Counts: Counts{Completed: 1, Refused: 1}},

	{Level: PluginLevel, Event: EventBegan, From: waiting, To: stateInProgress},
	{Level: PluginLevel, Event: EventSucceeded, From: open, To: State{Success, DetailsSuccess}},
	{Level: PluginLevel, Event: EventSkipped, From: open, To: State{Success, DetailsSkipped}},
	{Level: PluginLevel, Event: EventFailed, From: open, To: State{Failed, DetailsFailed}},
	{Level: PluginLevel, Event: EventExecutionTimedOut, From: open, To: State{TimedOut, DetailsExecutionTimedOut}},
	{Level: PluginLevel, Event: EventCancelled, From: open, To: State{Cancelled, DetailsCancelled}},
	{Level: PluginLevel, Event: EventDeliveryTimedOut, From: open, To: State{TimedOut, DetailsDeliveryTimedOut}},
	{Level: PluginLevel, Event: EventTerminated, From: waiting, To: State{Failed, DetailsTerminated}},
	{Level: PluginLevel, Event: EventUndeliverable, From: waiting, To: State{Failed, DetailsUndeliverable}},
	{Level: PluginLevel, Event: EventInvalidPlatform, From: waiting, To: State{Failed, DetailsInvalidPlatform}},
	{Level: PluginLevel, Event: EventAccessDenied, From: waiting, To: State{Failed, DetailsAccessDenied}},

	{Level: CommandLevel, Event: EventBegan, From: waiting, To: stateInProgress},
	{Level: CommandLevel, Event: EventSucceeded, From: open, To: State{Success, DetailsSuccess}},
	{Level: CommandLevel, Event: EventFailed, From: open, To: State{Failed, DetailsFailed}},
	{Level: CommandLevel, Event: EventDeliveryTimedOut, From: open, To: State{TimedOut, DetailsDeliveryTimedOut}},
	{Level: CommandLevel, Event: EventCancelled, From: open, To: State{Cancelled, DetailsCancelled}},
	{Level: CommandLevel, Event: EventIncomplete, From: open, To: State{Failed, DetailsIncomplete}},
	{Level: CommandLevel, Event: EventNoInstances, From: waiting, To: State{Success, DetailsNoInstancesInTag}},
	{Level: CommandLevel, Event: EventRateExceeded, From: waiting, To: State{Failed, DetailsRateExceeded}},
	{Level: CommandLevel, Event: EventAccessDenied, From: waiting, To: State{Failed, DetailsAccessDenied}},
}

// Next looks the change up: the new state, what it adds to the command's
// counters, and whether the table has such a row. Without one the state stays.
func Next(level Level, from State, event Event) (to State, counts Counts, ok bool) {
	for i := range Transitions {
		t := &Transitions[i]
		if t.Level != level || t.Event != event {
			continue
		}
		if slices.Contains(t.From, from) {
			return t.To, t.Counts, true
		}
	}
	return from, Counts{}, false
}

// Add adds the counters of a transition. Target and the two flags stay.
func (c *Counts) Add(d Counts) {
	c.Completed += d.Completed
	c.Errors += d.Errors
	c.DeliveryTimedOut += d.DeliveryTimedOut
	c.Succeeded += d.Succeeded
	c.Cancelled += d.Cancelled
	c.Terminated += d.Terminated
	c.Refused += d.Refused
}

// Outcome says which event ends a command whose invocations are all over, or
// false while one is not. maxErrors is the absolute error budget. The order of
// the cases is AWS's documentation, read with what was observed: a budget that
// is reached makes it Failed, also by timed-out executions; all refused makes
// it Failed; deliveries that timed out count against the same budget; a cancel
// that hit any invocation makes it Cancelled; one success with refused others
// is Success. maxErrors 0 means that the first error reaches it.
func Outcome(c Counts, maxErrors int) (Event, bool) {
	if c.Completed < c.Target {
		return 0, false
	}
	budget := max(maxErrors, 1)
	switch {
	case c.Target == 0:
		return EventNoInstances, true
	case c.ErrorsBeyondLimit || c.Terminated > 0 || c.Errors >= budget:
		return EventFailed, true
	case c.Refused == c.Target:
		return EventFailed, true
	case c.Cancelled > 0:
		return EventCancelled, true
	case c.DeliveryTimedOut >= budget:
		return EventDeliveryTimedOut, true
	case c.Errors > 0 || c.DeliveryTimedOut > 0:
		return EventIncomplete, true
	default:
		return EventSucceeded, true
	}
}
