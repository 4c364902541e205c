package agentlink_test

import (
	"encoding/json"
	"errors"
	"sync/atomic"
	"testing"

	"ssmrun/internal/agentlink"
	"ssmrun/internal/agentlink/linktest"
	"ssmrun/internal/sigv4"
	"ssmrun/internal/wire"
)

// TestGivenKeys: with keys of the service's the link works without its own RSA
// key, asks for no role token, and asks anew for keys that are refused.
func TestGivenKeys(t *testing.T) {
	t.Parallel()
	var keys atomic.Pointer[sigv4.Keys]
	b := setup(t, func(c *agentlink.Config, s *linktest.Server) {
		c.Identity.Key = nil
		good := s.Keys()
		keys.Store(&good)
		c.Keys = func() (sigv4.Keys, error) {
			if k := keys.Load(); k != nil {
				return *k, nil
			}
			return sigv4.Keys{}, errors.New("no keys there")
		}
	})
	_, n := b.srv.WaitKind("open", 0)
	job := b.srv.SendCommand(wire.SendCommandPayload{CommandID: "c", DocumentContent: json.RawMessage("{}")})
	_, n = b.srv.WaitAck(job, n)
	creds, err := b.link.Credentials(t.Context())
	if err != nil || creds.Keys != *keys.Load() {
		t.Errorf("credentials %v, %v", creds.Keys, err)
	}
	for _, bad := range []*sigv4.Keys{nil, {AccessKeyID: "AKIAWRONG", SecretAccessKey: "wrong"}} {
		keys.Store(bad)
		b.srv.Cut()
		_, n = b.srv.WaitKind("close", n)
		if c, err := b.link.Credentials(t.Context()); bad == nil && err == nil {
			t.Errorf("credentials %v without keys", c.Keys)
		}
		again := b.srv.Keys()
		keys.Store(&again)
		_, n = b.srv.WaitKind("open", n)
	}
	for _, e := range b.srv.Events() {
		if e.Kind == wire.OpRequestManagedInstanceRoleToken {
			t.Error("a role token was asked for")
		}
	}
}
