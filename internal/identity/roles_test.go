package identity_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"ssmrun"
	"ssmrun/internal/identity"
	"ssmrun/internal/store"
)

func TestTrustedServices(t *testing.T) {
	t.Parallel()
	statement := func(s string) string { return `{"Version":"2012-10-17","Statement":[` + s + `]}` }
	const allow = `"Effect":"Allow","Action":"sts:AssumeRole"`
	for name, c := range map[string]struct {
		policy string
		want   string // services, or the text of the error after "!"
	}{
		"our own":          {identity.TrustPolicy("ssm.amazonaws.com"), "ssm.amazonaws.com"},
		"two of our own":   {identity.TrustPolicy("ssm.amazonaws.com", "ec2.amazonaws.com"), "ec2.amazonaws.com ssm.amazonaws.com"},
		"one statement":    {`{"Statement":{` + allow + `,"Principal":{"Service":["ssm.amazonaws.com"]}}}`, "ssm.amazonaws.com"},
		"several actions":  {statement(`{"Effect":"Allow","Action":["sts:TagSession","sts:AssumeRole"],"Principal":{"Service":"ssm.amazonaws.com"}}`), "ssm.amazonaws.com"},
		"another action":   {statement(`{"Effect":"Allow","Action":"sts:TagSession","Principal":{"Service":"ssm.amazonaws.com"}}`), ""},
		"a condition":      {statement(`{` + allow + `,"Principal":{"Service":"ssm.amazonaws.com"},"Condition":{"StringEquals":{"aws:SourceAccount":"1"}}}`), "ssm.amazonaws.com"},
		"denied":           {statement(`{` + allow + `,"Principal":{"Service":["ssm.amazonaws.com","ec2.amazonaws.com"]}},{"Effect":"Deny","Action":"*","Principal":{"Service":"ssm.amazonaws.com"}}`), "ec2.amazonaws.com"},
		"an account":       {statement(`{` + allow + `,"Principal":{"AWS":"arn:aws:iam::111111111111:root"}}`), ""},
		"everybody":        {statement(`{` + allow + `,"Principal":"*"}`), ""},
		"no JSON":          {`{"Statement":`, "!invalid Json"},
		"a text":           {`"ssm.amazonaws.com"`, "!invalid Json"},
		"nothing":          {`{}`, "!no Statement"},
		"no principal":     {statement(`{` + allow + `}`), "!Principal"},
		"no action":        {statement(`{"Effect":"Allow","Principal":{"Service":"ssm.amazonaws.com"}}`), "!Action"},
		"no effect":        {statement(`{"Action":"sts:AssumeRole","Principal":{"Service":"ssm.amazonaws.com"}}`), "!Effect"},
		"a resource":       {statement(`{` + allow + `,"Principal":{"Service":"ssm.amazonaws.com"},"Resource":"*"}`), "!prohibited field Resource"},
		"actions of S3":    {statement(`{"Effect":"Allow","Action":"s3:GetObject","Principal":{"Service":"ssm.amazonaws.com"}}`), "!STS AssumeRole actions"},
		"no service":       {statement(`{` + allow + `,"Principal":{"Service":"ssm"}}`), "!Invalid principal"},
		"a wrong type":     {statement(`{` + allow + `,"Principal":["ssm.amazonaws.com"]}`), "!Principal"},
		"everybody but":    {statement(`{` + allow + `,"NotPrincipal":{"Service":"ssm.amazonaws.com"}}`), "!NotPrincipal"},
		"too much":         {identity.TrustPolicy("ssm.amazonaws.com") + "x", "!invalid Json"},
		"an empty of many": {statement(`{` + allow + `,"Principal":{"Service":[]}}`), ""},
	} {
		got, err := identity.TrustedServices(c.policy)
		if says, bad := strings.CutPrefix(c.want, "!"); bad {
			if ssmrun.ErrorCode(err) != identity.CodeMalformedPolicy || !strings.Contains(err.Error(), says) {
				t.Errorf("%s: %q, %v", name, got, err)
			}
		} else if err != nil || strings.Join(got, " ") != c.want {
			t.Errorf("%s: %q, %v; want %q", name, got, err, c.want)
		}
	}
}

