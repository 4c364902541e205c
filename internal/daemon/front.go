package daemon

import (
	"context"
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"ssmrun"
	"ssmrun/internal/awsapi"
	"ssmrun/internal/gateway"
	"ssmrun/internal/identity"
	"ssmrun/internal/sigv4"
	"ssmrun/internal/store"
	"ssmrun/internal/wire"
)

// front is the one port: it finds out which protocol a request speaks, proves
// whose it is, and passes it on. What it dispatches by, in this order: the host
// name (host.go), the path of the control channel, the prefix of X-Amz-Target,
// the service in the credential's scope.
type front struct {
	api      *awsapi.API
	gateway  *gateway.Gateway
	identity *identity.Service
	store    store.Store
	objects  http.Handler // nil: no embedded S3 endpoint
	hosts    hostNames
	regions  map[string]bool
	verifier *sigv4.Verifier
	audit    *auditLog
	cfg      *Config
	bodies   atomic.Int64  // bytes of bodies that are held now
	bodyTime time.Duration // how long a body may take to come
}

// request is a request on its way through the front.
type request struct {
	w      http.ResponseWriter
	r      *http.Request
	signed *sigv4.Signed
	bucket string // that its host name names
	body   []byte
	held   int64 // bytes of the body, as far as it has come
	caller identity.Principal
	record auditRecord
}

// ServeHTTP implements http.Handler.
func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := &request{w: w, r: r}
	defer f.letGo(q)
	q.deadline(f.bodyTime)
	q.record = auditRecord{Time: f.cfg.Now(), RequestID: uuid.NewString(), Source: source(r)}
	w.Header().Set(awsapi.HeaderRequestID, q.record.RequestID)
	// SDKs correct their clock by this header: it has to be of the clock that
	// signatures are checked with.
	w.Header().Set("Date", q.record.Time.UTC().Format(http.TimeFormat))
	target := r.Header.Get("X-Amz-Target")
	if at := f.hosts.read(r.Host); at.service != "" && !f.enter(q, at) {
		return
	}
	if id, ok := wire.ParseControlChannelPath(r.URL.Path); ok {
		f.controlChannel(q, id)
		return
	}
	if target != "" {
		f.json(q, target)
		return
	}
	signed, err := sigv4.Parse(r)
	if err != nil {
		q.record.Operation = r.Method
		f.refuse(q, "", err)
		return
	}
	q.signed = signed
	switch {
	case signed.Service == "s3" && f.objects != nil:
		f.s3(q)
	case signed.Service == "sts" || signed.Service == "ec2" || signed.Service == "iam":
		f.query(q, signed.Service)
	default:
		q.record.Operation = r.Method
		f.refuse(q, signed.Service, &ssmrun.Error{Code: ssmrun.CodeUnknownOperation})
	}
}

