// Package store is step 5 of a run: what the service remembers. It holds one
// interface per owner (commands, instances, documents, activations, tags,
// parameters, roles), beside their records' contracts; one driver type satisfies all.
// control, identity and awsapi call it; it calls a database. Package sqlite is
// the driver for one machine; storetest is the suite that every driver passes.
//
// All writes go through Update. A driver may commit several Updates at once
// (group commit), but answers each only when it is durable: what Update
// returned without an error survives kill -9 and, with a disk that keeps its
// promises, a power cut.
package store

import (
	"context"
	"time"

	"ssmrun"
)

// Store is a database.
type Store interface {
	// Update runs fn in a transaction that may write, and returns when its
	// changes are durable. An error of fn undoes the changes of this fn alone
	// and comes back as it is. fn may not use the context of another Update,
	// must not block on anything outside, and may be run again after a failed
	// commit: it must not have effects outside the transaction. Where the disk is
	// full the error is coded ssmrun.CodeUnavailable.
	Update(ctx context.Context, fn func(Tx) error) error
	// View runs fn in a transaction that only reads, on one snapshot. Every
	// Update that has returned is visible to it.
	View(ctx context.Context, fn func(Tx) error) error
	// Close waits for what runs and closes the database. It is safe twice.
	Close() error
}

// Tx is what a transaction can do. In a View, writes fail.
type Tx interface {
	Commands
	Instances
	Documents
	Activations
	Tags
	EC2
	Parameters
	Roles
}

// Page asks for a part of a list: at most Limit rows after the place that
// Token names ("" for the first). A driver makes tokens; one that it did not
// make is ssmrun.CodeInvalidNextToken.
type Page struct {
	Limit int
	Token string
}

// CommandQuery selects commands or invocations; zero members select all.
type CommandQuery struct {
	CommandID     string
	InstanceID    string
	InvokedAfter  time.Time
	InvokedBefore time.Time
	// Statuses: any of these, compared with Status and with StatusDetails.
	Statuses []string
	Document string
	// Executing and Complete select by ExecutionStage.
	Executing, Complete bool
}

// Commands are commands, their invocations and their plugins' results. Whoever
// writes them sees to it that a command which is over has no invocation that is
// not: a driver may look for open invocations in open commands only.
type Commands interface {
	// InsertCommand adds a command with its invocations, whose RequestedAt is
	// the command's. token, where not "", is the caller's own mark of the
	// request (amz-sdk-invocation-id): see CommandByToken.
	InsertCommand(c *ssmrun.Command, token string, invocations []ssmrun.Invocation) error
	// CommandByToken finds the command that the same caller (ARN) sent with
	// this token in this scope, all of it. ssmrun.ErrNotFound where there is none.
	CommandByToken(scope ssmrun.Scope, caller, token string) (*ssmrun.Command, error)
	// Command finds a command. What may be big is left empty: see ReadInput.
	// ssmrun.ErrNotFound where the scope has none.
	Command(scope ssmrun.Scope, id string) (*ssmrun.Command, error)
	// ReadInput fills in what Command leaves empty: Content, Parameters,
	// InstanceIDs and Targets.
	ReadInput(c *ssmrun.Command) error
	// UpdateCommand stores State, Counts and Turn, and adds one to Revision (in
	// c too).
	UpdateCommand(c *ssmrun.Command) error
	// ListCommands lists, newest RequestedAt first, those of one time in the
	// order in which they were inserted. next is "" at the end. Content is left
	// empty.
	ListCommands(scope ssmrun.Scope, q CommandQuery, p Page) (list []ssmrun.Command, next string, err error)

	// Invocation finds one. ssmrun.ErrNotFound where there is none.
	Invocation(scope ssmrun.Scope, commandID, instanceID string) (*ssmrun.Invocation, error)
	// UpdateInvocation stores all but the keys, Scope and RequestedAt.
	UpdateInvocation(i *ssmrun.Invocation) error
	// ListInvocations lists in the order of their commands, those of one
	// command by instance id downwards: turns go upwards, and the newest come
	// first.
	ListInvocations(scope ssmrun.Scope, q CommandQuery, p Page) (list []ssmrun.Invocation, next string, err error)
	// InvocationsAfter gives at most limit invocations of a command, by
	// instance id, from the first whose id is greater than instanceID.
	InvocationsAfter(scope ssmrun.Scope, commandID, instanceID string, limit int) ([]ssmrun.Invocation, error)
	// OpenInvocations gives the invocations of an instance that are not over,
	// oldest RequestedAt first: what an agent that connects is offered.
	OpenInvocations(scope ssmrun.Scope, instanceID string) ([]ssmrun.Invocation, error)
	// CountOpenInvocations counts those of a scope that are not over.
	CountOpenInvocations(scope ssmrun.Scope) (int, error)
	// DueInvocations gives, of all scopes, at most limit invocations whose Next
	// is set and not after now, earliest first.
	DueInvocations(now time.Time, limit int) ([]ssmrun.Invocation, error)
	// NextDue gives the earliest Next of all, false where none is set.
	NextDue() (time.Time, bool, error)

	// Plugins gives what is kept of the plugins of an invocation, by Index: of
	// those that an agent has said something of. See ssmrun.Command.Plugins.
	Plugins(scope ssmrun.Scope, commandID, instanceID string) ([]ssmrun.Plugin, error)
	// PutPlugin adds or replaces the plugin of an Index. ssmrun.ErrNotFound
	// where there is no such invocation.
	PutPlugin(scope ssmrun.Scope, p *ssmrun.Plugin) error

	// Forget removes commands that are over and were requested before a time,
	// of all scopes, with all that belongs to them, oldest first, at most about
	// limit rows at a time so that others get their turn. It tells whether
	// there is more to remove.
	Forget(before time.Time, limit int) (more bool, err error)
}