// FuzzTrustedServices reads any trust policy: what it gives are services that the
// text names.
func FuzzTrustedServices(f *testing.F) {
	for _, s := range []string{identity.TrustPolicy("ssm.amazonaws.com"), `{"Statement":{}}`, `{"Statement":[{"Effect":"Deny","Principal":"*","Action":[]}]}`, "{}", "null", `{"Statement":null}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, policy string) {
		services, err := identity.TrustedServices(policy)
		if err != nil && ssmrun.ErrorCode(err) != identity.CodeMalformedPolicy {
			t.Fatalf("%q: %v", policy, err)
		}
		if !slices.IsSorted(services) {
			t.Fatalf("%q: %q", policy, services)
		}
		for _, s := range services {
			if !strings.HasSuffix(s, ".amazonaws.com") {
				t.Fatalf("%q: %q", policy, services)
			}
		}
	})
}

func TestParseRole(t *testing.T) {
	t.Parallel()
	for named, want := range map[string]string{
		"Rack":                                "arn:aws:iam::1:role/Rack",
		"service-role/Rack":                   "arn:aws:iam::1:role/service-role/Rack",
		"/service-role/Rack":                  "arn:aws:iam::1:role/service-role/Rack",
		"a/b/Rack":                            "arn:aws:iam::1:role/a/b/Rack",
		"arn:aws:iam::111111111111:role/Rack": "arn:aws:iam::111111111111:role/Rack",
		"arn:aws:iam::111111111111:role/a/b/Rack": "arn:aws:iam::111111111111:role/a/b/Rack",
		"":                                 "",
		"a/":                               "",
		"/":                                "",
		"two words":                        "",
		strings.Repeat("x", 65):            "",
		"arn:aws:iam::1:role/Rack":         "",
		"arn:aws:iam::111111111111:user/x": "",
	} {
		ref, ok := identity.ParseRole(named)
		if ok != (want != "") || ok && ref.ARN("1") != want {
			t.Errorf("%q: %+v, %t", named, ref, ok)
		}
	}
}

func TestPolicies(t *testing.T) {
	t.Parallel()
	const aws = "arn:aws:iam::aws:policy/"
	for arn, want := range map[string]bool{
		identity.CorePolicy:                               true,
		aws + "service-role/AmazonEC2RoleforSSM":          true,
		aws + "AmazonSSMReadOnlyAccess":                   true,
		aws + "CloudWatchAgentServerPolicy":               true,
		aws + "job-function/ViewOnlyAccess":               true,
		aws + "AmazonSSMManagedInstanceCor":               false,
		aws + "service-role/AmazonSSMManagedInstanceCore": false,
		aws + "AmazonEC2RoleforSSM":                       false,
		aws:                                               false,
		aws + "a/b/c":                                     false,
		"arn:aws:iam::111111111111:policy/Mine":           false,
		"AmazonSSMManagedInstanceCore":                    false,
	} {
		if got := identity.Attachable(arn); got != want {
			t.Errorf("%s: %t", arn, got)
		}
	}
	for name, want := range map[string]string{
		"AmazonSSMManagedInstanceCore": identity.CorePolicy, identity.CorePolicy: identity.CorePolicy,
		"AmazonEC2RoleforSSM": aws + "service-role/AmazonEC2RoleforSSM", "CloudWatchAgentServerPolicy": aws + "CloudWatchAgentServerPolicy",
	} {
		if got, ok := identity.PolicyARN(name); !ok || got != want {
			t.Errorf("%s: %s, %t", name, got, ok)
		}
	}
	if _, ok := identity.PolicyARN("AmazonSSMManagedInstanceCor"); ok {
		t.Error("a slip in the name of a policy is not found")
	}
}

// countingStore counts what is read.
type countingStore struct {
	store.Store
	reads int
}

func (c *countingStore) View(ctx context.Context, fn func(store.Tx) error) error {
	c.reads++
	return c.Store.View(ctx, fn)
}

// TestMayRun: what a role lets its agents do is read once, and anew when the role
// has changed.
func TestMayRun(t *testing.T) {
	t.Parallel()
	b := setup(t)
	counting := &countingStore{Store: b.store}
	s, err := identity.Open(identity.Config{Dir: b.dir, Account: scope.Account, Store: counting})
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	p := identity.Principal{ARN: "arn:x", Account: scope.Account, InstanceID: "i-1", Role: "Rack", Service: identity.ServiceSSM}
	want := func(reads int, says string) {
		t.Helper()
		for range 3 { // and remembered
			err := s.MayRun(ctx, p, "ssm:UpdateInstanceInformation")
			switch {
			case says == "" && err != nil:
				t.Errorf("denied: %v", err)
			case says != "" && (ssmrun.ErrorCode(err) != ssmrun.CodeAccessDenied || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), "ssm:UpdateInstanceInformation")):
				t.Errorf("%v; want %s", err, says)
			}
		}
		if counting.reads != reads {
			t.Errorf("%d reads, want %d", counting.reads, reads)
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	change := func(fn func(*store.Role)) {
		t.Helper()
		must(s.ChangeRole(ctx, scope.Account, "Rack", func(r *store.Role) error { fn(r); return nil }))
	}
	want(1, "role Rack is not there")
	must(s.CreateRole(ctx, &store.Role{Account: scope.Account, Name: "Rack", Trust: identity.TrustPolicy(identity.ServiceSSM)}))
	want(2, "aws iam attach-role-policy --role-name Rack --policy-arn "+identity.CorePolicy)
	change(func(r *store.Role) { r.Policies = []string{"arn:aws:iam::aws:policy/service-role/AmazonEC2RoleforSSM"} })
	want(3, "")
	must(s.SetTrust(ctx, scope.Account, "Rack", identity.TrustPolicy(identity.ServiceEC2)))
	want(4, "does not trust ssm.amazonaws.com")
	p.Service = identity.ServiceEC2
	want(5, "")
	change(func(r *store.Role) { r.Policies = nil })
	must(s.DeleteRole(ctx, scope.Account, "Rack"))
	want(6, "is not there")
	p.Role = ""
	want(6, "has no role")
}

func TestRegisterNeedsARole(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx, key := t.Context(), publicKey(t, 2048)
	for role, says := range map[string]string{
		"None": "no such role", "service-role/role": "arn:aws:iam::000000000000:role/role", "": "names no role",
		"arn:aws:iam::111111111111:role/role": "account 000000000000",
	} {
		_, _, err := b.CreateActivation(ctx, identity.NewActivation{Scope: scope, IamRole: role})
		if ssmrun.ErrorCode(err) != ssmrun.CodeValidation || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v", role, err)
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(b.SetTrust(ctx, scope.Account, "role", identity.TrustPolicy(identity.ServiceEC2)))
	_, _, err := b.CreateActivation(ctx, identity.NewActivation{Scope: scope, IamRole: "role"})
	if err == nil || !strings.HasPrefix(ssmrun.ErrorMessage(err), "Nonexistent role or missing ssm service principal in trust policy: arn:aws:iam::000000000000:role/role") ||
		!strings.Contains(err.Error(), "aws iam update-assume-role-policy --role-name role") {
		t.Errorf("without trust: %v", err)
	}
	must(b.SetTrust(ctx, scope.Account, "role", identity.TrustPolicy(identity.ServiceSSM)))
	id, code, err := b.CreateActivation(ctx, identity.NewActivation{Scope: scope, IamRole: "role"})
	must(err)
	var policies []string
	must(b.ChangeRole(ctx, scope.Account, "role", func(r *store.Role) error { policies, r.Policies = r.Policies, nil; return nil }))
	register := func() error {
		_, err := b.Register(ctx, identity.Registration{ActivationID: id, ActivationCode: code, PublicKey: key})
		return err
	}
	if err := register(); ssmrun.ErrorCode(err) != ssmrun.CodeAccessDenied ||
		!strings.Contains(err.Error(), "role does not carry the managed policy AmazonSSMManagedInstanceCore") || !strings.HasSuffix(err.Error(), "aws iam attach-role-policy --role-name role --policy-arn "+identity.CorePolicy) {
		t.Errorf("without its policy: %v", err)
	}
	must(b.ChangeRole(ctx, scope.Account, "role", func(r *store.Role) error { r.Policies = policies; return nil }))
	must(register()) // the refusal used nothing up
}

// TestRegisterAnIDThatIsHeld: an id under which another machine is at work is not
// given away; a machine that lost its state gets its own back.
func TestRegisterAnIDThatIsHeld(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const id = "i-0123456789abcdef0"
	connected := false
	register := func(fingerprint string) error {
		activation, code, err := b.CreateActivation(t.Context(), identity.NewActivation{Scope: scope, IamRole: "role", InstanceID: id})
		if err != nil {
			t.Fatal(err)
		}
		_, err = b.Register(t.Context(), identity.Registration{
			ActivationID: activation, ActivationCode: code, Fingerprint: fingerprint, PublicKey: publicKey(t, 2048),
			Connected: func(asked string) bool { return connected && asked == id },
		})
		return err
	}
	if err := register("one"); err != nil {
		t.Fatal(err)
	}
	connected = true
	if err := register("two"); ssmrun.ErrorCode(err) != identity.CodeAlreadyRegistered || !strings.Contains(err.Error(), id) || !strings.Contains(err.Error(), "another machine") {
		t.Errorf("while another machine is at work: %v", err)
	}
	connected = false
	if err := register("two"); err != nil {
		t.Errorf("once it is gone: %v", err)
	}
}

func TestPrepareAccounts(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx := t.Context()
	r, err := b.Role(ctx, scope.Account, identity.DefaultRole)
	if err != nil || identity.RoleARN(r) != "arn:aws:iam::000000000000:role/service-role/AmazonEC2RunCommandRoleForManagedInstances" ||
		!slices.Equal(r.Policies, []string{identity.CorePolicy}) || !slices.Equal(r.Services, []string{identity.ServiceSSM}) || len(r.ID) != 20 {
		t.Fatalf("%+v, %v", r, err)
	}
	// What an operator took away does not come back by itself.
	if err := b.ChangeRole(ctx, scope.Account, identity.DefaultRole, func(r *store.Role) error { r.Policies = nil; return nil }); err != nil {
		t.Fatal(err)
	}
	if err := b.DeleteRole(ctx, scope.Account, identity.DefaultRole); err != nil {
		t.Fatal(err)
	}
	changed := func(r *store.Role) error { r.Policies = nil; return nil }
	if err := b.ChangeRole(ctx, scope.Account, "role", changed); err != nil {
		t.Fatal(err)
	}
	wanted := []store.Role{{Name: "role", Trust: identity.TrustPolicy(identity.ServiceSSM), Policies: []string{identity.CorePolicy}}}
	if err := b.PrepareAccounts(ctx, []string{scope.Account, "111111111111"}, wanted); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Role(ctx, scope.Account, identity.DefaultRole); ssmrun.ErrorCode(err) != identity.CodeNoSuchEntity {
		t.Errorf("the deleted default role: %v", err)
	}
	if r, err := b.Role(ctx, scope.Account, "role"); err != nil || len(r.Policies) != 0 {
		t.Errorf("a role that was there: %+v, %v", r, err)
	}
	for _, name := range []string{identity.DefaultRole, "role"} {
		if r, err := b.Role(ctx, "111111111111", name); err != nil || len(r.Policies) != 1 {
			t.Errorf("%s of a new account: %+v, %v", name, r, err)
		}
	}
}