func source(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// outcome finishes the audit record, and logs what is the service's own fault.
func (f *front) outcome(q *request, err error) {
	q.record.Outcome = "OK"
	if err != nil {
		q.record.Outcome = string(ssmrun.ErrorCode(err))
	}
	if awsapi.Internal(err) && !errors.Is(err, context.Canceled) {
		f.cfg.Logger.Error("a call failed inside", "operation", q.record.Operation, "request", q.record.RequestID, "error", err)
	}
	f.audit.write(q.record)
}

// refuse answers a request that did not get as far as its operation.
func (f *front) refuse(q *request, service string, err error) {
	q.record.Service = service
	switch service {
	case "sts", "ec2", "iam":
		awsapi.WriteQueryError(q.w, service, err)
	default:
		awsapi.WriteJSONError(q.w, err)
	}
	f.outcome(q, err)
}

// authenticate proves whose a request is: its signature, with a key that there
// is, for this service and a region that is served. The body is read last, so
// that who names no key costs no memory.
func (f *front) authenticate(q *request, service string) error {
	return f.authenticateBy(q, service, func() (string, identity.Principal, error) {
		return f.identity.Lookup(q.r.Context(), q.signed.AccessKeyID, q.signed.SessionToken)
	})
}

// iamRegion is the one that IAM is reached by in all regions.
const iamRegion = "us-east-1"

// authenticateBy is authenticate with a look-up of one's own for the key.
func (f *front) authenticateBy(q *request, service string, lookup func() (string, identity.Principal, error)) error {
	if q.signed == nil {
		signed, err := sigv4.Parse(q.r)
		if err != nil {
			return err
		}
		q.signed = signed
	}
	q.record.Region = q.signed.Region
	if err := q.signed.RequireScope(service, func(region string) bool {
		return f.regions[region] || service == "iam" && region == iamRegion
	}); err != nil {
		return err
	}
	secret, caller, err := lookup()
	if err != nil {
		return err
	}
	if err := f.read(q, ssmrun.MaxBodyBytes); err != nil {
		return err
	}
	if err := f.verifier.Verify(q.r, q.signed, sigv4.PayloadHash(q.body), secret, q.signed.SessionToken); err != nil {
		return err
	}
	if caller.Agent() && caller.Region != q.signed.Region {
		return ssmrun.Errorf(ssmrun.CodeAccessDenied, "%s belongs to region %s, not to %s.", caller.ARN, caller.Region, q.signed.Region)
	}
	q.caller = caller
	q.record.Caller = caller.ARN
	return nil
}

// hostManagement is the header of an agent on EC2 whose profile lets it do
// nothing, and that asks for the default role of its account and region.
const hostManagement = "SSM-AsymmetricKeyAuthorization"

// byRegisteredKey proves a call that an agent signed with its own key pair.
func (f *front) byRegisteredKey(q *request) error {
	signed, err := sigv4.Parse(q.r)
	if err != nil {
		return err
	}
	q.signed = signed
	q.record.Region, q.record.Caller = signed.Region, signed.AccessKeyID
	if err := signed.RequireScope("ssm", func(region string) bool { return f.regions[region] }); err != nil {
		return err
	}
	var inst *ssmrun.Instance
	err = f.store.View(q.r.Context(), func(tx store.Tx) (err error) {
		inst, err = tx.FindInstance(signed.AccessKeyID)
		return err
	})
	switch {
	case q.r.Header.Get(hostManagement) != "":
		return ssmrun.Errorf(ssmrun.CodeAccessDenied, "This service has no default host management: an EC2 instance works with the keys of its instance profile. Give it one whose role carries AmazonSSMManagedInstanceCore.")
	case !ssmrun.ValidInstanceID(signed.AccessKeyID):
		return sigv4.UnknownKey()
	case errors.Is(err, ssmrun.ErrNotFound), err == nil && inst.PublicKey == "":
		// With this code agents pause long before they ask again.
		return ssmrun.Errorf(ssmrun.CodeAccessDenied, "Instance %s is not registered with this service: it was deregistered, or registered with another service. Register the host with a new activation.", signed.AccessKeyID)
	}
	if err != nil {
		return err
	}
	key, err := identity.PublicKey(inst.PublicKey)
	if err != nil {
		return err
	}
	if err := f.read(q, ssmrun.MaxBodyBytes); err != nil {
		return err
	}
	if err := f.verifier.VerifyRSA(q.r, signed, sigv4.PayloadHash(q.body), key); err != nil {
		return err
	}
	q.caller = identity.Principal{Account: inst.Scope.Account, InstanceID: inst.ID, Region: inst.Scope.Region}
	return nil
}

// json serves the JSON 1.1 services: Systems Manager for callers and agents, and
// the delivery of messages to agents.
func (f *front) json(q *request, target string) {
	if operation, ok := strings.CutPrefix(target, wire.TargetMessageDelivery); ok && q.r.Method == http.MethodPost {
		f.messages(q, operation)
		return
	}
	operation, ok := strings.CutPrefix(target, wire.TargetSSM)
	q.record.Service, q.record.Operation = "ssm", operation
	if !ok || q.r.Method != http.MethodPost {
		q.record.Operation = target
		f.refuse(q, "ssm", &ssmrun.Error{Code: ssmrun.CodeUnknownOperation})
		return
	}
	if signing, ok := gateway.CallSigning(operation); ok {
		f.agentCall(q, operation, signing)
		return
	}
	if err := f.authenticate(q, "ssm"); err != nil {
		f.refuse(q, "ssm", err)
		return
	}
	call := f.call(q, operation)
	if q.caller.Agent() {
		if operation != "GetParameters" && operation != "GetParameter" {
			f.refuse(q, "ssm", f.refusedToAgent(q, operation))
			return
		}
		call.MayRead = f.mayRead(q, operation)
	}
	out, err := f.api.SSM(q.r.Context(), call)
	q.record.Subject = call.Subject
	if err != nil {
		awsapi.WriteJSONError(q.w, err)
	} else {
		awsapi.WriteJSON(q.w, out)
	}
	f.outcome(q, err)
}

// refusedToAgent: what is none of this service's is unknown to an agent as to
// anybody. It is what the genuine agent takes for a service without inventory,
// compliance and the like; denied, it would be somebody's mistake.
func (f *front) refusedToAgent(q *request, operation string) error {
	if !slices.Contains(f.api.Operations(), operation) {
		return &ssmrun.Error{Code: ssmrun.CodeUnknownOperation}
	}
	return notAllowed(q, "ssm:"+operation)
}

// notAllowed: agents have no business with callers' operations, but for reading
// what their commands name (mayRead).
func notAllowed(q *request, action string) error {
	return ssmrun.Errorf(ssmrun.CodeAccessDenied, "User: %s is not authorized to perform: %s because no identity-based policy allows the %s action", q.caller.ARN, action, action)
}

func (f *front) call(q *request, operation string) *awsapi.Call {
	return &awsapi.Call{
		Operation: operation, Caller: q.caller, Body: q.body, Header: q.r.Header, Answer: q.w.Header(),
		Scope: ssmrun.Scope{Account: q.caller.Account, Region: q.signed.Region},
	}
}

func (f *front) agentCall(q *request, operation string, signing gateway.Signing) {
	var err error
	switch signing {
	case gateway.ByActivation:
		err = f.byActivation(q)
	case gateway.ByRegisteredKey:
		err = f.byRegisteredKey(q)
	case gateway.ByRoleKey:
		err = f.authenticate(q, "ssm")
	}
	if err != nil {
		f.refuse(q, "ssm", err)
		return
	}
	out, err := f.gateway.Call(q.r.Context(), operation, q.caller, q.body)
	if err != nil {
		awsapi.WriteJSONError(q.w, err)
	} else {
		awsapi.WriteJSON(q.w, out)
	}
	f.outcome(q, err)
}

// byActivation lets a registration through whose proof is in its body. One that is
// signed with temporary keys has to be that of an EC2 instance.
func (f *front) byActivation(q *request) error {
	if q.r.Header.Get("X-Amz-Security-Token") == "" {
		q.caller.Region = q.r.Header.Get(wire.HeaderRegion)
		return f.read(q, maxUnsignedBody)
	}
	return f.authenticateBy(q, "ssm", func() (string, identity.Principal, error) {
		return f.identity.LookupIdentity(q.signed.AccessKeyID, q.signed.SessionToken)
	})
}

// query serves STS, EC2 and IAM.
func (f *front) query(q *request, service string) {
	err := f.authenticate(q, service)
	if err != nil {
		f.refuse(q, service, err)
		return
	}
	q.record.Service = service
	form, action, err := awsapi.QueryOperation(q.body)
	if err != nil {
		f.refuse(q, service, err)
		return
	}
	q.record.Operation = action
	call := f.call(q, action)
	var out any
	switch {
	case service == "sts":
		out, err = f.api.STS(q.r.Context(), call, form)
	case q.caller.Agent():
		err = notAllowed(q, service+":"+action)
	case service == "iam":
		out, err = f.api.IAM(q.r.Context(), call, form)
	default:
		out, err = f.api.EC2(q.r.Context(), call, form)
	}
	q.record.Subject = call.Subject
	if err != nil {
		awsapi.WriteQueryError(q.w, service, err)
	} else {
		awsapi.WriteXML(q.w, out)
	}
	f.outcome(q, err)
}

// controlChannel serves the agents' websocket and the call that precedes it.
func (f *front) controlChannel(q *request, instanceID string) {
	q.record.Service, q.record.Operation = "ssmmessages", "OpenControlChannel"
	if q.r.Method == http.MethodPost {
		q.record.Operation = "CreateControlChannel"
	}
	if err := f.authenticate(q, "ssmmessages"); err != nil {
		f.refuse(q, "ssmmessages", err)
		return
	}
	q.record.Subject.Instances = []string{instanceID}
	switch q.r.Method {
	case http.MethodPost:
		f.outcome(q, f.gateway.CreateChannel(q.w, q.r, instanceID, q.caller, q.body))
	case http.MethodGet:
		f.outcome(q, nil)
		f.gateway.ServeChannel(q.w, q.r, instanceID, q.caller)
	default:
		f.refuse(q, "ssmmessages", &ssmrun.Error{Code: ssmrun.CodeUnknownOperation})
	}
}

// s3 passes a request on to the S3 endpoint, which verifies it itself.
func (f *front) s3(q *request) {
	q.record.Service, q.record.Region, q.record.Caller = "s3", q.signed.Region, q.signed.AccessKeyID
	q.record.Operation = q.r.Method + " " + q.bucketPath()
	q.deadline(0) // an upload takes its time
	status := &statusWriter{ResponseWriter: q.w}
	f.objects.ServeHTTP(status, q.r)
	q.record.Outcome = http.StatusText(status.code())
	f.audit.write(q.record)
}

// statusWriter remembers the status of an answer.
type statusWriter struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements http.ResponseWriter.
func (s *statusWriter) WriteHeader(status int) {
	s.status = status
	s.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController through.
func (s *statusWriter) Unwrap() http.ResponseWriter { return s.ResponseWriter }

func (s *statusWriter) code() int {
	if s.status == 0 {
		return http.StatusOK
	}
	return s.status
}
