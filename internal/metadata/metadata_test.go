package metadata_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"

	"ssmrun"
	"ssmrun/internal/identity"
	"ssmrun/internal/metadata"
	"ssmrun/internal/store"
	"ssmrun/internal/store/sqlite"
)

const instance = "i-0123456789abcdef0"

var scope = ssmrun.Scope{Account: "000000000000", Region: "eu-west-1"}

type bundle struct {
	*identity.Service
	url    string
	now    time.Time
	denied []error
}

func setup(t *testing.T, role string) *bundle {
	t.Helper()
	dir := t.TempDir()
	b := &bundle{now: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)}
	clock := func() time.Time { return b.now }
	db, err := sqlite.Open(t.Context(), filepath.Join(dir, "test.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if b.Service, err = identity.Open(identity.Config{Dir: dir, Account: scope.Account, Store: db, Now: clock}); err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(metadata.New(metadata.Config{
		Instance: identity.EC2Instance{ID: instance, Scope: scope, Role: role}, Identity: b.Service, Now: clock,
		Denied: func(err error) { b.denied = append(b.denied, err) },
	}))
	t.Cleanup(srv.Close)
	b.url = srv.URL
	return b
}

// call makes a request and gives status and body.
func (b *bundle) call(t *testing.T, method, path string, header ...string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, b.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			r.Host = header[i+1]
		}
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

const (
	life  = "X-aws-ec2-metadata-token-ttl-seconds"
	token = "X-aws-ec2-metadata-token"
)

func TestSession(t *testing.T) {
	t.Parallel()
	b := setup(t, "Web")
	for name, c := range map[string]struct {
		method, path string
		header       []string
		want         int
	}{
		"no session":            {"GET", "/latest/meta-data/instance-id", nil, 401},
		"somebody's token":      {"GET", "/latest/meta-data/instance-id", []string{token, "x"}, 401},
		"a token by GET":        {"GET", "/latest/api/token", []string{life, "60"}, 405},
		"no life":               {"PUT", "/latest/api/token", nil, 400},
		"too short a life":      {"PUT", "/latest/api/token", []string{life, "0"}, 400},
		"too long a life":       {"PUT", "/latest/api/token", []string{life, "21601"}, 400},
		"through a proxy":       {"PUT", "/latest/api/token", []string{life, "60", "X-Forwarded-For", "10.0.0.1"}, 403},
		"by a name of its own":  {"PUT", "/latest/api/token", []string{life, "60", "Host", "evil.example:80"}, 403},
		"elsewhere":             {"GET", "/", nil, 404},
		"another method":        {"POST", "/latest/meta-data/", nil, 405},
		"version one, its name": {"GET", "/1.0/meta-data/", nil, 404},
	} {
		if got, body := b.call(t, c.method, c.path, c.header...); got != c.want {
			t.Errorf("%s: %d %s, want %d", name, got, body, c.want)
		}
	}
	status, session := b.call(t, "PUT", "/latest/api/token", life, "60")
	if status != 200 || len(session) < 40 {
		t.Fatalf("%d %s", status, session)
	}
	if got, body := b.call(t, "GET", "/latest/meta-data/instance-id", token, session); got != 200 || body != instance {
		t.Errorf("%d %s", got, body)
	}
	if got, _ := b.call(t, "GET", "/latest/meta-data/none", token, session); got != 404 {
		t.Errorf("what is not there: %d", got)
	}
	b.now = b.now.Add(time.Minute)
	if got, _ := b.call(t, "GET", "/latest/meta-data/instance-id", token, session); got != 401 {
		t.Errorf("after its end: %d", got)
	}
}

// TestSDK reads with the SDK what agents and SDKs read.
func TestSDK(t *testing.T) {
	t.Parallel()
	b := setup(t, "Web")
	ctx := t.Context()
	if err := b.CreateRole(ctx, &store.Role{Account: scope.Account, Name: "Web", Trust: identity.TrustPolicy(identity.ServiceEC2)}); err != nil {
		t.Fatal(err)
	}
	client := imds.New(imds.Options{Endpoint: b.url})
	get := func(path string) string {
		t.Helper()
		out, err := client.GetMetadata(ctx, &imds.GetMetadataInput{Path: path})
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		body, err := io.ReadAll(out.Content)
		if err != nil {
			t.Fatal(err)
		}
		return string(body)
	}
	for path, want := range map[string]string{
		"instance-id": instance, "placement/availability-zone": "eu-west-1a", "placement/availability-zone-id": "euw1-az1",
		"instance-type": "t3.micro", "iam/security-credentials/": "Web", "placement/": "availability-zone\navailability-zone-id\nregion",
	} {
		if got := get(path); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
	region, err := client.GetRegion(ctx, nil)
	if err != nil || region.Region != scope.Region {
		t.Errorf("%+v, %v", region, err)
	}
	doc, err := client.GetInstanceIdentityDocument(ctx, nil)
	if err != nil || doc.InstanceID != instance || doc.AccountID != scope.Account || doc.Region != scope.Region {
		t.Errorf("%+v, %v", doc, err)
	}
	var key struct{ Code, AccessKeyID, SecretAccessKey, Token, Expiration string }
	if err := json.Unmarshal([]byte(get("iam/security-credentials/Web")), &key); err != nil || key.Code != "Success" || key.Expiration != "2026-11-22T18:00:00Z" {
		t.Fatalf("%s, %v", key.Code, err)
	}
	if secret, p, err := b.Lookup(ctx, key.AccessKeyID, key.Token); err != nil || secret != key.SecretAccessKey || p.Role != "Web" {
		t.Errorf("%+v, %v", p, err)
	}
	if err := json.Unmarshal([]byte(get("identity-credentials/ec2/security-credentials/ec2-instance")), &key); err != nil || key.Code != "Success" {
		t.Fatalf("%s, %v", key.Code, err)
	}
	if secret, p, err := b.LookupIdentity(key.AccessKeyID, key.Token); err != nil || secret != key.SecretAccessKey || p.InstanceID != instance {
		t.Errorf("%+v, %v", p, err)
	}
	if err := b.SetTrust(ctx, scope.Account, "Web", identity.TrustPolicy(identity.ServiceSSM)); err != nil {
		t.Fatal(err)
	}
	if body := get("iam/security-credentials/Web"); !strings.Contains(body, "AssumeRoleUnauthorizedAccess") || !strings.Contains(body, "ec2.amazonaws.com") || len(b.denied) != 1 {
		t.Errorf("of a role that does not trust EC2: %s, %v", body, b.denied)
	}
}

func TestNoProfile(t *testing.T) {
	t.Parallel()
	b := setup(t, "")
	_, session := b.call(t, "PUT", "/latest/api/token", life, "60")
	for _, path := range []string{"iam/security-credentials/", "iam/security-credentials/Web", "iam/info"} {
		if got, body := b.call(t, "GET", "/latest/meta-data/"+path, token, session); got != 404 {
			t.Errorf("%s: %d %s", path, got, body)
		}
	}
}
