package daemon

import (
	"ssmrun/internal/awsapi"
	"ssmrun/internal/gateway"
	"ssmrun/internal/wire"
)

// messages serves the agents' long polls and what belongs to them. A poll that
// was answered with nothing is not in the audit log: an agent makes 200 an hour.
func (f *front) messages(q *request, operation string) {
	const service = wire.ServiceMessageDelivery
	q.record.Service, q.record.Operation = service, operation
	if err := f.authenticate(q, service); err != nil {
		f.refuse(q, service, err)
		return
	}
	if q.caller.Agent() {
		q.record.Subject.Instances = []string{q.caller.InstanceID}
	}
	scheme := "http://"
	if q.r.TLS != nil {
		scheme = "https://"
	}
	out, err := f.gateway.Message(q.r.Context(), operation, q.caller, scheme+q.r.Host, q.body)
	if err != nil {
		awsapi.WriteJSONError(q.w, err)
	} else {
		awsapi.WriteJSON(q.w, out)
	}
	if !gateway.Idle(out, err) {
		f.outcome(q, err)
	}
}
