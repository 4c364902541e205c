// Package awsapi is step 3b of a run: AWS's operations as callers speak them.
// It decodes a call, checks it against one table per operation, calls control
// or reads the store, and encodes the answer as AWS does. daemon calls it with
// requests whose signature has been verified; it calls control, store and
// document.
//
// SSM speaks JSON 1.1 (json11.go), STS, EC2 and IAM speak Query and XML (query.go,
// iam.go).
// Each operation has a file of its own, op_*.go.
package awsapi

import (
	"context"
	"log/slog"
	"net/http"
	"runtime"
	"slices"
	"time"

	"ssmrun"
	"ssmrun/internal/control"
	"ssmrun/internal/identity"
	"ssmrun/internal/parameters"
	"ssmrun/internal/store"
)

// Headers of the long poll: SendCommand's answer, and every ListCommands answer
// about one command, carry its revision; a request that carries "N;SECONDS" is answered as soon as the
// revision is not N, after SECONDS at the latest. AWS knows neither.
const (
	HeaderRevision = "X-Ssmrun-Revision"
	HeaderWait     = "X-Ssmrun-Wait"
	// MaxWait bounds SECONDS.
	MaxWait = 20 * time.Second
)

// Config is what an API needs.
type Config struct {
	Control *control.Controller
	Store   store.Store
	// Identity makes activations and assumes roles.
	Identity *identity.Service
	// Drop closes the channel of an instance that was deregistered.
	Drop func(instanceID string)
	// AgentVersion is the version of the agent that is shipped with the service.
	AgentVersion string
	Parameters   *parameters.Service
	// S3URL gives the base of the addresses of output objects, without a slash
	// at its end: "http://127.0.0.1:8440".
	S3URL func(region string) string
	// Seal makes the authentication code of a text for a use, of at least 16
	// bytes, with a key of the service's that outlives it: callers carry page
	// tokens from one process to the next. nil: a checksum (tests).
	Seal func(use, text string) []byte
	// Races makes the service show AWS's races; see races.go.
	Races  bool
	Now    func() time.Time // time.Now where nil
	Logger *slog.Logger
}

// API answers calls.
type API struct {
	cfg   Config
	ssm   map[string]operation
	iam   map[string]iamOperation
	races *races
	large chan struct{} // holds one for each large body that is being checked
}

// Call is a verified request.
type Call struct {
	Operation string
	Caller    identity.Principal
	Scope     ssmrun.Scope
	Body      []byte
	Header    http.Header // of the request
	// Answer collects headers for the answer.
	Answer http.Header
	// MayRead, where not nil, decides whether the call may read stored parameters,
	// in the clear or not. It gets the names that the operation will read, so
	// that no two readings of the body can differ.
	MayRead func(names []string, decrypt bool) error
	// Subject is filled in for the audit log: what the call was about, ids and
	// names only.
	Subject Subject
}

// Subject is what a call was about, for the audit log. No values of parameters.
type Subject struct {
	CommandID string   `json:"command_id,omitempty"`
	Document  string   `json:"document,omitempty"`
	Instances []string `json:"instances,omitempty"`
	Bucket    string   `json:"bucket,omitempty"`
	// Activation is an activation's id, Role a role's name or ARN, Resource the
	// type and id of what tags belong to.
	Activation string `json:"activation_id,omitempty"`
	Role       string `json:"role,omitempty"`
	Resource   string `json:"resource,omitempty"`
	// Parameters are names of stored parameters.
	Parameters []string `json:"parameters,omitempty"`
}

// operation is one row of the service: the shape its input must have, and what
// it does.
type operation struct {
	input *shape
	run   handler
}

// handler answers a call whose body has been checked: the output to encode, or
// a coded error.
type handler func(context.Context, *Call) (any, error)

func (a *API) commandOperations() map[string]handler {
	return map[string]handler{
		"SendCommand":            a.sendCommand,
		"CancelCommand":          a.cancelCommand,
		"ListCommands":           a.listCommands,
		"ListCommandInvocations": a.listCommandInvocations,
		"GetCommandInvocation":   a.getCommandInvocation,
	}
}

