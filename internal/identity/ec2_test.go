package identity_test

import (
	"strings"
	"testing"
	"time"

	"ssmrun"
	"ssmrun/internal/identity"
	"ssmrun/internal/store"
)

// TestEC2Keys: the keys of a profile are an agent's, those of the instance itself
// are good for its registration only.
func TestEC2Keys(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx := t.Context()
	i := identity.EC2Instance{ID: "i-0123456789abcdef0", Scope: scope, Role: "Web"}
	if _, err := b.ProfileKey(ctx, i); ssmrun.ErrorCode(err) != ssmrun.CodeAccessDenied || !strings.Contains(err.Error(), "Web is not there") {
		t.Errorf("of no role: %v", err)
	}
	web := store.Role{Account: scope.Account, Name: "Web", Trust: identity.TrustPolicy(identity.ServiceSSM)}
	if err := b.CreateRole(ctx, &web); err != nil {
		t.Fatal(err)
	}
	if _, err := b.ProfileKey(ctx, i); ssmrun.ErrorCode(err) != ssmrun.CodeAccessDenied || !strings.Contains(err.Error(), "does not trust ec2.amazonaws.com") {
		t.Errorf("of a role that does not trust EC2: %v", err)
	}
	if err := b.SetTrust(ctx, scope.Account, "Web", identity.TrustPolicy(identity.ServiceEC2)); err != nil {
		t.Fatal(err)
	}
	key, err := b.ProfileKey(ctx, i)
	if err != nil {
		t.Fatal(err)
	}
	secret, p, err := b.Lookup(ctx, key.AccessKeyID, key.SessionToken)
	if err != nil || secret != key.Secret || !p.Agent() || p.Role != "Web" || p.Service != identity.ServiceEC2 || p.ARN != "arn:aws:sts::000000000000:assumed-role/Web/"+i.ID {
		t.Errorf("%+v, %v", p, err)
	}
	if b.CallerToken(key.SessionToken) {
		t.Error("an instance's token is a caller's")
	}
	own, err := b.IdentityKey(i)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := b.Lookup(ctx, own.AccessKeyID, own.SessionToken); ssmrun.ErrorCode(err) != ssmrun.CodeAccessDenied {
		t.Errorf("the instance's own keys do more than register: %v", err)
	}
	_, own1, err := b.LookupIdentity(own.AccessKeyID, own.SessionToken)
	if err != nil || own1.ARN != "arn:aws:sts::000000000000:assumed-role/aws:ec2-instance/"+i.ID || own1.InstanceID != i.ID {
		t.Errorf("%+v, %v", own1, err)
	}
	if _, _, err := b.LookupIdentity(key.AccessKeyID, key.SessionToken); ssmrun.ErrorCode(err) != ssmrun.CodeAccessDenied {
		t.Errorf("a profile's keys are the instance's own: %v", err)
	}
	if _, _, err := b.LookupIdentity(key.AccessKeyID, own.SessionToken); ssmrun.ErrorCode(err) != ssmrun.CodeUnrecognizedClient {
		t.Errorf("another key's token: %v", err)
	}

	// Registration.
	public := publicKey(t, 2048)
	if _, err := b.RegisterEC2(ctx, own1, public, i.ID); ssmrun.ErrorCode(err) != ssmrun.CodeAccessDenied || !strings.Contains(err.Error(), "attach-role-policy --role-name Web") {
		t.Errorf("without its policy: %v", err)
	}
	if err := b.ChangeRole(ctx, scope.Account, "Web", func(r *store.Role) error { r.Policies = []string{identity.CorePolicy}; return nil }); err != nil {
		t.Fatal(err)
	}
	if _, err := b.RegisterEC2(ctx, own1, "x", i.ID); ssmrun.ErrorCode(err) != ssmrun.CodeValidation {
		t.Errorf("a malformed key: %v", err)
	}
	for range 2 { // the same again changes nothing
		inst, err := b.RegisterEC2(ctx, own1, public, i.ID)
		if err != nil || inst.ID != i.ID || inst.IamRole != "Web" || inst.PublicKey != public {
			t.Errorf("%+v, %v", inst, err)
		}
	}
	if _, err := b.RegisterEC2(ctx, own1, publicKey(t, 2048), i.ID); ssmrun.ErrorCode(err) != identity.CodeAlreadyRegistered {
		t.Errorf("another key: %v", err)
	}
	b.now = b.now.Add(identity.MetadataLife + time.Second)
	if _, _, err := b.LookupIdentity(own.AccessKeyID, own.SessionToken); ssmrun.ErrorCode(err) != ssmrun.CodeExpiredToken {
		t.Errorf("after its time: %v", err)
	}
}
