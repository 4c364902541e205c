// Package store is step 5 of a run: what the service remembers. It holds one
// interface per owner (commands, instances, documents, activations, tags,
// parameters), beside their records' contracts; one driver type satisfies all.
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
	// commit: it must not have effects outside the transaction.
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
	Parameters
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

// Commands are commands, their invocations and their plugins' results.
type Commands interface {
	// InsertCommand adds a command with its invocations and their plugins in
	// their first state. token, where not "", is the caller's own mark of the
	// request (amz-sdk-invocation-id): see CommandByToken.
	InsertCommand(c *ssmrun.Command, token string, invocations []ssmrun.Invocation, plugins []ssmrun.Plugin) error
	// CommandByToken finds the command that the same caller (ARN) sent with
	// this token in this scope. ssmrun.ErrNotFound where there is none.
	CommandByToken(scope ssmrun.Scope, caller, token string) (*ssmrun.Command, error)
	// Command finds a command. ssmrun.ErrNotFound where the scope has none.
	Command(scope ssmrun.Scope, id string) (*ssmrun.Command, error)
	// UpdateCommand stores State and Counts, and adds one to Revision (in c too).
	UpdateCommand(c *ssmrun.Command) error
	// ListCommands lists, newest RequestedAt first, ties by id. next is "" at
	// the end. Content is left empty.
	ListCommands(scope ssmrun.Scope, q CommandQuery, p Page) (list []ssmrun.Command, next string, err error)

	// Invocation finds one. ssmrun.ErrNotFound where there is none.
	Invocation(scope ssmrun.Scope, commandID, instanceID string) (*ssmrun.Invocation, error)
	// UpdateInvocation stores all but the keys, Scope and RequestedAt.
	UpdateInvocation(i *ssmrun.Invocation) error
	// ListInvocations lists, newest RequestedAt first, ties by command id and
	// then instance id.
	ListInvocations(scope ssmrun.Scope, q CommandQuery, p Page) (list []ssmrun.Invocation, next string, err error)
	// InvocationsOf gives all invocations of a command, by instance id.
	InvocationsOf(scope ssmrun.Scope, commandID string) ([]ssmrun.Invocation, error)
	// OpenInvocations gives the invocations of an instance that are not over,
	// oldest RequestedAt first: what an agent that connects is offered.
	OpenInvocations(scope ssmrun.Scope, instanceID string) ([]ssmrun.Invocation, error)
	// DueInvocations gives, of all scopes, at most limit invocations whose Next
	// is set and not after now, earliest first.
	DueInvocations(now time.Time, limit int) ([]ssmrun.Invocation, error)
	// NextDue gives the earliest Next of all, false where none is set.
	NextDue() (time.Time, bool, error)

	// Plugins gives the plugins of an invocation, by Index.
	Plugins(scope ssmrun.Scope, commandID, instanceID string) ([]ssmrun.Plugin, error)
	// UpdatePlugin stores all but the keys, Action and Index.
	UpdatePlugin(scope ssmrun.Scope, p *ssmrun.Plugin) error
}

// InstanceQuery selects instances; zero members select all.
type InstanceQuery struct {
	IDs           []string
	PlatformTypes []string
	AgentVersions []string
	ActivationIDs []string
	IamRoles      []string
	ResourceTypes []string // EC2Instance, ManagedInstance
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
}

// Documents are the documents that are not built in.
type Documents interface {
	// PutDocument adds or replaces a version of a document.
	PutDocument(d *ssmrun.Document) error
	// Document finds a version: a number, or $DEFAULT or $LATEST or "".
	// ssmrun.ErrNotFound where there is no such document.
	Document(scope ssmrun.Scope, name, version string) (*ssmrun.Document, error)
}

// Activation allows agents to register.
type Activation struct {
	ID           string // UUID
	Scope        ssmrun.Scope
	CodeHash     []byte // SHA-256 of the code; the code itself is not kept
	IamRole      string
	Description  string
	DefaultName  string
	InstanceID   string // the id that a registration gets; "" for a new mi- id
	Limit        int    // how many registrations
	Count        int    // how many there were
	CreatedAt    time.Time
	ExpiresAt    time.Time
	ForgetsAfter bool // delete it once it is used up
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
}
