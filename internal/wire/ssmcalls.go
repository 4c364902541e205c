package wire

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"
)

// TargetSSM begins the X-Amz-Target of the calls an agent makes to the service
// itself, and of callers' calls.
const TargetSSM = "AmazonSSM."

// ContentType is the media type of all JSON calls.
const ContentType = "application/x-amz-json-1.1"

// Operations that agents call, as they follow TargetSSM or
// TargetMessageDelivery.
const (
	OpRegisterManagedInstance         = "RegisterManagedInstance"
	OpRequestManagedInstanceRoleToken = "RequestManagedInstanceRoleToken"
	OpUpdateManagedInstancePublicKey  = "UpdateManagedInstancePublicKey"
	OpUpdateInstanceInformation       = "UpdateInstanceInformation"
	OpListInstanceAssociations        = "ListInstanceAssociations"
	OpGetParameters                   = "GetParameters"

	OpGetMessages        = "GetMessages"
	OpAcknowledgeMessage = "AcknowledgeMessage"
	OpSendReply          = "SendReply"
	OpFailMessage        = "FailMessage"
	OpDeleteMessage      = "DeleteMessage"
	OpGetEndpoint        = "GetEndpoint"
)

// KeyTypeRSA is the only key type of registrations.
const KeyTypeRSA = "Rsa"

// ErrorBody is the answer to a call that failed, beside its HTTP status.
type ErrorBody struct {
	// Type is the error's code; genuine services put a name space and a # before
	// it at times.
	Type    string `json:"__type"`
	Message string `json:"message"`
}

// HeaderRegion is this project's own: it tells with a registration, which no
// signature tells a region of, for which one the host's agent is set up. Other
// services do not look at it.
const HeaderRegion = "X-Ssmrun-Region"

// RegisterManagedInstanceRequest makes a host an instance. It is the one call
// that is not signed: the activation's code proves the right to it.
type RegisterManagedInstanceRequest struct {
	ActivationCode string `json:",omitempty"`
	ActivationID   string `json:"ActivationId,omitempty"`
	// Fingerprint is a UUID that the host keeps and repeats with every role
	// token request.
	Fingerprint string
	// PublicKey is base64 of a DER SubjectPublicKeyInfo, RSA-2048.
	PublicKey     string
	PublicKeyType string
}

func (r *RegisterManagedInstanceRequest) check() error {
	return missing("Fingerprint", r.Fingerprint, "PublicKey", r.PublicKey, "PublicKeyType", r.PublicKeyType)
}

// RegisterManagedInstanceResponse names the instance: mi- or i- and 17 hex
// digits.
type RegisterManagedInstanceResponse struct {
	InstanceID string `json:"InstanceId"`
}

func (r *RegisterManagedInstanceResponse) check() error { return missing("InstanceId", r.InstanceID) }

// RequestManagedInstanceRoleTokenRequest asks for temporary keys. It is signed
// with the registered key: see package sigv4, SignRSA.
type RequestManagedInstanceRoleTokenRequest struct {
	Fingerprint string
}

func (r *RequestManagedInstanceRoleTokenRequest) check() error {
	return missing("Fingerprint", r.Fingerprint)
}

// RequestManagedInstanceRoleTokenResponse is the temporary keys. All five fields
// are sent always: the genuine agent does not look whether they are there.
type RequestManagedInstanceRoleTokenResponse struct {
	AccessKeyID     string `json:"AccessKeyId"`
	SecretAccessKey string
	SessionToken    string
	// TokenExpirationDate is when the keys end; agents ask anew at half their
	// life.
	TokenExpirationDate Epoch
	// UpdateKeyPair asks the agent to register a new key pair.
	UpdateKeyPair bool
}

func (r *RequestManagedInstanceRoleTokenResponse) check() error {
	return missing("AccessKeyId", r.AccessKeyID, "SecretAccessKey", r.SecretAccessKey, "SessionToken", r.SessionToken)
}

// UpdateManagedInstancePublicKeyRequest replaces the registered key, signed with
// the old one. Its answer is {}.
type UpdateManagedInstancePublicKeyRequest struct {
	NewPublicKey     string
	NewPublicKeyType string
}

func (r *UpdateManagedInstancePublicKeyRequest) check() error {
	return missing("NewPublicKey", r.NewPublicKey, "NewPublicKeyType", r.NewPublicKeyType)
}