// InstanceQuery selects instances; zero members select all.
type InstanceQuery struct {
	IDs           []string
	PlatformTypes []string
	AgentVersions []string
	ActivationIDs []string
	IamRoles      []string
	ResourceTypes []string // EC2Instance, ManagedInstance
	// AnyState selects also those whose machine does not run, which nobody can
	// manage: see EC2.EC2State.
	AnyState bool
}

// Instances are the managed instances.
type Instances interface {
	// PutInstance adds or replaces an instance.
	PutInstance(i *ssmrun.Instance) error
	// Instance finds one. ssmrun.ErrNotFound where the scope has none.
	Instance(scope ssmrun.Scope, id string) (*ssmrun.Instance, error)
	// FindInstance finds one by id alone, in whatever scope it registered: an
	// agent's request is known by its id. ssmrun.ErrNotFound where there is none.
	FindInstance(id string) (*ssmrun.Instance, error)
	// Seen stores a heartbeat: LastPing, and Stopped.
	Seen(scope ssmrun.Scope, id string, at time.Time, stopped bool) error
	// ListInstances lists by id.
	ListInstances(scope ssmrun.Scope, q InstanceQuery, p Page) (list []ssmrun.Instance, next string, err error)
	// DeleteInstance removes one. ssmrun.ErrNotFound where the scope has none.
	DeleteInstance(scope ssmrun.Scope, id string) error
	// AgentVersions gives the versions of the agents of this name, each once, in
	// no order.
	AgentVersions(scope ssmrun.Scope, agentName string) ([]string, error)
}

// Activation allows agents to register.
type Activation struct {
	ID           string // UUID
	Scope        ssmrun.Scope
	CodeHash     []byte // SHA-256 of the code; the code itself is not kept
	IamRole      string
	Description  string
	DefaultName  string // of the instances that register
	InstanceID   string // the id that a registration gets; "" for a new mi- id
	Limit        int    // how many registrations
	Count        int    // how many there were
	CreatedAt    time.Time
	ExpiresAt    time.Time
	ForgetsAfter bool              // delete it once it is used up
	Tags         map[string]string // of the instances that register
}

// Usable tells whether an agent can still register with it.
func (a *Activation) Usable(now time.Time) bool {
	return a.Count < a.Limit && now.Before(a.ExpiresAt)
}

// ActivationQuery selects activations; zero members select all.
type ActivationQuery struct {
	IDs          []string
	DefaultNames []string
	IamRoles     []string
}

// Activations are the activations.
type Activations interface {
	// PutActivation adds or replaces one.
	PutActivation(a *Activation) error
	// Activation finds one by its id alone: an agent that registers is unsigned.
	// ssmrun.ErrNotFound where there is none.
	Activation(id string) (*Activation, error)
	// DeleteActivation removes one; nothing happens where there is none.
	DeleteActivation(id string) error
	// ListActivations lists by id.
	ListActivations(scope ssmrun.Scope, q ActivationQuery, p Page) (list []Activation, next string, err error)
	// ActivationsOf gives those of all scopes that name an instance's id, by
	// their own; none for "".
	ActivationsOf(instanceID string) ([]Activation, error)
}
