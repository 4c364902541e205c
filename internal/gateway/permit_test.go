package gateway_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"ssmrun"
	"ssmrun/internal/identity"
	"ssmrun/internal/store"
	"ssmrun/internal/wire"
)

// TestPermit: heartbeats and new channels are denied with the reason while the
// instance's role does not let its agent work; a caller needs none.
func TestPermit(t *testing.T) {
	t.Parallel()
	b := setup(t, 0)
	role := &store.Role{Account: scope.Account, Name: "Rack", Trust: identity.TrustPolicy(identity.ServiceSSM)}
	b.must(b.identity.CreateRole(b.ctx, role))
	agent := identity.Principal{ARN: "arn:of-the-agent", Account: scope.Account, Region: scope.Region, InstanceID: instance, Role: "Rack", Service: identity.ServiceSSM}
	caller := identity.Principal{ARN: "arn:of-the-key", Account: scope.Account}
	heartbeat := func(p identity.Principal) error {
		_, err := b.gateway.Call(b.ctx, wire.OpUpdateInstanceInformation, p, []byte(`{"InstanceId":"`+instance+`"}`))
		return err
	}
	open := func(p identity.Principal) (int, string, error) {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodPost, wire.ControlChannelPath(instance), nil)
		err := b.gateway.CreateChannel(w, r, instance, p, []byte(`{"MessageSchemaVersion":"1.0","RequestId":"r"}`))
		return w.Code, w.Body.String(), err
	}
	const mend = "aws iam attach-role-policy --role-name Rack"
	err := heartbeat(agent)
	if ssmrun.ErrorCode(err) != ssmrun.CodeAccessDenied || !strings.Contains(err.Error(), "arn:of-the-agent is not authorized to perform: ssm:UpdateInstanceInformation") || !strings.Contains(err.Error(), mend) {
		t.Errorf("a heartbeat: %v", err)
	}
	status, body, err := open(agent)
	code, message := wire.DecodeChannelError([]byte(body))
	if status != http.StatusForbidden || code != wire.CodeAccessDenied || !strings.Contains(message, mend) || !strings.Contains(body, "<AccessDeniedException>") || ssmrun.ErrorCode(err) != ssmrun.CodeAccessDenied {
		t.Errorf("a channel: %d %s, %v", status, body, err)
	}
	if err := heartbeat(caller); err != nil {
		t.Errorf("a caller's heartbeat: %v", err)
	}
	if status, body, err := open(caller); status != http.StatusCreated || err != nil {
		t.Errorf("a caller's channel: %d %s", status, body)
	}
	b.must(b.identity.ChangeRole(b.ctx, scope.Account, "Rack", func(r *store.Role) error { r.Policies = []string{identity.CorePolicy}; return nil }))
	b.must(heartbeat(agent))
	if status, body, _ := open(agent); status != http.StatusCreated {
		t.Errorf("once it is attached: %d %s", status, body)
	}
}