func (a *API) instanceOperations() map[string]handler {
	return map[string]handler{
		"AddTagsToResource":           a.addTagsToResource,
		"CreateActivation":            a.createActivation,
		"DeleteActivation":            a.deleteActivation,
		"DeregisterManagedInstance":   a.deregisterManagedInstance,
		"DescribeActivations":         a.describeActivations,
		"DescribeInstanceInformation": a.describeInstanceInformation,
		"DescribeInstanceProperties":  a.describeInstanceProperties,
		"GetConnectionStatus":         a.getConnectionStatus,
		"ListTagsForResource":         a.listTagsForResource,
		"RemoveTagsFromResource":      a.removeTagsFromResource,
		"UpdateManagedInstanceRole":   a.updateManagedInstanceRole,
	}
}

func (a *API) documentOperations() map[string]handler {
	return map[string]handler{
		"CreateDocument":               a.createDocument,
		"UpdateDocument":               a.updateDocument,
		"UpdateDocumentDefaultVersion": a.updateDocumentDefaultVersion,
		"UpdateDocumentMetadata":       a.updateDocumentMetadata,
		"ListDocumentMetadataHistory":  a.listDocumentMetadataHistory,
		"DescribeDocument":             a.describeDocument,
		"GetDocument":                  a.getDocument,
		"ListDocuments":                a.listDocuments,
		"ListDocumentVersions":         a.listDocumentVersions,
		"DeleteDocument":               a.deleteDocument,
		"ModifyDocumentPermission":     a.modifyDocumentPermission,
		"DescribeDocumentPermission":   a.describeDocumentPermission,
	}
}

func (a *API) parameterOperations() map[string]handler {
	return map[string]handler{
		"PutParameter":        a.putParameter,
		"GetParameter":        a.getParameter,
		"GetParameters":       a.getParameters,
		"GetParametersByPath": a.getParametersByPath,
		"DescribeParameters":  a.describeParameters,
		"DeleteParameter":     a.deleteParameter,
		"DeleteParameters":    a.deleteParameters,
	}
}

// New makes an API.
func New(cfg Config) *API {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	a := &API{cfg: cfg, large: make(chan struct{}, runtime.GOMAXPROCS(0))}
	if cfg.Races {
		a.races = newRaces(cfg.Now)
	}
	a.ssm, a.iam = map[string]operation{}, a.iamOperations()
	for _, family := range []map[string]handler{
		a.commandOperations(), a.documentOperations(), a.instanceOperations(), a.parameterOperations(),
	} {
		for name, run := range family {
			a.ssm[name] = operation{input: inputs()[name], run: run}
		}
	}
	return a
}

// Operations names the SSM operations that there are, sorted.
func (a *API) Operations() []string {
	var names []string
	for n := range a.ssm {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// SSM answers a call of Systems Manager: the output to encode, or an error
// with one of AWS's codes. An operation that is not there is
// ssmrun.CodeUnknownOperation, never an empty success.
func (a *API) SSM(ctx context.Context, c *Call) (any, error) {
	op, ok := a.ssm[c.Operation]
	if !ok {
		return nil, &ssmrun.Error{Code: ssmrun.CodeUnknownOperation}
	}
	var err error
	if c.Body, err = a.checked(op.input, c.Body); err != nil {
		return nil, err
	}
	if err := a.races.throttle(c.Operation); err != nil {
		return nil, err
	}
	return op.run(ctx, c)
}

// largeBody is the size from which bodies are checked a few at a time: the tree
// of one takes ten times its size, for as long as it is looked at.
const largeBody = 64 << 10

func (a *API) checked(input *shape, body []byte) ([]byte, error) {
	if len(body) >= largeBody {
		a.large <- struct{}{}
		defer func() { <-a.large }()
	}
	return input.check(body)
}
