package store

import (
	"time"

	"ssmrun"
)

// EC2Instance is what the service was told of an EC2 instance's machine, apart
// from its agent: of one without an agent it is all there is.
type EC2Instance struct {
	ID               string // i-…
	Scope            ssmrun.Scope
	State            string // EC2Running or another of EC2's states
	Profile          string // name of the instance profile; "" for none
	PrivateIP        string
	PrivateDNS       string
	PublicIP         string
	AvailabilityZone string
	InstanceType     string
	Architecture     string
	Platform         string // EC2's PlatformDetails
	KeyName          string
	ImageID          string
	LaunchedAt       time.Time // zero: not known
	// Tags are those that came with it. What counts is what Tags gives.
	Tags map[string]string
}

// EC2Running is the state of a machine that can be sent commands.
const EC2Running = "running"

// EC2 is what is known of EC2 instances beside their agents.
type EC2 interface {
	// PutEC2Instance adds or replaces one. It is an error where another scope
	// has the id.
	PutEC2Instance(i *EC2Instance) error
	// DropEC2Instance removes one; nothing happens where there is none.
	DropEC2Instance(id string) error
	// FindEC2Instance finds one in whatever scope. ssmrun.ErrNotFound where
	// there is none.
	FindEC2Instance(id string) (*EC2Instance, error)
	// EC2Instances gives those of a scope that have one of the ids, by id; no
	// ids stand for all.
	EC2Instances(scope ssmrun.Scope, ids []string) ([]EC2Instance, error)
	// EC2State gives the state of an instance's machine: EC2Running where
	// nothing is known of it.
	EC2State(scope ssmrun.Scope, id string) (string, error)
	// ListEC2IDs lists, sorted, the ids of all EC2 instances of a scope: those
	// put here, those that registered, and those that an activation names which
	// an agent can still register with at now.
	ListEC2IDs(scope ssmrun.Scope, now time.Time, p Page) (ids []string, next string, err error)
}