// UpdateInstanceInformationRequest is an agent's heartbeat: the short form at
// start, the full one every few minutes. Its answer is {}.
type UpdateInstanceInformationRequest struct {
	AgentName    string `json:",omitempty"`
	AgentVersion string `json:",omitempty"`
	InstanceID   string `json:"InstanceId"`
	PlatformType string `json:",omitempty"` // Linux

	AgentStatus        string `json:",omitempty"` // Active
	AvailabilityZone   string `json:",omitempty"`
	AvailabilityZoneID string `json:"AvailabilityZoneId,omitempty"`
	ComputerName       string `json:",omitempty"`
	IPAddress          string `json:",omitempty"`
	PlatformName       string `json:",omitempty"`
	PlatformVersion    string `json:",omitempty"`
	// SSMConnectionChannel is ssmmessages, ec2messages, or "" before either is
	// open.
	SSMConnectionChannel string `json:",omitempty"`
}

func (r *UpdateInstanceInformationRequest) check() error { return missing("InstanceId", r.InstanceID) }

// The values of UpdateInstanceInformationRequest that agents send.
const (
	AgentStatusActive = "Active"
	PlatformTypeLinux = "Linux"
	ChannelMessages   = "ssmmessages"
	ChannelLongPoll   = "ec2messages"
)

// ListInstanceAssociationsRequest asks for State Manager's associations.
type ListInstanceAssociationsRequest struct {
	InstanceID string `json:"InstanceId"`
	MaxResults int    `json:",omitempty"`
	NextToken  string `json:",omitempty"`
}

func (r *ListInstanceAssociationsRequest) check() error { return missing("InstanceId", r.InstanceID) }

// ListInstanceAssociationsResponse is their list.
type ListInstanceAssociationsResponse struct {
	// Associations is never null; the entries are not looked at here.
	Associations []json.RawMessage
	NextToken    string `json:",omitempty"`
}

// MarshalJSON writes an empty list for nil.
func (r ListInstanceAssociationsResponse) MarshalJSON() ([]byte, error) {
	type plain ListInstanceAssociationsResponse
	if r.Associations == nil {
		r.Associations = []json.RawMessage{}
	}
	return Marshal(plain(r))
}

// GetParametersRequest asks for the values behind {{ssm:name}} in a document.
type GetParametersRequest struct {
	Names          []string
	WithDecryption bool
}

func (r *GetParametersRequest) check() error {
	if len(r.Names) == 0 {
		return errors.New("field Names is missing")
	}
	return nil
}

// GetParametersResponse holds the values; names that are unknown are listed.
type GetParametersResponse struct {
	Parameters        []Parameter
	InvalidParameters []string
}

// Parameter is one parameter of the parameter store. Its Value is never printed.
type Parameter struct {
	Name    string
	Type    string // String, StringList, SecureString
	Value   string
	Version int64 `json:",omitempty"`
	// Selector is ":3" where version 3 was asked for.
	Selector string `json:",omitempty"`
	ARN      string `json:",omitempty"`
}

// Epoch is a time as the JSON protocol writes it: seconds since 1970, with a
// fraction where there is one, to the millisecond. The zero time is 0.
type Epoch struct{ time.Time }

var errEpoch = errors.New("a time is not in seconds since 1970")

// maxEpoch is the end of year 9999.
const maxEpoch = 253402300799

// MarshalJSON implements json.Marshaler.
func (e Epoch) MarshalJSON() ([]byte, error) {
	if e.IsZero() {
		return []byte("0"), nil
	}
	ms := e.UnixMilli()
	if ms%1000 == 0 {
		return strconv.AppendInt(nil, ms/1000, 10), nil
	}
	return strconv.AppendFloat(nil, float64(ms)/1000, 'f', 3, 64), nil
}

// UnmarshalJSON implements json.Unmarshaler.
func (e *Epoch) UnmarshalJSON(data []byte) error {
	if string(data) == "null" || string(data) == "0" {
		e.Time = time.Time{}
		return nil
	}
	f, err := strconv.ParseFloat(string(data), 64)
	if err != nil || math.IsNaN(f) || f < 0 || f > maxEpoch {
		return fmt.Errorf("decode epoch: %w", errEpoch)
	}
	e.Time = time.UnixMilli(int64(math.Round(f * 1000))).UTC()
	return nil
}
